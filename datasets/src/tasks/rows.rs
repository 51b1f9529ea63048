//! Opens files for their rows and converts these to examples of a task. `split` and `own` read
//! through it, and the host's `predict` reads its input through it.

use crate::columns::{Columns, Headerless};
use crate::error::{DataError, OwnDataError, Place};
use crate::example::Example;
use crate::format::Header;
use crate::format::TextEncoding;
use crate::format::{DataFile, Format};
use crate::readers::columnar::ColumnarExamples;
use crate::readers::jsonl::JsonlRows;
use crate::readers::raw_row::LabelRule;
use crate::readers::raw_row::RawRow;
use crate::readers::raw_row::Rows;
use crate::readers::table::Table;
use crate::tasks::label;
use crate::tasks::task::Task;
use std::path::Path;

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

/// Opens a file to read its `columns`. If labels are optional, a file without the label column is
/// unlabelled.
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
        Format::Csv | Format::Tsv | Format::LabelText | Format::Lines | Format::TextFile => {
            Box::new(Table::open(file, columns, headerless, rule)?)
        }
    })
}

/// All rows of a JSONL file, with labels if the file gives them.
///
/// The keys are the task's columns ([`Columns`]); the names in the official TSV files are accepted
/// too.
///
/// # Errors
/// The file cannot be read, has no row or is not UTF-8. Also if a line is not a JSON object, lacks
/// a text column, or has a value of the wrong type or an unknown label.
pub fn read_jsonl(task: &Task, path: &Path) -> Result<Vec<Example>, DataError> {
    let file = DataFile {
        path: path.to_path_buf(),
        format: Format::Jsonl,
        encoding: TextEncoding::default(),
        header: Header::default(),
        part: None,
    };
    file_rows(task, file, None)?.collect()
}

/// The rows of a file in any format with rows, with labels if the file gives them, and only the
/// first `limit` of them.
///
/// # Errors
/// As for [`read_jsonl`]; errors about rows appear when the rows are reached.
pub fn file_rows(
    task: &Task,
    file: DataFile,
    limit: Option<usize>,
) -> Result<ExampleRows, DataError> {
    ExampleRows::open(task, vec![file], LabelRule::Optional, limit)
}

/// The rows of a split as examples, one at a time: at most one is in memory.
///
/// Callers should stop at the first error.
pub struct ExampleRows {
    source: Source,
    /// The number of rows that may still follow.
    left: usize,
}

enum Source {
    /// Generated examples.
    Made(std::vec::IntoIter<Example>),
    Files(Box<Files>),
}

struct Files {
    task: Task,
    rule: LabelRule,
    files: Vec<DataFile>,
    /// The index of the file being read.
    at: usize,
    rows: Box<dyn Rows>,
    /// Whether a file without rows is an error.
    must_have_rows: bool,
}

impl ExampleRows {
    /// Existing examples, at most `limit` of them.
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
        if self.must_have_rows {
            Err(DataError::Empty {
                path: self.files[0].path.clone(),
                found: match self.files[0].format {
                    Format::Tsv => "a header only",
                    Format::Jsonl => "no line with text",
                    _ => "no rows",
                },
            })
        } else {
            Ok(None)
        }
    }
}
