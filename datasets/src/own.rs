//! The user's own files, as the command line speaks of them, and the [`Task`] they make. The host makes an [`OwnRequest`]
//! for training, evaluation, prediction and `data inspect`; `own_files` reads it.

use crate::error::DataError;
use crate::example::Example;
use crate::format::{Format, Header, TextEncoding};
use crate::learn_labels::Labels;
use crate::metric::Metric;
use crate::own_files::OwnFiles;
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
    /// Where the names of CSV and TSV columns are.
    pub header: Header,
    /// The column of the (first) text.
    pub text_column: Option<String>,
    /// The column of the second text; only with a text column, or as usual names have it.
    pub pair_column: Option<String>,
    /// The column of the label.
    pub label_column: Option<String>,
    /// What lies between the labels of a row in one text; there are several labels a row then.
    pub label_separator: Option<String>,
    /// What is predicted.
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

    /// Takes in those of another file.
    pub(crate) fn extend(&mut self, other: Self) {
        self.n_rows += other.n_rows;
        let room = Self::N_LISTED.saturating_sub(self.reasons.len());
        self.reasons.extend(other.reasons.into_iter().take(room));
    }

    pub(crate) fn add(&mut self, error: &DataError) {
        self.n_rows += 1;
        if self.reasons.len() < Self::N_LISTED {
            self.reasons.push(error.to_string());
        }
    }

    pub(crate) fn append(&mut self, other: Self) {
        self.n_rows += other.n_rows;
        let room = Self::N_LISTED.saturating_sub(self.reasons.len());
        self.reasons.extend(other.reasons.into_iter().take(room));
    }
}

/// All that files of the user's own hold, in memory: for tests and for small files; [`OwnFiles`] gives row by row.
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
    /// Reads all files of `request`, as [`OwnFiles::open`] does.
    ///
    /// # Errors
    /// See [`DataError`] and [`crate::OwnDataError`].
    pub fn load(request: &OwnRequest, known: Option<&Labels>) -> Result<Self, DataError> {
        let files = OwnFiles::open(request, known, None)?;
        let rows = |split| files.rows(split).collect::<Result<Vec<_>, _>>();
        Ok(Self {
            train: rows(SplitName::Train)?,
            validation: rows(SplitName::Validation)?,
            test: rows(SplitName::Test)?,
            task: files.task,
            guessed: files.guessed,
            survey: files.survey,
            skipped: files.facts.skipped,
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
                if labels.names.iter().any(|tag| is_part(tag)) =>
            {
                vec![
                    Metric::F1,
                    Metric::Precision,
                    Metric::Recall,
                    Metric::Accuracy,
                ]
            }
            (ProblemType::TokenClassification, _) => vec![Metric::Accuracy],
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
            has_unanswerable: false,
        }
    }
}
