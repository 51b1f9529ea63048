//! Files with typed columns, parquet and Arrow, behind one interface. Called by the readers of rows
//! with values (`rows`), of lists (`word_lists`) and of nested columns (`squad`), and by `survey`.

mod arrow;
mod arrow_messages;
mod contain;
mod examples;
mod lists;
mod objects;
mod parquet;
mod parquet_zstd;
mod value;

pub(crate) use examples::ColumnarExamples;
pub(crate) use lists::ListColumns;
pub(crate) use objects::ColumnarObjects;

use std::path::Path;

use crate::columns::Column;
use crate::error::{DataError, Place, missing_column};
use crate::format::Format;
use crate::readers::cell::Cell;
use arrow::ArrowFile;
use parquet::ParquetFile;
use value::Value;

/// A column in the file's schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: FieldKind,
    /// Its type, in the form in which a message shows it.
    pub(crate) shown: String,
}

/// The kind of value that a column holds in each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldKind {
    /// A text.
    Text,
    /// A number or a truth value.
    Number,
    /// A list.
    List,
    /// One value of another kind, for example a date.
    Other,
    /// Columns inside the column, or a map.
    Nested,
}

impl Field {
    /// Whether it holds a value or a list in each row.
    fn is_readable(&self) -> bool {
        self.kind != FieldKind::Nested
    }
}

/// An open file whose rows have not been read yet.
pub(crate) trait ColumnarFile {
    /// Its columns.
    fn fields(&self) -> &[Field];

    /// The description of the columns by Hugging Face's `datasets`, in JSON.
    fn hub_text(&self) -> Option<&str>;

    /// All rows, with the columns `chosen` in this order.
    fn rows(self: Box<Self>, chosen: &[usize]) -> Result<Box<dyn ValueRows>, DataError>;
}

/// The remaining rows.
pub(crate) trait ValueRows {
    /// The next row with its place; `None` at the end.
    fn next_values(&mut self) -> Result<Option<PlacedValues>, DataError>;
}

/// A row with its place.
type PlacedValues = (Place, Vec<Value>);

/// Opens a file in one of the two formats.
fn open(path: &Path, format: Format) -> Result<Box<dyn ColumnarFile>, DataError> {
    Ok(match format {
        Format::Arrow => Box::new(ArrowFile::open(path)?),
        _ => Box::new(ParquetFile::open(path)?),
    })
}

/// The names of a file's columns.
pub(crate) fn column_names(path: &Path, format: Format) -> Result<Vec<String>, DataError> {
    let file = open(path, format)?;
    Ok(file
        .fields()
        .iter()
        .map(|field| field.name.clone())
        .collect())
}

/// The names of all columns with a value or a list in each row, and the first `limit` rows of them.
pub(crate) fn first_rows(
    path: &Path,
    format: Format,
    limit: usize,
) -> Result<(Vec<String>, Vec<Vec<Cell>>), DataError> {
    let file = open(path, format)?;
    let fields = file.fields().iter().enumerate();
    let (chosen, names): (Vec<usize>, Vec<String>) = fields
        .filter(|(_, field)| field.is_readable())
        .map(|(at, field)| (at, field.name.clone()))
        .unzip();
    let mut rows = file.rows(&chosen)?;
    let mut cells = Vec::new();
    while cells.len() < limit {
        let Some((_, values)) = rows.next_values()? else {
            break;
        };
        cells.push(values.into_iter().map(Value::into_cell).collect());
    }
    Ok((names, cells))
}

/// All rows with these columns, in this order.
pub(crate) fn chosen_rows(
    path: &Path,
    format: Format,
    names: &[String],
) -> Result<Box<dyn ValueRows>, DataError> {
    let file = open(path, format)?;
    let fields = file.fields();
    let chosen: Vec<usize> = names
        .iter()
        .map(|name| find(path, fields, &Column::named(name)))
        .collect::<Result<_, _>>()?;
    file.rows(&chosen)
}

/// The position of `column` in `fields`.
fn find(path: &Path, fields: &[Field], column: &Column) -> Result<usize, DataError> {
    for name in column.names() {
        let mut positions = (0..fields.len()).filter(|&at| fields[at].name == name);
        let Some(position) = positions.next() else {
            continue;
        };
        return match positions.count() {
            0 => Ok(position),
            more => Err(DataError::DuplicateColumn {
                place: Place::file(path),
                column: name.to_owned(),
                count: more + 1,
            }),
        };
    }
    Err(missing_column(
        Place::file(path),
        column,
        fields.iter().map(|field| field.name.as_str()),
    ))
}
