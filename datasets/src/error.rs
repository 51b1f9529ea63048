//! Every way in which data can be wrong. The readers create these errors and the host prints them
//! unchanged (exit code 3). Each message therefore names the file and line, what was expected, what
//! was found, and what to do next.

use std::path::PathBuf;

use crate::columns::Column;
use crate::split_name::SplitName;

mod own;
mod place;
mod question;
mod show;
mod suggestion;
mod table;
mod tags;

pub use own::OwnDataError;
pub(crate) use own::for_example;
pub use place::{Place, Position};
pub use question::{QuestionError, QuestionPlace};
pub(crate) use show::{listed, names, printable, quote};
pub(crate) use suggestion::suggestion;
pub use table::TableError;
pub use tags::TagError;

/// The origin of the expected number of cells in a column file.
pub(crate) const WORDS: &str = "the file's first word";

/// An error in the data or in the request for it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// No task has this name.
    #[error("unknown task {}", show::unknown(name, suggestion, known))]
    UnknownTask {
        /// The requested name.
        name: String,
        /// Similar task names, as `; did you mean 'a'?`, or nothing.
        suggestion: String,
        /// All task names.
        known: Vec<String>,
    },

    /// No metric has this name.
    #[error("unknown metric {}", show::unknown(name, suggestion, known))]
    UnknownMetric {
        /// The requested name.
        name: String,
        /// Similar metrics.
        suggestion: String,
        /// All metrics.
        known: Vec<String>,
    },

    /// An error in the user's own files or in the request for them.
    #[error(transparent)]
    Own(Box<OwnDataError>),

    /// An error in a file of questions about texts.
    #[error(transparent)]
    Question(Box<QuestionError>),

    /// The task does not have this split. (MNLI has two validation splits; the generated tasks have
    /// no test split.)
    #[error(
        "task `{task}` has no split `{split}`: ask for one of {}",
        names(available)
    )]
    NoSuchSplit {
        /// The task's name.
        task: String,
        /// The requested split.
        split: SplitName,
        /// The names of the available splits.
        available: Vec<String>,
    },

    /// The data directory does not exist, or is a file.
    #[error(
        "{} {}: expected a directory that contains one of {}; check the path, or put the data there",
        dir.display(),
        if *is_file { "is a file" } else { "does not exist" },
        names(looked_for)
    )]
    NoDirectory {
        /// The given path.
        dir: PathBuf,
        /// Whether the path exists but is not a directory.
        is_file: bool,
        /// The file names that progtune looks for.
        looked_for: Vec<String>,
    },

    /// The directory contains no file for the split.
    #[error(
        "{}: no file for the split `{split}` of task `{task}`: looked for {}; found {}; rename a file to one \
         of these names, or pass the directory that contains one",
        dir.display(), names(looked_for), names(found)
    )]
    NoSplitFile {
        /// The task's name.
        task: String,
        /// The requested split.
        split: SplitName,
        /// The data directory.
        dir: PathBuf,
        /// The file names that progtune looks for, in order.
        looked_for: Vec<String>,
        /// The directory's entries, sorted.
        found: Vec<String>,
    },

    /// The files `NAME-00000-of-00002.parquet`, … do not form one complete data set.
    #[error(
        "{}: the parquet shards of `{stem}` are incomplete or mixed: expected each of 0 to {} once, found {}; fetch the \
         missing files, or remove those that belong to another download",
        dir.display(), total.saturating_sub(1), names(found)
    )]
    Shards {
        /// The folder of the shards.
        dir: PathBuf,
        /// The name before the shard number, such as `train`.
        stem: String,
        /// The number of shards that the first file name announces.
        total: usize,
        /// The shard files found, sorted.
        found: Vec<String>,
    },

    /// The operating system refused to read the file.
    #[error("{}: cannot read it: {source}; check that it is a file and that you may read it", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The reason that the operating system gave.
        source: std::io::Error,
    },

    /// The file has no data row.
    #[error(
        "{}: expected at least one row of data, found {found}; fetch the file again, or check that it is the right one",
        path.display()
    )]
    Empty {
        /// The file.
        path: PathBuf,
        /// The contents found instead.
        found: &'static str,
    },

    /// The header, the parquet schema or the JSON object lacks a column that the task needs.
    #[error(
        "{place}: expected a column named {expected}, found {}{}",
        listed("column", found),
        show::advice(
            suggestion,
            "rename the column, or pass the task that this file belongs to"
        )
    )]
    MissingColumn {
        /// The header line, the file or the JSON line.
        place: Place,
        /// The accepted names, quoted, such as `` `sentence1` or `#1 String` ``.
        expected: String,
        /// The existing columns.
        found: Vec<String>,
        /// Existing columns that are similar to an accepted name.
        suggestion: String,
    },

    /// A column that the task needs occurs more than once.
    #[error(
        "{place}: expected one column named `{column}`, found {count}; rename or delete all but one",
        column = printable(column, 60)
    )]
    DuplicateColumn {
        /// The header line or the file.
        place: Place,
        /// The column's name.
        column: String,
        /// The number of occurrences.
        count: usize,
    },

    /// A row has a different number of cells from the header or the first word (0: the line is
    /// blank).
    #[error(
        "{place}: expected {expected} {separator}-separated cells as in {layout}, found {found}; repair or delete the \
         line{}",
        show::ragged_advice(separator, *layout == WORDS)
    )]
    RaggedRow {
        /// The row's line.
        place: Place,
        /// The expected number of cells.
        expected: usize,
        /// The number of cells found.
        found: usize,
        /// The separator's name.
        separator: &'static str,
        /// The origin of the expected number: the header, or the headerless layout.
        layout: &'static str,
    },

    /// A label that the task does not have.
    #[error(
        "{place}: column `{column}`: expected one of the labels {allowed}, found {found}; correct the label, or \
             pass the task that this file belongs to",
        column = printable(column, 60)
    )]
    UnknownLabel {
        /// The row.
        place: Place,
        /// The label column.
        column: String,
        /// The label, quoted.
        found: String,
        /// The allowed labels, such as `0 (negative), 1 (positive)`.
        allowed: String,
    },

    /// A row of a training or validation file without a label.
    #[error(
        "{place}: column `{column}`: expected {expected} in every row of this split, found {found}, which means \
             unlabelled; add the label or delete the row (only test files may lack labels)",
        column = printable(column, 60)
    )]
    MissingLabel {
        /// The row.
        place: Place,
        /// The label column.
        column: String,
        /// The allowed labels, or the description of a score.
        expected: String,
        /// The value found, quoted.
        found: String,
    },

    /// A regression target that is not a finite number.
    #[error(
        "{place}: column `{column}`: expected a finite number as the score, found {found}; correct the score or delete \
             the row",
        column = printable(column, 60)
    )]
    BadScore {
        /// The row.
        place: Place,
        /// The label column.
        column: String,
        /// The value found, quoted.
        found: String,
    },

    /// A column or a JSON value whose type cannot hold the expected values.
    #[error(
        "{place}: column `{column}`: expected {expected}, found {found}; convert the column, or pass the task that \
             this file belongs to",
        column = printable(column, 60)
    )]
    WrongType {
        /// The row, or the file if the schema is at fault.
        place: Place,
        /// The column or JSON key.
        column: String,
        /// The accepted types.
        expected: &'static str,
        /// The type or value found.
        found: String,
    },

    /// A sentence with wrong tags.
    #[error(transparent)]
    Tags(Box<TagError>),

    /// A table that cannot be read in its present form.
    #[error(transparent)]
    Table(Box<TableError>),

    /// A byte sequence in a text file that is not valid UTF-8.
    #[error(
        "{}, line {line}: expected UTF-8 text, found the byte 0x{byte:02X} at byte {offset} of the file (counted from \
         0); convert the file to UTF-8, for example with `iconv -f WINDOWS-1252 -t UTF-8`, or give --encoding with --train-file",
        path.display()
    )]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The offset of the first invalid byte from the start of the file, counted from 0.
        offset: u64,
        /// The invalid byte.
        byte: u8,
    },

    /// A line that is not valid in the requested encoding.
    #[error(
        "{place}: expected text in the encoding {encoding}, found bytes that are invalid in it; check --encoding"
    )]
    NotEncoded {
        /// The line.
        place: Place,
        /// The encoding.
        encoding: String,
    },

    /// A NUL character in a text file.
    #[error(
        "{place}: expected text, found a NUL character at byte {offset} of the file (counted from 0); remove it, or \
         convert the file to UTF-8 if it is UTF-16"
    )]
    NulByte {
        /// The line.
        place: Place,
        /// The offset from the start of the file, counted from 0.
        offset: u64,
    },

    /// A line longer than any text needs to be. Read to its end, it might not fit into memory.
    #[error(
        "{place}: expected a {what} of at most {} MiB, found {found}; check that the file has line breaks",
        limit >> 20
    )]
    TooLong {
        /// The line.
        place: Place,
        /// The kind of item that is too long.
        what: &'static str,
        /// The length found.
        found: String,
        /// The maximum length in bytes.
        limit: usize,
    },

    /// A gzip or zstd file that is damaged or truncated.
    #[error(
        "{place}: expected a complete {compression} file, found: {found}; fetch or compress the file again"
    )]
    Compressed {
        /// The line at which reading failed.
        place: Place,
        /// `gzip` or `zstd`.
        compression: &'static str,
        /// The reason that the decoder gave.
        found: String,
    },

    /// A quoted CSV cell that is never closed.
    #[error(
        "{place}: expected the double quote that opens a cell on this line to be closed {until}, found none; close it, \
         or double it (\"\") if it is part of the text and the cell is quoted"
    )]
    UnclosedQuote {
        /// The line of the opening quote.
        place: Place,
        /// The point at which the search ended.
        until: String,
    },

    /// A quoted CSV cell that is followed by text after its closing quote.
    #[error(
        "{place}: expected a comma or the end of the line after the double quote that closes a cell (opened on line \
         {opened}), found text; double the quotes (\"\") inside a quoted cell, and check that every quote is closed"
    )]
    TextAfterQuote {
        /// The line of the closing quote.
        place: Place,
        /// The line of the opening quote.
        opened: usize,
    },

    /// A line of a `label-text` file without whitespace.
    #[error("{place}: expected a label, a space and a text, found {found}; write `LABEL text`")]
    NoLabelWord {
        /// The line.
        place: Place,
        /// The line's text, quoted.
        found: String,
    },

    /// The parquet library could not read the file. It is truncated, damaged, not parquet, or
    /// compressed with an unsupported codec.
    #[error(
        "{place}: expected a complete parquet file, found: {found}; fetch the file again, or write it again (any compression but \
             LZO is supported)"
    )]
    Parquet {
        /// The file, or the row that could not be read.
        place: Place,
        /// The reason that the library gave.
        found: String,
    },

    /// A line of a JSONL file that is not JSON.
    #[error(
        "{}, line {line}: expected one JSON object on the line, found a syntax error at column {column}: {message}; \
         JSONL has one complete object per line",
        path.display()
    )]
    JsonSyntax {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The byte within the line at which the parser stopped, counted from 1.
        column: usize,
        /// The reason that the parser gave.
        message: String,
    },

    /// A line of a JSONL file that is JSON, but not an object.
    #[error(
        "{place}: expected a JSON object with the task's columns as keys, found {found}; write each row as \
             {{\"column\": \"text\"}}"
    )]
    NotAnObject {
        /// The line.
        place: Place,
        /// The value found.
        found: String,
    },
}

