//! JSON values as cells, and in the form in which messages show them. Called by the readers of
//! JSON.

use serde_json::Value;

use crate::error::{printable, quote};
use crate::readers::cell::Cell;

/// A JSON value before it is interpreted.
pub(crate) fn cell(value: &Value) -> Cell {
    match value {
        Value::Null => Cell::Absent,
        Value::String(text) => Cell::Text(text.clone()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(int), _) => Cell::Int(int),
            (None, Some(float)) => Cell::Float(float),
            (None, None) => Cell::Other(describe(value)),
        },
        Value::Bool(bool) => Cell::Bool(*bool),
        Value::Array(items) => Cell::List(items.iter().map(cell).collect()),
        Value::Object(_) => Cell::Other(describe(value)),
    }
}

/// A JSON value in the form in which a message shows it.
pub(crate) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(bool) => format!("the boolean {bool}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the string {}", quote(text)),
        Value::Array(_) => format!("the array {}", printable(&value.to_string(), 60)),
        Value::Object(_) => format!("the object {}", printable(&value.to_string(), 60)),
    }
}
