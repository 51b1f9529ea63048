//! The rows of the user's own files, one at a time. Called by the host, and by `own` for small
//! files.
//!
//! First the files are found, and the columns are chosen from the first file. Then all rows are
//! read once and discarded. This pass learns the labels (unless a model fixes them), checks every
//! row, and counts the rows per class, which determines the held-out rows ([`OwnFacts`]).
//! Afterwards the files can be read again, row by row, any number of times. A caller that remembers
//! the facts saves the first pass.

use std::path::PathBuf;

use crate::drawn_rows::{DrawnRows, Seen, Strata};
use crate::error::{DataError, OwnDataError, Position, TableError};
use crate::example::Example;
use crate::format::{DataFile, Format, Header};
use crate::own::choose_columns::{self, choose};
use crate::own::facts::{OwnFacts, RowCounter, RowCounts};
use crate::own::find::{self, find_files};
use crate::own::headerless;
use crate::own::hold_out::hold_out;
use crate::own::label_form::{LabelForm, ListShapes};
use crate::own::learn_labels::{Labels, Tally};
use crate::own::reader::Reader;
use crate::own::survey::Survey;
use crate::problem_type::ProblemType;
use crate::readers::raw_row::LabelRule;
use crate::request::{OnBadRow, OwnRequest};
use crate::sampling::{Classes, Picker, Sample};
use crate::skipped_rows::SkippedRows;
use crate::split_name::SplitName;
use crate::tasks::task::Task;

const RULES: [LabelRule; 3] = [
    LabelRule::Required,
    LabelRule::Required,
    LabelRule::Optional,
];

/// The user's own files, with all rows checked.
#[derive(Debug, Clone)]
pub struct OwnFiles {
    /// The task that the columns and labels form.
    pub task: Task,
    /// The columns that were not named but guessed: `text`, `pair`, `label`.
    pub guessed: Vec<&'static str>,
    /// Columns beside a guessed one that usually hold a part of the text.
    pub unread: Vec<String>,
    /// A folder of texts without a class that was left out beside those of the classes.
    pub without_class: Option<PathBuf>,
    /// The origin of the column names, as requested or as the first file shows.
    pub header: Header,
    /// The columns of the first file.
    pub survey: Survey,
    /// The findings of the first pass.
    pub facts: OwnFacts,
    files: [Vec<DataFile>; 3],
    hold_out: Option<DrawnRows>,
    on_bad_row: OnBadRow,
    label_separator: Option<String>,
    ignore_labels: bool,
}

fn find_all(request: &OwnRequest) -> Result<[Vec<DataFile>; 3], DataError> {
    let reading = &request.reading;
    let [train, validation, test] = request
        .files()
        .map(|(flag, given)| find_files(flag, given, reading));
    Ok([train?, validation?, test?])
}

