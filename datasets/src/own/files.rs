//! The rows of the user's own files, one at a time. Called by the host, and by `own` for small
//! files.
//!
//! First the files are found, and the columns are chosen from the first file. Then all rows are
//! read once and discarded. This pass learns the labels (unless a model fixes them), checks every
//! row, and counts the rows per class, which determines the held-out rows ([`OwnFacts`]).
//! Afterwards the files can be read again, row by row, any number of times. A caller that remembers
//! the facts saves the first pass.

use std::path::PathBuf;

use crate::error::{DataError, OwnDataError, Position, TableError};
use crate::example::Example;
use crate::format::{DataFile, Format};
use crate::own::choose_columns::choose;
use crate::own::find::find_files;
use crate::own::hold_out::{HoldOut, Strata};
use crate::own::label_form::{LabelForm, ListShapes};
use crate::own::learn_labels::{Labels, Tally};
use crate::own::reader::Reader;
use crate::own::survey::Survey;
use crate::problem_type::ProblemType;
use crate::readers::header;
use crate::readers::raw_row::LabelRule;
use crate::request::FLAGS;
use crate::request::{OnBadRow, OwnRequest};
use crate::skipped_rows::SkippedRows;
use crate::split_name::SplitName;
use crate::tasks::task::Task;

const RULES: [LabelRule; 3] = [
    LabelRule::Required,
    LabelRule::Required,
    LabelRule::Optional,
];

/// The findings of the first pass over all rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnFacts {
    /// The labels.
    pub labels: Labels,
    /// The way in which they are written.
    pub form: LabelForm,
    /// The counts for the training, validation and test files.
    pub counts: [RowCounts; 3],
    /// The rows left out.
    pub skipped: SkippedRows,
}

/// The number of valid rows in files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// The number of all valid rows.
    pub n_rows: usize,
    /// The number of those with a label.
    pub n_labelled: usize,
    /// The number of rows per class, or per set of labels if rows have several. Numbers and
    /// unlabelled rows count for the first entry.
    pub by_class: Vec<usize>,
}

impl RowCounts {
    fn of_classes(by_class: Vec<usize>) -> Self {
        let n_rows = by_class.iter().sum();
        Self {
            n_rows,
            n_labelled: n_rows,
            by_class,
        }
    }

    fn add(&mut self, example: &Example, strata: &mut Strata) {
        let class = strata.class_of(example.label.as_ref());
        if self.by_class.len() <= class {
            self.by_class.resize(class + 1, 0);
        }
        self.by_class[class] += 1;
        self.n_rows += 1;
        self.n_labelled += usize::from(example.label.is_some());
    }
}

/// The user's own files, with all rows checked.
#[derive(Debug, Clone)]
pub struct OwnFiles {
    /// The task that the columns and labels form.
    pub task: Task,
    /// The columns that were not named but guessed: `text`, `pair`, `label`.
    pub guessed: Vec<&'static str>,
    /// The columns of the first file.
    pub survey: Survey,
    /// The findings of the first pass.
    pub facts: OwnFacts,
    files: [Vec<DataFile>; 3],
    hold_out: Option<HoldOut>,
    on_bad_row: OnBadRow,
    label_separator: Option<String>,
    ignore_labels: bool,
}

fn find_all(request: &OwnRequest) -> Result<[Vec<DataFile>; 3], DataError> {
    let reading = &request.reading;
    let find = |at: usize, given: &[String]| find_files(FLAGS[at], given, reading);
    Ok([
        find(0, &request.train)?,
        find(1, &request.validation)?,
        find(2, &request.test)?,
    ])
}

impl OwnFiles {
    /// The files of a request, training files first.
    ///
    /// # Errors
    /// The errors that [`OwnFiles::open`] reports before it opens a file.
    pub fn paths(request: &OwnRequest) -> Result<Vec<PathBuf>, DataError> {
        let files = find_all(request)?.into_iter().flatten();
        Ok(files.map(|file| file.path).collect())
    }

