//! A value of a columnar file, which may contain further values. Made by `parquet` and `arrow`.

use serde_json::{Map, Number};

use crate::error::quote;
use crate::readers::cell::Cell;

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A single value; never [`Cell::List`].
    Cell(Cell),
    List(Vec<Value>),
    /// The columns inside a column.
    Group(Vec<(String, Value)>),
}

impl Value {
    /// A value that is only shown and not interpreted.
    pub(super) fn other(shown: impl Into<String>) -> Self {
        Self::Cell(Cell::Other(shown.into()))
    }

    /// Bytes as text.
    pub(super) fn bytes(bytes: &[u8]) -> Self {
        Self::Cell(match std::str::from_utf8(bytes) {
            Ok(text) => Cell::Text(text.to_owned()),
            Err(error) => Cell::Other(format!(
                "bytes that are not UTF-8 from byte {} of the value",
                error.valid_up_to()
            )),
        })
    }

    /// An unsigned whole number.
    pub(super) fn unsigned(int: u64) -> Self {
        match i64::try_from(int) {
            Ok(int) => Self::Cell(Cell::Int(int)),
            Err(_) => Self::other(int.to_string()),
        }
    }

    /// A decimal number from its digits: whole if only zeros follow the point.
    pub(super) fn decimal(digits: &str) -> Self {
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        Self::Cell(match (whole.parse(), digits.parse()) {
            (Ok(int), _) if fraction.bytes().all(|digit| digit == b'0') => Cell::Int(int),
            (_, Ok(float)) => Cell::Float(float),
            _ => Cell::Other(digits.to_owned()),
        })
    }

    /// The value as a cell, as all readers deliver it.
    pub(crate) fn into_cell(self) -> Cell {
        match self {
            Self::Cell(cell) => cell,
            Self::List(items) => Cell::List(items.into_iter().map(Self::into_cell).collect()),
            group @ Self::Group(_) => Cell::Other(quote(&group.into_json().to_string())),
        }
    }

    /// The value as JSON. Types that JSON lacks (dates, decimals beyond its range) become text.
    pub(crate) fn into_json(self) -> serde_json::Value {
        match self {
            Self::List(items) => items.into_iter().map(Self::into_json).collect(),
            Self::Group(values) => {
                let values = values.into_iter();
                let object: Map<String, serde_json::Value> = values
                    .map(|(name, value)| (name, value.into_json()))
                    .collect();
                object.into()
            }
            Self::Cell(cell) => match cell {
                // Cells contain no lists.
                Cell::Absent | Cell::List(_) => serde_json::Value::Null,
                Cell::Text(text) | Cell::Other(text) => text.into(),
                Cell::Int(int) => int.into(),
                Cell::Float(float) => {
                    Number::from_f64(float).map_or(serde_json::Value::Null, Into::into)
                }
                Cell::Bool(bool) => bool.into(),
            },
        }
    }
}
