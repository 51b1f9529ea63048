//! What can be wrong with the user's own files beyond a single row: which files, which columns, which labels.

use std::path::PathBuf;

use super::show::{names, printable};

/// A request for own data that cannot be met.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OwnDataError {
    /// A path or pattern that stands for no file.
    #[error(
        "{flag} {given}: expected a file, a directory or a pattern such as `data/*.csv`, found no such file{}; check the \
         path",
        nearest.as_ref().map(|name| format!(" (the nearest is `{}`)", printable(name, 200))).unwrap_or_default()
    )]
    NoFiles {
        /// The flag.
        flag: &'static str,
        /// What it was given.
        given: String,
        /// A file beside it whose name is most like it.
        nearest: Option<String>,
    },

    /// A directory without data files.
    #[error(
        "{flag} {}: expected files named .csv, .tsv, .json, .jsonl, .parquet, .arrow or .conll (and .gz or .zst after that) in the \
         directory, found {}; name the files themselves, with --file-format",
        dir.display(), names(found)
    )]
    NoDataInDirectory {
        /// The flag.
        flag: &'static str,
        /// The directory.
        dir: PathBuf,
        /// What is there.
        found: Vec<String>,
    },

    /// A pattern that is not one.
    #[error(
        "{flag} {given}: expected a pattern, found an error at character {at}: {message}; correct it"
    )]
    BadPattern {
        /// The flag.
        flag: &'static str,
        /// What it was given.
        given: String,
        /// Where, from 0.
        at: usize,
        /// Why.
        message: &'static str,
    },

    /// A file whose name tells no format.
    #[error(
        "{}: expected a name that ends in .csv, .tsv, .json, .jsonl, .parquet, .arrow or .conll (and .gz or .zst after that); give \
         --file-format: csv, tsv, jsonl, parquet, arrow, label-text (`LABEL text` a line), lines (a text a line) or conll (a \
         word and its tag a line)",
        path.display()
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },

    /// A file that has no sentences with tags.
    #[error(
        "{}: expected sentences with a tag for each word: a word and its tag a line (--file-format conll), or JSONL, \
         parquet or Arrow with lists of words and tags; found the format {format}; convert the file",
        path.display()
    )]
    NoSentences {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: &'static str,
    },

    /// A file of words and tags for another kind of task.
    #[error(
        "{}: expected rows with a text and a label, found a file of words and tags (by its name, or --file-format \
         conll); give --problem-type token_classification, or another --file-format",
        path.display()
    )]
    OnlyTags {
        /// The file.
        path: PathBuf,
    },

    /// A column of sets of labels that has none.
    #[error(
        "{}: column `{column}`: expected several labels in a row, in a list or in a text (give --label-separator), found no \
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

    /// A column that was asked for and is not there.
    #[error(
        "{}: {flag}: expected a column named `{}`, found the columns {}{}; correct the name{}",
        path.display(), printable(name, 60), names(found),
        nearest.as_ref().map(|name| format!(" (the nearest is `{}`)", printable(name, 60))).unwrap_or_default(),
        if *has_header { ", or give --no-header if the first row is data" } else { "" }
    )]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// The flag that names the column.
        flag: &'static str,
        /// The name.
        name: String,
        /// The columns there are.
        found: Vec<String>,
        /// The one most like it.
        nearest: Option<String>,
        /// Whether the first row was taken for the names.
        has_header: bool,
    },

    /// One column for two things.
    #[error(
        "--{first}-column and --{second}-column are both `{name}`: expected different columns; correct one of them",
        name = printable(name, 60)
    )]
    SameColumn {
        /// What the column is for.
        first: &'static str,
        /// What it is for as well.
        second: &'static str,
        /// Its name.
        name: String,
    },

    /// A column that has to be named because it could be one or another.
    #[error(
        "{}: cannot tell which column is the {what}: {why}; the columns are {}: give {flag}",
        path.display(), names(found)
    )]
    CannotGuess {
        /// The file.
        path: PathBuf,
        /// What it is: the text, the label, ….
        what: &'static str,
        /// Why not.
        why: String,
        /// The flag that names it.
        flag: &'static str,
        /// The columns there are.
        found: Vec<String>,
    },

    /// Labels of which some are numbers and others names.
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
        /// The first label of the other kind, likewise.
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
        /// The first different values.
        found: Vec<String>,
    },

    /// A single class.
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
        /// The training rows.
        n_rows: usize,
    },

    /// So many classes that the column is hardly one of labels.
    #[error(
        "{}: column `{column}`: expected a label that many rows share, found {n_labels} different ones in {n_rows} rows \
         (such as {}); check --label-column, or give --problem-type",
        path.display(), names(found),
        column = printable(column, 60)
    )]
    TooManyClasses {
        /// The first training file.
        path: PathBuf,
        /// The label column.
        column: String,
        /// Different labels.
        n_labels: usize,
        /// The training rows.
        n_rows: usize,
        /// Some of the labels.
        found: Vec<String>,
    },

    /// Files without a row, or without one that is good.
    #[error(
        "{flag} {}: expected at least one row of data, found {found}; check the file, or leave {flag} out",
        path.display()
    )]
    NoRows {
        /// The flag.
        flag: &'static str,
        /// The first file.
        path: PathBuf,
        /// What there is instead.
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
        /// The rows.
        n_rows: usize,
        /// How many would be taken.
        n_taken: usize,
    },
}
