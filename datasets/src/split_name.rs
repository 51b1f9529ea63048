//! The splits of a data set by name. Tasks, the readers of splits and errors use it.

use std::fmt;

/// A part of a data set, by the name Hugging Face gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SplitName {
    /// `train`
    Train,
    /// `validation`, GLUE's dev
    Validation,
    /// `validation_matched`: MNLI, genres that occur in train
    ValidationMatched,
    /// `validation_mismatched`: MNLI, other genres
    ValidationMismatched,
    /// `test`
    Test,
    /// `test_matched`: MNLI
    TestMatched,
    /// `test_mismatched`: MNLI
    TestMismatched,
}

impl SplitName {
    /// Hugging Face's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::ValidationMatched => "validation_matched",
            Self::ValidationMismatched => "validation_mismatched",
            Self::Test => "test",
            Self::TestMatched => "test_matched",
            Self::TestMismatched => "test_mismatched",
        }
    }
}

impl fmt::Display for SplitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
