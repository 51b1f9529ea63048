//! Rows as the readers make them, whatever the format: texts, and a label that is not understood yet. `split` and `own`
//! read through this.

use std::sync::Arc;

use crate::cell::Cell;
use crate::columnar::ColumnarExamples;
use crate::error::{DataError, OwnDataError, Place, Position};
use crate::example::Example;
use crate::format::{DataFile, Format};
use crate::jsonl::JsonlRows;
use crate::label::{self, LabelRule};
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

    /// The names of the label column's ids, if the file has them.
    fn class_names(&self) -> Option<&[String]> {
        None
    }
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
        Format::Parquet | Format::Arrow => Box::new(ColumnarExamples::open(file, columns, rule)?),
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

/// The rows of a split as examples, one at a time: no more than one is in memory.
///
/// After an error there is nothing more to expect.
pub struct ExampleRows {
    source: Source,
    /// How many may still come.
    left: usize,
}

enum Source {
    /// Generated.
    Made(std::vec::IntoIter<Example>),
    Files(Box<Files>),
}

struct Files {
    task: Task,
    rule: LabelRule,
    files: Vec<DataFile>,
    /// The file that is being read.
    at: usize,
    rows: Box<dyn Rows>,
    /// Whether no row is an error.
    must_have_rows: bool,
}

impl ExampleRows {
    /// Examples that are there already, `limit` at most.
    pub(crate) fn made(examples: Vec<Example>, limit: Option<usize>) -> Self {
        Self {
            source: Source::Made(examples.into_iter()),
            left: limit.unwrap_or(usize::MAX),
        }
    }

    /// The first `limit` rows (all if `None`) of files, one after the other, as examples of `task`.
    ///
    /// # Errors
    /// The first file cannot be opened. The others are opened when they are reached.
    pub(crate) fn open(
        task: &Task,
        files: Vec<DataFile>,
        rule: LabelRule,
        limit: Option<usize>,
    ) -> Result<Self, DataError> {
        let Some(first) = files.first() else {
            return Ok(Self::made(Vec::new(), None));
        };
        Ok(Self {
            left: limit.unwrap_or(usize::MAX),
            source: Source::Files(Box::new(Files {
                rows: open(first, &task.columns, task.headerless, rule)?,
                task: task.clone(),
                rule,
                files,
                at: 0,
                must_have_rows: limit != Some(0),
            })),
        })
    }
}

impl Iterator for ExampleRows {
    type Item = Result<Example, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        match &mut self.source {
            Source::Made(examples) => examples.next().map(Ok),
            Source::Files(files) => files.next_example().transpose(),
        }
    }
}

impl Files {
    fn next_example(&mut self) -> Result<Option<Example>, DataError> {
        loop {
            let file = &self.files[self.at];
            if let Some(row) = self.rows.next_row()? {
                self.must_have_rows = false;
                return row.into_example(&self.task, file, self.rule).map(Some);
            }
            let Some(file) = self.files.get(self.at + 1) else {
                break;
            };
            self.rows = open(file, &self.task.columns, self.task.headerless, self.rule)?;
            self.at += 1;
        }
        match self.must_have_rows {
            false => Ok(None),
            true => Err(DataError::Empty {
                path: self.files[0].path.clone(),
                found: match self.files[0].format {
                    Format::Tsv => "a header only",
                    Format::Jsonl => "no line with text",
                    _ => "no rows",
                },
            }),
        }
    }
}
