//! The pipeline: from files to batches (tokenizers, stores, caches, batch order) and from logits to
//! metrics. It stands on the engine's types of batches and targets, and knows no configuration.

pub mod batch_order;
pub mod class_weights;
pub mod data_description;
pub mod data_remarks;
pub mod eval_split;
pub mod examples;
pub mod head_init;
pub mod label_counts;
pub mod metrics;
pub mod own_files;
pub mod prefetch;
pub mod question_answering;
pub mod task_scores;
pub mod token_cache;
pub mod token_classification;
pub mod token_store;
pub mod tokenizer;
