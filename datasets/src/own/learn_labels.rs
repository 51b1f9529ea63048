//! The labels of training rows: classes with their names in order, sets of labels, or numbers.
//! Called by `own::files`.
//!
//! Names are sorted, as in Hugging Face's `run_classification`. Whole numbers are sorted by value,
//! so that the labels 0 to n - 1 are their own ids. (Hugging Face sorts them as text, so that 10
//! precedes 2.)

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{DataError, OwnDataError, Place, Position};
use crate::format::DataFile;
use crate::own::label_form::{self, LabelForm, ListShapes};
use crate::problem_type::ProblemType;
use crate::readers::cell::Cell;
use crate::readers::raw_row::RawRow;

/// With more classes than this in so few rows, the column hardly holds labels.
pub(crate) const MANY_CLASSES: usize = 100;

/// The labels of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// The kind of task: classes or numbers.
    pub problem_type: ProblemType,
    /// The classes' names by id; empty for numbers.
    pub names: Vec<String>,
}

/// The notation of a label.
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

/// More distinct labels than this make no sense, and no more are remembered.
const MOST_CLASSES: usize = 1 << 17;

/// A label, where it was first seen, and how a message shows it.
#[derive(Debug)]
struct Seen {
    file: usize,
    position: Position,
    shown: String,
}

/// The findings about labels.
pub(crate) struct Learned {
    pub(crate) labels: Labels,
    pub(crate) form: LabelForm,
    /// The number of rows per class, if every row has a class.
    pub(crate) by_class: Option<Vec<usize>>,
    /// The character that seems to separate several labels in one text.
    pub(crate) separator: Option<char>,
}

/// The labels of rows, taken in row by row: names and counts, never rows.
pub(crate) struct Tally<'a> {
    files: &'a [DataFile],
    problem_type: Option<ProblemType>,
    column: Option<String>,
    /// Whether rows have lists of labels: as the user says, or like the first label.
    are_sets: Option<bool>,
    first_of: BTreeMap<Kind, Seen>,
    lists: ListShapes,
    /// The names that the files give to ids.
    classes: Option<Arc<[String]>>,
    /// The distinct labels with their row counts; discarded once they turn out to be numbers.
    names: BTreeMap<String, usize>,
    has_fraction: bool,
    n_rows: usize,
    n_unnamed: usize,
}

impl<'a> Tally<'a> {
    /// An empty tally, with `problem_type` as given by the user.
    pub(crate) fn new(files: &'a [DataFile], problem_type: Option<ProblemType>) -> Self {
        Self {
            files,
            problem_type,
            column: None,
            are_sets: problem_type
                .map(|problem_type| problem_type == ProblemType::MultiLabelClassification),
            first_of: BTreeMap::new(),
            lists: ListShapes::default(),
            classes: None,
            names: BTreeMap::new(),
            has_fraction: false,
            n_rows: 0,
            n_unnamed: 0,
        }
    }

    /// Takes in a row of the file with this index, which gives ids the names `classes`. Unlabelled
    /// rows are left to the caller.
    ///
    /// # Errors
    /// More distinct labels than any classification has, or fractional labels.
    pub(crate) fn add(
        &mut self,
        file: usize,
        row: &RawRow,
        classes: Option<&Arc<[String]>>,
    ) -> Result<(), DataError> {
        self.n_rows += 1;
        self.column
            .get_or_insert_with(|| row.label_column.to_string());
        if self.are_sets.is_none() && !row.label.is_empty() {
            self.are_sets = Some(matches!(row.label, Cell::List(_)));
        }
        let label = match classes {
            None => Cow::Borrowed(&row.label),
            Some(names) => {
                self.classes.get_or_insert_with(|| Arc::clone(names));
                Cow::Owned(label_form::of_ids(row.label.clone(), names))
            }
        };
        if self.are_sets == Some(true) {
            self.lists.add(
                self.files,
                file,
                row.position,
                &row.label_column,
                &row.label,
            )?;
            if let Cell::List(labels) = label.as_ref() {
                for label in labels.iter().filter_map(Cell::name) {
                    *self.names.entry(label).or_default() += 1;
                }
            }
            return self.check_few();
        }
        self.add_value(file, row.position, &label)
    }

