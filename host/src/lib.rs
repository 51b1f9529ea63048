//! progtune as a library: everything that the binary does, for its tests and for programs that
//! embed it.
//!
//! Read `recipe` first, which is a whole run from top to bottom. ARCHITECTURE.md has the map.

mod baseline;
mod best_model;
mod check_command;
mod class_report;
mod completions_command;
mod digest;
mod early_stopping;
mod engaged;
mod evaluation_keys;
mod evaluations;
mod fetch;
mod hardware;
mod help_command;
mod inference;
mod inspect_command;
mod json_text;
mod memory_forecast;
mod merge_command;
mod model_tokenizer;
mod nonfinite;
mod plan_command;
mod plugins_command;
mod progress;
mod recipe;
mod report;
mod result_files;
mod result_record;
mod resume_command;
mod run_examples;
mod run_record;
mod split_remarks;
mod summary;
mod task_data;
mod time_forecast;

// The command line, its flags and help, and the configuration of each command.
pub mod cli;
pub mod config;
pub mod flags;
pub mod help_topics;
// The parts of a run that are tested one by one.
pub mod checkpoint;
pub mod evaluate;
pub mod prefix_cache;
pub mod run_directory;
pub mod show_command;
pub mod verify;

// The commands, which `main` calls.
pub use check_command::run_check;
pub use completions_command::{run_completions, run_man};
pub use help_command::run_help;
pub use inference::{run_evaluate, run_predict};
pub use inspect_command::run_inspect;
pub use merge_command::run_merge;
pub use plan_command::run_plan;
pub use plugins_command::run_plugins;
pub use recipe::train;
pub use resume_command::{fork_config, replay_config, resume_config, run_replay};
// Values of a run: its evaluations, its tokenizer, its task.
pub use early_stopping::{EarlyStopping, Patience};
pub use evaluations::{EvalSteps, EvalStrategy, Evaluations};
pub use model_tokenizer::open_tokenizer;
pub use task_data::TaskData;
