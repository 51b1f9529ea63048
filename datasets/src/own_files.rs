//! The rows of the user's own files, one at a time; called by the host, and by `own` for small files.
//!
//! Files are found first, then columns chosen from the first file. Then all rows are read once and forgotten: their labels
//! are learned, if they are not those of a model, every row is checked, and the rows of each class are counted, which
//! decides the ones that are held out ([`OwnFacts`]). From then on the files can be read again, row by row, as often as
//! somebody wants them; whoever remembers the facts spares the first reading.

use std::path::PathBuf;

use crate::cell::Cell;
use crate::choose_columns::choose;
use crate::error::{DataError, OwnDataError};
use crate::example::Example;
use crate::files::find_files;
use crate::format::{DataFile, Format};
use crate::hold_out::{HoldOut, Strata};
use crate::label::LabelRule;
use crate::learn_labels::{Labels, Tally};
use crate::own::{OnBadRow, OwnRequest, SkippedRows};
use crate::rows::{RawRow, Rows, open};
use crate::split::SplitName;
use crate::survey::Survey;
use crate::task::{ProblemType, Task};

const FLAGS: [&str; 3] = ["--train-file", "--validation-file", "--test-file"];
const RULES: [LabelRule; 3] = [
    LabelRule::Required,
    LabelRule::Required,
    LabelRule::Optional,
];

/// What a first reading of all rows finds out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnFacts {
    /// The labels.
    pub labels: Labels,
    /// Of the training, validation and test files.
    pub counts: [RowCounts; 3],
    /// Rows left out.
    pub skipped: SkippedRows,
}

/// How many good rows files have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// All of them.
    pub n_rows: usize,
    /// Those with a label.
    pub n_labelled: usize,
    /// The rows of each class, of each set of labels where rows have several; numbers, and rows without a label, are in
    /// the first.
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

/// Files of the user's own whose rows are known to be good.
#[derive(Debug, Clone)]
pub struct OwnFiles {
    /// The task that the columns and labels make.
    pub task: Task,
    /// Which columns were not named but guessed: `text`, `pair`, `label`.
    pub guessed: Vec<&'static str>,
    /// The columns of the first file.
    pub survey: Survey,
    /// What the first reading found out.
    pub facts: OwnFacts,
    files: [Vec<DataFile>; 3],
    hold_out: Option<HoldOut>,
    on_bad_row: OnBadRow,
    label_separator: Option<String>,
    ignore_labels: bool,
}

fn find_all(request: &OwnRequest) -> Result<[Vec<DataFile>; 3], DataError> {
    let reading = &request.reading;
    let find = |at: usize, given: &[String]| {
        find_files(FLAGS[at], given, reading.format, reading.encoding)
    };
    Ok([
        find(0, &request.train)?,
        find(1, &request.validation)?,
        find(2, &request.test)?,
    ])
}

impl OwnFiles {
    /// The files of a request, those of training first.
    ///
    /// # Errors
    /// As [`OwnFiles::open`] before it opens a file.
    pub fn paths(request: &OwnRequest) -> Result<Vec<PathBuf>, DataError> {
        let files = find_all(request)?.into_iter().flatten();
        Ok(files.map(|file| file.path).collect())
    }

