//! Parquet files, as the Hugging Face hub serves data sets. All codecs except LZO are supported.
//! Opened by `columnar`.

use std::path::{Path, PathBuf};

use parquet::basic::{ConvertedType, LogicalType, Repetition, Type as PhysicalType};
use parquet::errors::ParquetError;
use parquet::file::reader::FileReader;
use parquet::record::Field as ParquetValue;
use parquet::record::reader::RowIter;
use parquet::schema::types::{Type, TypePtr};

use super::contain::{CONTRADICTORY, contain};
use super::parquet_zstd::AnyCodec;
use super::value::Value;
use super::{ColumnarFile, Field, FieldKind, PlacedValues, ValueRows};
use crate::error::{DataError, Place, printable, quote};
use crate::format::Format;
use crate::readers::cell::Cell;
use crate::readers::foreign;
use crate::readers::hub_names::HUB_KEY;

/// An open parquet file.
pub(super) struct ParquetFile {
    path: PathBuf,
    reader: AnyCodec,
    fields: Vec<Field>,
}

impl ParquetFile {
    /// Opens a file and reads its schema.
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        foreign::refuse_file(path, Some(Format::Parquet))?;
        contain(|| {
            let opened = AnyCodec::open(path).map_err(|source| DataError::Io {
                path: path.to_path_buf(),
                source,
            })?;
            let reader = opened.map_err(broken(Place::file(path)))?;
            let root = reader.metadata().file_metadata().schema();
            let fields = root.get_fields().iter().map(|field| describe(field));
            Ok(Self {
                path: path.to_path_buf(),
                fields: fields.collect(),
                reader,
            })
        })
        .unwrap_or_else(|| Err(contradictory(path)))
    }
}

impl ColumnarFile for ParquetFile {
    fn fields(&self) -> &[Field] {
        &self.fields
    }

    fn hub_text(&self) -> Option<&str> {
        let metadata = self
            .reader
            .metadata()
            .file_metadata()
            .key_value_metadata()?;
        let entry = metadata.iter().find(|entry| entry.key == HUB_KEY)?;
        entry.value.as_deref()
    }

    fn rows(self: Box<Self>, chosen: &[usize]) -> Result<Box<dyn ValueRows>, DataError> {
        let Self { path, reader, .. } = *self;
        let rows = contain(|| {
            let root = reader.metadata().file_metadata().schema();
            let fields: Vec<TypePtr> = chosen
                .iter()
                .map(|&at| root.get_fields()[at].clone())
                .collect();
            let projection = Type::group_type_builder(root.name())
                .with_fields(fields)
                .build()?;
            RowIter::from_file_into(Box::new(reader)).project(Some(projection))
        });
        let rows = rows.ok_or_else(|| contradictory(&path))?;
        Ok(Box::new(ParquetRows {
            rows: rows.map_err(broken(Place::file(&path)))?,
            path,
            n_rows: 0,
        }))
    }
}

/// The remaining rows of an open file.
struct ParquetRows {
    path: PathBuf,
    rows: RowIter<'static>,
    /// The number of rows delivered so far.
    n_rows: usize,
}

impl ValueRows for ParquetRows {
    fn next_values(&mut self) -> Result<Option<PlacedValues>, DataError> {
        let next = contain(|| self.rows.next()).ok_or_else(|| contradictory(&self.path))?;
        let Some(row) = next else {
            return Ok(None);
        };
        self.n_rows += 1;
        let place = Place::row(&self.path, self.n_rows);
        let row = row.map_err(broken(place.clone()))?;
        let values = row.into_columns().into_iter();
        Ok(Some((
            place,
            values.map(|(_, field)| value(field)).collect(),
        )))
    }
}

fn broken(place: Place) -> impl FnOnce(ParquetError) -> DataError {
    move |error| DataError::Parquet {
        place,
        found: printable(&error.to_string(), 200),
    }
}

fn contradictory(path: &Path) -> DataError {
    DataError::Parquet {
        place: Place::file(path),
        found: CONTRADICTORY.to_owned(),
    }
}

fn describe(field: &Type) -> Field {
    Field {
        name: field.name().to_owned(),
        kind: kind(field),
        shown: match field.get_basic_info().converted_type() {
            _ if !field.is_primitive() => "a group of columns".to_owned(),
            ConvertedType::NONE => format!("the type {}", field.get_physical_type()),
            converted => format!("the type {} ({converted})", field.get_physical_type()),
        },
    }
}

fn kind(field: &Type) -> FieldKind {
    use ConvertedType::{
        DECIMAL, INT_8, INT_16, INT_32, INT_64, NONE, UINT_8, UINT_16, UINT_32, UINT_64, UTF8,
    };
    let info = field.get_basic_info();
    let (converted, logical) = (info.converted_type(), info.logical_type_ref());
    let is_repeated = info.has_repetition() && info.repetition() == Repetition::REPEATED;
    if !field.is_primitive() || is_repeated {
        let is_list =
            converted == ConvertedType::LIST || matches!(logical, Some(LogicalType::List));
        return if is_list && !field.is_primitive() {
            FieldKind::List
        } else {
            FieldKind::Nested
        };
    }
    let is_number = converted == DECIMAL || matches!(logical, Some(LogicalType::Float16));
    match (field.get_physical_type(), converted) {
        _ if is_number => FieldKind::Number,
        (PhysicalType::BYTE_ARRAY, UTF8 | NONE) => FieldKind::Text,
        (PhysicalType::INT32, NONE | INT_8 | INT_16 | INT_32 | UINT_8 | UINT_16 | UINT_32)
        | (PhysicalType::INT64, NONE | INT_64 | UINT_64)
        | (PhysicalType::FLOAT | PhysicalType::DOUBLE | PhysicalType::BOOLEAN, _) => {
            FieldKind::Number
        }
        _ => FieldKind::Other,
    }
}

fn value(field: ParquetValue) -> Value {
    Value::Cell(match field {
        ParquetValue::Null => Cell::Absent,
        ParquetValue::Bool(bool) => Cell::Bool(bool),
        ParquetValue::Byte(int) => Cell::Int(int.into()),
        ParquetValue::Short(int) => Cell::Int(int.into()),
        ParquetValue::Int(int) => Cell::Int(int.into()),
        ParquetValue::Long(int) => Cell::Int(int),
        ParquetValue::UByte(int) => Cell::Int(int.into()),
        ParquetValue::UShort(int) => Cell::Int(int.into()),
        ParquetValue::UInt(int) => Cell::Int(int.into()),
        ParquetValue::ULong(int) => return Value::unsigned(int),
        ParquetValue::Float16(float) => Cell::Float(float.to_f64()),
        ParquetValue::Float(float) => Cell::Float(float.into()),
        ParquetValue::Double(float) => Cell::Float(float),
        ParquetValue::Str(text) => Cell::Text(text),
        ParquetValue::Bytes(bytes) => return Value::bytes(bytes.data()),
        ParquetValue::ListInternal(list) => {
            return Value::List(list.elements().iter().cloned().map(value).collect());
        }
        ParquetValue::Group(row) => {
            let columns = row.into_columns().into_iter();
            return Value::Group(columns.map(|(name, field)| (name, value(field))).collect());
        }
        decimal @ ParquetValue::Decimal(_) => return Value::decimal(&decimal.to_string()),
        other => Cell::Other(quote(&other.to_string())),
    })
}
