//! The user's own files: from what the command line says to a [`Task`] and its examples. The host calls it for training,
//! evaluation, prediction and `data inspect`.
//!
//! Files are found first, then columns chosen from the first file, then all rows read; the labels are learned from the
//! training rows, or are those of a model. Only then are rows examples.

use crate::choose_columns::choose;
use crate::error::{DataError, OwnDataError};
use crate::example::{Example, Label};
use crate::files::find_files;
use crate::format::{DataFile, Format, TextEncoding};
use crate::hold_out::hold_out;
use crate::label::LabelRule;
use crate::learn_labels::{Labels, learn};
use crate::metric::Metric;
use crate::rows::{RawRow, open};
use crate::split::SplitName;
use crate::survey::Survey;
use crate::tag_repair::{RepairTags, is_part};
use crate::task::{Columns, ProblemType, Task, TaskSource};

/// The name of a task made of the user's own files.
pub const OWN_TASK: &str = "own";

/// What is done about a row that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnBadRow {
    /// The first one is an error.
    #[default]
    Error,
    /// It is left out, and told of.
    Skip,
}

/// How files are read, as far as the user says; what is `None` is told by names and values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// The format of all files.
    pub format: Option<Format>,
    /// The encoding of text files.
    pub encoding: TextEncoding,
    /// The column of the (first) text.
    pub text_column: Option<String>,
    /// The column of the second text; only with a text column, or as usual names have it.
    pub pair_column: Option<String>,
    /// The column of the label.
    pub label_column: Option<String>,
    /// What lies between the labels of a row in one text; there are several labels a row then.
    pub label_separator: Option<String>,
    /// Classes or numbers.
    pub problem_type: Option<ProblemType>,
    /// What is done about a row that is wrong.
    pub on_bad_row: OnBadRow,
    /// What is done about tags that continue nothing, or are in another scheme than BIO; `None` is nothing.
    pub repair_tags: Option<RepairTags>,
}

/// The files of each split (paths, directories or patterns) and how to read them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OwnRequest {
    /// Training files.
    pub train: Vec<String>,
    /// Validation files.
    pub validation: Vec<String>,
    /// Test files; rows may be without labels.
    pub test: Vec<String>,
    /// The share of the training rows that are for validation, above 0 and below 1.
    pub validation_split: Option<f64>,
    /// Decides which rows those are.
    pub seed: u64,
    /// Whether labels are left alone: for prediction.
    pub ignore_labels: bool,
    /// How to read them.
    pub reading: Reading,
}

/// Rows that were left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SkippedRows {
    /// How many.
    pub n_rows: usize,
    /// What was wrong with the first [`SkippedRows::N_LISTED`] of them, with file and line.
    pub reasons: Vec<String>,
}

impl SkippedRows {
    /// How many are listed: enough to read, too few to fill the memory.
    pub const N_LISTED: usize = 10_000;

    pub(crate) fn add(&mut self, error: &DataError) {
        self.n_rows += 1;
        if self.reasons.len() < Self::N_LISTED {
            self.reasons.push(error.to_string());
        }
    }
}

/// What was read.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnData {
    /// The task that the columns and labels make.
    pub task: Task,
    /// Training rows; empty without training files.
    pub train: Vec<Example>,
    /// Validation rows, from their files or held out; empty without either.
    pub validation: Vec<Example>,
    /// Test rows; empty without test files.
    pub test: Vec<Example>,
    /// Which columns were not named but guessed: `text`, `pair`, `label`.
    pub guessed: Vec<&'static str>,
    /// The columns of the first file.
    pub survey: Survey,
    /// Rows left out.
    pub skipped: SkippedRows,
}

