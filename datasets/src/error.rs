//! Every way in which data can be wrong. The readers make these; the host prints them (exit code 3) as they are, so each
//! message names the file and line, what was expected, what was found and what to do next.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::split::SplitName;

/// A position in a data file, printed as `FILE`, `FILE, line 3` or `FILE, row 3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was opened.
    pub path: PathBuf,
    /// Where in the file.
    pub position: Position,
}

/// The part of a file that an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// The file as a whole, for example its parquet schema.
    File,
    /// A line of a text file, from 1, the header included.
    Line(usize),
    /// A row of a parquet file, from 1, counted over all its row groups.
    Row(usize),
}

impl Place {
    pub(crate) fn file(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            position: Position::File,
        }
    }

    pub(crate) fn line(path: &Path, line: usize) -> Self {
        Self {
            path: path.to_path_buf(),
            position: Position::Line(line),
        }
    }

    pub(crate) fn row(path: &Path, row: usize) -> Self {
        Self {
            path: path.to_path_buf(),
            position: Position::Row(row),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match self.position {
            Position::File => Ok(()),
            Position::Line(line) => write!(f, ", line {line}"),
            Position::Row(row) => write!(f, ", row {row}"),
        }
    }
}

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

    /// The task does not have this split (MNLI has two validation splits, the sample no test).
    #[error(
        "task `{task}` has no split `{split}`: ask for one of {}",
        names(available)
    )]
    NoSuchSplit {
        /// The task's name.
        task: &'static str,
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
        task: &'static str,
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
        "{place}: expected one column named `{column}`, found {count}; rename or delete all but one"
    )]
    DuplicateColumn {
        /// The header line or the file.
        place: Place,
        /// The column's name.
        column: String,
        /// How many times it is there.
        count: usize,
    },

    /// A TSV row has another number of cells than the header (0: the line is blank).
    #[error(
        "{place}: expected {expected} tab-separated cells as in {layout}, found {found}; repair or delete the line \
         (GLUE files have no quoting, so a tab in a text is a new cell; Hugging Face's `glue` leaves out the rows of \
         QQP that lack cells)"
    )]
    RaggedRow {
        /// The row's line.
        place: Place,
        /// The number of cells wanted.
        expected: usize,
        /// The number of cells there are.
        found: usize,
        /// Where the wanted number is from: the header, or the headerless layout.
        layout: &'static str,
    },

    /// A label that is none of the task's.
    #[error(
        "{place}: column `{column}`: expected one of the labels {allowed}, found {found}; correct the label, or \
             pass the task that this file belongs to"
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
             unlabelled; add the label or delete the row (only test files may be without labels)"
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
             the row"
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
             this file belongs to"
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

    /// A byte sequence that is not UTF-8 in a text file.
    #[error(
        "{}, line {line}: expected UTF-8 text, found the byte 0x{byte:02X} at byte {offset} of the file (counted from \
         0); convert the file to UTF-8, for example with `iconv -f WINDOWS-1252 -t UTF-8`",
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

    /// The parquet library could not read the file: truncated, damaged, not parquet, or compressed by another codec.
    #[error(
        "{place}: expected a whole parquet file, snappy-compressed or uncompressed, found: {found}; fetch the file \
             again, or write it again with snappy compression"
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

/// Names as a message shows them: in back quotes, the first two dozen of them, or `nothing`.
fn names(list: &[String]) -> String {
    const SHOWN: usize = 24;
    if list.is_empty() {
        return "nothing".to_owned();
    }
    let shown: Vec<String> = list
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{}`", printable(name, 60)))
        .collect();
    match list.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A value from a file as a message shows it: quoted, control characters escaped, long ones cut.
pub(crate) fn quote(value: &str) -> String {
    format!("{:?}", shorten(value, 60))
}

/// As [`shorten`], with control characters escaped: a file must not be able to steer the terminal.
pub(crate) fn printable(text: &str, limit: usize) -> String {
    let mut shown = String::new();
    for character in shorten(text, limit).chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// At most `limit` characters of `text`, with an ellipsis if that is not all of it.
fn shorten(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{names, quote};

    #[test]
    fn long_values_and_lists_are_cut() {
        assert_eq!(quote("a\tb"), r#""a\tb""#);
        assert_eq!(quote(&"é".repeat(61)), format!("\"{}…\"", "é".repeat(60)));
        assert_eq!(names(&[]), "nothing");
        let many: Vec<String> = (0..30).map(|i| i.to_string()).collect();
        assert!(
            names(&many).ends_with("`23` and 6 more"),
            "{}",
            names(&many)
        );
    }
}
