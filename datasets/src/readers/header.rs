//! The names of a table's columns: from its first row, from the format, or from the user if the
//! file has none. Also says whether a first row that is read as names looks like data. `table` and
//! `survey` read through it; `own::headerless` asks.

use std::collections::HashSet;

use crate::error::{DataError, TableError};
use crate::format::{DataFile, Header};
use crate::readers::record::{Record, Records};
use crate::readers::records::open_records;
use crate::readers::usual_columns::is_usual_name;

/// The number of rows with which a first row is compared.
const N_ROWS: usize = 1000;

/// A name with this many words is a sentence.
const SENTENCE_WORDS: usize = 5;

/// A table whose column names are known.
pub(crate) struct TableHead {
    pub(crate) records: Box<dyn Records>,
    pub(crate) record: Record,
    /// Whether `record` is a row that has not been delivered yet.
    pub(crate) is_pending: bool,
    pub(crate) names: Vec<String>,
}

impl TableHead {
    pub(crate) fn open(file: &DataFile) -> Result<Self, DataError> {
        let mut records = open_records(file)?;
        let mut record = Record::default();
        if let Some(names) = records.fixed_columns() {
            return Ok(Self {
                names: names.iter().map(|&name| name.to_owned()).collect(),
                records,
                record,
                is_pending: false,
            });
        }
        if !records.next_record(&mut record)? || record.n_cells() == 0 {
            return Err(DataError::Empty {
                path: file.path.clone(),
                found: "nothing on the first line",
            });
        }
        let first: Vec<String> = record.cells().map(str::to_owned).collect();
        let names = match &file.header {
            Header::FirstRow => None,
            Header::Absent(names) => Some(given(file, names, &first)?),
            Header::Learned(names) => learned(names, &first),
        };
        Ok(Self {
            records,
            record,
            is_pending: names.is_some(),
            names: names.unwrap_or(first),
        })
    }

    /// The next row; `None` at the end. After an error about a row the next call continues after
    /// it.
    pub(crate) fn next_record(&mut self) -> Result<Option<&Record>, DataError> {
        let has_row =
            std::mem::take(&mut self.is_pending) || self.records.next_record(&mut self.record)?;
        Ok(has_row.then_some(&self.record))
    }
}

/// The user's names, which must be as many as the cells of the first row.
fn given(file: &DataFile, names: &[String], first: &[String]) -> Result<Vec<String>, DataError> {
    let path = file.path.clone();
    if names.is_empty() {
        return Ok((1..=first.len()).map(|at| at.to_string()).collect());
    }
    if names == first {
        return Err(TableError::HasHeader { path }.into());
    }
    if names.len() != first.len() {
        return Err(TableError::ColumnCount {
            path,
            n_cells: first.len(),
            given: names.to_vec(),
        }
        .into());
    }
    Ok(names.to_vec())
}

/// The names that were given for training files without a header, unless the first row contains one
/// of them or has too many cells. Files to predict may lack the last columns.
fn learned(names: &[String], first: &[String]) -> Option<Vec<String>> {
    if names.is_empty() {
        return Some((1..=first.len()).map(|at| at.to_string()).collect());
    }
    let is_header = first.iter().any(|cell| names.contains(cell));
    let names = names.get(..first.len()).filter(|_| !is_header)?;
    Some(names.to_vec())
}

/// The first row of a table, and the reason, if it is read as names but looks like data. It does if
/// a name is a number among numbers, occurs again in the rows below, or is a sentence. One usual
/// name of a text or label column, or numbers counted from 0 as pandas writes them, make it a
/// header regardless.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn looks_like_data(file: &DataFile) -> Result<Option<(Vec<String>, String)>, DataError> {
    let mut head = TableHead::open(file)?;
    let names = head.names.clone();
    let is_counted = names
        .iter()
        .enumerate()
        .all(|(at, name)| *name == at.to_string());
    if is_counted || names.iter().any(|name| is_usual_name(name)) {
        return Ok(None);
    }
    let mut columns: Vec<Column> = names.iter().map(|_| Column::default()).collect();
    for _ in 0..N_ROWS {
        match head.next_record() {
            Ok(None) => break,
            Ok(Some(record)) => {
                for (column, cell) in columns.iter_mut().zip(record.cells()) {
                    column.add(cell);
                }
            }
            Err(error) if error.is_about_a_row() => {}
            Err(error) => return Err(error),
        }
    }
    let mut looks = names.iter().zip(&columns);
    let why = looks.find_map(|(name, column)| column.why_data(name));
    Ok(why.map(|why| (names, why)))
}

/// The values of the first rows in a column.
#[derive(Default)]
struct Column {
    values: HashSet<String>,
    has_other_than_numbers: bool,
}

impl Column {
    fn add(&mut self, cell: &str) {
        if cell.is_empty() {
            return;
        }
        self.has_other_than_numbers |= !is_number(cell);
        self.values.insert(cell.to_owned());
    }

    fn why_data(&self, name: &str) -> Option<String> {
        let shown = crate::error::printable(name, 60);
        if self.values.is_empty() || name.is_empty() {
            return None;
        }
        if is_number(name) && !self.has_other_than_numbers {
            return Some(format!("`{shown}` is a number, as all values below it are"));
        }
        if self.values.contains(name) {
            return Some(format!("`{shown}` occurs again below"));
        }
        let is_sentence = name.split_whitespace().count() >= SENTENCE_WORDS;
        is_sentence.then(|| format!("`{shown}` is as long as a sentence"))
    }
}

fn is_number(cell: &str) -> bool {
    cell.trim().parse::<f64>().is_ok()
}
