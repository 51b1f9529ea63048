//! Every way in which data can be wrong. The readers make these; the host prints them (exit code 3) as they are, so each
//! message names the file and line, what was expected, what was found and what to do next.

use std::path::PathBuf;

use crate::columns::Column;
use crate::nearest::nearest;
use crate::split_name::SplitName;

mod own;
mod place;
mod question;
mod show;
mod table;
mod tags;

pub use own::OwnDataError;
pub use place::{Place, Position};
pub use question::{QuestionError, QuestionPlace};
pub(crate) use show::{names, printable, quote};
pub use table::TableError;
pub use tags::TagError;

/// Where the number of cells of a column file's lines is from.
pub(crate) const WORDS: &str = "the file's first word";

/// What is wrong with the data or with the request for it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// No task has this name.
    #[error(
        "unknown task `{}`: the nearest name is `{nearest}`; expected one of {}",
        printable(name, 60),
        names(known)
    )]
    UnknownTask {
        /// The name that was asked for.
        name: String,
        /// The task whose name is most like it.
        nearest: String,
        /// All task names.
        known: Vec<String>,
    },

    /// No metric has this name.
    #[error(
        "unknown metric `{}`: the nearest name is `{nearest}`; expected one of {}",
        printable(name, 60),
        names(known)
    )]
    UnknownMetric {
        /// The name that was asked for.
        name: String,
        /// The metric whose name is most like it.
        nearest: String,
        /// All metrics.
        known: Vec<String>,
    },

    /// The user's own files, or what is asked of them.
    #[error(transparent)]
    Own(Box<OwnDataError>),

    /// Questions about texts.
    #[error(transparent)]
    Question(Box<QuestionError>),

    /// The task does not have this split (MNLI has two validation splits, the generated tasks no test).
    #[error(
        "task `{task}` has no split `{split}`: ask for one of {}",
        names(available)
    )]
    NoSuchSplit {
        /// The task's name.
        task: String,
        /// The split that was asked for.
        split: SplitName,
        /// The names of the splits it has.
        available: Vec<String>,
    },

    /// The data directory does not exist, or is a file.
    #[error(
        "{} {}: expected a directory that holds one of {}; check the path, or put the data there",
        dir.display(),
        if *is_file { "is a file" } else { "does not exist" },
        names(looked_for)
    )]
    NoDirectory {
        /// The path that was given.
        dir: PathBuf,
        /// Whether something that is not a directory is at that path.
        is_file: bool,
        /// File names that would have been read.
        looked_for: Vec<String>,
    },

    /// The directory holds no file for the split.
    #[error(
        "{}: no file for the split `{split}` of task `{task}`: looked for {}; found {}; name a file so, or pass the \
         directory that holds it",
        dir.display(), names(looked_for), names(found)
    )]
    NoSplitFile {
        /// The task's name.
        task: String,
        /// The split that was asked for.
        split: SplitName,
        /// The data directory.
        dir: PathBuf,
        /// File names that would have been read, in the order they are tried.
        looked_for: Vec<String>,
        /// What the directory holds, sorted.
        found: Vec<String>,
    },

    /// The files `NAME-00000-of-00002.parquet`, ... do not make up one whole data set.
    #[error(
        "{}: the parquet shards of `{stem}` are not one whole set: expected each of 0 to {} once, found {}; fetch the \
         missing files, or remove those of another download",
        dir.display(), total.saturating_sub(1), names(found)
    )]
    Shards {
        /// The folder that holds them.
        dir: PathBuf,
        /// The name before the shard number, such as `train`.
        stem: String,
        /// The number of shards that the first file name announces.
        total: usize,
        /// The shard files found, sorted.
        found: Vec<String>,
    },

    /// The operating system would not give the file.
    #[error("{}: cannot read it: {source}; check that it is a file and that you may read it", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },

    /// The file has no row of data.
    #[error(
        "{}: expected at least one row of data, found {found}; fetch the file again, or leave the split out",
        path.display()
    )]
    Empty {
        /// The file.
        path: PathBuf,
        /// What there is instead.
        found: &'static str,
    },

    /// A column that the task needs is not in the header, the parquet schema or the JSON object.
    #[error(
        "{place}: expected a column named {expected}, found the columns {}{}; rename the column, or pass the task that \
         this file belongs to",
        names(found),
        nearest.as_ref().map(|name| format!(" (the nearest is `{}`)", printable(name, 60))).unwrap_or_default()
    )]
    MissingColumn {
        /// The header line, the file or the JSON line.
        place: Place,
        /// The names that would do, quoted, such as `` `sentence1` or `#1 String` ``.
        expected: String,
        /// The columns there are.
        found: Vec<String>,
        /// The one of them that is most like an expected name.
        nearest: Option<String>,
    },

    /// A column that the task needs is there more than once.
    #[error(
        "{place}: expected one column named `{column}`, found {count}; rename or delete all but one",
        column = printable(column, 60)
    )]
    DuplicateColumn {
        /// The header line or the file.
        place: Place,
        /// The column's name.
        column: String,
        /// How many times it is there.
        count: usize,
    },

    /// A row has another number of cells than the header, or the first word (0: the line is blank).
    #[error(
        "{place}: expected {expected} {separator}-separated cells as in {layout}, found {found}; repair or delete the \
         line{}",
        show::ragged_advice(separator, *layout == WORDS)
    )]
    RaggedRow {
        /// The row's line.
        place: Place,
        /// The number of cells wanted.
        expected: usize,
        /// The number of cells there are.
        found: usize,
        /// What separates them.
        separator: &'static str,
        /// Where the wanted number is from: the header, or the headerless layout.
        layout: &'static str,
    },

    /// A label that is none of the task's.
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
        /// The labels there are, as `0 (negative), 1 (positive)`.
        allowed: String,
    },

    /// A row of a training or validation file has no label.
    #[error(
        "{place}: column `{column}`: expected {expected} in every row of this split, found {found}, which means \
             unlabelled; add the label or delete the row (only test files may be without labels)",
        column = printable(column, 60)
    )]
    MissingLabel {
        /// The row.
        place: Place,
        /// The label column.
        column: String,
        /// The labels there are, or what a score is.
        expected: String,
        /// What is there instead, quoted.
        found: String,
    },

    /// A regression target that is not a finite number.
    #[error(
        "{place}: column `{column}`: expected a finite number as score, found {found}; correct the score or delete \
             the row",
        column = printable(column, 60)
    )]
    BadScore {
        /// The row.
        place: Place,
        /// The label column.
        column: String,
        /// What is there, quoted.
        found: String,
    },

    /// A column or a JSON value has a type that cannot hold what it should.
    #[error(
        "{place}: column `{column}`: expected {expected}, found {found}; convert the column, or pass the task that \
             this file belongs to",
        column = printable(column, 60)
    )]
    WrongType {
        /// The row, or the file if its schema says so.
        place: Place,
        /// The column or JSON key.
        column: String,
        /// The types that would do.
        expected: &'static str,
        /// The type or value there is.
        found: String,
    },

    /// A sentence whose tags are not what they should be.
    #[error(transparent)]
    Tags(Box<TagError>),

    /// A table that cannot be read as it is.
    #[error(transparent)]
    Table(Box<TableError>),

    /// A byte sequence that is not UTF-8 in a text file.
    #[error(
        "{}, line {line}: expected UTF-8 text, found the byte 0x{byte:02X} at byte {offset} of the file (counted from \
         0); convert the file to UTF-8, for example with `iconv -f WINDOWS-1252 -t UTF-8`, or give --encoding with --train-file",
        path.display()
    )]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The offset of the first bad byte from the start of the file, from 0.
        offset: u64,
        /// That byte.
        byte: u8,
    },

    /// A line that is not in the encoding asked for.
    #[error(
        "{place}: expected text in the encoding {encoding}, found bytes that it does not have; check --encoding"
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
        /// Its offset from the start of the file, from 0.
        offset: u64,
    },

    /// A line beyond what any text needs: read to its end, it might not fit into memory.
    #[error(
        "{place}: expected a {what} of at most {} MiB, found {found}; check that the file has line ends",
        limit >> 20
    )]
    TooLong {
        /// The line.
        place: Place,
        /// What is too long.
        what: &'static str,
        /// Its length.
        found: String,
        /// The longest allowed, in bytes.
        limit: usize,
    },

    /// A gzip or zstd file that is damaged or cut short.
    #[error(
        "{place}: expected a whole {compression} file, found: {found}; fetch or compress the file again"
    )]
    Compressed {
        /// The line that could not be read.
        place: Place,
        /// `gzip` or `zstd`.
        compression: &'static str,
        /// The decoder's reason.
        found: String,
    },

    /// A quoted CSV cell that does not end.
    #[error(
        "{place}: expected the double quote that opens a cell on this line to be closed {until}, found none; close it, \
         or double it (\"\") if it is part of the text and the cell is quoted"
    )]
    UnclosedQuote {
        /// The line of the opening quote.
        place: Place,
        /// Where the search ended.
        until: String,
    },

    /// A quoted CSV cell with text after its closing quote.
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

    /// A line of a `label-text` file without white space.
    #[error("{place}: expected a label, a space and a text, found {found}; write `LABEL text`")]
    NoLabelWord {
        /// The line.
        place: Place,
        /// The line's text, quoted.
        found: String,
    },

    /// The parquet library could not read the file: truncated, damaged, not parquet, or compressed by another codec.
    #[error(
        "{place}: expected a whole parquet file, found: {found}; fetch the file again, or write it again (any compression but \
             LZO is read)"
    )]
    Parquet {
        /// The file, or the row that could not be read.
        place: Place,
        /// The library's reason.
        found: String,
    },

    /// A line of a JSONL file is not JSON.
    #[error(
        "{}, line {line}: expected one JSON object on the line, found a syntax error at column {column}: {message}; \
         JSONL has one whole object a line",
        path.display()
    )]
    JsonSyntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The byte in the line where the parser stopped, from 1.
        column: usize,
        /// The parser's reason.
        message: String,
    },

    /// A line of a JSONL file is JSON, but not an object.
    #[error(
        "{place}: expected a JSON object with the task's columns as keys, found {found}; write each row as \
             {{\"column\": \"text\"}}"
    )]
    NotAnObject {
        /// The line.
        place: Place,
        /// The value that is there.
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
    /// Whether one row is wrong, so that the rest of the file can be read without it. Not so where a reader cannot tell
    /// where the row ends.
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

/// The error for a `column` that is under none of its names among those of a file.
pub(crate) fn missing_column<'a>(
    place: Place,
    column: &Column,
    found: impl Iterator<Item = &'a str> + Clone,
) -> DataError {
    let expected: Vec<String> = column.names().map(|name| format!("`{name}`")).collect();
    DataError::MissingColumn {
        place,
        expected: expected.join(" or "),
        nearest: nearest(&column.name, found.clone()).map(str::to_owned),
        found: found.map(str::to_owned).collect(),
    }
}
