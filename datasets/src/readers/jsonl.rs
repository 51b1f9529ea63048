//! JSONL files with one JSON object per line, keyed by column, and JSON documents, whose objects
//! come from `json_document`. `rows` opens them, and the host's `predict` reads its input from
//! them.
//!
//! A text is a string. A label is its name, its id or a score; unlabelled rows have no label or
//! `null`, and Python's `NaN` counts as `null`. Other keys (`idx`) are ignored. Blank lines are
//! skipped.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::columns::{Column, Columns, join};
use crate::error::{DataError, Place, missing_column};
use crate::format::DataFile;
use crate::readers::cell::Cell;
use crate::readers::json_document::{ColumnLists, Elements, Layout, detect};
use crate::readers::json_scan::without_nan;
use crate::readers::json_value::{at_path, cell, describe, row_of_array};
use crate::readers::lines::Lines;
use crate::readers::raw_row::LabelRule;
use crate::readers::raw_row::{RawRow, Rows};

/// An object with its place.
type Located = (Place, Map<String, Value>);

/// The objects of a JSON file, one at a time.
pub(crate) enum JsonlObjects {
    Lines(Lines),
    Elements(Elements),
    Columns(ColumnLists),
}

impl JsonlObjects {
    pub(crate) fn open(file: &DataFile) -> Result<Self, DataError> {
        // A pipe can be read only once, so its layout is not detected: it must contain one object
        // per line.
        let is_pipe = std::fs::metadata(&file.path).is_ok_and(|metadata| !metadata.is_file());
        if is_pipe {
            return Ok(Self::Lines(Lines::open(file)?));
        }
        Ok(match detect(file)?.layout {
            Layout::Lines => Self::Lines(Lines::open(file)?),
            Layout::Columns(names) => Self::Columns(ColumnLists::open(file, &names)?),
            layout => Self::Elements(Elements::open(file, layout)?),
        })
    }

    pub(crate) fn next_object(&mut self) -> Result<Option<Located>, DataError> {
        match self {
            Self::Lines(lines) => next_on_a_line(lines),
            Self::Elements(elements) => elements.next_object(),
            Self::Columns(columns) => columns.next_object(),
        }
    }
}

fn next_on_a_line(lines: &mut Lines) -> Result<Option<Located>, DataError> {
    let path = lines.path().to_path_buf();
    while let Some((number, line)) = lines.next_line()? {
        if !line.trim().is_empty() {
            let object = parse(&path, number, line)?;
            return Ok(Some((Place::line(&path, number), object)));
        }
    }
    Ok(None)
}

fn parse(path: &Path, line: usize, text: &str) -> Result<Map<String, Value>, DataError> {
    let read = serde_json::from_str(text).or_else(|error| {
        match without_nan(text).filter(|_| text.trim_start().starts_with('{')) {
            Some(text) => serde_json::from_str(&text),
            None => Err(error),
        }
    });
    let value: Value = read.map_err(|error| {
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
    match value {
        Value::Object(object) => Ok(object),
        Value::Array(items) if items.len() > 1 => Ok(row_of_array(items)),
        other => Err(DataError::NotAnObject {
            place: Place::line(path, line),
            found: describe(&other),
        }),
    }
}

/// The rows of a JSONL file.
pub(crate) struct JsonlRows {
    objects: JsonlObjects,
    columns: Columns,
    rule: LabelRule,
}

impl JsonlRows {
    pub(crate) fn open(
        file: &DataFile,
        columns: &Columns,
        rule: LabelRule,
    ) -> Result<Self, DataError> {
        Ok(Self {
            objects: JsonlObjects::open(file)?,
            columns: columns.clone(),
            rule,
        })
    }
}

impl Rows for JsonlRows {
    fn next_row(&mut self) -> Result<Option<RawRow>, DataError> {
        let Some((place, object)) = self.objects.next_object()? else {
            return Ok(None);
        };
        let columns = &self.columns;
        let text = string(&object, &columns.first, &place)?;
        let pair = match &columns.second {
            Some(column) => Some(string(&object, column, &place)?),
            None => None,
        };
        let (label_column, label) = match find(&object, &columns.label) {
            Some((name, value)) => (name, cell(value)),
            None if self.rule == LabelRule::Optional => (columns.label.name.as_str(), Cell::Absent),
            None => return Err(missing(&object, &columns.label, place)),
        };
        Ok(Some(RawRow {
            position: place.position,
            text,
            pair,
            label,
            label_column: Arc::from(label_column),
        }))
    }
}

fn find<'a>(object: &'a Map<String, Value>, column: &'a Column) -> Option<(&'a str, &'a Value)> {
    column
        .names()
        .find_map(|name| at_path(object, name).map(|value| (name, value)))
}

fn missing(object: &Map<String, Value>, column: &Column, place: Place) -> DataError {
    missing_column(place, column, object.keys().map(String::as_str))
}

/// The text of a column, or the joined texts of several, of which some may be null.
fn string(
    object: &Map<String, Value>,
    column: &Column,
    place: &Place,
) -> Result<String, DataError> {
    if column.parts.is_empty() {
        return single_string(object, column, place);
    }
    let mut texts = Vec::new();
    for part in column.single_columns() {
        match find(object, &part) {
            Some((_, Value::Null)) => {}
            _ => texts.push(single_string(object, &part, place)?),
        }
    }
    Ok(join(texts.iter().map(String::as_str)))
}

fn single_string(
    object: &Map<String, Value>,
    column: &Column,
    place: &Place,
) -> Result<String, DataError> {
    match find(object, column) {
        Some((_, Value::String(text))) => Ok(text.clone()),
        Some((name, other)) => Err(DataError::WrongType {
            place: place.clone(),
            column: name.to_owned(),
            expected: "a JSON string",
            found: describe(other),
        }),
        None => Err(missing(object, column, place.clone())),
    }
}
