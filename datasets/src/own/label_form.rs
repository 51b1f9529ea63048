//! How a row's labels are written: a value, a list of those that hold, a vector of 0 and 1 for all labels, or ids whose names
//! the file itself gives. Told apart here, and made names of; called by `learn_labels` and `own::files`.

use crate::error::{DataError, Place, Position, TableError};
use crate::format::DataFile;
use crate::readers::cell::Cell;

/// How labels are written in files of the user's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LabelForm {
    /// A value a row, or none.
    #[default]
    Value,
    /// A list a row of the labels that hold.
    List,
    /// A list a row of a 0 or 1 for each label.
    Vector,
    /// Ids, one or a list a row, whose names are in the file: `ClassLabel` of Hugging Face's `datasets`.
    Named,
}

impl LabelForm {
    const NAMES: [(&'static str, Self); 4] = [
        ("value", Self::Value),
        ("list", Self::List),
        ("vector", Self::Vector),
        ("named", Self::Named),
    ];

    /// The name in what is kept of a file.
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

    /// What is said of it where labels are listed; nothing of single values.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Value => "",
            Self::List => "a list in each row, of the labels that hold",
            Self::Vector => "a vector of 0 and 1 in each row",
            Self::Named => "names given by the file (ClassLabel)",
        }
    }
}

/// Whether a value is a 0 or 1 of a vector, and which.
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

/// The names of vectors that have none.
fn numbered(n: usize) -> Vec<String> {
    (0..n).map(|at| format!("LABEL_{at}")).collect()
}

/// Whether labels are called as those without names are.
pub(crate) fn are_numbered(names: &[String]) -> bool {
    names == numbered(names.len())
}

/// A list, where it was seen.
struct Seen {
    file: usize,
    position: Position,
    shown: String,
}

/// What the lists of labels of rows look like.
#[derive(Default)]
pub(crate) struct ListShapes {
    /// The length of the first that is not empty.
    length: Option<usize>,
    /// The first of another length.
    other_length: Option<Seen>,
    /// The first with something else than 0 and 1.
    other_values: Option<Seen>,
    has_names: bool,
    /// Whether a list has a number twice, as a set of ids never has.
    has_repeats: bool,
}

impl ListShapes {
    /// Takes in a row's label; what is no list says nothing.
    ///
    /// # Errors
    /// Shares of labels.
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
        // An empty list is a set, and no vector.
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
        // Of lists of names nothing more is asked.
        self.has_repeats =
            self.has_repeats || !self.has_names && items.iter().enumerate().any(repeats);
        Ok(())
    }

    /// The length of vectors of 0 and 1, if the lists are such: all of one length, at least 2, and nothing but 0 and 1 in them.
    /// Otherwise they are lists of the labels that hold.
    ///
    /// # Errors
    /// They are neither: a number is twice in a list, as in vectors, and they differ in length or have other numbers.
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

/// The names of vectors of `length`: those that the file gives, if they are as many.
pub(crate) fn vector_names(length: usize, classes: Option<&[String]>) -> Vec<String> {
    match classes {
        Some(names) if names.len() == length => names.to_vec(),
        _ => numbered(length),
    }
}

/// A vector as the list of the labels that hold.
///
/// # Errors
/// It is none, or has another length than there are labels.
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

/// An id as the name that the file gives it, a list of them likewise; -1 is no label. What is no id of these stays.
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
