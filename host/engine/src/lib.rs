//! The engine: models and their training step, the plan of a run, PEFT methods as plugins,
//! adapters, merging and export. It knows no data files, no configuration and no command.

mod assemble;
mod batch;
mod error;
mod labels;
mod learned_task;
mod model_source;
mod task_kind;

// The model, with its configuration, its parameters and its files.
pub mod model;
// Training: plans, plugins, and the optimizer.
pub mod optim;
pub mod plan;
pub mod plugin;
// Results: adapters, checkpoints, merged models, and the records beside them.
pub mod adapter;
pub mod base_model;
pub mod export;
pub mod made_by;
pub mod merge;
// Random streams by seed and purpose.
pub mod rng;

// Errors.
pub use error::{Error, NotFinite, Result};
// From a directory, or the model inside the program, to a model that can be trained.
pub use assemble::{Assembly, BaseWeights, InitialValues, model_on, open_device};
pub use model_source::{EMBEDDED_VOCABULARY, ModelSource};
// The input of a step: examples and their targets, without padding.
pub use batch::{Batch, EncodedExample, Labels, Target};
// Tasks: the head and loss of each kind, their labels, and the record beside a result.
pub use labels::LabelMatch;
pub use learned_task::{LearnedTask, TASK_FILE};
pub use task_kind::{HeadKind, TaskKind, kind_of};