    fn add_value(
        &mut self,
        file: usize,
        position: Position,
        label: &Cell,
    ) -> Result<(), DataError> {
        let Some(name) = label.name() else {
            self.n_unnamed += 1;
            return Ok(());
        };
        let kind = Kind::of(label);
        self.first_of.entry(kind).or_insert_with(|| Seen {
            file,
            position,
            shown: format!("{} {}", kind.describe(), label.show()),
        });
        // A class that the file itself names is a class, even if its name looks like a number.
        if self.problem_type.is_none() && self.classes.is_none() && kind == Kind::Decimal {
            self.has_fraction |= name.parse::<f64>().is_ok_and(|x| x.fract() != 0.0);
        }
        if self.has_fraction {
            self.names.clear();
            return Ok(());
        }
        match self.names.get_mut(&name) {
            Some(count) => *count += 1,
            None => {
                self.names.insert(name, 1);
            }
        }
        self.check_few()
    }

    fn check_few(&self) -> Result<(), DataError> {
        if self.names.len() > MOST_CLASSES {
            Err(self.too_many().into())
        } else {
            Ok(())
        }
    }

    /// The labels and their notation. For classes, also the number of rows of each, if every row
    /// has one.
    ///
    /// # Errors
    /// Names among numbers, numbers that may be classes, a single class, nearly as many classes as
    /// rows, lists that are neither vectors nor sets.
    pub(crate) fn learn(mut self) -> Result<Learned, DataError> {
        let numbers = || Learned {
            labels: Labels::numbers(),
            form: LabelForm::Value,
            by_class: None,
            separator: None,
        };
        let Some(column) = self.column.clone() else {
            return Ok(numbers());
        };
        if self.are_sets == Some(true) {
            return self.learn_sets(column);
        }
        if self.problem_type.is_none() && self.classes.is_none() {
            self.check_one_kind(&column)?;
            if self.has_fraction {
                return Ok(numbers());
            }
            if self.first_of.contains_key(&Kind::Decimal) {
                return Err(OwnDataError::ClassesOrNumbers {
                    column,
                    found: self.names.into_keys().take(8).collect(),
                }
                .into());
            }
            if self.names.len() > MANY_CLASSES && self.names.len() * 2 > self.n_rows {
                return Err(self.too_many().into());
            }
        }
        if self.names.len() == 1
            && let Some((label, _)) = self.names.pop_first()
        {
            return Err(OwnDataError::OneClass {
                path: self.path(),
                column,
                label,
                n_rows: self.n_rows,
            }
            .into());
        }
        let have_all = self.n_unnamed == 0;
        let separator = separator_of(&self.names);
        let form = self.form(LabelForm::Value);
        let (names, counts) = self.in_order();
        let labels = Labels {
            problem_type: ProblemType::SingleLabelClassification,
            names,
        };
        Ok(Learned {
            labels,
            form,
            by_class: have_all.then_some(counts),
            separator,
        })
    }

    fn form(&self, otherwise: LabelForm) -> LabelForm {
        match self.classes {
            Some(_) => LabelForm::Named,
            None => otherwise,
        }
    }

    /// The names with their row counts. If the file gives an order, that order is kept, with unused
    /// names included. Otherwise the names are sorted, whole numbers by value.
    fn in_order(mut self) -> (Vec<String>, Vec<usize>) {
        let has_all = |names: &Arc<[String]>| self.names.keys().all(|name| names.contains(name));
        if let Some(names) = self.classes.take().filter(has_all) {
            let count = |name: &String| self.names.get(name).copied().unwrap_or(0);
            return (names.to_vec(), names.iter().map(count).collect());
        }
        let mut classes: Vec<(String, usize)> = self.names.into_iter().collect();
        if classes.iter().all(|(name, _)| name.parse::<i64>().is_ok()) {
            classes.sort_by_key(|(name, _)| name.parse::<i64>().unwrap_or_default());
        }
        classes.into_iter().unzip()
    }

