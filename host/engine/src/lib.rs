//! The engine: models and their training step, the plan of a run, PEFT methods as plugins,
//! adapters, merging and export. It knows no data files, no configuration and no command.

pub mod adapter;
pub mod assemble;
pub mod base_model;
pub mod batch;
pub mod error;
pub mod export;
pub mod labels;
pub mod learned_task;
pub mod made_by;
pub mod merge;
pub mod model;
pub mod model_source;
pub mod optim;
pub mod plan;
pub mod plugin;
pub mod rng;
pub mod task_kind;
