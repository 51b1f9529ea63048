//! What the labels of training rows are: classes with their names in order, sets of labels, or numbers. Called by `own`.
//!
//! Names are sorted, as in Hugging Face's `run_classification`; whole numbers by their value (there: as texts, so that 10
//! comes before 2), so that the labels 0 to n - 1 have themselves as ids.

use std::collections::{BTreeMap, BTreeSet};

use crate::cell::Cell;
use crate::error::{DataError, OwnDataError, Place};
use crate::format::DataFile;
use crate::rows::RawRow;
use crate::task::ProblemType;

/// Beyond this many classes in so few rows, the column is taken for something else.
pub(crate) const MANY_CLASSES: usize = 100;

/// What the labels are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// Classes or numbers.
    pub problem_type: ProblemType,
    /// The classes' names by id; empty for numbers.
    pub names: Vec<String>,
}

/// How a label is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Whole,
    Decimal,
    Name,
}

impl Kind {
    fn of(cell: &Cell) -> Self {
        match cell {
            Cell::Int(_) => Self::Whole,
            Cell::Float(_) => Self::Decimal,
            Cell::Text(text) if text.parse::<i64>().is_ok() => Self::Whole,
            Cell::Text(text) if text.parse::<f64>().is_ok_and(f64::is_finite) => Self::Decimal,
            _ => Self::Name,
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Whole | Self::Decimal => "number",
            Self::Name => "name",
        }
    }
}

/// Learns the labels of `rows`, each with the index of its file among `files`; with `problem_type` as the user says it
/// is. Rows without a label are left to whoever reads them.
///
/// # Errors
/// Names among numbers, numbers that may be classes, a single class, nearly as many classes as rows.
pub(crate) fn learn(
    files: &[DataFile],
    rows: &[(usize, RawRow)],
    problem_type: Option<ProblemType>,
) -> Result<Labels, DataError> {
    if problem_type == Some(ProblemType::Regression) {
        return Ok(numbers());
    }
    let Some((_, row)) = rows.first() else {
        return Ok(numbers());
    };
    let mut labels = rows.iter().map(|(_, row)| &row.label);
    let first = labels.find(|label| !label.is_empty());
    let are_sets = match problem_type {
        Some(problem_type) => problem_type == ProblemType::MultiLabelClassification,
        None => matches!(first, Some(Cell::List(_))),
    };
    if are_sets {
        return learn_sets(files, rows);
    }
    let column = row.label_column.to_string();
    let path = files
        .first()
        .map(|file| file.path.clone())
        .unwrap_or_default();
    let mut first_of: BTreeMap<Kind, &(usize, RawRow)> = BTreeMap::new();
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows {
        if let Some(name) = row.1.label.name() {
            first_of.entry(Kind::of(&row.1.label)).or_insert(row);
            *names.entry(name).or_default() += 1;
        }
    }
    if problem_type.is_none() {
        check_one_kind(files, &column, &first_of)?;
        if first_of.contains_key(&Kind::Decimal) {
            let is_whole = |name: &String| name.parse::<f64>().is_ok_and(|x| x.fract() == 0.0);
            return match names.keys().all(is_whole) {
                false => Ok(numbers()),
                true => Err(OwnDataError::ClassesOrNumbers {
                    column,
                    found: names.into_keys().take(8).collect(),
                }
                .into()),
            };
        }
        if names.len() > MANY_CLASSES && names.len() * 2 > rows.len() {
            return Err(OwnDataError::TooManyClasses {
                path,
                column,
                n_labels: names.len(),
                n_rows: rows.len(),
                found: names.into_keys().take(3).collect(),
            }
            .into());
        }
    }
    let names: Vec<String> = names.into_keys().collect();
    if let [label] = names.as_slice() {
        return Err(OwnDataError::OneClass {
            path,
            column,
            label: label.clone(),
            n_rows: rows.len(),
        }
        .into());
    }
    Ok(Labels {
        problem_type: ProblemType::SingleLabelClassification,
        names: in_order(names),
    })
}

/// Sorted names; whole numbers by their value.
fn in_order(mut names: Vec<String>) -> Vec<String> {
    if names.iter().all(|name| name.parse::<i64>().is_ok()) {
        names.sort_by_key(|name| name.parse::<i64>().unwrap_or_default());
    }
    names
}

/// The labels that occur in lists of them. Rows without a list are left to whoever reads them.
fn learn_sets(files: &[DataFile], rows: &[(usize, RawRow)]) -> Result<Labels, DataError> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    for (_, row) in rows {
        if let Cell::List(items) = &row.label {
            names.extend(items.iter().filter_map(Cell::name));
        }
    }
    let (path, column) = match (files.first(), rows.first()) {
        (Some(file), Some((_, row))) => (file.path.clone(), row.label_column.to_string()),
        _ => Default::default(),
    };
    if names.is_empty() {
        return Err(OwnDataError::NoLists { path, column }.into());
    }
    if names.len() > MANY_CLASSES && names.len() * 2 > rows.len() {
        return Err(OwnDataError::TooManyClasses {
            path,
            column,
            n_labels: names.len(),
            n_rows: rows.len(),
            found: names.into_iter().take(3).collect(),
        }
        .into());
    }
    Ok(Labels {
        problem_type: ProblemType::MultiLabelClassification,
        names: in_order(names.into_iter().collect()),
    })
}

fn numbers() -> Labels {
    Labels {
        problem_type: ProblemType::Regression,
        names: Vec::new(),
    }
}

fn check_one_kind(
    files: &[DataFile],
    column: &str,
    first_of: &BTreeMap<Kind, &(usize, RawRow)>,
) -> Result<(), OwnDataError> {
    let number = first_of.get_key_value(&Kind::Whole);
    let number = number.or(first_of.get_key_value(&Kind::Decimal));
    let (Some(number), Some(name)) = (number, first_of.get_key_value(&Kind::Name)) else {
        return Ok(());
    };
    let (mut a, mut b) = (number, name);
    let at = |entry: (&Kind, &&(usize, RawRow))| (entry.1.0, entry.1.1.position);
    if at(b) < at(a) {
        std::mem::swap(&mut a, &mut b);
    }
    let show = |(kind, (at, row)): (&Kind, &&(usize, RawRow))| {
        let path = files.get(*at).map(|file| file.path.clone());
        let place = Place {
            path: path.unwrap_or_default(),
            position: row.position,
        };
        format!("{} {} ({place})", kind.describe(), row.label.show())
    };
    Err(OwnDataError::MixedLabels {
        column: column.to_owned(),
        first: show(a),
        other: show(b),
    })
}
