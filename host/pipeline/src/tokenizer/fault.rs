//! What is wrong with a tokenizer's files, before it is known what the model is called. Made by the parts of the tokenizer.

use std::fmt::Display;

/// A fault, in the file that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    file: Option<String>,
    what: String,
}

impl Fault {
    /// A fault of the files together.
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            file: None,
            what: what.into(),
        }
    }

    /// A fault of one file.
    pub fn of(file: &str, what: impl Into<String>) -> Self {
        Self {
            file: Some(file.to_owned()),
            what: what.into(),
        }
    }

    /// A file that the library, or the format, refuses.
    pub fn unreadable(file: &str, why: impl Display) -> Self {
        Self::of(
            file,
            format!("not a tokenizer this program can read: {why}"),
        )
    }

    /// The message about the model at `origin`.
    pub fn at(&self, origin: &str) -> String {
        match &self.file {
            Some(file) => format!("{origin}/{file}: {}", self.what),
            None => format!("{origin}: {}", self.what),
        }
    }
}
