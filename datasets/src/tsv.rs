//! Official GLUE TSV files; called by `split`.
//!
//! Cells are separated by tabs and nothing is quoted: a double quote is a character like any other (MRPC has thousands of
//! unbalanced ones). Columns are found by the names in the header line; only CoLA's train and dev files have none, and
//! are recognised by that. Blank lines at the end of a file are ignored, elsewhere they are rows without cells.

use std::path::Path;

use crate::error::{DataError, Place};
use crate::example::Example;
use crate::label::{self, LabelRule, RawLabel};
use crate::lines::Lines;
use crate::nearest::nearest;
use crate::task::{Column, Task};

/// Where a file's cells are, counted from 0.
struct Layout {
    n_columns: usize,
    first: usize,
    second: Option<usize>,
    /// The label column's position and name; `None` in test files without one.
    label: Option<(usize, &'static str)>,
    /// What an error says the layout is from.
    source: &'static str,
}

/// The first `limit` rows of `path` (all if `None`).
pub(crate) fn read(
    task: &Task,
    path: &Path,
    rule: LabelRule,
    limit: Option<usize>,
) -> Result<Vec<Example>, DataError> {
    let mut lines = Lines::open(path)?;
    let mut examples = Vec::new();
    let layout = match lines.next_line()? {
        None | Some((_, "")) => return Err(empty(path, "nothing on the first line")),
        Some((number, line)) => {
            let cells: Vec<&str> = line.split('\t').collect();
            match headerless(task, &cells) {
                None => header(task, path, &cells, rule)?,
                Some(layout) => {
                    examples.push(row(task, path, rule, &layout, number, line)?);
                    layout
                }
            }
        }
    };
    let limit = limit.unwrap_or(usize::MAX);
    let mut blank: Option<usize> = None;
    while examples.len() < limit {
        let Some((number, line)) = lines.next_line()? else {
            break;
        };
        if line.is_empty() {
            blank = blank.or(Some(number));
            continue;
        }
        if let Some(blank) = blank {
            return Err(ragged(path, blank, &layout, 0));
        }
        examples.push(row(task, path, rule, &layout, number, line)?);
    }
    if examples.is_empty() && limit > 0 {
        return Err(empty(path, "a header only"));
    }
    examples.truncate(limit);
    Ok(examples)
}

fn empty(path: &Path, found: &'static str) -> DataError {
    DataError::Empty {
        path: path.to_path_buf(),
        found,
    }
}

/// The layout of a file of which `cells` is the first line, if the task has files without a header and this is one.
fn headerless(task: &Task, cells: &[&str]) -> Option<Layout> {
    let layout = task.headerless?;
    let is_header = cells
        .iter()
        .any(|cell| task.first.names().any(|name| name == *cell));
    (!is_header && cells.len() == layout.n_columns).then_some(Layout {
        n_columns: layout.n_columns,
        first: layout.first,
        second: None,
        label: Some((layout.label, task.label.name)),
        source: "the task's layout for files without a header",
    })
}

fn header(task: &Task, path: &Path, cells: &[&str], rule: LabelRule) -> Result<Layout, DataError> {
    let first = find(path, cells, &task.first)?.0;
    let second = match &task.second {
        Some(column) => Some(find(path, cells, column)?.0),
        None => None,
    };
    let label = match (rule, find(path, cells, &task.label)) {
        (_, Ok(found)) => Some(found),
        (LabelRule::Optional, Err(DataError::MissingColumn { .. })) => None,
        (_, Err(error)) => return Err(error),
    };
    Ok(Layout {
        n_columns: cells.len(),
        first,
        second,
        label,
        source: "the header",
    })
}

/// The position of `column` in the header `cells`, and under which of its names.
fn find(path: &Path, cells: &[&str], column: &Column) -> Result<(usize, &'static str), DataError> {
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

/// The error for a `column` that is under none of its names among those of a file; the other readers use it too.
pub(crate) fn missing_column<'a>(
    place: Place,
    column: &Column,
    found: impl Iterator<Item = &'a str> + Clone,
) -> DataError {
    let names: Vec<String> = column.names().map(|name| format!("`{name}`")).collect();
    DataError::MissingColumn {
        place,
        expected: names.join(" or "),
        nearest: nearest(column.name, found.clone()).map(str::to_owned),
        found: found.map(str::to_owned).collect(),
    }
}

fn row(
    task: &Task,
    path: &Path,
    rule: LabelRule,
    layout: &Layout,
    number: usize,
    line: &str,
) -> Result<Example, DataError> {
    let cells: Vec<&str> = line.split('\t').collect();
    let ragged = || ragged(path, number, layout, cells.len());
    if cells.len() != layout.n_columns {
        return Err(ragged());
    }
    let text = |position: usize| {
        cells
            .get(position)
            .map(|cell| (*cell).to_owned())
            .ok_or_else(ragged)
    };
    let label = match layout.label {
        None => None,
        Some((position, name)) => {
            let raw = RawLabel::Text(cells.get(position).ok_or_else(ragged)?);
            label::parse(task, &raw, rule, name, || Place::line(path, number))?
        }
    };
    let pair = layout.second.map(text).transpose()?;
    Ok(Example {
        text: text(layout.first)?,
        pair,
        label,
    })
}

fn ragged(path: &Path, number: usize, layout: &Layout, found: usize) -> DataError {
    DataError::RaggedRow {
        place: Place::line(path, number),
        expected: layout.n_columns,
        found,
        layout: layout.source,
    }
}
