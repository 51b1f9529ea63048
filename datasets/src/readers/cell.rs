//! A value in a file before it is understood: what every reader makes of a label, and `survey` of all columns.

use crate::error::{printable, quote};

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    /// The column is not there, or holds null.
    Absent,
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    /// A list of values.
    List(Vec<Cell>),
    /// Something that is none of these, as a message shows it.
    Other(String),
}

impl Cell {
    /// As a message shows it.
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

    /// The value as the name of a class; `None` where there is none (absent, empty) or it can be none.
    pub(crate) fn name(&self) -> Option<String> {
        match self {
            Self::Absent | Self::List(_) | Self::Other(_) => None,
            Self::Text(text) => (!text.is_empty()).then(|| text.clone()),
            Self::Int(int) => Some(int.to_string()),
            Self::Float(float) => Some(float.to_string()),
            Self::Bool(bool) => Some(bool.to_string()),
        }
    }

    /// The labels in a text, which `separator` lies between; none in an empty one. White space around them is not theirs.
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

    /// Whether the row has nothing here.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Absent) || matches!(self, Self::Text(text) if text.is_empty())
    }
}