// Boxed, so that results stay small.
impl From<OwnDataError> for DataError {
    fn from(error: OwnDataError) -> Self {
        Self::Own(Box::new(error))
    }
}

impl From<QuestionError> for DataError {
    fn from(error: QuestionError) -> Self {
        Self::Question(Box::new(error))
    }
}

impl From<TableError> for DataError {
    fn from(error: TableError) -> Self {
        Self::Table(Box::new(error))
    }
}

impl From<TagError> for DataError {
    fn from(error: TagError) -> Self {
        Self::Tags(Box::new(error))
    }
}

impl DataError {
    /// Whether the error concerns one row only, so that the rest of the file can be read without
    /// it. It does not if a reader cannot tell where the row ends.
    pub fn is_about_a_row(&self) -> bool {
        match self {
            Self::Question(error) => error.is_about_a_question(),
            Self::Table(error) => error.is_about_a_row(),
            Self::NotUtf8 { .. }
            | Self::NotEncoded { .. }
            | Self::NulByte { .. }
            | Self::TooLong { .. }
            | Self::TextAfterQuote { .. }
            | Self::NoLabelWord { .. }
            | Self::JsonSyntax { .. }
            | Self::NotAnObject { .. }
            | Self::RaggedRow { .. }
            | Self::Tags(_)
            | Self::UnknownLabel { .. }
            | Self::MissingLabel { .. }
            | Self::BadScore { .. } => true,
            Self::MissingColumn { place, .. } | Self::WrongType { place, .. } => {
                place.position != Position::File
            }
            _ => false,
        }
    }
}

/// The error for a missing `column`: a file has none of its names.
pub(crate) fn missing_column<'a>(
    place: Place,
    column: &Column,
    found: impl Iterator<Item = &'a str> + Clone,
) -> DataError {
    let expected: Vec<String> = column.names().map(|name| format!("`{name}`")).collect();
    let mut suggestions = column.names().map(|name| suggestion(name, found.clone()));
    DataError::MissingColumn {
        place,
        expected: expected.join(" or "),
        suggestion: suggestions
            .find(|text| !text.is_empty())
            .unwrap_or_default(),
        found: found.map(str::to_owned).collect(),
    }
}