impl OwnFiles {
    /// The files of a request, training files first.
    ///
    /// # Errors
    /// The errors that [`OwnFiles::open`] reports before it reads a row.
    pub fn find(request: &OwnRequest) -> Result<Vec<DataFile>, DataError> {
        Ok(find_all(request)?.into_iter().flatten().collect())
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
        let mut files = find_all(request)?;
        let Some(first) = files.iter().flatten().next() else {
            return Err(OwnDataError::none_given().into());
        };
        if first.format == Format::Conll {
            return Err(OwnDataError::OnlyTags {
                path: first.path.clone(),
            }
            .into());
        }
        let mut first = first.clone();
        first.header = headerless::settle(&first, &request.reading)?;
        for file in files.iter_mut().flatten() {
            file.header.clone_from(&first.header);
        }
        let survey = Survey::of(&first)?;
        let has_labels = !request.train.is_empty() || !request.validation.is_empty();
        let wants_label = has_labels && !request.ignore_labels;
        let chosen = choose(&first, &survey, &request.reading, wants_label)?;
        let unread = choose_columns::left_out(&survey, &chosen);
        let task = |labels: &Labels| Task::own(chosen.columns.clone(), labels.clone());
        let mut own = Self {
            // The labels are not known yet.
            task: task(&Labels::numbers()),
            guessed: chosen.guessed,
            unread,
            without_class: find::without_class(&request.train),
            header: first.header,
            survey,
            facts: OwnFacts {
                labels: Labels::numbers(),
                form: LabelForm::Value,
                counts: Default::default(),
                skipped: SkippedRows::default(),
                separator: None,
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
            own.hold_out = Some(hold_out(by_class, share, request.seed)?);
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
        let mut separator = None;
        let (labels, form) = match (known, problem_type, at) {
            (Some(known), _, at) => (known.clone(), self.form_of(at, known)?),
            (None, Some(ProblemType::Regression), _) | (None, _, None) => {
                (Labels::numbers(), LabelForm::Value)
            }
            (None, _, Some(at)) => {
                let mut reader = self.reader(at, &self.task, LabelForm::Value);
                let mut tally = Tally::new(&self.files[at], problem_type);
                let mut counter = RowCounter::default();
                let mut last = None;
                while let Some((file, row)) = reader.next_row()? {
                    tally.add(file, &row, reader.classes.as_ref())?;
                    counter.add_text(&row.text, row.pair.as_deref());
                    if last.as_ref() != Some(&row.label) {
                        counter.start_group();
                        last = Some(row.label);
                    }
                }
                reader.check_rows(at, counter.n_rows())?;
                let learned = tally.learn()?;
                separator = learned.separator;
                // If every row has a class, nothing is left to check.
                if let Some(by_class) = learned.by_class {
                    skipped.extend(reader.skipped);
                    counts[at] = Some(counter.finish_with(by_class));
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
            separator,
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
        let mut counter = RowCounter::default();
        while let Some(example) = reader.next_example()? {
            counter.add(&example);
        }
        reader.check_rows(at, counter.n_rows())?;
        skipped.extend(reader.skipped);
        Ok(counter.finish())
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

    /// The rows of a split, in the order of the files: all of them, or those of a sample. `train`
    /// gives the rows that are not held out, and `validation` those that are, or those of its
    /// files. Any other split gives the rows of the test files.
    ///
    /// Callers should stop at the first error.
    pub fn rows(&self, split: SplitName, sample: Option<Sample>) -> OwnRows<'_> {
        let (at, wanted) = self.place_of(split);
        OwnRows {
            reader: self.reader(at, &self.task, self.facts.form),
            wanted,
            strata: Strata::default(),
            seen: Seen::default(),
            picker: Picker::new(sample, &self.classes_of(split)),
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

    /// The files of a split, and the rows of them that it consists of.
    fn place_of(&self, split: SplitName) -> (usize, Option<Held<'_>>) {
        let held = |taken| self.hold_out.as_ref().map(|drawn| Held { drawn, taken });
        match (split, &self.hold_out) {
            (SplitName::Train, _) => (0, held(false)),
            (SplitName::Validation, Some(_)) => (0, held(true)),
            (SplitName::Validation, None) => (1, None),
            _ => (2, None),
        }
    }

    /// The classes of the rows that [`OwnFiles::rows`] delivers.
    fn classes_of(&self, split: SplitName) -> Classes {
        let (at, wanted) = self.place_of(split);
        let all = &self.facts.counts[at].by_class;
        Classes {
            by_class: match wanted {
                None => all.clone(),
                Some(Held { drawn, taken: true }) => drawn.by_class().to_vec(),
                Some(Held { drawn, .. }) => {
                    let held = drawn.by_class().iter();
                    all.iter().zip(held).map(|(all, held)| all - held).collect()
                }
            },
            covers_all: self.task.problem_type != ProblemType::MultiLabelClassification,
        }
    }

    /// The number of rows of a split.
    pub fn n_rows(&self, split: SplitName) -> usize {
        self.classes_of(split).by_class.iter().sum()
    }

    /// Whether the label is a part of the files' paths, so that each file holds rows of one label.
    pub fn label_is_in_path(&self) -> bool {
        let formats = [Format::Lines, Format::TextFile];
        let mut files = self.files.iter().flatten();
        files.all(|file| formats.contains(&file.format))
    }
}

/// The rows of training files that are held out (`taken`), or the others.
#[derive(Clone, Copy)]
struct Held<'a> {
    drawn: &'a DrawnRows,
    taken: bool,
}

/// The rows of a split of own files.
pub struct OwnRows<'a> {
    reader: Reader<'a>,
    wanted: Option<Held<'a>>,
    strata: Strata,
    /// The number of rows of each class so far.
    seen: Seen,
    picker: Picker,
}

impl Iterator for OwnRows<'_> {
    type Item = Result<Example, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.picker.is_over() {
            let example = match self.reader.next_example().transpose()? {
                Ok(example) => example,
                Err(error) => return Some(Err(error)),
            };
            let class = self.strata.class_of(example.label.as_ref());
            let is_here = self
                .wanted
                .is_none_or(|held| held.drawn.takes(class, self.seen.next(class)) == held.taken);
            if is_here && self.picker.takes(class) {
                return Some(Ok(example));
            }
        }
        None
    }
}
