//! What a task is: columns, labels, problem type, metrics, splits. The host asks for one by name; the readers take their
//! column names from it. The tasks themselves are the table in `glue`.

use crate::error::DataError;
use crate::glue::TASKS;
use crate::nearest::nearest;
use crate::split::SplitName;

/// Hugging Face's `problem_type` of a sequence classification head, which picks the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemType {
    /// One of several classes; cross-entropy.
    SingleLabelClassification,
    /// One number; mean squared error.
    Regression,
}

impl ProblemType {
    /// The value of `problem_type` in `config.json`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SingleLabelClassification => "single_label_classification",
            Self::Regression => "regression",
        }
    }
}

/// A metric's name; the host computes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Share of examples with the right class.
    Accuracy,
    /// F1 of class 1.
    F1,
    /// Matthews correlation coefficient.
    Matthews,
    /// Pearson's correlation.
    Pearson,
    /// Spearman's rank correlation.
    Spearman,
}

impl Metric {
    /// The key that Hugging Face's `glue` metric reports (in `all_results.json` with `eval_` before it).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::F1 => "f1",
            Self::Matthews => "matthews_correlation",
            Self::Pearson => "pearson",
            Self::Spearman => "spearmanr",
        }
    }
}

/// A column under each of its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// The name in the Hugging Face data set (parquet, JSONL).
    pub name: &'static str,
    /// The name in the official GLUE TSV files where it is another one, such as `#1 String`.
    pub tsv_name: Option<&'static str>,
}

impl Column {
    /// Both names, Hugging Face's first: where a file has both, that one is read.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.tsv_name)
    }
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

/// A supervised task over one text or a pair of texts. All of them are constants of this crate: see [`Task::all`].
#[derive(Debug, PartialEq, Eq)]
pub struct Task {
    /// The name of the configuration in Hugging Face's `glue`, in lower case (`sst2`), or `sample`.
    pub name: &'static str,
    /// The folder's name in the official GLUE download (`SST-2`), tried below the data directory as `name` is; `None`
    /// for a task that is made in memory and reads no file.
    pub glue_folder: Option<&'static str>,
    /// The (first) text.
    pub first: Column,
    /// The second text of a sentence-pair task.
    pub second: Option<Column>,
    /// The label or score.
    pub label: Column,
    /// Label names by class id, in Hugging Face's order; empty for regression.
    pub labels: &'static [&'static str],
    /// What the head predicts.
    pub problem_type: ProblemType,
    /// What GLUE reports, most important first.
    pub metrics: &'static [Metric],
    /// The splits to evaluate on: one, but two for MNLI.
    pub eval_splits: &'static [SplitName],
    /// The test splits, which GLUE publishes without labels; none for the sample.
    pub test_splits: &'static [SplitName],
    /// The layout of TSV files that have no header, if the task has such files.
    pub headerless: Option<Headerless>,
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
            .find(|task| task.name == wanted)
            .ok_or_else(|| DataError::UnknownTask {
                name: name.to_owned(),
                nearest: nearest(&wanted, TASKS.iter().map(|task| task.name))
                    .unwrap_or_default()
                    .to_owned(),
                known: TASKS.iter().map(|task| task.name.to_owned()).collect(),
            })
    }

    /// The nine GLUE tasks and `sample`.
    pub fn all() -> &'static [Task] {
        TASKS
    }

    /// The size of the head's output: the number of classes, 1 for regression.
    pub fn num_labels(&self) -> usize {
        self.labels.len().max(1)
    }

    /// The columns' Hugging Face names: first text, second text if any.
    pub fn columns(&self) -> (&'static str, Option<&'static str>) {
        (self.first.name, self.second.map(|column| column.name))
    }

    /// Every split the task has: train, those to evaluate on, test.
    pub fn splits(&self) -> impl Iterator<Item = SplitName> + use<> {
        let (eval, test) = (self.eval_splits, self.test_splits);
        std::iter::once(SplitName::Train)
            .chain(eval.iter().copied())
            .chain(test.iter().copied())
    }

    /// Whether the task's examples are made in memory (`sample`), so that no data directory is needed.
    pub fn is_generated(&self) -> bool {
        self.glue_folder.is_none()
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
        ] {
            assert_eq!(Task::by_name(given).map(|task| task.name).ok(), Some(found));
        }
        for task in Task::all() {
            assert_eq!(Task::by_name(task.name).ok(), Some(task));
        }
        assert_eq!(Task::all().len(), 10);
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest_and_all() {
        let message = Task::by_name("mrcp")
            .map(|t| t.name)
            .unwrap_err()
            .to_string();
        assert_eq!(
            message,
            "unknown task `mrcp`: the nearest name is `mrpc`; expected one of `cola`, `sst2`, `mrpc`, `stsb`, `qqp`, \
             `mnli`, `qnli`, `rte`, `wnli`, `sample`"
        );
        assert!(Task::by_name("").is_err());
    }

    #[test]
    fn the_label_order_is_hugging_faces() {
        let labels = |name| {
            Task::by_name(name)
                .map(|task| task.labels)
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
            let regression = task.problem_type == ProblemType::Regression;
            assert_eq!(task.labels.is_empty(), regression, "{}", task.name);
            assert!(task.num_labels() == 1 || !regression);
            assert!(!task.metrics.is_empty() && !task.eval_splits.is_empty());
        }
        assert_eq!(ProblemType::Regression.as_str(), "regression");
        assert_eq!(
            ProblemType::SingleLabelClassification.as_str(),
            "single_label_classification"
        );
    }
}