    /// The labels that occur in lists. Rows without a list are left to the caller.
    fn learn_sets(self, column: String) -> Result<Learned, DataError> {
        let sets = |names, form| Learned {
            labels: Labels {
                problem_type: ProblemType::MultiLabelClassification,
                names,
            },
            form,
            by_class: None,
            separator: None,
        };
        if let Some(length) = self.lists.vectors(self.files, &column)? {
            let names = label_form::vector_names(length, self.classes.as_deref());
            return Ok(sets(names, LabelForm::Vector));
        }
        if self.names.is_empty() {
            let path = self.path();
            return Err(OwnDataError::NoLists { path, column }.into());
        }
        if self.names.len() > MANY_CLASSES && self.names.len() * 2 > self.n_rows {
            return Err(self.too_many().into());
        }
        let form = self.form(LabelForm::List);
        Ok(sets(self.in_order().0, form))
    }

    fn path(&self) -> PathBuf {
        let first = self.files.first();
        first.map(|file| file.path.clone()).unwrap_or_default()
    }

    fn too_many(&self) -> OwnDataError {
        OwnDataError::TooManyClasses {
            path: self.path(),
            column: self.column.clone().unwrap_or_default(),
            n_labels: self.names.len(),
            n_rows: self.n_rows,
            found: self.names.keys().take(3).cloned().collect(),
            separator: separator_of(&self.names),
        }
    }

    fn check_one_kind(&self, column: &str) -> Result<(), OwnDataError> {
        let number = self.first_of.get(&Kind::Whole);
        let number = number.or(self.first_of.get(&Kind::Decimal));
        let (Some(number), Some(name)) = (number, self.first_of.get(&Kind::Name)) else {
            return Ok(());
        };
        let (mut a, mut b) = (number, name);
        if (b.file, b.position) < (a.file, a.position) {
            std::mem::swap(&mut a, &mut b);
        }
        let show = |seen: &Seen| {
            let path = self.files.get(seen.file).map(|file| file.path.clone());
            let place = Place {
                path: path.unwrap_or_default(),
                position: seen.position,
            };
            format!("{} ({place})", seen.shown)
        };
        Err(OwnDataError::MixedLabels {
            column: column.to_owned(),
            first: show(a),
            other: show(b),
        })
    }
}

/// Characters that separate several labels in one text.
const SEPARATORS: [char; 4] = ['|', ';', ',', '/'];

/// The character at which labels can be split into fewer distinct parts, each of which occurs in
/// several of them: `a`, `b`, `a|b`. A name like `Sales, Europe` has such a character too, but its
/// parts occur nowhere else.
fn separator_of(names: &BTreeMap<String, usize>) -> Option<char> {
    SEPARATORS.into_iter().find(|&separator| {
        let mut parts: BTreeMap<&str, usize> = BTreeMap::new();
        let mut n_split = 0;
        for name in names.keys() {
            n_split += usize::from(name.contains(separator));
            for part in name.split(separator) {
                *parts.entry(part.trim()).or_default() += 1;
            }
        }
        let is_shared = |(part, n): (&&str, &usize)| part.is_empty() || *n > 1;
        let n_shared = parts.iter().filter(|entry| is_shared(*entry)).count();
        n_split > 1 && parts.len() < names.len() && 2 * n_shared > parts.len()
    })
}

impl Labels {
    /// The labels of regression: numbers.
    pub(crate) fn numbers() -> Self {
        Self {
            problem_type: ProblemType::Regression,
            names: Vec::new(),
        }
    }
}
