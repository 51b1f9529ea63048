//! The rows of parquet files as JSON objects, for data sets whose columns are nested. Called by the reader of questions.

use std::path::Path;

use parquet::file::reader::FileReader;
use parquet::record::{Field, Row};
use serde_json::{Map, Number, Value};

use crate::cell::Cell;
use crate::error::{DataError, Place};
use crate::parquet_file::{cell, contain, contradictory, open_file, projection};
use crate::parquet_rows::PlacedRows;

/// The names of a file's columns.
pub(crate) fn column_names(path: &Path) -> Result<Vec<String>, DataError> {
    contain(|| {
        let reader = open_file(path)?;
        let root = reader.metadata().file_metadata().schema();
        Ok(root
            .get_fields()
            .iter()
            .map(|field| field.name().to_owned())
            .collect())
    })
    .unwrap_or_else(|| Err(contradictory(path)))
}

/// A row with its place.
type Located = (Place, Map<String, Value>);

/// The rows of a file as JSON objects, lists and groups of columns included.
pub(crate) struct ParquetObjects {
    rows: PlacedRows,
}

impl ParquetObjects {
    /// Opens a file to decode those of the columns `wanted` that it has.
    pub(crate) fn open(path: &Path, wanted: &[&str]) -> Result<Self, DataError> {
        contain(|| {
            let reader = open_file(path)?;
            let root = reader.metadata().file_metadata().schema();
            let fields = root.get_fields().iter();
            let fields = fields
                .filter(|field| wanted.contains(&field.name()))
                .cloned();
            let projection = projection(path, root, fields.collect())?;
            let rows = PlacedRows::new(path, reader, projection)?;
            Ok(Self { rows })
        })
        .unwrap_or_else(|| Err(contradictory(path)))
    }

    /// The next row with its place; `None` at the end.
    pub(crate) fn next_object(&mut self) -> Result<Option<Located>, DataError> {
        let next = self.rows.next_placed()?;
        Ok(next.map(|(place, row)| (place, object(row))))
    }
}

fn object(row: Row) -> Map<String, Value> {
    let columns = row.into_columns().into_iter();
    columns.map(|(name, field)| (name, json(field))).collect()
}

/// A value as JSON has it; what JSON lacks (dates, decimals) as its text.
fn json(field: Field) -> Value {
    match field {
        Field::Str(text) => Value::String(text),
        Field::Group(row) => Value::Object(object(row)),
        Field::ListInternal(list) => list.elements().iter().cloned().map(json).collect(),
        field => match cell(&field) {
            Cell::Absent => Value::Null,
            Cell::Text(text) | Cell::Other(text) => Value::String(text),
            Cell::Int(int) => int.into(),
            Cell::Float(float) => Number::from_f64(float).map_or(Value::Null, Value::Number),
            Cell::Bool(bool) => Value::Bool(bool),
            // Lists are taken apart above.
            Cell::List(_) => Value::Null,
        },
    }
}
