//! Files with cells in columns (`tsv`, `csv`, `plain_text`): determines each column's role and
//! takes rows from the file. `rows` opens it; `survey` uses its header.
//!
//! Columns are found by the names in the header line. Only CoLA's train and dev files have none;
//! they are recognised by their number of cells.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::columns::{Column, Columns, Headerless, join};
use crate::error::{DataError, Place, Position, missing_column};
use crate::format::DataFile;
use crate::readers::cell::Cell;
use crate::readers::header::TableHead;
use crate::readers::raw_row::LabelRule;
use crate::readers::raw_row::{RawRow, Rows};
use crate::readers::record::{Record, Records};

/// The positions of a file's cells, counted from 0.
struct Layout {
    n_columns: usize,
    first: Vec<usize>,
    second: Option<Vec<usize>>,
    /// `None` in test files without labels.
    label: Option<usize>,
    label_column: Arc<str>,
    /// The origin of the layout, for errors.
    source: &'static str,
}

/// An open file with columns.
pub(crate) struct Table {
    path: PathBuf,
    records: Box<dyn Records>,
    record: Record,
    /// Whether `record` is a row that has not been delivered yet.
    is_pending: bool,
    layout: Layout,
}

impl Table {
    pub(crate) fn open(
        file: &DataFile,
        columns: &Columns,
        headerless: Option<Headerless>,
        rule: LabelRule,
    ) -> Result<Self, DataError> {
        let mut head = TableHead::open(file)?;
        let cells: Vec<&str> = head.names.iter().map(String::as_str).collect();
        let layout = match headerless.and_then(|layout| without_header(columns, layout, &cells)) {
            None => header(columns, &file.path, &cells, rule)?,
            Some(layout) => {
                head.is_pending = true;
                layout
            }
        };
        Ok(Self {
            path: file.path.clone(),
            records: head.records,
            record: head.record,
            is_pending: head.is_pending,
            layout,
        })
    }

    fn ragged(&self) -> DataError {
        ragged(
            Place::line(&self.path, self.record.line),
            self.layout.n_columns,
            &self.record,
            self.records.separator(),
            self.layout.source,
        )
    }
}

/// The error for a row whose number of cells differs from the number of columns.
pub(crate) fn ragged(
    place: Place,
    expected: usize,
    record: &Record,
    separator: &'static str,
    layout: &'static str,
) -> DataError {
    DataError::RaggedRow {
        place,
        expected,
        found: record.n_cells(),
        separator,
        layout,
    }
}

impl Rows for Table {
    fn next_row(&mut self) -> Result<Option<RawRow>, DataError> {
        if !std::mem::take(&mut self.is_pending) && !self.records.next_record(&mut self.record)? {
            return Ok(None);
        }
        if self.record.n_cells() != self.layout.n_columns {
            return Err(self.ragged());
        }
        let cell = |at: usize| self.record.cell(at).ok_or_else(|| self.ragged());
        let text = |places: &Vec<usize>| match places.as_slice() {
            [at] => cell(*at).map(str::to_owned),
            places => {
                let texts: Result<Vec<&str>, DataError> =
                    places.iter().map(|&at| cell(at)).collect();
                texts.map(|texts| join(texts.into_iter()))
            }
        };
        Ok(Some(RawRow {
            position: Position::Line(self.record.line),
            text: text(&self.layout.first)?,
            pair: self.layout.second.as_ref().map(text).transpose()?,
            label: match self.layout.label {
                None => Cell::Absent,
                Some(at) => Cell::Text(cell(at)?.to_owned()),
            },
            label_column: Arc::clone(&self.layout.label_column),
        }))
    }
}

/// The layout of a file whose first line is `cells`, if it is a file without a header.
fn without_header(columns: &Columns, layout: Headerless, cells: &[&str]) -> Option<Layout> {
    let is_header = cells
        .iter()
        .any(|cell| columns.first.names().any(|name| name == *cell));
    (!is_header && cells.len() == layout.n_columns).then(|| Layout {
        n_columns: layout.n_columns,
        first: vec![layout.first],
        second: None,
        label: Some(layout.label),
        label_column: columns.label.name.as_str().into(),
        source: "the task's layout for files without a header",
    })
}

fn header(
    columns: &Columns,
    path: &Path,
    cells: &[&str],
    rule: LabelRule,
) -> Result<Layout, DataError> {
    let first = find_each(path, cells, &columns.first)?;
    let second = columns.second.as_ref();
    let second = second
        .map(|column| find_each(path, cells, column))
        .transpose()?;
    let (label, label_column) = match (rule, find(path, cells, &columns.label)) {
        (_, Ok((at, name))) => (Some(at), name),
        (LabelRule::Optional, Err(DataError::MissingColumn { .. })) => {
            (None, columns.label.name.as_str())
        }
        (_, Err(error)) => return Err(error),
    };
    Ok(Layout {
        n_columns: cells.len(),
        first,
        second,
        label,
        label_column: label_column.into(),
        source: "the header",
    })
}

/// The positions of the columns whose texts `column` joins, or only its own.
fn find_each(path: &Path, cells: &[&str], column: &Column) -> Result<Vec<usize>, DataError> {
    let columns = column.single_columns();
    let places = columns
        .iter()
        .map(|column| Ok(find(path, cells, column)?.0));
    places.collect()
}

/// The position of `column` in the header `cells`, and the one of its names that matched.
fn find<'a>(
    path: &Path,
    cells: &[&str],
    column: &'a Column,
) -> Result<(usize, &'a str), DataError> {
    for name in column.names() {
        let mut positions = cells.iter().enumerate().filter(|(_, cell)| **cell == name);
        let Some((position, _)) = positions.next() else {
            continue;
        };
        return match positions.count() {
            0 => Ok((position, name)),
            more => Err(DataError::DuplicateColumn {
                place: Place::line(path, 1),
                column: name.to_owned(),
                count: more + 1,
            }),
        };
    }
    Err(missing_column(
        Place::line(path, 1),
        column,
        cells.iter().copied(),
    ))
}
