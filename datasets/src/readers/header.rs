//! The names of a table's columns: from its first row, from the format, or from the user where the file has none; and
//! whether a first row that is taken for names looks like one. `table` and `survey` read through it, `own::files` asks.

use std::collections::HashSet;

use crate::error::{DataError, TableError};
use crate::format::{DataFile, Format, Header};
use crate::readers::record::{Record, Records};
use crate::readers::records::open_records;
use crate::readers::usual_columns::is_usual_name;

/// How many rows a first row is compared with.
const N_ROWS: usize = 1000;

/// A name of so many words is a sentence.
const SENTENCE_WORDS: usize = 5;

/// A table of which the names of the columns are known.
pub(crate) struct TableHead {
    pub(crate) records: Box<dyn Records>,
    pub(crate) record: Record,
    /// Whether `record` is a row that is yet to be given.
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

    /// The next row; `None` at the end. After an error about a row the next call goes on behind it.
    pub(crate) fn next_record(&mut self) -> Result<Option<&Record>, DataError> {
        let has_row =
            std::mem::take(&mut self.is_pending) || self.records.next_record(&mut self.record)?;
        Ok(has_row.then_some(&self.record))
    }
}

/// The names that the user gives to as many cells as the first row has.
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

/// The names that training files without a header were given, unless the first row has one of them or too many cells. Files
/// to predict may lack the last columns.
fn learned(names: &[String], first: &[String]) -> Option<Vec<String>> {
    if names.is_empty() {
        return Some((1..=first.len()).map(|at| at.to_string()).collect());
    }
    let is_header = first.iter().any(|cell| names.contains(cell));
    let names = names.get(..first.len()).filter(|_| !is_header)?;
    Some(names.to_vec())
}

/// Refuses a table whose first row was taken for names and looks like data: a name is a number among numbers, occurs again
/// below itself, or is a sentence. One name that texts or labels usually have, or numbers counted from 0 as pandas writes
/// them, are a header whatever else there is.
///
/// # Errors
/// It looks like data, or cannot be read.
pub(crate) fn check(file: &DataFile) -> Result<(), DataError> {
    let is_table = matches!(file.format, Format::Csv | Format::Tsv);
    if !is_table || file.header != Header::FirstRow {
        return Ok(());
    }
    let mut head = TableHead::open(file)?;
    let names = head.names.clone();
    let is_counted = names
        .iter()
        .enumerate()
        .all(|(at, name)| *name == at.to_string());
    if is_counted || names.iter().any(|name| is_usual_name(name)) {
        return Ok(());
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
    match looks.find_map(|(name, column)| column.why_data(name)) {
        None => Ok(()),
        Some(why) => Err(TableError::HeaderIsData {
            path: file.path.clone(),
            found: names,
            why,
        }
        .into()),
    }
}

/// What the first rows have in a column.
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
