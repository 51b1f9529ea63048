//! Arrow files: Feather version 2, Arrow's file format, and streams such as Hugging Face's
//! `save_to_disk` writes. Opened by `columnar`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DecimalType, Float16Type,
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, RecordBatch};
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::{RecordBatchDecoder, read_dictionary};
use arrow_ipc::{Endianness, MessageHeader};
use arrow_schema::{ArrowError, DataType, SchemaRef};

use super::arrow_messages::{Fault, Messages, Parts, damaged};
use super::contain::{CONTRADICTORY, contain};
use super::value::Value;
use super::{ColumnarFile, Field, FieldKind, PlacedValues, ValueRows};
use crate::error::{DataError, Place, TableError, printable};
use crate::format::Format;
use crate::readers::cell::Cell;
use crate::readers::foreign;
use crate::readers::hub_names::HUB_KEY;

/// An open Arrow file.
pub(super) struct ArrowFile {
    path: PathBuf,
    messages: Messages,
    schema: SchemaRef,
    fields: Vec<Field>,
}

impl ArrowFile {
    /// Opens a file and reads its schema.
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        foreign::refuse_file(path, Some(Format::Arrow))?;
        let opened = contained(|| {
            let mut messages = Messages::open(path)?;
            let parts = messages.next_parts()?;
            let parts = parts.ok_or_else(|| damaged("an empty file"))?;
            let schema = parts.message()?.header_as_schema();
            let schema = schema.ok_or_else(|| damaged("no schema at its beginning"))?;
            if schema.endianness() != Endianness::Little {
                return Err(damaged("big-endian numbers"));
            }
            Ok((messages, SchemaRef::new(try_fb_to_schema(schema)?)))
        });
        let (messages, schema) = opened.map_err(|fault| broken(Place::file(path), fault))?;
        let fields = schema.fields().iter().map(|field| Field {
            name: field.name().clone(),
            kind: kind(field.data_type()),
            shown: shown(field.data_type()),
        });
        Ok(Self {
            path: path.to_path_buf(),
            fields: fields.collect(),
            messages,
            schema,
        })
    }
}

impl ColumnarFile for ArrowFile {
    fn fields(&self) -> &[Field] {
        &self.fields
    }

    fn hub_text(&self) -> Option<&str> {
        self.schema.metadata().get(HUB_KEY).map(String::as_str)
    }

    fn rows(self: Box<Self>, chosen: &[usize]) -> Result<Box<dyn ValueRows>, DataError> {
        Ok(Box::new(ArrowRows {
            path: self.path,
            chosen: chosen.to_vec(),
            batches: Batches {
                messages: self.messages,
                schema: self.schema,
                dictionaries: HashMap::new(),
            },
            batch: None,
            at: 0,
            n_rows: 0,
        }))
    }
}

/// The remaining rows of an open file.
struct ArrowRows {
    path: PathBuf,
    chosen: Vec<usize>,
    batches: Batches,
    /// The batch being read, and the next row in it.
    batch: Option<RecordBatch>,
    at: usize,
    /// The number of rows delivered so far.
    n_rows: usize,
}

impl ValueRows for ArrowRows {
    fn next_values(&mut self) -> Result<Option<PlacedValues>, DataError> {
        let place = Place::row(&self.path, self.n_rows + 1);
        let next = contained(|| {
            let batch = loop {
                match &self.batch {
                    Some(batch) if self.at < batch.num_rows() => break batch,
                    _ => self.at = 0,
                }
                match self.batches.next_batch(&self.chosen)? {
                    None => return Ok(None),
                    batch => self.batch = batch,
                }
            };
            let columns = batch.columns().iter();
            Ok(Some(columns.map(|column| value(column, self.at)).collect()))
        });
        let values = next.map_err(|fault| broken(place.clone(), fault))?;
        self.at += 1;
        self.n_rows += 1;
        Ok(values.map(|values| (place, values)))
    }
}

/// The remaining batches of rows, with the dictionaries that preceded them.
struct Batches {
    messages: Messages,
    schema: SchemaRef,
    dictionaries: HashMap<i64, ArrayRef>,
}

impl Batches {
    fn next_batch(&mut self, chosen: &[usize]) -> Result<Option<RecordBatch>, Fault> {
        while let Some(parts) = self.messages.next_parts()? {
            match parts.message()?.header_type() {
                MessageHeader::DictionaryBatch => self.take_dictionary(&parts)?,
                MessageHeader::RecordBatch => return self.decode(&parts, chosen).map(Some),
                other => return Err(damaged(format!("{other:?} where rows are expected"))),
            }
        }
        Ok(None)
    }

    fn take_dictionary(&mut self, parts: &Parts) -> Result<(), Fault> {
        let message = parts.message()?;
        if let Some(dictionary) = message.header_as_dictionary_batch() {
            let (known, version) = (&mut self.dictionaries, message.version());
            read_dictionary(&parts.body, dictionary, &self.schema, known, &version)?;
        }
        Ok(())
    }

