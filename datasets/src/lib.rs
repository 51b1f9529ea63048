//! Tasks, data readers and the embedded sample of progtune. The host calls [`Task::by_name`] to learn what a task's
//! columns, labels and metrics are, [`load_split`] for training and evaluation data, and [`read_jsonl`] for
//! `progtune predict --input FILE.jsonl`.
//!
//! Nothing here tokenises, shuffles or computes a metric, and nothing downloads: it turns files into [`Example`]s with
//! the text exactly as it stands in the file, or says in a [`DataError`] what is wrong with which line.
//!
//! ```
//! use progtune_datasets::{Label, SplitName, Task, load_split};
//! use std::path::Path;
//!
//! let task = Task::by_name("sample")?; // made in memory: the directory is not read
//! let split = load_split(task, Path::new("."), SplitName::Validation, Some(10))?;
//! assert_eq!(split.examples.len(), 10);
//! assert!(matches!(split.examples[0].label, Some(Label::Class(0 | 1))));
//! # Ok::<(), progtune_datasets::DataError>(())
//! ```
//!
//! Code map: `example` (a row), `task` and `glue` (what a task is; the table of tasks), `split` (loading), `locate` (which
//! file holds a split), `tsv`, `parquet_file`, `jsonl` (the readers; `lines` under the two text ones), `label` (a cell to
//! a label), `sample` (the embedded task), `error`, `fingerprint` (of this crate's source, for caches).
#![forbid(unsafe_code)]

mod error;
mod example;
pub mod fingerprint;
mod glue;
mod jsonl;
mod label;
mod lines;
mod locate;
mod nearest;
mod parquet_file;
pub mod sample;
mod split;
mod splitmix;
mod task;
mod tsv;

pub use error::{DataError, Place, Position};
pub use example::{Example, Label};
pub use jsonl::{parse_jsonl_line, read_jsonl};
pub use split::{Split, SplitName, has_split, load_split, split_files};
pub use task::{Column, Headerless, Metric, ProblemType, Task};