impl OwnData {
    /// Reads all files of `request`. `known` are the labels of a model; without it they are learned from the training
    /// rows, or from the first split there is.
    ///
    /// # Errors
    /// See [`DataError`] and [`OwnDataError`].
    ///
    /// # Panics
    /// Never; a request without files gives no rows and is an error.
    pub fn load(request: &OwnRequest, known: Option<&Labels>) -> Result<Self, DataError> {
        let reading = &request.reading;
        let files_of =
            |flag, given: &[String]| find_files(flag, given, reading.format, reading.encoding);
        let splits = [
            ("--train-file", files_of("--train-file", &request.train)?),
            (
                "--validation-file",
                files_of("--validation-file", &request.validation)?,
            ),
            ("--test-file", files_of("--test-file", &request.test)?),
        ];
        let Some(first) = splits.iter().find_map(|(_, files)| files.first()) else {
            return Err(OwnDataError::NoFiles {
                flag: "--train-file",
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
        let chosen = choose(first, &survey, reading, wants_label)?;

        let mut reader = Reader {
            columns: &chosen.columns,
            on_bad_row: reading.on_bad_row,
            label_separator: reading.label_separator.clone(),
            ignore_labels: request.ignore_labels,
            skipped: SkippedRows::default(),
        };
        let rules = [
            LabelRule::Required,
            LabelRule::Required,
            LabelRule::Optional,
        ];
        let mut rows = Vec::new();
        for ((flag, files), rule) in splits.iter().zip(rules) {
            rows.push(reader.read(flag, files, rule)?);
        }
        let labels = match known {
            Some(known) => known.clone(),
            None => {
                let at = rows.iter().position(|rows| !rows.is_empty()).unwrap_or(0);
                learn(&splits[at].1, &rows[at], reading.problem_type)?
            }
        };
        let task = Task::own(chosen.columns.clone(), labels);
        let mut examples = Vec::new();
        for (((flag, files), rule), rows) in splits.iter().zip(rules).zip(rows) {
            examples.push(reader.understand(&task, flag, files, rule, rows)?);
        }
        let skipped = reader.skipped;
        let [mut train, mut validation, test] =
            <[Vec<Example>; 3]>::try_from(examples).unwrap_or_default();
        if let Some(share) = request.validation_split {
            let class_of = |example: &Example| match &example.label {
                Some(Label::Class(id)) => *id as usize,
                Some(Label::Classes(_) | Label::Score(_)) | None => 0,
            };
            let classes: Vec<usize> = train.iter().map(class_of).collect();
            (train, validation) = hold_out(train, &classes, share, request.seed)?;
        }
        Ok(Self {
            task,
            train,
            validation,
            test,
            guessed: chosen.guessed,
            survey,
            skipped,
        })
    }
}

impl Task {
    /// The task that columns and labels of the user's own make; with accuracy and F1, or for numbers the correlations
    /// and mean errors, as metrics. Tags of which none begins or continues an entity have accuracy alone.
    pub fn own(columns: Columns, labels: Labels) -> Self {
        let metrics = match (labels.problem_type, labels.names.len()) {
            (ProblemType::Regression, _) => {
                vec![Metric::Pearson, Metric::Spearman, Metric::Mse, Metric::Mae]
            }
            (ProblemType::SingleLabelClassification, 2) => vec![Metric::Accuracy, Metric::F1],
            (ProblemType::SingleLabelClassification, _) => {
                vec![Metric::Accuracy, Metric::F1Macro]
            }
            (ProblemType::MultiLabelClassification, _) => vec![
                Metric::F1Micro,
                Metric::F1Macro,
                Metric::F1Weighted,
                Metric::Accuracy,
                Metric::Auroc,
            ],
            // The first is the one that a schedule is told.
            (ProblemType::TokenClassification, _)
                if !labels.names.iter().any(|tag| is_part(tag)) =>
            {
                vec![Metric::Accuracy]
            }
            (ProblemType::TokenClassification, _) => vec![
                Metric::F1,
                Metric::Precision,
                Metric::Recall,
                Metric::Accuracy,
            ],
            // Measured by what it is made of: answers.
            (ProblemType::QuestionAnswering, _) => Vec::new(),
        };
        Self {
            name: OWN_TASK.to_owned(),
            source: TaskSource::Own,
            columns,
            labels: labels.names,
            problem_type: labels.problem_type,
            metrics,
            eval_splits: vec![SplitName::Validation],
            test_splits: vec![SplitName::Test],
            headerless: None,
        }
    }
}

/// Reads rows, and leaves out those that are wrong if it may.
struct Reader<'a> {
    columns: &'a Columns,
    on_bad_row: OnBadRow,
    label_separator: Option<String>,
    ignore_labels: bool,
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

    /// The rows of all files, each with its file's index.
    fn read(
        &mut self,
        flag: &'static str,
        files: &[DataFile],
        rule: LabelRule,
    ) -> Result<Vec<(usize, RawRow)>, DataError> {
        let rule = match self.ignore_labels {
            true => LabelRule::Optional,
            false => rule,
        };
        let mut rows = Vec::new();
        for (at, file) in files.iter().enumerate() {
            let mut reader = open(file, self.columns, None, rule)?;
            loop {
                match self.pass(reader.next_row())? {
                    None => {}
                    Some(None) => break,
                    Some(Some(mut row)) => {
                        if let Some(separator) = &self.label_separator {
                            row.label = row.label.split(separator);
                        }
                        rows.push((at, row));
                    }
                }
            }
        }
        self.check_rows(flag, files, rows.len())?;
        Ok(rows)
    }

    fn understand(
        &mut self,
        task: &Task,
        flag: &'static str,
        files: &[DataFile],
        rule: LabelRule,
        rows: Vec<(usize, RawRow)>,
    ) -> Result<Vec<Example>, DataError> {
        let mut examples = Vec::with_capacity(rows.len());
        for (at, mut row) in rows {
            let mut rule = rule;
            if self.ignore_labels {
                row.label = crate::cell::Cell::Absent;
                rule = LabelRule::Optional;
            }
            let example = self.pass(row.into_example(task, &files[at], rule))?;
            examples.extend(example);
        }
        self.check_rows(flag, files, examples.len())?;
        Ok(examples)
    }

    fn check_rows(
        &self,
        flag: &'static str,
        files: &[DataFile],
        n_rows: usize,
    ) -> Result<(), DataError> {
        let Some(file) = files.first().filter(|_| n_rows == 0) else {
            return Ok(());
        };
        let found = match self.skipped.reasons.last() {
            None => "none".to_owned(),
            Some(reason) => format!("none that is good; the last that was left out: {reason}"),
        };
        Err(OwnDataError::NoRows {
            flag,
            path: file.path.clone(),
            found,
        }
        .into())
    }
}
