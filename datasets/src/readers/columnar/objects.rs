//! The rows of columnar files as JSON objects, for data sets with nested columns. Called by the
//! reader of questions.

use std::path::Path;

use serde_json::{Map, Value as Json};

use super::{ValueRows, open};
use crate::error::{DataError, Place};
use crate::format::Format;

/// A row with its place.
type Located = (Place, Map<String, Json>);

/// The rows of a file as JSON objects, including lists and groups of columns.
pub(crate) struct ColumnarObjects {
    names: Vec<String>,
    rows: Box<dyn ValueRows>,
}

impl ColumnarObjects {
    /// Opens a file to decode those of the `wanted` columns that it has.
    pub(crate) fn open(path: &Path, format: Format, wanted: &[&str]) -> Result<Self, DataError> {
        let file = open(path, format)?;
        let fields = file.fields().iter().enumerate();
        let (chosen, names): (Vec<usize>, Vec<String>) = fields
            .filter(|(_, field)| wanted.contains(&field.name.as_str()))
            .map(|(at, field)| (at, field.name.clone()))
            .unzip();
        Ok(Self {
            names,
            rows: file.rows(&chosen)?,
        })
    }

    /// The next row with its place; `None` at the end.
    pub(crate) fn next_object(&mut self) -> Result<Option<Located>, DataError> {
        let Some((place, values)) = self.rows.next_values()? else {
            return Ok(None);
        };
        let names = self.names.iter().cloned();
        let values = values.into_iter().map(|value| value.into_json());
        Ok(Some((place, names.zip(values).collect())))
    }
}
