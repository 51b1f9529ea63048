//! What a task is: columns, labels, problem type, metrics, splits. The host asks for one by name, or has `own` make one of the
//! user's files; the readers take their column names from it. The named tasks are the table in `glue`.

use crate::error::DataError;
use crate::glue::TASKS;
use crate::metric::Metric;
use crate::nearest::nearest;
use crate::split::SplitName;

/// What the head predicts, which picks head and loss: the values of Hugging Face's `problem_type` for a text or a pair as
/// a whole, and the two kinds of task that read every token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemType {
    /// One of several classes; cross-entropy.
    SingleLabelClassification,
    /// Any number of several labels; binary cross-entropy.
    MultiLabelClassification,
    /// One number; mean squared error.
    Regression,
    /// A tag for every word; cross-entropy at each word's first token.
    TokenClassification,
    /// The first and the last token of the answer in a text; cross-entropy of each.
    QuestionAnswering,
}

impl ProblemType {
    /// The name in configurations and records: for a head of whole texts, the value of `problem_type` in `config.json`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SingleLabelClassification => "single_label_classification",
            Self::MultiLabelClassification => "multi_label_classification",
            Self::Regression => "regression",
            Self::TokenClassification => "token_classification",
            Self::QuestionAnswering => "question_answering",
        }
    }

    /// The kind with this name.
    pub fn by_name(name: &str) -> Option<Self> {
        [
            Self::SingleLabelClassification,
            Self::MultiLabelClassification,
            Self::Regression,
            Self::TokenClassification,
            Self::QuestionAnswering,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == name)
    }

    /// Whether the head reads every token; else each text's first.
    pub fn reads_every_token(self) -> bool {
        matches!(self, Self::TokenClassification | Self::QuestionAnswering)
    }
}

/// A column under each of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name in the Hugging Face data set (parquet, JSONL), or in a file of the user's own.
    pub name: String,
    /// The name in the official GLUE TSV files where it is another one, such as `#1 String`.
    pub tsv_name: Option<String>,
}

impl Column {
    /// A column with one name.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            tsv_name: None,
        }
    }

    /// Both names, Hugging Face's first: where a file has both, that one is read.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.tsv_name.as_deref())
    }
}

/// The columns that make an [`Example`](crate::Example) of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// The (first) text.
    pub first: Column,
    /// The second text of a sentence-pair task.
    pub second: Option<Column>,
    /// The label or score.
    pub label: Column,
}

/// Where the columns of a TSV file without a header are, counted from 0. Only CoLA's train and dev files are like that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headerless {
    /// The number of cells a row has.
    pub n_columns: usize,
    /// The cell of the first text.
    pub first: usize,
    /// The cell of the label.
    pub label: usize,
}

/// A grammar that makes the rows of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generator {
    /// The task `sample`: [`sample::generate`](crate::sample::generate).
    Sample,
    /// The task `sample_pairs`: [`sample_pairs::generate`](crate::sample_pairs::generate).
    SamplePairs,
}

/// Where a task's rows come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskSource {
    /// Made in memory by a grammar: no file is read.
    Generated(Generator),
    /// A download of GLUE, whose official folder has this name (`SST-2`).
    Glue(String),
    /// A download of SQuAD: questions about texts.
    Squad,
    /// The user's own files; labels are known by their names, which were learned from the training rows or read from a
    /// model's `id2label`.
    Own,
}

/// A supervised task over one text or a pair of texts: GLUE's and the generated ones ([`Task::all`]), or one made of the user's
/// own files ([`OwnData`](crate::OwnData)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The name of the configuration in Hugging Face's `glue`, in lower case (`sst2`), `squad`, `squad_v2`, `sample`,
    /// `sample_pairs`, or `own`.
    pub name: String,
    /// Where its rows come from.
    pub source: TaskSource,
    /// What is read of a row.
    pub columns: Columns,
    /// Label names by class id, in Hugging Face's order; empty for regression.
    pub labels: Vec<String>,
    /// What the head predicts.
    pub problem_type: ProblemType,
    /// What is reported, most important first: GLUE's choice, or the user's.
    pub metrics: Vec<Metric>,
    /// The splits to evaluate on: one, but two for MNLI.
    pub eval_splits: Vec<SplitName>,
    /// The test splits, which GLUE publishes without labels; none for what is generated.
    pub test_splits: Vec<SplitName>,
    /// The layout of TSV files that have no header, if the task has such files.
    pub headerless: Option<Headerless>,
    /// Whether a question may be without an answer (SQuAD v2.0); false for tasks that ask none.
    pub has_unanswerable: bool,
}

