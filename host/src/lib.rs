//! progtune as a library: everything that the binary does, for its tests and for programs that
//! embed it.
//!
//! Read [`recipe`] first, which is a whole run from top to bottom. ARCHITECTURE.md has the map.

pub mod baseline;
pub mod best_model;
pub mod check_command;
pub mod checkpoint;
pub mod class_report;
pub mod cli;
pub mod completions_command;
pub mod config;
pub mod early_stopping;
pub mod engaged;
pub mod evaluate;
pub mod evaluation_keys;
pub mod evaluations;
pub mod fetch;
pub mod flags;
pub mod hardware;
pub mod help_command;
pub mod help_topics;
pub mod inference;
pub mod inspect_command;
pub mod json_text;
pub mod memory_forecast;
pub mod merge_command;
pub mod model_tokenizer;
pub mod nonfinite;
pub mod plan_command;
pub mod plugins_command;
pub mod prefix_cache;
pub mod progress;
pub mod recipe;
pub mod report;
pub mod result_files;
pub mod result_record;
pub mod resume_command;
pub mod run_directory;
pub mod run_examples;
pub mod run_record;
pub mod show_command;
pub mod split_remarks;
pub mod summary;
pub mod task_data;
pub mod time_forecast;
pub mod verify;