    /// Reads all rows of `request`, unless the `facts` about these files are known. `known` are the
    /// labels of a model. Without them, the labels are learned from the training rows, or from the
    /// first existing split.
    ///
    /// # Errors
    /// See [`DataError`] and [`OwnDataError`].
    pub fn open(
        request: &OwnRequest,
        known: Option<&Labels>,
        facts: Option<OwnFacts>,
    ) -> Result<Self, DataError> {
        let files = find_all(request)?;
        let Some(first) = files.iter().flatten().next() else {
            return Err(OwnDataError::NoFiles {
                flag: FLAGS[0],
                given: String::new(),
                nearest: None,
            }
            .into());
        };
        if first.format == Format::Conll {
            return Err(OwnDataError::OnlyTags {
                path: first.path.clone(),
            }
            .into());
        }
        let survey = Survey::of(first)?;
        if request.reading.text_column.is_none() && request.reading.label_column.is_none() {
            header::check(first)?;
        }
        let has_labels = !request.train.is_empty() || !request.validation.is_empty();
        let wants_label = has_labels && !request.ignore_labels;
        let chosen = choose(first, &survey, &request.reading, wants_label)?;
        let task = |labels: &Labels| Task::own(chosen.columns.clone(), labels.clone());
        let mut own = Self {
            // The labels are not known yet.
            task: task(&Labels::numbers()),
            guessed: chosen.guessed,
            survey,
            facts: OwnFacts {
                labels: Labels::numbers(),
                form: LabelForm::Value,
                counts: Default::default(),
                skipped: SkippedRows::default(),
            },
            files,
            hold_out: None,
            on_bad_row: request.reading.on_bad_row,
            label_separator: request.reading.label_separator.clone(),
            ignore_labels: request.ignore_labels,
        };
        own.facts = match facts {
            Some(facts) => facts,
            None => own.find_facts(known, request.reading.problem_type, &task)?,
        };
        own.task = task(&own.facts.labels);
        if let Some(share) = request.validation_split {
            let by_class = &own.facts.counts[0].by_class;
            own.hold_out = Some(HoldOut::new(by_class, share, request.seed)?);
        }
        Ok(own)
    }

    fn find_facts(
        &self,
        known: Option<&Labels>,
        problem_type: Option<ProblemType>,
        task: &dyn Fn(&Labels) -> Task,
    ) -> Result<OwnFacts, DataError> {
        let mut skipped = SkippedRows::default();
        let mut counts: [Option<RowCounts>; 3] = Default::default();
        let at = self.files.iter().position(|files| !files.is_empty());
        let (labels, form) = match (known, problem_type, at) {
            (Some(known), _, at) => (known.clone(), self.form_of(at, known)?),
            (None, Some(ProblemType::Regression), _) | (None, _, None) => {
                (Labels::numbers(), LabelForm::Value)
            }
            (None, _, Some(at)) => {
                let mut reader = self.reader(at, &self.task, LabelForm::Value);
                let mut tally = Tally::new(&self.files[at], problem_type);
                let mut n_rows = 0;
                while let Some((file, row)) = reader.next_row()? {
                    tally.add(file, &row, reader.classes.as_ref())?;
                    n_rows += 1;
                }
                reader.check_rows(at, n_rows)?;
                let learned = tally.learn()?;
                // If every row has a class, nothing is left to check.
                if let Some(by_class) = learned.by_class {
                    skipped.extend(reader.skipped);
                    counts[at] = Some(RowCounts::of_classes(by_class));
                }
                (learned.labels, learned.form)
            }
        };
        let task = task(&labels);
        let mut count = |at: usize| {
            let known = counts[at].take();
            known.map_or_else(|| self.count(at, &task, form, &mut skipped), Ok)
        };
        let counts = [count(0)?, count(1)?, count(2)?];
        Ok(OwnFacts {
            labels,
            form,
            counts,
            skipped,
        })
    }

    /// The form of a model's labels in the files of split `at`: only lists can show whether they
    /// are vectors.
    fn form_of(&self, at: Option<usize>, known: &Labels) -> Result<LabelForm, DataError> {
        let is_multi = known.problem_type == ProblemType::MultiLabelClassification;
        let Some(at) = at.filter(|_| is_multi && !self.ignore_labels) else {
            return Ok(LabelForm::Value);
        };
        let mut reader = self.reader(at, &self.task, LabelForm::Value);
        let mut lists = ListShapes::default();
        while let Some((file, row)) = reader.next_row()? {
            let column = &row.label_column;
            lists.add(&self.files[at], file, row.position, column, &row.label)?;
        }
        let column = &self.task.columns.label.name;
        match lists.vectors(&self.files[at], column)? {
            None => Ok(LabelForm::List),
            Some(length) if length == known.names.len() => Ok(LabelForm::Vector),
            Some(found) => Err(TableError::VectorLength {
                column: column.clone(),
                expected: known.names.len(),
                found,
            }
            .into()),
        }
    }

