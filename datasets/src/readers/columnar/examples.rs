//! Rows of one or two texts and a label in columnar files. Opened by `rows`.
//!
//! Texts are UTF-8; labels are integers (-1: unlabelled), floats (STS-B), names or lists. The
//! columns' types are checked against the schema before a row is read, and only those columns are
//! decoded (`idx` is not).

use std::path::Path;
use std::sync::Arc;

use super::value::Value;
use super::{Field, FieldKind, ValueRows, find, open};
use crate::columns::{Column, Columns, join};
use crate::error::{DataError, Place};
use crate::format::DataFile;
use crate::readers::cell::Cell;
use crate::readers::hub_names;
use crate::readers::raw_row::LabelRule;
use crate::readers::raw_row::{RawRow, Rows};

/// The rows of a columnar file. A file without rows gives none.
pub(crate) struct ColumnarExamples {
    rows: Box<dyn ValueRows>,
    layout: Layout,
    classes: Option<Vec<String>>,
}

/// The columns to decode, in the order text, pair (if the task has one), label (if the file has
/// one).
struct Layout {
    chosen: Vec<usize>,
    first: Vec<String>,
    second: Option<Vec<String>>,
    has_label: bool,
    /// The name of the label column, or the name that it would have.
    label_name: Arc<str>,
}

impl ColumnarExamples {
    pub(crate) fn open(
        file: &DataFile,
        columns: &Columns,
        rule: LabelRule,
    ) -> Result<Self, DataError> {
        let opened = open(&file.path, file.format)?;
        let layout = Layout::new(&file.path, opened.fields(), columns, rule)?;
        let classes = opened
            .hub_text()
            .and_then(|text| hub_names::classes(text, &layout.label_name));
        Ok(Self {
            rows: opened.rows(&layout.chosen)?,
            layout,
            classes,
        })
    }
}

impl Rows for ColumnarExamples {
    fn next_row(&mut self) -> Result<Option<RawRow>, DataError> {
        let Some((place, values)) = self.rows.next_values()? else {
            return Ok(None);
        };
        self.layout.row(place, values).map(Some)
    }

    fn class_names(&self) -> Option<&[String]> {
        self.classes.as_deref()
    }
}

impl Layout {
    fn new(
        path: &Path,
        fields: &[Field],
        columns: &Columns,
        rule: LabelRule,
    ) -> Result<Self, DataError> {
        let mut chosen = Vec::new();
        let mut add = |column: &Column, is_allowed: fn(FieldKind) -> bool, expected| {
            let position = find(path, fields, column)?;
            let Field { name, kind, shown } = &fields[position];
            if !is_allowed(*kind) {
                return Err(DataError::WrongType {
                    place: Place::file(path),
                    column: name.clone(),
                    expected,
                    found: shown.clone(),
                });
            }
            chosen.push(position);
            Ok(name.clone())
        };
        let is_text = |kind| kind == FieldKind::Text;
        let is_label = |kind| matches!(kind, FieldKind::Text | FieldKind::Number | FieldKind::List);
        let mut add_texts = |column: &Column| -> Result<Vec<String>, DataError> {
            let columns = column.single_columns();
            let names = columns
                .iter()
                .map(|column| add(column, is_text, "a UTF-8 string column"));
            names.collect()
        };
        let first = add_texts(&columns.first)?;
        let second = columns.second.as_ref().map(&mut add_texts).transpose()?;
        let expected = "a column of integer ids, of label names or of numbers";
        let label = match (rule, add(&columns.label, is_label, expected)) {
            (_, Ok(name)) => Some(name),
            (LabelRule::Optional, Err(DataError::MissingColumn { .. })) => None,
            (_, Err(error)) => return Err(error),
        };
        Ok(Self {
            chosen,
            first,
            second,
            has_label: label.is_some(),
            label_name: label.unwrap_or_else(|| columns.label.name.clone()).into(),
        })
    }

    fn row(&self, place: Place, values: Vec<Value>) -> Result<RawRow, DataError> {
        // A row's values arrive in the order in which they were chosen.
        let mut cells = values.into_iter().map(Value::into_cell);
        let mut next = || cells.next().unwrap_or(Cell::Absent);
        let mut text = |names: &Vec<String>| match names.as_slice() {
            [name] => self::text(next(), name, &place),
            names => {
                let mut texts = Vec::new();
                for name in names {
                    match next() {
                        Cell::Absent => {}
                        cell => texts.push(self::text(cell, name, &place)?),
                    }
                }
                Ok(join(texts.iter().map(String::as_str)))
            }
        };
        let first = text(&self.first)?;
        let pair = self.second.as_ref().map(&mut text).transpose()?;
        Ok(RawRow {
            position: place.position,
            text: first,
            pair,
            label: if self.has_label { next() } else { Cell::Absent },
            label_column: Arc::clone(&self.label_name),
        })
    }
}

fn text(cell: Cell, column: &str, place: &Place) -> Result<String, DataError> {
    let found = match cell {
        Cell::Text(text) => return Ok(text),
        Cell::Absent => "null".to_owned(),
        other => other.show(),
    };
    Err(DataError::WrongType {
        place: place.clone(),
        column: column.to_owned(),
        expected: "a UTF-8 string",
        found,
    })
}
