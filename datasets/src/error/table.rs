//! What can be wrong with a table as people keep it: its encoding, its layout, a missing header, vectors of labels.

use std::path::PathBuf;

use super::place::{Place, Position};
use super::show::{names, printable};

/// A table that cannot be read as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// A file of a kind that is not read.
    #[error("{}: this is {what}, which progtune does not read; {advice}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
        /// How to convert it.
        advice: String,
    },

    /// A columnar file under a name of another format.
    #[error("{}: this is {what}; give its name the ending .{format}, or give --file-format {format}", path.display())]
    OtherFormat {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
        /// The name of the format that it is read as.
        format: &'static str,
    },

    /// An Arrow file could not be read: truncated, damaged, or no Arrow file.
    #[error(
        "{place}: expected a whole Arrow file, found: {found}; fetch the file again, or write it again (without compression, \
             or with lz4 or zstd)"
    )]
    Arrow {
        /// The file, or the row that could not be read.
        place: Place,
        /// What is wrong with it.
        found: String,
    },

    /// UTF-32.
    #[error(
        "{}: expected UTF-8 or UTF-16, found UTF-32; convert the file, for example with `iconv -f UTF-32 -t UTF-8`",
        path.display()
    )]
    Utf32 {
        /// The file.
        path: PathBuf,
    },

    /// A file that is decoded on the way has bytes that its encoding does not have.
    #[error(
        "{place}: expected {encoding} text, found bytes that are none; write the file again, best as UTF-8, or correct \
         --encoding"
    )]
    NotInEncoding {
        /// The line.
        place: Place,
        /// The encoding.
        encoding: &'static str,
    },

    /// An element of a JSON document that is no JSON.
    #[error(
        "{place} (up to line {line}): expected a JSON object, found a syntax error: {message}; correct the row or delete it"
    )]
    JsonElement {
        /// The row.
        place: Place,
        /// The line that it ends on.
        line: usize,
        /// The parser's reason.
        message: String,
    },

    /// A JSON document that is not put together as one.
    #[error(
        "{}, line {line}: expected {expected}, found {found}; correct the file or write it again",
        path.display()
    )]
    JsonLayout {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: String,
    },

    /// JSON with an object of rows for each column.
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

    /// JSON with a list for each column, not all of one length.
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
        /// One that has not.
        long: String,
        /// The rows so far.
        n_rows: usize,
    },

    /// A first row that is taken for names of columns and looks like a row.
    #[error(
        "{}: the first row ({}) looks like data and not like the names of columns: {why}; if the file has no header, give \
         --no-header and name the columns with --columns (for example --columns text,label); if it has one, name its columns \
         with --text-column and --label-column",
        path.display(), names(found)
    )]
    HeaderIsData {
        /// The file.
        path: PathBuf,
        /// Its first row.
        found: Vec<String>,
        /// What tells.
        why: String,
    },

    /// Names for columns that are as many as the row's cells.
    #[error(
        "{}: --columns: expected {n_cells} names, as many as the first row has cells, found {}; correct the names",
        path.display(), names(given)
    )]
    ColumnCount {
        /// The file.
        path: PathBuf,
        /// The cells of the first row.
        n_cells: usize,
        /// The names that were given.
        given: Vec<String>,
    },

    /// A file with a header that was said to have none.
    #[error(
        "{}: --no-header: the first row is the names given with --columns, so the file has a header; leave --no-header and \
         --columns out",
        path.display()
    )]
    HasHeader {
        /// The file.
        path: PathBuf,
    },

    /// A list of labels that is neither a vector of 0 and 1 nor a set, among vectors.
    #[error(
        "{place}: column `{column}`: expected a vector of {expected} zeros and ones, as other rows have it (a number for each \
         label), found {found}; correct the row, or write the names of the labels that hold",
        column = printable(column, 60)
    )]
    NotAVector {
        /// The row.
        place: Place,
        /// The label column.
        column: String,
        /// How many numbers a vector has.
        expected: usize,
        /// What is there.
        found: String,
    },

    /// Numbers between 0 and 1 as labels of a row.
    #[error(
        "{place}: column `{column}`: expected the labels that hold or a vector of 0 and 1, found {found}; shares of labels \
         (soft labels) cannot be trained on: round them to 0 and 1",
        column = printable(column, 60)
    )]
    SoftLabels {
        /// The row.
        place: Place,
        /// The label column.
        column: String,
        /// What is there.
        found: String,
    },

    /// Vectors that have another length than a model has labels.
    #[error(
        "column `{column}`: expected vectors of {expected} zeros and ones, one for each label of the model, found vectors of \
         {found}; give the data that the model was made for",
        column = printable(column, 60)
    )]
    VectorLength {
        /// The label column.
        column: String,
        /// The labels of the model.
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
    /// Whether one row is wrong, so that the rest of the file can be read without it.
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
