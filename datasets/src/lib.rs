//! Tasks, data readers and the two generated tasks of progtune. The host calls [`Task::by_name`]
//! for a task's columns, labels and metrics, and [`split_rows`] for training and evaluation data.
//! It calls [`file_rows`] for one file (`progtune predict --input FILE.jsonl`), and
//! [`OwnFiles::open`] for the user's own files. All of them deliver one row at a time;
//! [`load_split`], [`read_jsonl`] and [`OwnData::load`] collect the rows of small files.
//! [`TaggedData::load`] reads files of tagged words; [`load_questions`] and [`read_questions`] read
//! questions about texts (SQuAD).
//!
//! Nothing here tokenises, shuffles, computes a metric or downloads. The crate turns files into
//! [`Example`]s with the text exactly as in the file, or reports in a [`DataError`] what is wrong
//! on which line.
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
//! Code map:
//!
//! - `readers`: from bytes to rows, one format per file
//! - `tasks`: the definition of a task, and its splits
//! - `own`: texts with labels in the user's own files
//! - `tags`: sentences of tagged words; `tag_scheme` knows BIO and its variants
//! - `squad`: questions about texts
//! - `generated`: the tasks whose rows a grammar makes
//! - `kept_columns`: any columns of a file, uninterpreted
//! - below them `columns`, `problem_type` and `split_name` (the vocabulary of tasks, readers and
//!   errors), `format` (of a data file), `request` (of the user), `example` and `skipped_rows` (the
//!   results), `sampling` and `drawn_rows` (which rows are used), `error`, `splitmix`, and
//!   `fingerprint` (of this crate's source, for caches)
#![forbid(unsafe_code)]

mod columns;
mod drawn_rows;
mod error;
mod example;
mod format;
mod generated;
mod kept_columns;
mod own;
mod problem_type;
mod readers;
mod request;
mod sampling;
mod skipped_rows;
mod split_name;
mod splitmix;
mod squad;
mod tag_scheme;
mod tags;
mod tasks;

// The key of what is kept about files depends on it.
pub mod fingerprint;

// Tasks: columns, labels, metrics, splits and rows.
pub use columns::{Column, Columns, Headerless};
pub use example::{Example, Label};
pub use problem_type::ProblemType;
pub use split_name::SplitName;
pub use tasks::metric::Metric;
pub use tasks::rows::{ExampleRows, file_rows, read_jsonl};
pub use tasks::split::{
    SampledRows, Split, has_split, load_split, sampled_rows, split_files, split_rows,
};
pub use tasks::task::{Generator, Task, TaskSource};
// The two generated tasks.
pub use generated::{sample, sample_pairs};
// Data files, and the user's requests about them.
pub use format::{DataFile, Format, Header, TextEncoding, may_hold_rows};
pub use kept_columns::{ColumnRows, column_names};
pub use request::{OnBadRow, OwnRequest, Reading};
pub use sampling::{Sample, SampleRule};
pub use skipped_rows::SkippedRows;
// The user's own files: texts with labels.
pub use own::data::{OWN_TASK, OwnData};
pub use own::facts::{OwnFacts, RowCounts};
pub use own::files::{OwnFiles, OwnRows};
pub use own::label_form::LabelForm;
pub use own::learn_labels::Labels;
pub use own::survey::{ColumnKind, Survey};
// Sentences of tagged words.
pub use tag_scheme::repair::{RepairTags, TagFindings};
pub use tag_scheme::{SchemeEvidence, TagScheme, TagSpan};
pub use tags::data::{TaggedData, TaggedSentence};
// Questions about texts.
pub use squad::{
    Answer, AnswerRule, Question, QuestionData, Questions, load_questions, read_questions,
    sampled_questions,
};
// Errors, with file and line.
pub use error::{
    DataError, OwnDataError, Place, Position, QuestionError, QuestionPlace, TableError, TagError,
};
