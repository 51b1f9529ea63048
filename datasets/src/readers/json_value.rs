//! JSON values as cells and columns, and in the form in which messages show them. Called by the
//! readers of JSON, and by `survey`.

use serde_json::{Map, Value};

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

/// The value under a key, or inside nested objects under the keys of a path (`data.text`). In a
/// list, a key is a position, counted from 0.
pub(crate) fn at_path<'a>(object: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = object.get(path) {
        return Some(value);
    }
    let mut keys = path.split('.');
    let first = object.get(keys.next()?)?;
    keys.try_fold(first, |value, key| match value {
        Value::Object(object) => object.get(key),
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The deepest paths that are listed.
const DEEPEST: usize = 5;

/// The paths of an object's values: its keys, each followed by the paths inside it.
pub(crate) fn paths(object: &Map<String, Value>) -> Vec<String> {
    let mut all = Vec::new();
    add_paths(object, "", 1, &mut all);
    all
}

fn add_paths(object: &Map<String, Value>, before: &str, depth: usize, all: &mut Vec<String>) {
    for (key, value) in object {
        let path = format!("{before}{key}");
        all.push(path.clone());
        if let (Value::Object(inner), true) = (value, depth < DEEPEST) {
            add_paths(inner, &format!("{path}."), depth + 1, all);
        }
    }
}

/// A row that is a list of several values: its columns are numbered from 1.
pub(crate) fn row_of_array(items: Vec<Value>) -> Map<String, Value> {
    let numbered = (1..).zip(items);
    numbered
        .map(|(at, item): (usize, Value)| (at.to_string(), item))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_values_have_paths() {
        let Value::Object(row) = serde_json::json!({
            "a.b": 1, "a": {"b": 2, "c": {"d": "x"}}, "l": [{"t": 3}]
        }) else {
            panic!("an object")
        };
        assert_eq!(at_path(&row, "a.b"), Some(&1.into()), "a key with a dot");
        assert_eq!(at_path(&row, "a.c.d"), Some(&"x".into()));
        assert_eq!(at_path(&row, "l.0.t"), Some(&3.into()));
        assert_eq!(at_path(&row, "a.c.e"), None);
        assert_eq!(at_path(&row, "l.1.t"), None);
        assert_eq!(
            paths(&row),
            ["a.b", "a", "a.b", "a.c", "a.c.d", "l"].map(str::to_owned)
        );
    }
}