    fn decode(&self, parts: &Parts, chosen: &[usize]) -> Result<RecordBatch, Fault> {
        let message = parts.message()?;
        let batch = message.header_as_record_batch();
        let batch = batch.ok_or_else(|| damaged("an invalid batch of rows"))?;
        let (schema, version) = (SchemaRef::clone(&self.schema), message.version());
        let decoder =
            RecordBatchDecoder::try_new(&parts.body, batch, schema, &self.dictionaries, &version)?;
        Ok(decoder.with_projection(Some(chosen)).read_record_batch()?)
    }
}

impl From<ArrowError> for Fault {
    fn from(error: ArrowError) -> Self {
        damaged(error.to_string())
    }
}

/// The result of `read`; a panic of the library counts as damage.
fn contained<T>(read: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    contain(read).unwrap_or_else(|| Err(damaged(CONTRADICTORY)))
}

fn broken(place: Place, fault: Fault) -> DataError {
    match fault {
        Fault::Io(source) => DataError::Io {
            path: place.path,
            source,
        },
        Fault::Damaged(found) => TableError::Arrow {
            place,
            found: printable(&found, 200),
        }
        .into(),
    }
}

fn shown(data_type: &DataType) -> String {
    match kind(data_type) {
        FieldKind::Nested => "a group of columns".to_owned(),
        _ => format!("the type {data_type}"),
    }
}

fn kind(data_type: &DataType) -> FieldKind {
    use DataType::*;
    match data_type {
        Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView => FieldKind::Text,
        Boolean | Float16 | Float32 | Float64 => FieldKind::Number,
        Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..) => FieldKind::Number,
        List(_) | LargeList(_) | ListView(_) | LargeListView(_) | FixedSizeList(..) => {
            FieldKind::List
        }
        Struct(_) | Union(..) | Map(..) => FieldKind::Nested,
        Dictionary(_, values) => kind(values),
        whole if whole.is_integer() => FieldKind::Number,
        // Nulls, dates, times, bytes of fixed size, and run-end encoded values.
        _ => FieldKind::Other,
    }
}

/// The value in a row of a column.
fn value(column: &dyn Array, at: usize) -> Value {
    use DataType::*;
    let absent = Value::Cell(Cell::Absent);
    if column.is_null(at) {
        return absent;
    }
    let list =
        |items: ArrayRef| Value::List((0..items.len()).map(|at| value(&items, at)).collect());
    let text = |text: &str| Value::Cell(Cell::Text(text.to_owned()));
    let whole = |int: i64| Value::Cell(Cell::Int(int));
    let float = |float: f64| Value::Cell(Cell::Float(float));
    match column.data_type() {
        Null => absent,
        Boolean => Value::Cell(Cell::Bool(column.as_boolean().value(at))),
        Int8 => whole(native::<Int8Type>(column, at).into()),
        Int16 => whole(native::<Int16Type>(column, at).into()),
        Int32 => whole(native::<Int32Type>(column, at).into()),
        Int64 => whole(native::<Int64Type>(column, at)),
        UInt8 => whole(native::<UInt8Type>(column, at).into()),
        UInt16 => whole(native::<UInt16Type>(column, at).into()),
        UInt32 => whole(native::<UInt32Type>(column, at).into()),
        UInt64 => Value::unsigned(native::<UInt64Type>(column, at)),
        Float16 => float(native::<Float16Type>(column, at).to_f64()),
        Float32 => float(native::<Float32Type>(column, at).into()),
        Float64 => float(native::<Float64Type>(column, at)),
        Decimal32(..) => decimal::<Decimal32Type>(column, at),
        Decimal64(..) => decimal::<Decimal64Type>(column, at),
        Decimal128(..) => decimal::<Decimal128Type>(column, at),
        Decimal256(..) => decimal::<Decimal256Type>(column, at),
        Utf8 => text(column.as_string::<i32>().value(at)),
        LargeUtf8 => text(column.as_string::<i64>().value(at)),
        Utf8View => text(column.as_string_view().value(at)),
        Binary => Value::bytes(column.as_binary::<i32>().value(at)),
        LargeBinary => Value::bytes(column.as_binary::<i64>().value(at)),
        BinaryView => Value::bytes(column.as_binary_view().value(at)),
        List(_) => list(column.as_list::<i32>().value(at)),
        LargeList(_) => list(column.as_list::<i64>().value(at)),
        ListView(_) => list(column.as_list_view::<i32>().value(at)),
        LargeListView(_) => list(column.as_list_view::<i64>().value(at)),
        FixedSizeList(..) => list(column.as_fixed_size_list().value(at)),
        Struct(fields) => {
            let columns = column.as_struct().columns().iter();
            let values = fields.iter().zip(columns);
            Value::Group(
                values
                    .map(|(field, column)| (field.name().clone(), value(column, at)))
                    .collect(),
            )
        }
        Dictionary(..) => {
            let dictionary = column.as_any_dictionary();
            match value(dictionary.keys(), at) {
                Value::Cell(Cell::Int(key)) => value(dictionary.values(), key as usize),
                _ => absent,
            }
        }
        other => Value::other(format!("a value of the type {other}")),
    }
}

fn native<T: ArrowPrimitiveType>(column: &dyn Array, at: usize) -> T::Native {
    column.as_primitive::<T>().value(at)
}

fn decimal<T: DecimalType>(column: &dyn Array, at: usize) -> Value {
    Value::decimal(&column.as_primitive::<T>().value_as_string(at))
}
