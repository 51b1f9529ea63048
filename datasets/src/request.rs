//! What a user asks for: files of their own and how to read them. Made by the host; read by the modules of own files, of tags
//! and of questions.

use crate::format::Format;
use crate::format::Header;
use crate::format::TextEncoding;
use crate::problem_type::ProblemType;
use crate::tag_scheme::repair::RepairTags;

/// The flags of the files of each split.
pub(crate) const FLAGS: [&str; 3] = ["--train-file", "--validation-file", "--test-file"];

/// What is done about a row that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnBadRow {
    /// The first one is an error.
    #[default]
    Error,
    /// It is left out, and told of.
    Skip,
}

/// How files are read, as far as the user says; what is `None` is told by names and values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// The format of all files.
    pub format: Option<Format>,
    /// The encoding of text files.
    pub encoding: TextEncoding,
    /// Where the names of CSV and TSV columns are.
    pub header: Header,
    /// The column of the (first) text.
    pub text_column: Option<String>,
    /// The column of the second text; only with a text column, or as usual names have it.
    pub pair_column: Option<String>,
    /// The column of the label.
    pub label_column: Option<String>,
    /// What lies between the labels of a row in one text; there are several labels a row then.
    pub label_separator: Option<String>,
    /// What is predicted.
    pub problem_type: Option<ProblemType>,
    /// What is done about a row that is wrong.
    pub on_bad_row: OnBadRow,
    /// What is done about tags that continue nothing, or are in another scheme than BIO; `None` is nothing.
    pub repair_tags: Option<RepairTags>,
}

/// The files of each split (paths, directories or patterns) and how to read them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OwnRequest {
    /// Training files.
    pub train: Vec<String>,
    /// Validation files.
    pub validation: Vec<String>,
    /// Test files; rows may be without labels.
    pub test: Vec<String>,
    /// The share of the training rows that are for validation, above 0 and below 1.
    pub validation_split: Option<f64>,
    /// Decides which rows those are.
    pub seed: u64,
    /// Whether labels are left alone: for prediction.
    pub ignore_labels: bool,
    /// How to read them.
    pub reading: Reading,
}
