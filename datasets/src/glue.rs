//! The table of tasks: the nine of GLUE (Wang et al. 2018) and the embedded sample. `task` looks names up here.
//!
//! Columns, label order and splits are those of the data set `glue` on the Hugging Face hub; the TSV names are those of
//! the official download. WNLI's ids are the other way round than RTE's: that is how they are published.

use crate::split::SplitName;
use crate::task::{Column, Headerless, Metric, ProblemType, Task};

const fn same(name: &'static str) -> Column {
    Column {
        name,
        tsv_name: None,
    }
}

const fn renamed(name: &'static str, tsv_name: &'static str) -> Column {
    Column {
        name,
        tsv_name: Some(tsv_name),
    }
}

const ONE_EVAL: &[SplitName] = &[SplitName::Validation];
const ONE_TEST: &[SplitName] = &[SplitName::Test];
const CLASSES: ProblemType = ProblemType::SingleLabelClassification;

pub(crate) static TASKS: &[Task] = &[
    Task {
        name: "cola",
        glue_folder: Some("CoLA"),
        first: same("sentence"),
        second: None,
        label: same("label"),
        labels: &["unacceptable", "acceptable"],
        problem_type: CLASSES,
        metrics: &[Metric::Matthews],
        eval_splits: ONE_EVAL,
        test_splits: ONE_TEST,
        // source, label, the linguists' mark, sentence
        headerless: Some(Headerless {
            n_columns: 4,
            first: 3,
            label: 1,
        }),
    },
    Task {
        name: "sst2",
        glue_folder: Some("SST-2"),
        first: same("sentence"),
        second: None,
        label: same("label"),
        labels: &["negative", "positive"],
        problem_type: CLASSES,
        metrics: &[Metric::Accuracy],
        eval_splits: ONE_EVAL,
        test_splits: ONE_TEST,
        headerless: None,
    },
    Task {
        name: "mrpc",
        glue_folder: Some("MRPC"),
        first: renamed("sentence1", "#1 String"),
        second: Some(renamed("sentence2", "#2 String")),
        label: renamed("label", "Quality"),
        labels: &["not_equivalent", "equivalent"],
        problem_type: CLASSES,
        metrics: &[Metric::Accuracy, Metric::F1],
        eval_splits: ONE_EVAL,
        test_splits: ONE_TEST,
        headerless: None,
    },
    Task {
        name: "stsb",
        glue_folder: Some("STS-B"),
        first: same("sentence1"),
        second: Some(same("sentence2")),
        label: renamed("label", "score"),
        labels: &[],
        problem_type: ProblemType::Regression,
        metrics: &[Metric::Pearson, Metric::Spearman],
        eval_splits: ONE_EVAL,
        test_splits: ONE_TEST,
        headerless: None,
    },
    Task {
        name: "qqp",
        glue_folder: Some("QQP"),
        first: same("question1"),
        second: Some(same("question2")),
        label: renamed("label", "is_duplicate"),
        labels: &["not_duplicate", "duplicate"],
        problem_type: CLASSES,
        metrics: &[Metric::Accuracy, Metric::F1],
        eval_splits: ONE_EVAL,
        test_splits: ONE_TEST,
        headerless: None,
    },
    Task {
        name: "mnli",
        glue_folder: Some("MNLI"),
        first: renamed("premise", "sentence1"),
        second: Some(renamed("hypothesis", "sentence2")),
        label: renamed("label", "gold_label"),
        labels: &["entailment", "neutral", "contradiction"],
        problem_type: CLASSES,
        metrics: &[Metric::Accuracy],
        eval_splits: &[
            SplitName::ValidationMatched,
            SplitName::ValidationMismatched,
        ],
        test_splits: &[SplitName::TestMatched, SplitName::TestMismatched],
        headerless: None,
    },
    Task {
        name: "qnli",
        glue_folder: Some("QNLI"),
        first: same("question"),
        second: Some(same("sentence")),
        label: same("label"),
        labels: &["entailment", "not_entailment"],
        problem_type: CLASSES,
        metrics: &[Metric::Accuracy],
        eval_splits: ONE_EVAL,
        test_splits: ONE_TEST,
        headerless: None,
    },
    Task {
        name: "rte",
        glue_folder: Some("RTE"),
        first: same("sentence1"),
        second: Some(same("sentence2")),
        label: same("label"),
        labels: &["entailment", "not_entailment"],
        problem_type: CLASSES,
        metrics: &[Metric::Accuracy],
        eval_splits: ONE_EVAL,
        test_splits: ONE_TEST,
        headerless: None,
    },
    Task {
        name: "wnli",
        glue_folder: Some("WNLI"),
        first: same("sentence1"),
        second: Some(same("sentence2")),
        label: same("label"),
        labels: &["not_entailment", "entailment"],
        problem_type: CLASSES,
        metrics: &[Metric::Accuracy],
        eval_splits: ONE_EVAL,
        test_splits: ONE_TEST,
        headerless: None,
    },
    Task {
        name: "sample",
        glue_folder: None,
        first: same("sentence"),
        second: None,
        label: same("label"),
        labels: &["negative", "positive"],
        problem_type: CLASSES,
        metrics: &[Metric::Accuracy],
        eval_splits: ONE_EVAL,
        test_splits: &[],
        headerless: None,
    },
];
