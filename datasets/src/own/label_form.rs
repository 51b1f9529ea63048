//! The notation of a row's labels: a value, a list of those that apply, a vector of 0 and 1, or ids
//! that the file names. Recognised here and converted to names. Called by `learn_labels` and
//! `own::files`.

use crate::error::{DataError, Place, Position, TableError};
use crate::format::DataFile;
use crate::readers::cell::Cell;

/// The notation of labels in the user's own files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LabelForm {
    /// At most one value per row.
    #[default]
    Value,
    /// Per row a list of the labels that apply.
    List,
    /// Per row a list with a 0 or 1 for each label.
    Vector,
    /// Ids, one or a list per row, whose names are in the file: `ClassLabel` of Hugging Face's
    /// `datasets`.
    Named,
}

impl LabelForm {
    const NAMES: [(&'static str, Self); 4] = [
        ("value", Self::Value),
        ("list", Self::List),
        ("vector", Self::Vector),
        ("named", Self::Named),
    ];

    /// The name in the records about a file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::List => "list",
            Self::Vector => "vector",
            Self::Named => "named",
        }
    }

    /// The form with this name.
    pub fn by_name(name: &str) -> Option<Self> {
        let mut all = Self::NAMES.into_iter();
        all.find(|(known, _)| *known == name).map(|(_, form)| form)
    }

    /// The description shown beside a list of labels; empty for single values.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Value => "",
            Self::List => "a list of the applicable labels in each row",
            Self::Vector => "a vector of 0 and 1 in each row",
            Self::Named => "names given by the file (ClassLabel)",
        }
    }
}

/// The bit of a vector that a value is, if it is 0 or 1.
fn bit(cell: &Cell) -> Option<bool> {
    match cell {
        Cell::Int(0) => Some(false),
        Cell::Int(1) => Some(true),
        Cell::Bool(bool) => Some(*bool),
        Cell::Float(float) if *float == 0.0 => Some(false),
        Cell::Float(float) if *float == 1.0 => Some(true),
        _ => None,
    }
}

fn is_number(cell: &Cell) -> bool {
    matches!(cell, Cell::Int(_) | Cell::Float(_) | Cell::Bool(_))
}

/// The names of vector entries that have none.
fn numbered(n: usize) -> Vec<String> {
    (0..n).map(|at| format!("LABEL_{at}")).collect()
}

/// Whether labels have the names given to unnamed ones.
pub(crate) fn are_numbered(names: &[String]) -> bool {
    names == numbered(names.len())
}

/// A list, and where it was seen.
struct Seen {
    file: usize,
    position: Position,
    shown: String,
}

/// The shapes of the rows' label lists.
#[derive(Default)]
pub(crate) struct ListShapes {
    /// The length of the first list that is not empty.
    length: Option<usize>,
    /// The first list of a different length.
    other_length: Option<Seen>,
    /// The first list with a value other than 0 and 1.
    other_values: Option<Seen>,
    has_names: bool,
    /// Whether a list contains a number twice, which a set of ids never does.
    has_repeats: bool,
}

impl ListShapes {
    /// Takes in a row's label. Anything but a list is ignored.
    ///
    /// # Errors
    /// Fractional labels.
    pub(crate) fn add(
        &mut self,
        files: &[DataFile],
        file: usize,
        position: Position,
        column: &str,
        label: &Cell,
    ) -> Result<(), DataError> {
        let Cell::List(items) = label else {
            return Ok(());
        };
        let is_share = |item: &Cell| matches!(item, Cell::Float(x) if x.fract() != 0.0);
        if items.iter().any(is_share) {
            return Err(TableError::SoftLabels {
                place: place(files, file, position),
                column: column.to_owned(),
                found: label.show(),
            }
            .into());
        }
        let seen = || Seen {
            file,
            position,
            shown: label.show(),
        };
        // An empty list is a set, not a vector.
        let length = match items.len() {
            0 => self.length.unwrap_or(1),
            n_items => *self.length.get_or_insert(n_items),
        };
        if length != items.len() && self.other_length.is_none() {
            self.other_length = Some(seen());
        }
        if self.other_values.is_none() && !items.iter().all(|item| bit(item).is_some()) {
            self.other_values = Some(seen());
        }
        self.has_names |= !items.iter().all(is_number);
        let repeats = |(at, item): (usize, &Cell)| items[..at].contains(item);
        // Lists of names need no further check.
        self.has_repeats =
            self.has_repeats || !self.has_names && items.iter().enumerate().any(repeats);
        Ok(())
    }

    /// The length of vectors of 0 and 1, if the lists are such: all of the same length, at least 2,
    /// and containing only 0 and 1. Otherwise they are lists of the labels that apply.
    ///
    /// # Errors
    /// They are neither. A number occurs twice in a list, as in vectors, but the lists differ in
    /// length or contain other numbers.
    pub(crate) fn vectors(
        &self,
        files: &[DataFile],
        column: &str,
    ) -> Result<Option<usize>, DataError> {
        let Some(length) = self.length.filter(|_| !self.has_names) else {
            return Ok(None);
        };
        let other = self.other_length.as_ref().or(self.other_values.as_ref());
        match other {
            None => Ok((length > 1).then_some(length)),
            Some(_) if !self.has_repeats => Ok(None),
            Some(seen) => Err(TableError::NotAVector {
                place: place(files, seen.file, seen.position),
                column: column.to_owned(),
                expected: length,
                found: seen.shown.clone(),
            }
            .into()),
        }
    }
}

fn place(files: &[DataFile], file: usize, position: Position) -> Place {
    let path = files.get(file).map(|file| file.path.clone());
    Place {
        path: path.unwrap_or_default(),
        position,
    }
}

/// The names for vectors of `length`: those that the file gives, if their number matches.
pub(crate) fn vector_names(length: usize, classes: Option<&[String]>) -> Vec<String> {
    match classes {
        Some(names) if names.len() == length => names.to_vec(),
        _ => numbered(length),
    }
}

/// A vector as the list of the labels that apply.
///
/// # Errors
/// It is not a vector, or its length differs from the number of labels.
pub(crate) fn of_vector(
    label: &Cell,
    names: &[String],
    column: &str,
    place: impl Fn() -> Place,
) -> Result<Cell, DataError> {
    let wrong = || TableError::NotAVector {
        place: place(),
        column: column.to_owned(),
        expected: names.len(),
        found: label.show(),
    };
    let items = match label {
        Cell::Absent => return Ok(Cell::Absent),
        Cell::List(items) if items.len() == names.len() => items,
        _ => return Err(wrong().into()),
    };
    let bits: Option<Vec<bool>> = items.iter().map(bit).collect();
    let bits = bits.ok_or_else(wrong)?;
    let holding = names.iter().zip(bits).filter(|(_, holds)| *holds);
    Ok(Cell::List(
        holding.map(|(name, _)| Cell::Text(name.clone())).collect(),
    ))
}

/// Converts an id, or a list of ids, to the names that the file gives; -1 means no label. Anything
/// that is not one of these ids is unchanged.
pub(crate) fn of_ids(label: Cell, classes: &[String]) -> Cell {
    match label {
        Cell::Int(-1) => Cell::Absent,
        Cell::Int(int) => {
            let name = usize::try_from(int).ok().and_then(|id| classes.get(id));
            name.map_or(Cell::Int(int), |name| Cell::Text(name.clone()))
        }
        Cell::List(items) => Cell::List(
            items
                .into_iter()
                .map(|item| of_ids(item, classes))
                .collect(),
        ),
        other => other,
    }
}
