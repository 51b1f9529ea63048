//! A text that is safe to show on a terminal. Its parts have been escaped and masked, so the only
//! escape sequences in it are our own colours. Made by everything that people read; taken by
//! [`super::print`] and [`super::say`].

use progtune_plain_text::{escaped, masked};
use std::{fmt, ops::AddAssign};

/// A text that is safe to show on a terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Screen(String);

impl Screen {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A message. Every line but the first is indented, so that none of them looks like a message
    /// of its own.
    pub fn message(text: &str) -> Self {
        Self(progtune_plain_text::shown(text))
    }

    /// JSON, whose values stay as they are: control characters are escaped the JSON way, and
    /// nothing is masked.
    pub fn json(text: &str) -> Self {
        Self(progtune_plain_text::json_escaped(text).into_owned())
    }

    /// A text between a "select graphic rendition" sequence and a reset.
    pub(super) fn painted(code: fmt::Arguments<'_>, text: &Self) -> Self {
        Self(format!("\x1b[{code}m{}\x1b[0m", text.0))
    }
}

/// Escapes and masks an unpainted text.
impl From<&str> for Screen {
    fn from(text: &str) -> Self {
        Self(escaped(&masked(text)).into_owned())
    }
}

impl From<String> for Screen {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<&String> for Screen {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl AddAssign for Screen {
    fn add_assign(&mut self, other: Self) {
        self.0.push_str(&other.0);
    }
}

impl AddAssign<&str> for Screen {
    fn add_assign(&mut self, text: &str) {
        *self += Self::from(text);
    }
}

impl AddAssign<&String> for Screen {
    fn add_assign(&mut self, text: &String) {
        *self += text.as_str();
    }
}

impl fmt::Display for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::{Colour, ColourChoice};

    #[test]
    fn only_our_own_colours_are_left() {
        let paint = ColourChoice::Always.stdout();
        let mut text = Screen::from("a\x1b[31m\tb\n");
        text += paint.colour(Colour::Good, "c\x1b[0m");
        text += "\u{202e}http://u:p@h\n";
        assert_eq!(
            text.as_str(),
            "a\\u{1b}[31m\tb\n\x1b[38;5;28mc\\u{1b}[0m\x1b[0m\\u{202e}http://***@h\n"
        );
        assert_eq!(Screen::message("a\nerror: b").as_str(), "a\n  error: b");
        assert_eq!(Screen::json("\"\u{9b}\"").as_str(), "\"\\u009b\"");
    }
}
