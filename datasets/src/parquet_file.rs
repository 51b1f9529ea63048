//! Parquet files as the Hugging Face hub serves GLUE; called by `split`.
//!
//! Texts are UTF-8 byte arrays, labels integers (-1: unlabelled), floats (STS-B) or names. The columns' types are checked
//! against the schema before a row is read, and only those columns are decoded (`idx` is not). Snappy and no compression
//! are built in.

use std::cell::Cell;
use std::fs::File;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::{Arc, Once};

use parquet::basic::{ConvertedType, Repetition, Type as PhysicalType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::{Type, TypePtr};

use crate::error::{DataError, Place, printable, quote};
use crate::example::Example;
use crate::label::{self, LabelRule, RawLabel};
use crate::task::{Column, ProblemType, Task};
use crate::tsv::missing_column;

/// The columns to decode, in the order text, pair (if the task has one), label (if the file has one).
struct Layout {
    projection: Type,
    first: &'static str,
    second: Option<&'static str>,
    label: Option<&'static str>,
}

/// The first `limit` rows of `path` (all if `None`). A file without rows gives none: `split` refuses a data set that is
/// empty over all its shards.
pub(crate) fn read(
    task: &Task,
    path: &Path,
    rule: LabelRule,
    limit: Option<usize>,
) -> Result<Vec<Example>, DataError> {
    match contain(|| read_rows(task, path, rule, limit)) {
        Some(read) => read,
        None => Err(DataError::Parquet {
            place: Place::file(path),
            found: "contents that contradict each other, so that the decoder gave up".to_owned(),
        }),
    }
}

thread_local! {
    /// Whether this thread is inside [`contain`].
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// The result of `read`, or `None` if it panicked: the library asserts some of what it reads from a file (60.1: negative
/// sizes, a page that wants a dictionary the file lacks), and a damaged file must neither end the process nor look like a
/// bug of ours on the terminal. The first call puts a panic hook before the one in place, which keeps quiet about panics
/// in here and passes on all others.
fn contain<T>(read: impl FnOnce() -> T) -> Option<T> {
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

fn read_rows(
    task: &Task,
    path: &Path,
    rule: LabelRule,
    limit: Option<usize>,
) -> Result<Vec<Example>, DataError> {
    let broken = |place: Place| {
        move |error: ParquetError| DataError::Parquet {
            place,
            found: printable(&error.to_string(), 200),
        }
    };
    let file = File::open(path).map_err(|source| DataError::Io {
        path: path.to_path_buf(),
        source,
    })?;
    let reader = SerializedFileReader::new(file).map_err(broken(Place::file(path)))?;
    let root = reader.metadata().file_metadata().schema();
    let layout = layout(task, path, root, rule)?;
    let limit = limit.unwrap_or(usize::MAX);
    let mut examples = Vec::new();
    for group in 0..reader.num_row_groups() {
        if examples.len() >= limit {
            break;
        }
        let group = reader
            .get_row_group(group)
            .map_err(broken(Place::file(path)))?;
        let rows = RowIter::from_row_group(Some(layout.projection.clone()), group.as_ref())
            .map_err(broken(Place::file(path)))?;
        for row in rows.take(limit - examples.len()) {
            let number = examples.len() + 1;
            let row = row.map_err(broken(Place::row(path, number)))?;
            examples.push(example(task, path, rule, &layout, number, row)?);
        }
    }
    Ok(examples)
}

fn layout(task: &Task, path: &Path, root: &Type, rule: LabelRule) -> Result<Layout, DataError> {
    let schema = root.get_fields();
    let mut fields: Vec<TypePtr> = Vec::new();
    let mut add = |column: &Column, is_allowed: fn(&Type) -> bool, expected: &'static str| {
        let (name, field) = find(path, schema, column)?;
        if !is_allowed(field) {
            return Err(DataError::WrongType {
                place: Place::file(path),
                column: name.to_owned(),
                expected,
                found: describe_type(field),
            });
        }
        fields.push(Arc::clone(field));
        Ok(name)
    };
    let first = add(&task.first, is_text, "a UTF-8 string column")?;
    let second = match &task.second {
        Some(column) => Some(add(column, is_text, "a UTF-8 string column")?),
        None => None,
    };
    let label = match task.problem_type {
        ProblemType::SingleLabelClassification => add(
            &task.label,
            is_class,
            "a column of integer ids or of label names",
        ),
        ProblemType::Regression => add(&task.label, is_score, "a column of numbers"),
    };
    let label = match (rule, label) {
        (_, Ok(name)) => Some(name),
        (LabelRule::Optional, Err(DataError::MissingColumn { .. })) => None,
        (_, Err(error)) => return Err(error),
    };
    let projection = Type::group_type_builder(root.name())
        .with_fields(fields)
        .build()
        .map_err(|error| DataError::Parquet {
            place: Place::file(path),
            found: printable(&error.to_string(), 200),
        })?;
    Ok(Layout {
        projection,
        first,
        second,
        label,
    })
}

fn find<'a>(
    path: &Path,
    schema: &'a [TypePtr],
    column: &Column,
) -> Result<(&'static str, &'a TypePtr), DataError> {
    for name in column.names() {
        let mut fields = schema.iter().filter(|field| field.name() == name);
        let Some(field) = fields.next() else { continue };
        return match fields.count() {
            0 => Ok((name, field)),
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
fn scalar(field: &Type) -> Option<PhysicalType> {
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

fn is_class(field: &Type) -> bool {
    is_integer(field) || is_text(field)
}

fn is_score(field: &Type) -> bool {
    is_integer(field)
        || matches!(
            scalar(field),
            Some(PhysicalType::FLOAT | PhysicalType::DOUBLE)
        )
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

fn example(
    task: &Task,
    path: &Path,
    rule: LabelRule,
    layout: &Layout,
    number: usize,
    row: Row,
) -> Result<Example, DataError> {
    let place = || Place::row(path, number);
    // The row's fields come in the order of the projection.
    let mut fields = row.into_columns().into_iter().map(|(_, field)| field);
    let mut next = || fields.next().unwrap_or(Field::Null);
    let text = string(next(), layout.first, &place)?;
    let pair = match layout.second {
        Some(name) => Some(string(next(), name, &place)?),
        None => None,
    };
    let label = match layout.label {
        None => None,
        Some(name) => {
            let field = next();
            label::parse(task, &raw_label(&field), rule, name, place)?
        }
    };
    Ok(Example { text, pair, label })
}

fn string(field: Field, column: &str, place: &impl Fn() -> Place) -> Result<String, DataError> {
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
        place: place(),
        column: column.to_owned(),
        expected: "a UTF-8 string",
        found,
    })
}

fn raw_label(field: &Field) -> RawLabel<'_> {
    match field {
        Field::Null => RawLabel::Absent,
        Field::Byte(int) => RawLabel::Int((*int).into()),
        Field::Short(int) => RawLabel::Int((*int).into()),
        Field::Int(int) => RawLabel::Int((*int).into()),
        Field::Long(int) => RawLabel::Int(*int),
        Field::UByte(int) => RawLabel::Int((*int).into()),
        Field::UShort(int) => RawLabel::Int((*int).into()),
        Field::UInt(int) => RawLabel::Int((*int).into()),
        Field::ULong(int) => match i64::try_from(*int) {
            Ok(int) => RawLabel::Int(int),
            Err(_) => RawLabel::Other(int.to_string()),
        },
        Field::Float(float) => RawLabel::Float((*float).into()),
        Field::Double(float) => RawLabel::Float(*float),
        Field::Str(text) => RawLabel::Text(text),
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => RawLabel::Text(text),
            Err(_) => RawLabel::Other("bytes that are not UTF-8".to_owned()),
        },
        other => RawLabel::Other(quote(&other.to_string())),
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
