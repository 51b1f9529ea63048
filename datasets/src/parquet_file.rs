//! Parquet files as the Hugging Face hub serves GLUE; opened by `rows`.
//!
//! Texts are UTF-8 byte arrays, labels integers (-1: unlabelled), floats (STS-B) or names. The columns' types are checked
//! against the schema before a row is read, and only those columns are decoded (`idx` is not). All codecs but LZO are read.

use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::{Arc, Once};

use parquet::basic::{ConvertedType, LogicalType, Repetition, Type as PhysicalType};
use parquet::errors::ParquetError;
use parquet::file::reader::FileReader;
use parquet::record::{Field, Row};
use parquet::schema::types::{Type, TypePtr};

use crate::cell::Cell;
use crate::error::{DataError, Place, missing_column, printable, quote};
use crate::foreign;
use crate::format::DataFile;
use crate::hub_names::{self, HUB_KEY};
use crate::label::LabelRule;
use crate::parquet_lists::is_list;
use crate::parquet_rows::PlacedRows;
use crate::parquet_zstd::AnyCodec;
use crate::rows::{RawRow, Rows};
use crate::task::{Column, Columns};

/// The columns to decode, in the order text, pair (if the task has one), label (if the file has one).
struct Layout {
    projection: Type,
    first: String,
    second: Option<String>,
    label: Option<Arc<str>>,
    /// What the label column would be called.
    label_name: Arc<str>,
}

/// A parquet file being read row by row. A file without rows gives none.
pub(crate) struct ParquetRows {
    rows: PlacedRows,
    layout: Layout,
    classes: Option<Vec<String>>,
}

impl ParquetRows {
    pub(crate) fn open(
        file: &DataFile,
        columns: &Columns,
        rule: LabelRule,
    ) -> Result<Self, DataError> {
        let path = &file.path;
        contain(|| {
            let reader = open_file(path)?;
            let about = reader.metadata().file_metadata();
            let layout = layout(columns, path, about.schema(), rule)?;
            let classes = about
                .key_value_metadata()
                .and_then(|entries| entries.iter().find(|entry| entry.key == HUB_KEY))
                .and_then(|entry| hub_names::classes(entry.value.as_deref()?, &layout.label_name));
            let rows = PlacedRows::new(path, reader, layout.projection.clone())?;
            Ok(Self {
                rows,
                layout,
                classes,
            })
        })
        .unwrap_or_else(|| Err(contradictory(path)))
    }
}

impl Rows for ParquetRows {
    fn next_row(&mut self) -> Result<Option<RawRow>, DataError> {
        let Some((place, row)) = self.rows.next_placed()? else {
            return Ok(None);
        };
        raw_row(&self.layout, place, row).map(Some)
    }

    fn class_names(&self) -> Option<&[String]> {
        self.classes.as_deref()
    }
}

/// The names of all columns with a value or a list a row, and the first `limit` rows of them.
pub(crate) fn read_all_columns(
    path: &Path,
    limit: usize,
) -> Result<(Vec<String>, Vec<Vec<Cell>>), DataError> {
    contain(|| {
        let reader = open_file(path)?;
        let root = reader.metadata().file_metadata().schema();
        let fields: Vec<TypePtr> = root
            .get_fields()
            .iter()
            .filter(|field| scalar(field).is_some() || is_list(field))
            .cloned()
            .collect();
        let names = fields.iter().map(|field| field.name().to_owned()).collect();
        let projection = projection(path, root, fields)?;
        let mut rows = PlacedRows::new(path, reader, projection)?;
        let mut cells = Vec::new();
        while cells.len() < limit {
            let Some((_, row)) = rows.next_placed()? else {
                break;
            };
            cells.push(
                row.into_columns()
                    .iter()
                    .map(|(_, field)| cell(field))
                    .collect(),
            );
        }
        Ok((names, cells))
    })
    .unwrap_or_else(|| Err(contradictory(path)))
}

pub(crate) fn open_file(path: &Path) -> Result<AnyCodec, DataError> {
    foreign::refuse_file(path)?;
    let opened = AnyCodec::open(path).map_err(|source| DataError::Io {
        path: path.to_path_buf(),
        source,
    })?;
    opened.map_err(broken(Place::file(path)))
}

pub(crate) fn broken(place: Place) -> impl FnOnce(ParquetError) -> DataError {
    move |error| DataError::Parquet {
        place,
        found: printable(&error.to_string(), 200),
    }
}