impl Task {
    /// The task named `name`, in any case and with or without hyphens and underscores (`SST-2`, `sts_b`).
    ///
    /// # Errors
    /// [`DataError::UnknownTask`] names the nearest task and lists all.
    pub fn by_name(name: &str) -> Result<&'static Task, DataError> {
        let wanted = name.to_lowercase().replace(['-', '_'], "");
        TASKS
            .iter()
            .find(|task| task.name.replace('_', "") == wanted)
            .ok_or_else(|| DataError::UnknownTask {
                name: name.to_owned(),
                nearest: nearest(&wanted, TASKS.iter().map(|task| task.name.as_str()))
                    .unwrap_or_default()
                    .to_owned(),
                known: TASKS.iter().map(|task| task.name.clone()).collect(),
            })
    }

    /// The nine GLUE tasks, `sample`, `sample_pairs`, `squad` and `squad_v2`.
    pub fn all() -> &'static [Task] {
        &TASKS
    }

    /// The size of the head's output: the number of classes, 1 for regression.
    pub fn num_labels(&self) -> usize {
        self.labels.len().max(1)
    }

    /// Every split the task has: train, those to evaluate on, test.
    pub fn splits(&self) -> impl Iterator<Item = SplitName> {
        std::iter::once(SplitName::Train)
            .chain(self.eval_splits.iter().copied())
            .chain(self.test_splits.iter().copied())
    }

    /// Whether the task's examples are made in memory (`sample`, `sample_pairs`), so that no data directory is needed.
    pub fn is_generated(&self) -> bool {
        matches!(self.source, TaskSource::Generated(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_spelling() {
        for (given, found) in [
            ("sst-2", "sst2"),
            ("STS-B", "stsb"),
            ("sts_b", "stsb"),
            ("MRPC", "mrpc"),
            ("SQuAD-v2", "squad_v2"),
            ("squadv2", "squad_v2"),
            ("sample-pairs", "sample_pairs"),
        ] {
            let name = Task::by_name(given).map(|task| task.name.as_str());
            assert_eq!(name.ok(), Some(found));
        }
        for task in Task::all() {
            assert_eq!(Task::by_name(&task.name).ok(), Some(task));
        }
        assert_eq!(Task::all().len(), 13);
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest_and_all() {
        let message = Task::by_name("mrcp")
            .map(|t| &t.name)
            .unwrap_err()
            .to_string();
        assert_eq!(
            message,
            "unknown task `mrcp`: the nearest name is `mrpc`; expected one of `cola`, `sst2`, `mrpc`, `stsb`, `qqp`, \
             `mnli`, `qnli`, `rte`, `wnli`, `sample`, `sample_pairs`, `squad`, `squad_v2`"
        );
        assert!(Task::by_name("").is_err());
    }

    #[test]
    fn the_label_order_is_hugging_faces() {
        let labels = |name| {
            Task::by_name(name)
                .map(|task| task.labels.clone())
                .unwrap_or_default()
        };
        assert_eq!(labels("cola"), ["unacceptable", "acceptable"]);
        assert_eq!(labels("sst2"), ["negative", "positive"]);
        assert_eq!(labels("mrpc"), ["not_equivalent", "equivalent"]);
        assert_eq!(labels("qqp"), ["not_duplicate", "duplicate"]);
        assert_eq!(labels("mnli"), ["entailment", "neutral", "contradiction"]);
        assert_eq!(labels("qnli"), ["entailment", "not_entailment"]);
        assert_eq!(labels("rte"), ["entailment", "not_entailment"]);
        assert_eq!(labels("wnli"), ["not_entailment", "entailment"]);
        assert!(labels("stsb").is_empty());
    }

    #[test]
    fn regression_has_one_output_and_no_names() {
        for task in Task::all() {
            let (questions, regression) = (
                task.problem_type == ProblemType::QuestionAnswering,
                task.problem_type == ProblemType::Regression,
            );
            assert_eq!(
                task.labels.is_empty(),
                regression || questions,
                "{}",
                task.name
            );
            assert!(task.num_labels() == 1 || !regression);
            assert_eq!(task.metrics.is_empty(), questions, "answers have their own");
            assert!(!task.eval_splits.is_empty());
        }
        assert_eq!(ProblemType::Regression.as_str(), "regression");
        assert_eq!(
            ProblemType::SingleLabelClassification.as_str(),
            "single_label_classification"
        );
    }
}
