//! The definition of a task: columns, labels, problem type, metrics, splits. The host looks one up
//! by name, or has `own` make one from the user's files. The readers take their column names from
//! it. The named tasks are the table in `tasks::named`.

use crate::columns::{Columns, Headerless};
use crate::problem_type::ProblemType;
use crate::split_name::SplitName;
use crate::tasks::metric::Metric;

/// A grammar that generates the rows of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generator {
    /// The task `sample`: `sample::generate`.
    Sample,
    /// The task `sample_pairs`:
    /// `sample_pairs::generate`.
    SamplePairs,
}

/// The origin of a task's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskSource {
    /// Generated in memory by a grammar; no file is read.
    Generated(Generator),
    /// A download of GLUE, whose official folder has this name (`SST-2`).
    Glue(String),
    /// A download of SQuAD: questions about texts.
    Squad,
    /// The user's own files. Labels are identified by their names, which were learned from the
    /// training rows or read from a model's `id2label`.
    Own,
}

/// A supervised task over one text or a pair of texts: GLUE's and the generated ones
/// ([`Task::all`]), or one made from the user's own files ([`OwnData`](crate::OwnData)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The name: a configuration of Hugging Face's `glue` in lower case (`sst2`), `squad`,
    /// `squad_v2`, `sample`, `sample_pairs`, or `own`.
    pub name: String,
    /// The origin of its rows.
    pub source: TaskSource,
    /// The columns read from a row.
    pub columns: Columns,
    /// Label names by class id, in Hugging Face's order; empty for regression.
    pub labels: Vec<String>,
    /// The kind of prediction that the head makes.
    pub problem_type: ProblemType,
    /// The reported metrics, most important first: GLUE's choice, or the user's.
    pub metrics: Vec<Metric>,
    /// The splits to evaluate on: one, or two for MNLI.
    pub eval_splits: Vec<SplitName>,
    /// The test splits, which GLUE publishes without labels; none for generated tasks.
    pub test_splits: Vec<SplitName>,
    /// The layout of TSV files that have no header, if the task has such files.
    pub(crate) headerless: Option<Headerless>,
    /// Whether a question may lack an answer (SQuAD v2.0); false for tasks without questions.
    pub has_unanswerable: bool,
}

impl Task {
    /// The size of the head's output: the number of classes, 1 for regression.
    pub fn num_labels(&self) -> usize {
        self.labels.len().max(1)
    }

    /// Every split of the task: train, the evaluation splits, test.
    pub fn splits(&self) -> impl Iterator<Item = SplitName> {
        std::iter::once(SplitName::Train)
            .chain(self.eval_splits.iter().copied())
            .chain(self.test_splits.iter().copied())
    }

    /// Whether the task's examples are generated in memory (`sample`, `sample_pairs`), so that no
    /// data directory is needed.
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
            "unknown task `mrcp`; did you mean 'mrpc'? Expected one of `cola`, `sst2`, `mrpc`, `stsb`, `qqp`, \
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