    /// Reads all rows of `request`, unless the `facts` about these files are known. `known` are the labels of a model;
    /// without it they are learned from the training rows, or from the first split there is.
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
        let labels = match (known, problem_type, at) {
            (Some(known), _, _) => known.clone(),
            (None, Some(ProblemType::Regression), _) | (None, _, None) => Labels::numbers(),
            (None, _, Some(at)) => {
                let mut reader = self.reader(at, &self.task);
                let mut tally = Tally::new(&self.files[at], problem_type);
                let mut n_rows = 0;
                while let Some((file, row)) = reader.next_row()? {
                    tally.add(file, &row)?;
                    n_rows += 1;
                }
                reader.check_rows(at, n_rows)?;
                let (labels, by_class) = tally.learn()?;
                // Where every row has a class, nothing is left to check.
                if let Some(by_class) = by_class {
                    skipped.append(reader.skipped);
                    counts[at] = Some(RowCounts::of_classes(by_class));
                }
                labels
            }
        };
        let task = task(&labels);
        let mut count = |at: usize| {
            let known = counts[at].take();
            known.map_or_else(|| self.count(at, &task, &mut skipped), Ok)
        };
        let counts = [count(0)?, count(1)?, count(2)?];
        Ok(OwnFacts {
            labels,
            counts,
            skipped,
        })
    }

    /// Checks and counts the rows of the `at`-th split's files.
    fn count(
        &self,
        at: usize,
        task: &Task,
        skipped: &mut SkippedRows,
    ) -> Result<RowCounts, DataError> {
        let mut reader = self.reader(at, task);
        let mut counts = RowCounts::default();
        let mut strata = Strata::default();
        while let Some(example) = reader.next_example()? {
            counts.add(&example, &mut strata);
        }
        reader.check_rows(at, counts.n_rows)?;
        skipped.append(reader.skipped);
        Ok(counts)
    }

    fn reader<'a>(&'a self, at: usize, task: &'a Task) -> Reader<'a> {
        Reader {
            task,
            files: &self.files[at],
            rule: match self.ignore_labels {
                true => LabelRule::Optional,
                false => RULES[at],
            },
            on_bad_row: self.on_bad_row,
            label_separator: self.label_separator.as_deref(),
            ignore_labels: self.ignore_labels,
            file: 0,
            rows: None,
            skipped: SkippedRows::default(),
        }
    }

    /// The rows of a split, in the order of the files: those of `train` that are not held out, those of `validation` from
    /// their files or held out, those of any other from the test files.
    ///
    /// After an error there is nothing more to expect.
    pub fn rows(&self, split: SplitName) -> OwnRows<'_> {
        let (at, wanted) = match (split, &self.hold_out) {
            (SplitName::Train, hold_out) => (0, hold_out.as_ref().map(|h| (h, false))),
            (SplitName::Validation, Some(hold_out)) => (0, Some((hold_out, true))),
            (SplitName::Validation, None) => (1, None),
            _ => (2, None),
        };
        OwnRows {
            reader: self.reader(at, &self.task),
            wanted,
            strata: Strata::default(),
            seen: Vec::new(),
        }
    }

    /// How many rows [`OwnFiles::rows`] gives.
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
    /// Which of the rows: those that are held out, or the others.
    wanted: Option<(&'a HoldOut, bool)>,
    strata: Strata,
    /// Rows of each class so far.
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

/// Reads the rows of several files, and leaves out those that are wrong if it may.
struct Reader<'a> {
    task: &'a Task,
    files: &'a [DataFile],
    rule: LabelRule,
    on_bad_row: OnBadRow,
    label_separator: Option<&'a str>,
    ignore_labels: bool,
    /// The file that is being read.
    file: usize,
    rows: Option<Box<dyn Rows>>,
    skipped: SkippedRows,
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
    fn next_row(&mut self) -> Result<Option<(usize, RawRow)>, DataError> {
        loop {
            let rows = match &mut self.rows {
                Some(rows) => rows,
                none => {
                    let Some(file) = self.files.get(self.file) else {
                        return Ok(None);
                    };
                    none.insert(open(file, &self.task.columns, None, self.rule)?)
                }
            };
            let row = rows.next_row();
            match self.pass(row)? {
                None => {}
                Some(Some(mut row)) => {
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

    fn next_example(&mut self) -> Result<Option<Example>, DataError> {
        while let Some((at, mut row)) = self.next_row()? {
            if self.ignore_labels {
                row.label = Cell::Absent;
            }
            let example = row.into_example(self.task, &self.files[at], self.rule);
            if let Some(example) = self.pass(example)? {
                return Ok(Some(example));
            }
        }
        Ok(None)
    }

    /// That files of a split have rows.
    fn check_rows(&self, split: usize, n_rows: usize) -> Result<(), DataError> {
        let Some(file) = self.files.first().filter(|_| n_rows == 0) else {
            return Ok(());
        };
        let found = match self.skipped.reasons.last() {
            None => "none".to_owned(),
            Some(reason) => format!("none that is good; the last that was left out: {reason}"),
        };
        Err(OwnDataError::NoRows {
            flag: FLAGS[split],
            path: file.path.clone(),
            found,
        }
        .into())
    }
}
