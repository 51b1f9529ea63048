//! Tasks, data readers and the two generated tasks of progtune. The host calls [`Task::by_name`] to learn what a task's
//! columns, labels and metrics are, [`split_rows`] for training and evaluation data, [`jsonl_rows`] for
//! `progtune predict --input FILE.jsonl`, and [`OwnFiles::open`] for files of the user's own. All of them give row by row;
//! [`load_split`], [`read_jsonl`] and [`OwnData::load`] collect the rows of small files. Files whose words have tags are
//! read by [`TaggedData::load`], questions about texts (SQuAD) by [`load_questions`] and [`read_questions`].
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
//! Code map: `example` (a row), `task` and `glue` (what a task is; the table of tasks), `metric` (names), `split` (loading
//! a named task), `locate` (which file holds a split), `own` and `own_files` (the user's files; under them `own_reader`,
//! `files`, `choose_columns`, `header`, `learn_labels`, `label_form`, `hold_out`, `survey`), `rows` (what all readers give),
//! `table` over `tsv`, `csv` (with `separator`) and `plain_text` by way of `record`, `jsonl` with `json_document` over
//! `json_scan`, `columnar` for parquet and Arrow (the readers; `lines` over `text_file` and `decompress` under the text
//! ones, `hub_names` under the columnar ones, `foreign` what is refused, `format` what a file is), `tagged` over `conll` (on
//! `word_lines`) and `word_lists` (sentences with tags; `tag_columns`, `tag_repair` and `tag_scheme` beside it), `squad`
//! (questions about texts, over `whole_text`, `jsonl` and `columnar`), `label` (a `cell` to a label), `sample` and `sample_pairs` (generated tasks, over `grammar`
//! and `splitmix`), `error`, `fingerprint` (of this crate's source, for caches).
#![forbid(unsafe_code)]

mod cell;
mod choose_columns;
mod columnar;
mod columns;
mod conll;
mod csv;
mod decompress;
mod error;
mod example;
mod files;
pub mod fingerprint;
mod foreign;
mod format;
mod glue;
mod grammar;
mod header;
mod hold_out;
mod hub_names;
mod json_document;
mod json_scan;
mod json_value;
mod jsonl;
mod label;
mod label_form;
mod learn_labels;
mod lines;
mod locate;
mod metric;
mod nearest;
mod own;
mod own_files;
mod own_reader;
mod own_request;
mod plain_text;
mod problem_type;
mod raw_row;
mod record;
mod records;
mod rows;
pub mod sample;
pub mod sample_pairs;
mod separator;
mod skipped_rows;
mod split;
mod split_name;
mod splitmix;
mod squad;
mod survey;
mod table;
mod tag_columns;
mod tag_repair;
mod tag_scheme;
mod tagged;
mod task;
mod text_file;
mod tsv;
mod usual_columns;
mod whole_text;
mod word_lines;
mod word_lists;

pub use columns::{Column, Columns, Headerless};
pub use error::{
    DataError, OwnDataError, Place, Position, QuestionError, QuestionPlace, TableError, TagError,
};
pub use example::{Example, Label};
pub use format::{DataFile, Format, Header, TextEncoding, may_hold_rows};
pub use label_form::LabelForm;
pub use learn_labels::Labels;
pub use metric::Metric;
pub use own::{OWN_TASK, OwnData};
pub use own_files::{OwnFacts, OwnFiles, OwnRows, RowCounts};
pub use own_request::{OnBadRow, OwnRequest, Reading};
pub use problem_type::ProblemType;
pub use rows::{ExampleRows, jsonl_rows, read_jsonl};
pub use skipped_rows::SkippedRows;
pub use split::{Split, has_split, load_split, split_files, split_rows};
pub use split_name::SplitName;
pub use squad::{
    Answer, AnswerRule, Question, QuestionData, Questions, is_question_file, load_questions,
    read_questions,
};
pub use survey::{ColumnKind, Survey};
pub use tag_repair::{RepairTags, TagFindings};
pub use tag_scheme::{SchemeEvidence, TagScheme, TagSpan};
pub use tagged::{TaggedData, TaggedSentence};
pub use task::{Generator, Task, TaskSource};
