//! The user's request: files of their own and how to read them. Made by the host; read by the
//! modules for own files, tags and questions.

use crate::format::Format;
use crate::format::Header;
use crate::format::TextEncoding;
use crate::problem_type::ProblemType;
use crate::tag_scheme::repair::RepairTags;

/// The flags for the files of each split.
pub(crate) const FLAGS: [&str; 3] = ["--train-file", "--validation-file", "--test-file"];

/// The treatment of invalid rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnBadRow {
    /// The first invalid row is an error.
    #[default]
    Error,
    /// Invalid rows are left out and reported.
    Skip,
}

/// The user's instructions for reading files. A `None` is inferred from names and values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// The format of all files.
    pub format: Option<Format>,
    /// The encoding of text files.
    pub encoding: TextEncoding,
    /// The origin of the column names of CSV and TSV files.
    pub header: Header,
    /// The column of the (first) text.
    pub text_column: Option<String>,
    /// The column of the second text; only together with a text column, or inferred from usual
    /// names.
    pub pair_column: Option<String>,
    /// The column of the label.
    pub label_column: Option<String>,
    /// The separator of several labels in one text. If given, rows have several labels.
    pub label_separator: Option<String>,
    /// The kind of prediction.
    pub problem_type: Option<ProblemType>,
    /// The treatment of invalid rows.
    pub on_bad_row: OnBadRow,
    /// The repair of tags that continue nothing or follow a scheme other than BIO; `None` means no
    /// repair.
    pub repair_tags: Option<RepairTags>,
}

/// The files of each split (paths, directories or patterns) and how to read them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OwnRequest {
    /// Training files.
    pub train: Vec<String>,
    /// Validation files.
    pub validation: Vec<String>,
    /// Test files; rows may lack labels.
    pub test: Vec<String>,
    /// The share of the training rows held out for validation, above 0 and below 1.
    pub validation_split: Option<f64>,
    /// The random seed for holding out rows.
    pub seed: u64,
    /// Whether labels are ignored, for prediction.
    pub ignore_labels: bool,
    /// How to read them.
    pub reading: Reading,
}

impl OwnRequest {
    /// The files of each split, with the flag that gives them.
    pub(crate) fn files(&self) -> [(&'static str, &[String]); 3] {
        let [train, validation, test] = FLAGS;
        [
            (train, &self.train),
            (validation, &self.validation),
            (test, &self.test),
        ]
    }
}
