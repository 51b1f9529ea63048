//! Errors in a tokenizer's files, before the model's name is known. Made by the parts of the
//! tokenizer.

use std::fmt::Display;

/// An error and the file that contains it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    file: Option<String>,
    what: String,
}

impl Fault {
    /// An error in the combination of the files.
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            file: None,
            what: what.into(),
        }
    }

    /// An error in one file.
    pub fn of(file: &str, what: impl Into<String>) -> Self {
        Self {
            file: Some(file.to_owned()),
            what: what.into(),
        }
    }

    /// A file that the library or the format rejects.
    pub fn unreadable(file: &str, why: impl Display) -> Self {
        Self::of(
            file,
            format!(
                "progtune cannot read this tokenizer: {why}; fetch the file again, or save it with `save_pretrained` of a \
                 current transformers"
            ),
        )
    }

    /// Files at which the library panicked.
    pub fn unusable(why: String) -> Self {
        Self::new(format!(
            "progtune cannot read this tokenizer: {why}; fetch its files again, or save it with `save_pretrained` of a \
             current transformers"
        ))
    }

    /// The message for the model at `origin`.
    pub fn at(&self, origin: &str) -> String {
        match &self.file {
            Some(file) => format!("{origin}/{file}: {}", self.what),
            None => format!("{origin}: {}", self.what),
        }
    }
}
