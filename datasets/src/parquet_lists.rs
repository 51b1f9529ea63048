//! Parquet columns that may hold lists, row by row: what `word_lists` and `survey` read.

use std::path::Path;

use parquet::basic::{ConvertedType, LogicalType};
use parquet::file::reader::FileReader;
use parquet::schema::types::{Type, TypePtr};
use serde_json::{Map, Value};

use crate::cell::Cell;
use crate::error::{DataError, Place};
use crate::hub_names::{self, HUB_KEY};
use crate::parquet_file::{cell, contain, contradictory, find, open_file, projection, scalar};
use crate::parquet_rows::PlacedRows;
use crate::task::Column;

/// Some columns of a parquet file being read.
pub(crate) struct ParquetCells {
    rows: PlacedRows,
    features: Option<Map<String, Value>>,
}

impl ParquetCells {
    /// The names of all columns that hold values or lists.
    pub(crate) fn columns(path: &Path) -> Result<Vec<String>, DataError> {
        contain(|| {
            let reader = open_file(path)?;
            let fields = reader.metadata().file_metadata().schema().get_fields();
            Ok(fields
                .iter()
                .filter(|field| is_readable(field))
                .map(|field| field.name().to_owned())
                .collect())
        })
        .unwrap_or_else(|| Err(contradictory(path)))
    }

    /// Opens a file to read these columns, in this order.
    ///
    /// # Errors
    /// The file cannot be read, or a column is not there or holds neither values nor lists.
    pub(crate) fn open(path: &Path, names: &[&str]) -> Result<Self, DataError> {
        contain(|| {
            let reader = open_file(path)?;
            let about = reader.metadata().file_metadata();
            let root = about.schema();
            let mut fields: Vec<TypePtr> = Vec::new();
            for name in names {
                let (name, field) = find(path, root.get_fields(), &Column::named(*name))?;
                if !is_readable(field) {
                    return Err(DataError::WrongType {
                        place: Place::file(path),
                        column: name,
                        expected: "a column of values or of lists",
                        found: "a group of columns".to_owned(),
                    });
                }
                fields.push(field.clone());
            }
            let features = about
                .key_value_metadata()
                .and_then(|entries| entries.iter().find(|entry| entry.key == HUB_KEY))
                .and_then(|entry| hub_names::features(entry.value.as_deref()?));
            let projection = projection(path, root, fields)?;
            let rows = PlacedRows::new(path, reader, projection)?;
            Ok(Self { rows, features })
        })
        .unwrap_or_else(|| Err(contradictory(path)))
    }

    /// The next row's place and cells.
    pub(crate) fn next_cells(&mut self) -> Result<Option<(Place, Vec<Cell>)>, DataError> {
        let Some((place, row)) = self.rows.next_placed()? else {
            return Ok(None);
        };
        let cells = row.into_columns();
        Ok(Some((
            place,
            cells.iter().map(|(_, field)| cell(field)).collect(),
        )))
    }

    /// What Hugging Face's `datasets` says of the columns, by name.
    pub(crate) fn hub_features(&self) -> Option<&Map<String, Value>> {
        self.features.as_ref()
    }
}

/// Whether a column has a value or a list a row.
fn is_readable(field: &Type) -> bool {
    scalar(field).is_some() || is_list(field)
}

/// Whether a column has a list a row.
pub(crate) fn is_list(field: &Type) -> bool {
    let info = field.get_basic_info();
    !field.is_primitive()
        && (info.converted_type() == ConvertedType::LIST
            || matches!(info.logical_type_ref(), Some(LogicalType::List)))
}
