//! JSONL files: one JSON object a line, keyed by the task's columns. `split` reads data sets from them, and the host's
//! `predict` its input.
//!
//! A text is a string; a label is its name, its id, a score, or absent or `null` for unlabelled. Other keys (`idx`) are
//! ignored. Blank lines are skipped.

use std::path::Path;

use serde_json::{Map, Value};

use crate::error::{DataError, Place, printable, quote};
use crate::example::Example;
use crate::label::{self, LabelRule, RawLabel};
use crate::lines::Lines;
use crate::task::{Column, Task};
use crate::tsv::missing_column;

/// All rows of a JSONL file, with labels where it gives them.
///
/// The keys are the task's Hugging Face columns ([`Task::columns`], and `label`); the names in the official TSV files are
/// understood as well.
///
/// # Errors
/// The file cannot be read, has no row or is not UTF-8; a line is not a JSON object, lacks a text column, or has a value
/// of the wrong type or a label outside the task's set.
pub fn read_jsonl(task: &Task, path: &Path) -> Result<Vec<Example>, DataError> {
    read(task, path, LabelRule::Optional, None)
}

/// One line of a JSONL file; `path` and `line` (from 1) only serve the messages. The label is optional.
///
/// # Errors
/// The line is not a JSON object, lacks a text column, or has a value of the wrong type or a label outside the task's
/// set.
pub fn parse_jsonl_line(
    task: &Task,
    path: &Path,
    line: usize,
    text: &str,
) -> Result<Example, DataError> {
    parse(task, path, line, text, LabelRule::Optional)
}

/// The first `limit` rows of `path` (all if `None`).
pub(crate) fn read(
    task: &Task,
    path: &Path,
    rule: LabelRule,
    limit: Option<usize>,
) -> Result<Vec<Example>, DataError> {
    let limit = limit.unwrap_or(usize::MAX);
    let mut lines = Lines::open(path)?;
    let mut examples = Vec::new();
    while examples.len() < limit {
        let Some((number, line)) = lines.next_line()? else {
            break;
        };
        if !line.trim().is_empty() {
            examples.push(parse(task, path, number, line, rule)?);
        }
    }
    if examples.is_empty() && limit > 0 {
        return Err(DataError::Empty {
            path: path.to_path_buf(),
            found: "no line with text",
        });
    }
    Ok(examples)
}

fn parse(
    task: &Task,
    path: &Path,
    line: usize,
    text: &str,
    rule: LabelRule,
) -> Result<Example, DataError> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        // The parser knows only this line: its message ends in " at line 1 column N".
        let message = error.to_string();
        let message = message
            .split(" at line ")
            .next()
            .unwrap_or_default()
            .to_owned();
        DataError::JsonSyntax {
            path: path.to_path_buf(),
            line,
            column: error.column(),
            message,
        }
    })?;
    let place = || Place::line(path, line);
    let Value::Object(object) = &value else {
        return Err(DataError::NotAnObject {
            place: place(),
            found: describe(&value),
        });
    };
    let text = string(object, &task.first, &place)?;
    let pair = match &task.second {
        Some(column) => Some(string(object, column, &place)?),
        None => None,
    };
    let label = match find(object, &task.label) {
        Some((name, value)) => label::parse(task, &raw_label(value), rule, name, place)?,
        None if rule == LabelRule::Optional => None,
        None => return Err(missing(object, &task.label, place())),
    };
    Ok(Example { text, pair, label })
}

fn find<'a>(object: &'a Map<String, Value>, column: &Column) -> Option<(&'static str, &'a Value)> {
    column
        .names()
        .find_map(|name| object.get(name).map(|value| (name, value)))
}

fn missing(object: &Map<String, Value>, column: &Column, place: Place) -> DataError {
    missing_column(place, column, object.keys().map(String::as_str))
}

fn string(
    object: &Map<String, Value>,
    column: &Column,
    place: &impl Fn() -> Place,
) -> Result<String, DataError> {
    match find(object, column) {
        Some((_, Value::String(text))) => Ok(text.clone()),
        Some((name, other)) => Err(DataError::WrongType {
            place: place(),
            column: name.to_owned(),
            expected: "a JSON string",
            found: describe(other),
        }),
        None => Err(missing(object, column, place())),
    }
}

fn raw_label(value: &Value) -> RawLabel<'_> {
    match value {
        Value::Null => RawLabel::Absent,
        Value::String(text) => RawLabel::Text(text),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(int), _) => RawLabel::Int(int),
            (None, Some(float)) => RawLabel::Float(float),
            (None, None) => RawLabel::Other(describe(value)),
        },
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => RawLabel::Other(describe(value)),
    }
}

/// A JSON value as a message shows it.
fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(bool) => format!("the boolean {bool}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the string {}", quote(text)),
        Value::Array(_) => format!("the array {}", printable(&value.to_string(), 60)),
        Value::Object(_) => format!("the object {}", printable(&value.to_string(), 60)),
    }
}
