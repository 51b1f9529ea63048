//! Errors in tables as people keep them: the encoding, the layout, a missing header, label vectors.

use std::path::PathBuf;

use super::own::for_example;
use super::place::{Place, Position};
use super::show::{listed, names, printable};

/// A table that cannot be read in its present form.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// A file of an unsupported kind.
    #[error("{}: this is {what}, which progtune does not read; {advice}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The kind of file.
        what: &'static str,
        /// The way to convert it.
        advice: String,
    },

    /// A columnar file whose name has another format's extension.
    #[error("{}: this is {what}; give its name the ending .{format}, or give --file-format {format}", path.display())]
    OtherFormat {
        /// The file.
        path: PathBuf,
        /// The kind of file.
        what: &'static str,
        /// The name of the format that can read it.
        format: &'static str,
    },

    /// The Arrow library could not read the file. It is truncated, damaged, or not an Arrow file.
    #[error(
        "{place}: expected a complete Arrow file, found: {found}; fetch the file again, or write it again (without compression, \
             or with lz4 or zstd)"
    )]
    Arrow {
        /// The file, or the row that could not be read.
        place: Place,
        /// The fault.
        found: String,
    },

    /// A file in UTF-32.
    #[error(
        "{}: expected UTF-8 or UTF-16, found UTF-32; convert the file, for example with `iconv -f UTF-32 -t UTF-8`",
        path.display()
    )]
    Utf32 {
        /// The file.
        path: PathBuf,
    },

    /// A file with bytes that are invalid in the encoding from which it is decoded.
    #[error(
        "{place}: expected {encoding} text, found bytes that are invalid in it; write the file again, preferably as UTF-8, or correct \
         --encoding"
    )]
    NotInEncoding {
        /// The line.
        place: Place,
        /// The encoding.
        encoding: &'static str,
    },

    /// An element of a JSON document with a syntax error.
    #[error(
        "{place} (up to line {line}): expected a JSON object, found a syntax error: {message}; correct the row or delete it"
    )]
    JsonElement {
        /// The row.
        place: Place,
        /// The line on which the row ends.
        line: usize,
        /// The reason that the parser gave.
        message: String,
    },

    /// A JSON document with a broken structure.
    #[error(
        "{}, line {line}: expected {expected}, found {found}; correct the file or write it again",
        path.display()
    )]
    JsonLayout {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// The expected token.
        expected: &'static str,
        /// The token found.
        found: String,
    },

    /// JSON with one object of rows per column.
    #[error(
        "{}: expected rows, found an object for each of the columns {}, as pandas' `to_json` writes it; write the table with \
         `to_json(FILE, orient=\"records\", lines=True)`",
        path.display(), names(columns)
    )]
    JsonByIndex {
        /// The file.
        path: PathBuf,
        /// The columns.
        columns: Vec<String>,
    },

    /// JSON with lists of rows under several keys, of which none was chosen.
    #[error(
        "{}: expected one list of rows, found lists of rows under the keys {}; choose one of them after `#`{}",
        path.display(), names(lists), chosen_lists(&path.display().to_string(), lists)
    )]
    JsonLists {
        /// The file.
        path: PathBuf,
        /// The keys.
        lists: Vec<String>,
    },

    /// A key of rows that a JSON document does not have.
    #[error(
        "{}: expected a list of rows under the key `{}`, found {}; correct the part after `#`",
        path.display(), printable(name, 60), listed("key", found)
    )]
    NoJsonPart {
        /// The file.
        path: PathBuf,
        /// The key.
        name: String,
        /// The keys of the document.
        found: Vec<String>,
    },

    /// JSON with one list per column, but of different lengths.
    #[error(
        "{}: expected lists of one length, one for each column, found that `{short}` ends after {n_rows} values and `{long}` \
         does not; write the file again",
        path.display(), short = printable(short, 60), long = printable(long, 60)
    )]
    JsonLengths {
        /// The file.
        path: PathBuf,
        /// A column that has ended.
        short: String,
        /// A column that has not ended.
        long: String,
        /// The number of rows so far.
        n_rows: usize,
    },

    /// A first row that is read as a header but looks like data.
    #[error(
        "{}: the first row ({}) looks like data and not like column names: {why}; if the file has no header, give the columns \
         by number{}, or --no-header with names (--columns text,label); if it has one, name its columns with --text-column \
         and --label-column",
        path.display(), names(found), for_example(example)
    )]
    HeaderIsData {
        /// The file.
        path: PathBuf,
        /// The first row.
        found: Vec<String>,
        /// The evidence that it is data.
        why: String,
        /// The flags for the columns, judging by their values.
        example: String,
    },

    /// The number of given column names differs from the number of cells in the row.
    #[error(
        "{}: --columns: expected {n_cells} names, as many as the first row has cells, found {}; correct the names",
        path.display(), names(given)
    )]
    ColumnCount {
        /// The file.
        path: PathBuf,
        /// The number of cells in the first row.
        n_cells: usize,
        /// The given names.
        given: Vec<String>,
    },

    /// A file with a header that was declared to have none.
    #[error(
        "{}: --no-header: the first row consists of the names given with --columns, so the file has a header; leave --no-header and \
         --columns out",
        path.display()
    )]
    HasHeader {
        /// The file.
        path: PathBuf,
    },

    /// Among vectors, a label list that is neither a vector of 0 and 1 nor a set.
    #[error(
        "{place}: column `{column}`: expected a vector of {expected} zeros and ones, as in other rows (one number per \
         label), found {found}; correct the row, or write the names of the labels that apply",
        column = printable(column, 60)
    )]
    NotAVector {
        /// The row.
        place: Place,
        /// The label column.
        column: String,
        /// The number of entries in a vector.
        expected: usize,
        /// The value found.
        found: String,
    },

    /// Numbers between 0 and 1 as the labels of a row.
    #[error(
        "{place}: column `{column}`: expected the labels that apply or a vector of 0 and 1, found {found}; fractional labels \
         (soft labels) are not supported: round them to 0 or 1",
        column = printable(column, 60)
    )]
    SoftLabels {
        /// The row.
        place: Place,
        /// The label column.
        column: String,
        /// The value found.
        found: String,
    },

    /// Vectors whose length differs from the model's number of labels.
    #[error(
        "column `{column}`: expected vectors of {expected} zeros and ones, one for each label of the model, found vectors of \
         {found}; give the data for which the model was trained",
        column = printable(column, 60)
    )]
    VectorLength {
        /// The label column.
        column: String,
        /// The number of labels of the model.
        expected: usize,
        /// The length of the vectors.
        found: usize,
    },

    /// Files that name the same label ids differently.
    #[error(
        "{}: column `{column}`: expected the class names of the first file ({}), found {}; write the files with the same names",
        path.display(), names(first), names(found),
        column = printable(column, 60)
    )]
    ClassNames {
        /// The file.
        path: PathBuf,
        /// The label column.
        column: String,
        /// The names in the first file.
        first: Vec<String>,
        /// The names in this one.
        found: Vec<String>,
    },
}

impl TableError {
    /// Whether the error concerns one row only, so that the rest of the file can be read without
    /// it.
    pub(crate) fn is_about_a_row(&self) -> bool {
        match self {
            Self::JsonElement { .. } => true,
            Self::NotAVector { place, .. } | Self::SoftLabels { place, .. } => {
                place.position != Position::File
            }
            _ => false,
        }
    }
}

/// The flags that give the lists of a document whose keys are the usual names of splits.
fn chosen_lists(path: &str, lists: &[String]) -> String {
    let usual = [
        ("--train-file", &["train", "training"][..]),
        ("--validation-file", &["validation", "val", "valid", "dev"]),
        ("--test-file", &["test"]),
    ];
    let of = |(flag, names): &(&str, &[&str])| {
        let list = lists.iter().find(|list| names.contains(&list.as_str()))?;
        Some(format!("{flag} {path}#{list}"))
    };
    let flags: Vec<String> = usual.iter().filter_map(of).collect();
    if flags.is_empty() {
        return String::new();
    }
    format!(": {}", flags.join(" "))
}
