//! progtune as a library: everything the binary does, for its tests and for programs that embed it.
//!
//! Read [`recipe`] first: it is a whole run from top to bottom. ARCHITECTURE.md has the map.

pub mod adapter;
pub mod assemble;
pub mod batch;
pub mod batch_order;
pub mod class_report;
pub mod cli;
pub mod config;
pub mod error;
pub mod evaluate;
pub mod examples;
pub mod export;
pub mod files;
pub mod forecast;
pub mod graph;
pub mod inference;
pub mod inspect_command;
pub mod interrupt;
pub mod labels;
pub mod learned_task;
pub mod logging;
pub mod memory;
pub mod merge;
pub mod merge_command;
pub mod metrics;
pub mod model;
pub mod model_source;
pub mod optim;
pub mod plan;
pub mod plan_command;
pub mod plugin;
pub mod plugins_command;
pub mod prefetch;
pub mod prefix_cache;
pub mod progress;
pub mod provenance;
pub mod recipe;
pub mod rng;
pub mod run_directory;
pub mod task_data;
pub mod terminal;
pub mod token_cache;
pub mod token_classification;
pub mod tokenizer;
pub mod train;
