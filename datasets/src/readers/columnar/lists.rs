//! Columns that may hold lists, row by row. Read by `word_lists`.

use std::path::Path;

use super::value::Value;
use super::{Field, ValueRows, find, open};
use crate::columns::Column;
use crate::error::{DataError, Place};
use crate::format::Format;
use crate::readers::cell::Cell;
use crate::readers::hub_names;

/// Some columns of an open columnar file.
pub(crate) struct ListColumns {
    rows: Box<dyn ValueRows>,
    hub_text: Option<String>,
}

impl ListColumns {
    /// The names of all columns that hold values or lists.
    pub(crate) fn names(path: &Path, format: Format) -> Result<Vec<String>, DataError> {
        let file = open(path, format)?;
        let fields = file.fields().iter().filter(|field| field.is_readable());
        Ok(fields.map(|field| field.name.clone()).collect())
    }

    /// Opens a file to read these columns, in this order.
    ///
    /// # Errors
    /// The file cannot be read; a column does not exist, or holds neither values nor lists.
    pub(crate) fn open(path: &Path, format: Format, names: &[&str]) -> Result<Self, DataError> {
        let file = open(path, format)?;
        let position = |name: &&str| {
            let position = find(path, file.fields(), &Column::named(*name))?;
            let Field { name, shown, .. } = &file.fields()[position];
            if file.fields()[position].is_readable() {
                return Ok(position);
            }
            Err(DataError::WrongType {
                place: Place::file(path),
                column: name.clone(),
                expected: "a column of values or of lists",
                found: shown.clone(),
            })
        };
        let chosen: Vec<usize> = names.iter().map(position).collect::<Result<_, _>>()?;
        let hub_text = file.hub_text().map(str::to_owned);
        Ok(Self {
            rows: file.rows(&chosen)?,
            hub_text,
        })
    }

    /// The next row's place and cells.
    pub(crate) fn next_cells(&mut self) -> Result<Option<(Place, Vec<Cell>)>, DataError> {
        let next = self.rows.next_values()?;
        Ok(next.map(|(place, values)| (place, values.into_iter().map(Value::into_cell).collect())))
    }

    /// The names that the file gives the classes in a column, in the order of their ids.
    pub(crate) fn class_names(&self, column: &str) -> Option<Vec<String>> {
        hub_names::classes(self.hub_text.as_deref()?, column)
    }
}
