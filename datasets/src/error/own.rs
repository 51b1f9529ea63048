//! Errors in the user's own files beyond a single row: the choice of files, the columns, the
//! labels.

use std::path::{Path, PathBuf};

use crate::format::Format;
use crate::request::FLAGS;

use super::place::Place;
use super::show::{self, names, printable};

/// A request for own data that cannot be satisfied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OwnDataError {
    /// A path or pattern that matches no file.
    #[error(
        "{flag} {given}: expected a file, a directory or a pattern such as `data/*.csv`, found no such file{}",
        show::advice(suggestion, "check the path")
    )]
    NoFiles {
        /// The flag.
        flag: &'static str,
        /// The given value.
        given: String,
        /// Files in the same directory with similar names.
        suggestion: String,
    },

    /// A directory without data files.
    #[error(
        "{flag} {}: expected files named .csv, .tsv, .json, .jsonl, .parquet, .arrow or .conll (optionally with .gz or .zst) in the \
         directory, or folders of texts, one for each class, found {}; {}",
        dir.display(), names(found), inside_advice(flag, inside.as_deref())
    )]
    NoDataInDirectory {
        /// The flag.
        flag: &'static str,
        /// The directory.
        dir: PathBuf,
        /// The directory's entries.
        found: Vec<String>,
        /// An entry with folders of texts, one for each class.
        inside: Option<PathBuf>,
    },

    /// An invalid pattern.
    #[error(
        "{flag} {given}: expected a pattern, found an error at character {at}: {message}; correct it"
    )]
    BadPattern {
        /// The flag.
        flag: &'static str,
        /// The given value.
        given: String,
        /// The position of the error, counted from 0.
        at: usize,
        /// The reason.
        message: &'static str,
    },

    /// A file whose name does not reveal its format.
    #[error(
        "{}: expected a name that ends in .csv, .tsv, .json, .jsonl, .parquet, .arrow or .conll (optionally with .gz or .zst), or \
         contents in one of these formats; give --file-format: csv, tsv, jsonl, parquet, arrow, label-text (`LABEL text` per line), \
         lines (one text per line), text-file (one text per file) or conll (one word and its tag per line){}",
        path.display(), looks_advice(*looks)
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// The format that its lines look like.
        looks: Option<Format>,
    },

    /// A part of a file that has no parts.
    #[error(
        "{}: `#{part}` names a part of a JSON document, but the file has the format {format}; leave `#{part}` out",
        path.display(), part = printable(part, 60)
    )]
    PartOfTable {
        /// The file.
        path: PathBuf,
        /// The part.
        part: String,
        /// The format.
        format: &'static str,
    },

    /// A file that does not contain tagged sentences.
    #[error(
        "{}: expected sentences with a tag for each word: one word and its tag per line (--file-format conll), or JSONL, \
         parquet or Arrow with lists of words and tags; found the format {format}; convert the file",
        path.display()
    )]
    NoSentences {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: &'static str,
    },

    /// A file of words and tags, requested for a different kind of task.
    #[error(
        "{}: expected rows with a text and a label, found a file of words and tags (by its name, or --file-format \
         conll); give --problem-type token_classification, or another --file-format",
        path.display()
    )]
    OnlyTags {
        /// The file.
        path: PathBuf,
    },

    /// A column without any list, although it should hold sets of labels.
    #[error(
        "{}: column `{column}`: expected several labels per row, in a list or in a text (give --label-separator), found no \
         row with a list; check --label-column",
        path.display(),
        column = printable(column, 60)
    )]
    NoLists {
        /// The first training file.
        path: PathBuf,
        /// The label column.
        column: String,
    },

    /// A requested column that does not exist.
    #[error(
        "{}: {flag}: expected a column named `{}`, found {}{}{}",
        path.display(), printable(name, 60), show::listed("column", found),
        show::advice(suggestion, "correct the name"),
        if *has_header { ", or give --no-header if the first row is data" } else { "" }
    )]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// The flag that names the column.
        flag: &'static str,
        /// The name.
        name: String,
        /// The existing columns.
        found: Vec<String>,
        /// Similar column names.
        suggestion: String,
        /// Whether the first row was read as the header.
        has_header: bool,
    },

    /// One column for two purposes.
    #[error(
        "--{first}-column and --{second}-column are both `{name}`: expected different columns; correct one of them",
        name = printable(name, 60)
    )]
    SameColumn {
        /// The first purpose of the column.
        first: &'static str,
        /// The second purpose.
        second: &'static str,
        /// The column's name.
        name: String,
    },

    /// A column that must be named because several candidates are equally plausible.
    #[error(
        "{}: cannot tell which column is the {what}: {why}; the columns are {}: give {advice}",
        path.display(), names(found)
    )]
    CannotGuess {
        /// The file.
        path: PathBuf,
        /// The column's purpose: the text, the label, ….
        what: &'static str,
        /// The reason why no column was chosen.
        why: String,
        /// The flag that names it, and examples with columns that may be meant.
        advice: String,
        /// The existing columns.
        found: Vec<String>,
    },

    /// A row on whose label the annotators did not agree.
    #[error("{place}: column `gold_label`: `-` means that the row has no gold label")]
    NoGoldLabel {
        /// The row.
        place: Place,
    },

    /// Labels that mix numbers and names.
    #[error(
        "column `{column}`: expected labels of one kind, found the {first} and the {other}; correct the rows, or give \
         --problem-type single_label_classification if each value is the name of a class",
        column = printable(column, 60)
    )]
    MixedLabels {
        /// The label column.
        column: String,
        /// The first label with its kind and place: `number 1 (a.csv, line 2)`.
        first: String,
        /// The first label of the other kind, in the same form.
        other: String,
    },

    /// Labels such as 1.0 and 2.0.
    #[error(
        "column `{column}`: cannot tell whether {} are classes or numbers to predict (they are written with a decimal \
         point, and all are whole); give --problem-type single_label_classification or regression",
        names(found),
        column = printable(column, 60)
    )]
    ClassesOrNumbers {
        /// The label column.
        column: String,
        /// The first distinct values.
        found: Vec<String>,
    },

    /// Labels that are all the same.
    #[error(
        "{}: column `{column}`: expected at least two different labels, found `{}` in all {n_rows} rows; check the \
         column and the file",
        path.display(), printable(label, 60),
        column = printable(column, 60)
    )]
    OneClass {
        /// The first training file.
        path: PathBuf,
        /// The label column.
        column: String,
        /// The label.
        label: String,
        /// The number of training rows.
        n_rows: usize,
    },

    /// So many classes that the column hardly holds labels.
    #[error(
        "{}: column `{column}`: expected a label that many rows share, found {n_labels} different labels in {n_rows} rows \
         (such as {}){}",
        path.display(), names(found), too_many_advice(*n_labels, *n_rows, *separator),
        column = printable(column, 60)
    )]
    TooManyClasses {
        /// The first training file.
        path: PathBuf,
        /// The label column.
        column: String,
        /// The number of distinct labels.
        n_labels: usize,
        /// The number of training rows.
        n_rows: usize,
        /// Some of the labels.
        found: Vec<String>,
        /// The character that seems to separate several labels.
        separator: Option<char>,
    },

    /// Files without a valid row.
    #[error(
        "{flag} {}: expected at least one row of data, found {found}; check the file, or leave {flag} out",
        path.display()
    )]
    NoRows {
        /// The flag.
        flag: &'static str,
        /// The first file.
        path: PathBuf,
        /// The contents found instead.
        found: String,
    },

    /// Too few rows to split.
    #[error(
        "--validation-split {share}: expected a share that leaves rows for training and for validation, found {n_rows} \
         training rows of which {n_taken} would be taken; give another share, or --validation-file"
    )]
    CannotSplit {
        /// The share.
        share: f64,
        /// The number of rows.
        n_rows: usize,
        /// The number of rows that would be taken.
        n_taken: usize,
    },
}

