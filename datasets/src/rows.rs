//! Rows as the readers make them, whatever the format: texts, and a label that is not understood yet. `split` and `own`
//! read through this.

use std::sync::Arc;

use crate::cell::Cell;
use crate::error::{DataError, OwnDataError, Place, Position};
use crate::example::Example;
use crate::format::{DataFile, Format};
use crate::jsonl::JsonlRows;
use crate::label::{self, LabelRule};
use crate::parquet_file::ParquetRows;
use crate::table::Table;
use crate::task::{Columns, Headerless, Task};

/// A row of a file.
#[derive(Debug)]
pub(crate) struct RawRow {
    pub(crate) position: Position,
    pub(crate) text: String,
    pub(crate) pair: Option<String>,
    pub(crate) label: Cell,
    /// The label column's name in this file.
    pub(crate) label_column: Arc<str>,
}

impl RawRow {
    /// The row of a file as an example of `task`.
    pub(crate) fn into_example(
        self,
        task: &Task,
        file: &DataFile,
        rule: LabelRule,
    ) -> Result<Example, DataError> {
        let place = || Place {
            path: file.path.clone(),
            position: self.position,
        };
        let label = label::parse(task, &self.label, rule, &self.label_column, place)?;
        Ok(Example {
            text: self.text,
            pair: self.pair,
            label,
        })
    }
}

/// An open file.
pub(crate) trait Rows {
    /// The next row; `None` at the end of the file. After an error about a row ([`DataError::is_about_a_row`]) the next
    /// call goes on behind it.
    fn next_row(&mut self) -> Result<Option<RawRow>, DataError>;
}

/// Opens a file to read `columns` of it. With an optional label, files without its column have none.
///
/// # Errors
/// The file cannot be read, or its header or schema lacks a column.
pub(crate) fn open(
    file: &DataFile,
    columns: &Columns,
    headerless: Option<Headerless>,
    rule: LabelRule,
) -> Result<Box<dyn Rows>, DataError> {
    Ok(match file.format {
        Format::Jsonl => Box::new(JsonlRows::open(file, columns, rule)?),
        Format::Parquet => Box::new(ParquetRows::open(file, columns, rule)?),
        Format::Conll => {
            return Err(OwnDataError::OnlyTags {
                path: file.path.clone(),
            }
            .into());
        }
        Format::Csv | Format::Tsv | Format::LabelText | Format::Lines => {
            Box::new(Table::open(file, columns, headerless, rule)?)
        }
    })
}

/// The first `limit` rows of a file (all if `None`) as examples of `task`.
pub(crate) fn read_examples(
    task: &Task,
    file: &DataFile,
    rule: LabelRule,
    limit: Option<usize>,
) -> Result<Vec<Example>, DataError> {
    let mut rows = open(file, &task.columns, task.headerless, rule)?;
    let limit = limit.unwrap_or(usize::MAX);
    let mut examples = Vec::new();
    while examples.len() < limit {
        let Some(row) = rows.next_row()? else { break };
        examples.push(row.into_example(task, file, rule)?);
    }
    Ok(examples)
}
