//! A value in a file before it is understood: what every reader makes of a label, and `survey` of all columns.

use crate::error::quote;

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    /// The column is not there, or holds null.
    Absent,
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
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
            Self::Other(what) => what.clone(),
        }
    }

    /// The value as the name of a class; `None` where there is none (absent, empty) or it can be none.
    pub(crate) fn name(&self) -> Option<String> {
        match self {
            Self::Absent | Self::Other(_) => None,
            Self::Text(text) => (!text.is_empty()).then(|| text.clone()),
            Self::Int(int) => Some(int.to_string()),
            Self::Float(float) => Some(float.to_string()),
            Self::Bool(bool) => Some(bool.to_string()),
        }
    }

    /// Whether the row has nothing here.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Absent) || matches!(self, Self::Text(text) if text.is_empty())
    }
}