impl OwnDataError {
    /// The error for a request without any file.
    pub(crate) fn none_given() -> Self {
        Self::NoFiles {
            flag: FLAGS[0],
            given: String::new(),
            suggestion: String::new(),
        }
    }
}

/// The likely reason for too many labels, and the way on.
fn too_many_advice(n_labels: usize, n_rows: usize, separator: Option<char>) -> String {
    match separator {
        Some(separator) => format!(
            "; they look like several labels separated by `{separator}`: give --label-separator '{separator}'"
        ),
        None if n_labels == n_rows => {
            "; a column in which every value is different probably holds ids or texts: give another --label-column, or \
             --problem-type"
                .to_owned()
        }
        None => "; check --label-column, or give --problem-type".to_owned(),
    }
}

/// Examples of flags at the end of a message.
pub(crate) fn for_example(flags: &str) -> String {
    if flags.is_empty() {
        return String::new();
    }
    format!(", for example {flags}")
}

/// The way on from a directory without data files.
fn inside_advice(flag: &str, inside: Option<&Path>) -> String {
    match inside {
        Some(path) => format!(
            "there are such folders in it: give {flag} {}",
            path.display()
        ),
        None => "name the files themselves and give --file-format".to_owned(),
    }
}

/// The format that lines look like, with the flags for it.
fn looks_advice(format: Option<Format>) -> &'static str {
    match format {
        Some(Format::LabelText) => {
            "; its lines look like `LABEL text`: try `--file-format label-text`"
        }
        Some(Format::Lines) => {
            "; its lines look like texts: if each class has a file, try `--file-format lines --label-column file` (or \
             extension, or folder)"
        }
        _ => "",
    }
}
