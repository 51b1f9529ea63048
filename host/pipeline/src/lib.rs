//! The pipeline: from files to batches (tokenizers, stores, caches, batch order) and from logits to
//! metrics. It stands on the engine's types of batches and targets, and knows no configuration.

mod eval_split;
mod examples;
mod head_init;
mod label_counts;
mod own_files;
mod prefetch;

// The order of the examples in an epoch, cut into batches.
pub mod batch_order;
// Class weights and label smoothing, as the loss takes them.
pub mod class_weights;
// Own data: its description for people, and remarks about oddities.
pub mod data_description;
pub mod data_remarks;
// From logits to metrics and predictions.
pub mod metrics;
pub mod task_scores;
// The tasks whose examples are not whole texts.
pub mod question_answering;
pub mod token_classification;
// Tokenised examples, and the cache of them.
pub mod token_cache;
pub mod token_store;
// The tokenizer of a model directory, in all forms of its files.
pub mod tokenizer;

// Examples from files, and a split to evaluate on.
pub use eval_split::EvalSplit;
pub use examples::{ExampleSource, Origin};
pub use own_files::KeyedFiles;
// The first values of a new head.
pub use head_init::HeadInit;
// Batches, assembled while a step computes.
pub use prefetch::{BatchSource, Batches, with_batches};