pub(crate) fn contradictory(path: &Path) -> DataError {
    DataError::Parquet {
        place: Place::file(path),
        found: "contents that contradict each other, so that the decoder gave up".to_owned(),
    }
}

thread_local! {
    /// Whether this thread is inside [`contain`].
    static CONTAINED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// The result of `read`, or `None` if it panicked: the library asserts some of what it reads from a file (60.1: negative
/// sizes, a page that wants a dictionary the file lacks), and a damaged file must neither end the process nor look like a
/// bug of ours on the terminal. The first call puts a panic hook before the one in place, which keeps quiet about panics
/// in here and passes on all others.
pub(crate) fn contain<T>(read: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !CONTAINED.get() {
                others(info);
            }
        }));
    });
    CONTAINED.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(read));
    CONTAINED.set(false);
    result.ok()
}

fn layout(
    columns: &Columns,
    path: &Path,
    root: &Type,
    rule: LabelRule,
) -> Result<Layout, DataError> {
    let schema = root.get_fields();
    let mut fields: Vec<TypePtr> = Vec::new();
    let mut add = |column: &Column, is_allowed: fn(&Type) -> bool, expected: &'static str| {
        let (name, field) = find(path, schema, column)?;
        if !is_allowed(field) {
            return Err(DataError::WrongType {
                place: Place::file(path),
                column: name,
                expected,
                found: describe_type(field),
            });
        }
        fields.push(Arc::clone(field));
        Ok(name)
    };
    let first = add(&columns.first, is_text, "a UTF-8 string column")?;
    let second = match &columns.second {
        Some(column) => Some(add(column, is_text, "a UTF-8 string column")?),
        None => None,
    };
    let label = add(
        &columns.label,
        is_label,
        "a column of integer ids, of label names or of numbers",
    );
    let label = match (rule, label) {
        (_, Ok(name)) => Some(Arc::from(name)),
        (LabelRule::Optional, Err(DataError::MissingColumn { .. })) => None,
        (_, Err(error)) => return Err(error),
    };
    Ok(Layout {
        projection: projection(path, root, fields)?,
        first,
        second,
        label_name: label
            .clone()
            .unwrap_or_else(|| columns.label.name.as_str().into()),
        label,
    })
}

pub(crate) fn projection(
    path: &Path,
    root: &Type,
    fields: Vec<TypePtr>,
) -> Result<Type, DataError> {
    Type::group_type_builder(root.name())
        .with_fields(fields)
        .build()
        .map_err(broken(Place::file(path)))
}

pub(crate) fn find<'a>(
    path: &Path,
    schema: &'a [TypePtr],
    column: &Column,
) -> Result<(String, &'a TypePtr), DataError> {
    for name in column.names() {
        let mut fields = schema.iter().filter(|field| field.name() == name);
        let Some(field) = fields.next() else { continue };
        return match fields.count() {
            0 => Ok((name.to_owned(), field)),
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
        schema.iter().map(|field| field.name()),
    ))
}

/// The physical type of a column that has one value (or null) a row.
pub(crate) fn scalar(field: &Type) -> Option<PhysicalType> {
    let info = field.get_basic_info();
    let repeated = info.has_repetition() && info.repetition() == Repetition::REPEATED;
    (field.is_primitive() && !repeated).then(|| field.get_physical_type())
}

fn is_text(field: &Type) -> bool {
    scalar(field) == Some(PhysicalType::BYTE_ARRAY)
        && matches!(
            field.get_basic_info().converted_type(),
            ConvertedType::UTF8 | ConvertedType::NONE
        )
}

fn is_integer(field: &Type) -> bool {
    use ConvertedType::{INT_8, INT_16, INT_32, INT_64, NONE, UINT_8, UINT_16, UINT_32, UINT_64};
    let converted = field.get_basic_info().converted_type();
    match scalar(field) {
        Some(PhysicalType::INT32) => {
            matches!(
                converted,
                NONE | INT_8 | INT_16 | INT_32 | UINT_8 | UINT_16 | UINT_32
            )
        }
        Some(PhysicalType::INT64) => matches!(converted, NONE | INT_64 | UINT_64),
        _ => false,
    }
}

