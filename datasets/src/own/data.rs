//! The user's own files as the command line describes them, and the [`Task`] that they form. The
//! host makes an [`OwnRequest`] for training, evaluation, prediction and `data inspect`;
//! `own::files` reads it.

use crate::columns::Columns;
use crate::error::DataError;
use crate::example::Example;
use crate::own::files::OwnFiles;
use crate::own::learn_labels::Labels;
use crate::own::survey::Survey;
use crate::problem_type::ProblemType;
use crate::request::OwnRequest;
use crate::skipped_rows::SkippedRows;
use crate::split_name::SplitName;
use crate::tag_scheme::repair::is_part;
use crate::tasks::metric::Metric;
use crate::tasks::task::{Task, TaskSource};

/// The name of a task made of the user's own files.
pub const OWN_TASK: &str = "own";

/// The contents of the user's own files, in memory, for tests and for small files. [`OwnFiles`]
/// delivers one row at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnData {
    /// The task that the columns and labels form.
    pub task: Task,
    /// Training rows; empty without training files.
    pub train: Vec<Example>,
    /// Validation rows, from their own files or held out; empty without either.
    pub validation: Vec<Example>,
    /// Test rows; empty without test files.
    pub test: Vec<Example>,
    /// The columns that were not named but guessed: `text`, `pair`, `label`.
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
        let rows = |split| files.rows(split, None).collect::<Result<Vec<_>, _>>();
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
    /// The task formed by columns and labels of the user's own. Its metrics are accuracy and F1, or
    /// the correlations and mean errors for numbers. Tags of which none begins or continues an
    /// entity have only accuracy.
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
            // A schedule is told the first metric.
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
            // Answers have their own measures.
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
