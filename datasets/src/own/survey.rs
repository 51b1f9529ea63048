//! The columns of a file and the kinds of their values, from its first rows. Guesses are based on
//! it, and `progtune data inspect` prints it.

use std::collections::HashSet;
use std::fmt;

use crate::error::DataError;
use crate::format::{DataFile, Format};
use crate::readers::cell::Cell;
use crate::readers::columnar;
use crate::readers::conll;
use crate::readers::header::TableHead;
use crate::readers::json_value;
use crate::readers::jsonl::JsonlObjects;

/// The number of rows inspected.
const N_ROWS: usize = 1000;

/// The number of columns inspected in a file of objects, whose keys may be values in truth.
const MOST_COLUMNS: usize = 1000;

/// The kind of values in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Whole numbers.
    Integer,
    /// Numbers, some of them not whole or written with a decimal point.
    Number,
    /// True and false.
    Boolean,
    /// Texts.
    Text,
    /// Lists.
    List,
    /// Objects.
    Nested,
    /// No value in any row.
    Empty,
    /// Several of these kinds.
    Mixed,
}

impl fmt::Display for ColumnKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Text => "text",
            Self::List => "list",
            Self::Nested => "nested",
            Self::Empty => "empty",
            Self::Mixed => "mixed",
        })
    }
}

/// The columns of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// The names with the kinds found in the first thousand rows, in the file's order.
    pub columns: Vec<(String, ColumnKind)>,
    /// The values of each column in these rows.
    pub(crate) values: Vec<Values>,
}

/// The values of a column, for guesses at its meaning.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Values {
    /// The number of values.
    pub(crate) n: usize,
    /// The number of distinct values.
    pub(crate) n_distinct: usize,
    /// The mean number of words in a value.
    pub(crate) mean_words: f64,
}

impl Values {
    fn of<'a>(cells: impl Iterator<Item = &'a Cell>) -> Self {
        let (mut n, mut n_words, mut distinct) = (0, 0, HashSet::new());
        for name in cells.filter(|cell| !cell.is_empty()).filter_map(Cell::name) {
            n += 1;
            n_words += name.split_whitespace().count();
            distinct.insert(name);
        }
        Self {
            n,
            n_distinct: distinct.len(),
            mean_words: n_words as f64 / n.max(1) as f64,
        }
    }
}

impl Survey {
    /// Inspects a file. Invalid rows are passed over; the reader of the file reports them.
    ///
    /// # Errors
    /// The file cannot be read, or has no header or no valid row.
    pub fn of(file: &DataFile) -> Result<Self, DataError> {
        let (names, rows) = match file.format {
            Format::Jsonl => first_objects(file)?,
            Format::Parquet | Format::Arrow => {
                columnar::first_rows(&file.path, file.format, N_ROWS)?
            }
            Format::Csv | Format::Tsv | Format::LabelText | Format::Lines | Format::TextFile => {
                first_records(file)?
            }
            Format::Conll => (
                conll::column_names(file)?,
                conll::first_words(file, N_ROWS)?,
            ),
        };
        let kind_of = |at: usize| {
            rows.iter()
                .filter_map(|row| row.get(at))
                .fold(ColumnKind::Empty, |so_far, cell| join(so_far, kind(cell)))
        };
        let kinds: Vec<ColumnKind> = (0..names.len()).map(kind_of).collect();
        let cells = |at: usize| rows.iter().filter_map(move |row| row.get(at));
        let values = (0..names.len()).map(|at| Values::of(cells(at))).collect();
        Ok(Self {
            columns: names.into_iter().zip(kinds).collect(),
            values,
        })
    }

    /// The columns' names.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.columns.iter().map(|(name, _)| name.as_str())
    }
}

fn kind(cell: &Cell) -> ColumnKind {
    match cell {
        Cell::Absent => ColumnKind::Empty,
        Cell::Text(text) if text.is_empty() => ColumnKind::Empty,
        Cell::Text(text) if text.parse::<i64>().is_ok() => ColumnKind::Integer,
        Cell::Text(text) if text.parse::<f64>().is_ok_and(f64::is_finite) => ColumnKind::Number,
        Cell::Text(_) => ColumnKind::Text,
        Cell::Int(_) => ColumnKind::Integer,
        Cell::Float(_) => ColumnKind::Number,
        Cell::Bool(_) => ColumnKind::Boolean,
        Cell::List(_) => ColumnKind::List,
        Cell::Other(_) => ColumnKind::Nested,
    }
}

fn join(a: ColumnKind, b: ColumnKind) -> ColumnKind {
    use ColumnKind::{Empty, Integer, Mixed, Number, Text};
    match (a, b) {
        (Empty, other) | (other, Empty) => other,
        (Integer, Number) | (Number, Integer) => Number,
        // Some texts look like numbers.
        (Text, Integer | Number) | (Integer | Number, Text) => Text,
        (a, b) if a == b => a,
        _ => Mixed,
    }
}

type Columns = (Vec<String>, Vec<Vec<Cell>>);

fn first_records(file: &DataFile) -> Result<Columns, DataError> {
    let mut head = TableHead::open(file)?;
    let names = head.names.clone();
    let mut rows = Vec::new();
    while rows.len() < N_ROWS {
        match head.next_record() {
            Ok(None) => break,
            Ok(Some(record)) if record.n_cells() != names.len() => {}
            Ok(Some(record)) => rows.push(
                record
                    .cells()
                    .map(|cell| Cell::Text(cell.to_owned()))
                    .collect(),
            ),
            Err(error) if error.is_about_a_row() => {}
            Err(error) => return Err(error),
        }
    }
    Ok((names, rows))
}

fn first_objects(file: &DataFile) -> Result<Columns, DataError> {
    let mut objects = JsonlObjects::open(file)?;
    let mut names: Vec<String> = Vec::new();
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    let mut first_error = None;
    while rows.len() < N_ROWS {
        let object = match objects.next_object() {
            Ok(None) => break,
            Ok(Some((_, object))) => object,
            Err(error) if error.is_about_a_row() => {
                first_error.get_or_insert(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        for name in json_value::paths(&object) {
            if !names.contains(&name) && names.len() < MOST_COLUMNS {
                names.push(name);
            }
        }
        let value = |name: &String| json_value::at_path(&object, name);
        let cell = |name: &String| value(name).map_or(Cell::Absent, json_value::cell);
        rows.push(names.iter().map(cell).collect());
    }
    match first_error {
        Some(error) if rows.is_empty() => Err(error),
        _ if rows.is_empty() => Err(DataError::Empty {
            path: file.path.clone(),
            found: "no line with text",
        }),
        _ => Ok((names, rows)),
    }
}
