//! A value in a file before it is interpreted. Every reader delivers labels as cells, and `survey`
//! uses them for all columns.

use crate::error::{printable, quote};

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    /// The column does not exist, or contains null.
    Absent,
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    /// A list of values.
    List(Vec<Cell>),
    /// Any other value, in the form in which a message shows it.
    Other(String),
}

impl Cell {
    /// The value in the form in which a message shows it.
    pub(crate) fn show(&self) -> String {
        match self {
            Self::Absent => "nothing".to_owned(),
            Self::Text(text) => quote(text),
            Self::Int(int) => int.to_string(),
            Self::Float(float) => float.to_string(),
            Self::Bool(bool) => format!("the boolean {bool}"),
            Self::List(items) => {
                let shown: Vec<String> = items.iter().take(8).map(Self::show).collect();
                let more = if items.len() > 8 { ", …" } else { "" };
                format!("the list [{}{more}]", printable(&shown.join(", "), 60))
            }
            Self::Other(what) => what.clone(),
        }
    }

    /// The value as the name of a class; `None` if it is absent or empty, or cannot be one.
    pub(crate) fn name(&self) -> Option<String> {
        match self {
            Self::Absent | Self::List(_) | Self::Other(_) => None,
            Self::Text(text) => (!text.is_empty()).then(|| text.clone()),
            Self::Int(int) => Some(int.to_string()),
            Self::Float(float) => Some(float.to_string()),
            Self::Bool(bool) => Some(bool.to_string()),
        }
    }

    /// The labels in a text, divided by `separator` and trimmed of whitespace; none in an empty
    /// text.
    pub(crate) fn split(self, separator: &str) -> Self {
        match self {
            Self::Text(text) => Self::List(
                text.split(separator)
                    .map(str::trim)
                    .filter(|label| !label.is_empty())
                    .map(|label| Self::Text(label.to_owned()))
                    .collect(),
            ),
            other => other,
        }
    }

    /// Whether the row has no value here.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Absent) || matches!(self, Self::Text(text) if text.is_empty())
    }
}
