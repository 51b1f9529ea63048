//! Errors in a tokenizer's files, before the model's name is known. Made by the parts of the
//! tokenizer.

use std::fmt::Display;

/// The most characters of a message. A file may have a line of megabytes, which the message about
/// it would repeat.
const LONGEST: usize = 1500;

fn cut(text: String, most: usize) -> String {
    if text.chars().nth(most).is_none() {
        return text;
    }
    text.chars().take(most).chain(['…']).collect()
}

/// An error and the file that contains it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    file: Option<String>,
    what: String,
}

impl Fault {
    /// An error in the combination of the files.
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self {
            file: None,
            what: cut(what.into(), LONGEST),
        }
    }

    /// An error in one file.
    pub(super) fn of(file: &str, what: impl Into<String>) -> Self {
        Self {
            file: Some(file.to_owned()),
            what: cut(what.into(), LONGEST),
        }
    }

    /// A file that the library or the format rejects.
    pub(super) fn unreadable(file: &str, why: impl Display) -> Self {
        let why = cut(why.to_string(), LONGEST / 2);
        Self::of(
            file,
            format!(
                "progtune cannot read this tokenizer: {why}; fetch the file again, or save it with `save_pretrained` of a \
                 current transformers"
            ),
        )
    }

    /// Files at which the library panicked.
    pub(super) fn unusable(why: String) -> Self {
        Self::new(format!(
            "progtune cannot read this tokenizer: {why}; fetch its files again, or save it with `save_pretrained` of a \
             current transformers"
        ))
    }

    /// The message for the model at `origin`.
    pub(super) fn at(&self, origin: &str) -> String {
        match &self.file {
            Some(file) => format!("{origin}/{file}: {}", self.what),
            None => format!("{origin}: {}", self.what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_and_the_advice_stays() {
        let text = Fault::unreadable("merges.txt", "x".repeat(1 << 20)).at("model");
        assert!(
            text.len() < 1200 && text.contains("x…; fetch the file again"),
            "{text}"
        );
        assert_eq!(Fault::new("short").at("model"), "model: short");
    }
}