fn is_label(field: &Type) -> bool {
    is_integer(field)
        || is_list(field)
        || is_text(field)
        || is_decimal(field)
        || is_half(field)
        || matches!(
            scalar(field),
            Some(PhysicalType::FLOAT | PhysicalType::DOUBLE | PhysicalType::BOOLEAN)
        )
}

fn is_decimal(field: &Type) -> bool {
    scalar(field).is_some() && field.get_basic_info().converted_type() == ConvertedType::DECIMAL
}

fn is_half(field: &Type) -> bool {
    let logical = field.get_basic_info().logical_type_ref();
    scalar(field).is_some() && matches!(logical, Some(LogicalType::Float16))
}

fn describe_type(field: &Type) -> String {
    if !field.is_primitive() {
        return "a group of columns".to_owned();
    }
    match field.get_basic_info().converted_type() {
        ConvertedType::NONE => format!("the type {}", field.get_physical_type()),
        converted => format!("the type {} ({converted})", field.get_physical_type()),
    }
}

fn raw_row(layout: &Layout, place: Place, row: Row) -> Result<RawRow, DataError> {
    // The row's fields come in the order of the projection.
    let mut fields = row.into_columns().into_iter().map(|(_, field)| field);
    let mut next = || fields.next().unwrap_or(Field::Null);
    let text = string(next(), &layout.first, &place)?;
    let pair = match &layout.second {
        Some(name) => Some(string(next(), name, &place)?),
        None => None,
    };
    let label = match layout.label {
        None => Cell::Absent,
        Some(_) => cell(&next()),
    };
    Ok(RawRow {
        position: place.position,
        text,
        pair,
        label,
        label_column: Arc::clone(&layout.label_name),
    })
}

fn string(field: Field, column: &str, place: &Place) -> Result<String, DataError> {
    let found = match field {
        Field::Str(text) => return Ok(text),
        Field::Bytes(bytes) => match String::from_utf8(bytes.data().to_vec()) {
            Ok(text) => return Ok(text),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                format!("bytes that are not UTF-8 from byte {at} of the value")
            }
        },
        Field::Null => "null".to_owned(),
        other => quote(&other.to_string()),
    };
    Err(DataError::WrongType {
        place: place.clone(),
        column: column.to_owned(),
        expected: "a UTF-8 string",
        found,
    })
}

/// A value before it is understood.
pub(crate) fn cell(field: &Field) -> Cell {
    match field {
        Field::Null => Cell::Absent,
        Field::Bool(bool) => Cell::Bool(*bool),
        Field::Byte(int) => Cell::Int((*int).into()),
        Field::Short(int) => Cell::Int((*int).into()),
        Field::Int(int) => Cell::Int((*int).into()),
        Field::Long(int) => Cell::Int(*int),
        Field::UByte(int) => Cell::Int((*int).into()),
        Field::UShort(int) => Cell::Int((*int).into()),
        Field::UInt(int) => Cell::Int((*int).into()),
        Field::ULong(int) => match i64::try_from(*int) {
            Ok(int) => Cell::Int(int),
            Err(_) => Cell::Other(int.to_string()),
        },
        Field::Float16(float) => Cell::Float(float.to_f64()),
        Field::Float(float) => Cell::Float((*float).into()),
        Field::Decimal(_) => decimal(&field.to_string()),
        Field::Double(float) => Cell::Float(*float),
        Field::Str(text) => Cell::Text(text.clone()),
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => Cell::Text(text.to_owned()),
            Err(_) => Cell::Other("bytes that are not UTF-8".to_owned()),
        },
        Field::ListInternal(list) => Cell::List(list.elements().iter().map(cell).collect()),
        other => Cell::Other(quote(&other.to_string())),
    }
}

/// A decimal number by its digits: whole where nothing but zeros comes after the point.
pub(crate) fn decimal(digits: &str) -> Cell {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    match (whole.parse(), digits.parse()) {
        (Ok(int), _) if fraction.bytes().all(|digit| digit == b'0') => Cell::Int(int),
        (_, Ok(float)) => Cell::Float(float),
        _ => Cell::Other(digits.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::contain;

    /// That damaged files come out as errors is tested from outside, in `tests/readers/parquet_files`.
    #[test]
    fn a_panic_is_contained() {
        assert_eq!(contain(|| 3), Some(3));
        assert_eq!(contain(|| -> u8 { panic!("kept quiet about") }), None);
        assert_eq!(contain(|| 4), Some(4));
    }
}