    /// Checks and counts the rows of the files of split `at`.
    fn count(
        &self,
        at: usize,
        task: &Task,
        form: LabelForm,
        skipped: &mut SkippedRows,
    ) -> Result<RowCounts, DataError> {
        let mut reader = self.reader(at, task, form);
        let mut counts = RowCounts::default();
        let mut strata = Strata::default();
        while let Some(example) = reader.next_example()? {
            counts.add(&example, &mut strata);
        }
        reader.check_rows(at, counts.n_rows)?;
        skipped.extend(reader.skipped);
        Ok(counts)
    }

    fn reader<'a>(&'a self, at: usize, task: &'a Task, form: LabelForm) -> Reader<'a> {
        Reader {
            task,
            form,
            classes: None,
            files: &self.files[at],
            rule: if self.ignore_labels {
                LabelRule::Optional
            } else {
                RULES[at]
            },
            on_bad_row: self.on_bad_row,
            label_separator: self.label_separator.as_deref(),
            ignore_labels: self.ignore_labels,
            file: 0,
            rows: None,
            skipped: SkippedRows::default(),
        }
    }

    /// The rows of a split, in the order of the files. `train` gives the rows that are not held
    /// out, and `validation` those that are, or those of its files. Any other split gives the rows
    /// of the test files.
    ///
    /// Callers should stop at the first error.
    pub fn rows(&self, split: SplitName) -> OwnRows<'_> {
        let (at, wanted) = match (split, &self.hold_out) {
            (SplitName::Train, hold_out) => (0, hold_out.as_ref().map(|h| (h, false))),
            (SplitName::Validation, Some(hold_out)) => (0, Some((hold_out, true))),
            (SplitName::Validation, None) => (1, None),
            _ => (2, None),
        };
        OwnRows {
            reader: self.reader(at, &self.task, self.facts.form),
            wanted,
            strata: Strata::default(),
            seen: Vec::new(),
        }
    }

    /// The test files, in the order of their rows.
    pub fn test_files(&self) -> &[DataFile] {
        &self.files[2]
    }

    /// The positions of the rows of the test files, each with the index of its file.
    ///
    /// # Errors
    /// As for [`OwnFiles::open`].
    pub fn test_places(&self) -> Result<Vec<(usize, Position)>, DataError> {
        let mut reader = self.reader(2, &self.task, self.facts.form);
        let mut places = Vec::new();
        while let Some((file, position, _)) = reader.next_placed()? {
            places.push((file, position));
        }
        Ok(places)
    }

    /// The number of rows that [`OwnFiles::rows`] delivers.
    pub fn n_rows(&self, split: SplitName) -> usize {
        let n_rows = |at: usize| self.facts.counts[at].n_rows;
        let n_taken = self.hold_out.as_ref().map(HoldOut::n_taken);
        match (split, n_taken) {
            (SplitName::Train, n_taken) => n_rows(0) - n_taken.unwrap_or(0),
            (SplitName::Validation, Some(n_taken)) => n_taken,
            (SplitName::Validation, None) => n_rows(1),
            _ => n_rows(2),
        }
    }
}

/// The rows of a split of own files.
pub struct OwnRows<'a> {
    reader: Reader<'a>,
    /// The selected rows: those that are held out, or the others.
    wanted: Option<(&'a HoldOut, bool)>,
    strata: Strata,
    /// The number of rows of each class so far.
    seen: Vec<usize>,
}

impl Iterator for OwnRows<'_> {
    type Item = Result<Example, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let example = match self.reader.next_example().transpose()? {
                Ok(example) => example,
                Err(error) => return Some(Err(error)),
            };
            let Some((hold_out, taken)) = self.wanted else {
                return Some(Ok(example));
            };
            let class = self.strata.class_of(example.label.as_ref());
            if self.seen.len() <= class {
                self.seen.resize(class + 1, 0);
            }
            let at = self.seen[class];
            self.seen[class] += 1;
            if hold_out.takes(class, at) == taken {
                return Some(Ok(example));
            }
        }
    }
}
