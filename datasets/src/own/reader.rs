//! The rows of several of the user's own files, one after the other, with their labels as names.
//! Called by `own::files`.

use std::sync::Arc;

use crate::error::{DataError, OwnDataError, Place, Position, TableError};
use crate::example::Example;
use crate::format::DataFile;
use crate::own::label_form::{self, LabelForm};
use crate::problem_type::ProblemType;
use crate::readers::cell::Cell;
use crate::readers::raw_row::LabelRule;
use crate::readers::raw_row::{RawRow, Rows};
use crate::readers::usual_columns::{GOLD_LABEL, NO_GOLD_LABEL};
use crate::request::FLAGS;
use crate::request::OnBadRow;
use crate::skipped_rows::SkippedRows;
use crate::tasks::rows::open;
use crate::tasks::task::Task;

/// Reads the rows of several files, skipping invalid ones if the request allows it.
pub(crate) struct Reader<'a> {
    pub(crate) task: &'a Task,
    /// The notation of the labels.
    pub(crate) form: LabelForm,
    /// The names that the files give to label ids.
    pub(crate) classes: Option<Arc<[String]>>,
    pub(crate) files: &'a [DataFile],
    pub(crate) rule: LabelRule,
    pub(crate) on_bad_row: OnBadRow,
    pub(crate) label_separator: Option<&'a str>,
    pub(crate) ignore_labels: bool,
    /// The index of the file being read.
    pub(crate) file: usize,
    pub(crate) rows: Option<Box<dyn Rows>>,
    pub(crate) skipped: SkippedRows,
}

impl Reader<'_> {
    /// The value, or `None` for a row that is left out.
    fn pass<T>(&mut self, result: Result<T, DataError>) -> Result<Option<T>, DataError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if self.on_bad_row == OnBadRow::Skip && error.is_about_a_row() => {
                self.skipped.add(&error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The next row and the index of its file.
    pub(crate) fn next_row(&mut self) -> Result<Option<(usize, RawRow)>, DataError> {
        loop {
            let rows = match &mut self.rows {
                Some(rows) => rows,
                none => {
                    let Some(file) = self.files.get(self.file) else {
                        return Ok(None);
                    };
                    let opened = open(file, &self.task.columns, None, self.rule)?;
                    let first = self.classes.take();
                    self.classes = same_classes(first, opened.as_ref(), file, self.task)?;
                    none.insert(opened)
                }
            };
            let row = rows.next_row();
            match self.pass(row)? {
                None => {}
                Some(Some(mut row)) => {
                    if self.has_no_gold_label(&row) {
                        if self.rule == LabelRule::Required {
                            self.leave_out(&row);
                            continue;
                        }
                        row.label = Cell::Absent;
                    }
                    if let Some(separator) = self.label_separator {
                        row.label = row.label.split(separator);
                    }
                    return Ok(Some((self.file, row)));
                }
                Some(None) => {
                    self.rows = None;
                    self.file += 1;
                }
            }
        }
    }

    /// Whether a row has the mark of SNLI and MultiNLI for a label on which annotators did not
    /// agree.
    fn has_no_gold_label(&self, row: &RawRow) -> bool {
        let is_mark = matches!(&row.label, Cell::Text(text) if text == NO_GOLD_LABEL);
        let is_class = self.task.labels.iter().any(|label| label == NO_GOLD_LABEL);
        is_mark && *row.label_column == *GOLD_LABEL && !is_class
    }

    /// Leaves out a row without a gold label, as everyone who trains on such data does.
    fn leave_out(&mut self, row: &RawRow) {
        let place = Place {
            path: self.files[self.file].path.clone(),
            position: row.position,
        };
        self.skipped
            .add(&OwnDataError::NoGoldLabel { place }.into());
    }

    pub(crate) fn next_example(&mut self) -> Result<Option<Example>, DataError> {
        Ok(self.next_placed()?.map(|(_, _, example)| example))
    }

    /// The next example with the index of its file and its position there.
    pub(crate) fn next_placed(&mut self) -> Result<Option<(usize, Position, Example)>, DataError> {
        while let Some((at, mut row)) = self.next_row()? {
            let position = row.position;
            let named = self.name_label(&mut row, &self.files[at]);
            let example =
                named.and_then(|()| row.into_example(self.task, &self.files[at], self.rule));
            if let Some(example) = self.pass(example)? {
                return Ok(Some((at, position, example)));
            }
        }
        Ok(None)
    }

    /// Replaces vectors, and ids that the file names, by names. A model whose labels have no names
    /// keeps ids.
    fn name_label(&self, row: &mut RawRow, file: &DataFile) -> Result<(), DataError> {
        let label = std::mem::replace(&mut row.label, Cell::Absent);
        if self.ignore_labels {
            return Ok(());
        }
        let place = || Place {
            path: file.path.clone(),
            position: row.position,
        };
        let is_regression = self.task.problem_type == ProblemType::Regression;
        row.label = match &self.classes {
            _ if self.form == LabelForm::Vector => {
                label_form::of_vector(&label, &self.task.labels, &row.label_column, place)?
            }
            Some(names) if !is_regression && !label_form::are_numbered(&self.task.labels) => {
                label_form::of_ids(label, names)
            }
            _ => label,
        };
        Ok(())
    }

    /// Checks that the files of a split have rows.
    pub(crate) fn check_rows(&self, split: usize, n_rows: usize) -> Result<(), DataError> {
        let Some(file) = self.files.first().filter(|_| n_rows == 0) else {
            return Ok(());
        };
        let found = match self.skipped.reasons.last() {
            None => "none".to_owned(),
            Some(reason) => format!("no valid row; the last one left out: {reason}"),
        };
        Err(OwnDataError::NoRows {
            flag: FLAGS[split],
            path: file.path.clone(),
            found,
        }
        .into())
    }
}

/// The names that a file gives to ids. They must equal those of the files before it, if there were
/// any.
fn same_classes(
    first: Option<Arc<[String]>>,
    opened: &dyn Rows,
    file: &DataFile,
    task: &Task,
) -> Result<Option<Arc<[String]>>, DataError> {
    match (first, opened.class_names()) {
        (Some(first), Some(found)) if *first != *found => Err(TableError::ClassNames {
            path: file.path.clone(),
            column: task.columns.label.name.clone(),
            first: first.to_vec(),
            found: found.to_vec(),
        }
        .into()),
        (first, None) => Ok(first),
        (_, Some(found)) => Ok(Some(found.into())),
    }
}
