//! The table of tasks: the nine of GLUE (Wang et al. 2018), the two generated ones, and SQuAD's
//! two. [`Task::by_name`] looks them up here.
//!
//! Columns, label order and splits are those of the data set `glue` on the Hugging Face hub. The
//! TSV names are those of the official download. WNLI's ids are reversed relative to RTE's, as
//! published.

use std::sync::LazyLock;

use crate::columns::{Column, Columns, Headerless};
use crate::error::{DataError, suggestion};
use crate::problem_type::ProblemType;
use crate::split_name::SplitName;
use crate::tasks::metric::Metric;
use crate::tasks::task::{Generator, Task, TaskSource};

/// A column's name, followed by its name in the official TSV files if that differs.
type Names = (&'static str, Option<&'static str>);

const LABEL: Names = ("label", None);

impl Task {
    /// The task named `name`, in any case and with or without hyphens and underscores (`SST-2`,
    /// `sts_b`).
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
                suggestion: suggestion(&wanted, TASKS.iter().map(|task| task.name.as_str())),
                known: TASKS.iter().map(|task| task.name.clone()).collect(),
            })
    }

    /// The nine GLUE tasks, `sample`, `sample_pairs`, `squad` and `squad_v2`.
    pub fn all() -> &'static [Task] {
        &TASKS
    }
}

static TASKS: LazyLock<Vec<Task>> = LazyLock::new(|| {
    let accuracy = [Metric::Accuracy];
    let with_f1 = [Metric::Accuracy, Metric::F1];
    let correlations = [Metric::Pearson, Metric::Spearman];
    let entailment = ["entailment", "not_entailment"];
    let sentence = [("sentence", None)];
    let sentences = [("sentence1", None), ("sentence2", None)];
    let mrpc = [
        ("sentence1", Some("#1 String")),
        ("sentence2", Some("#2 String")),
    ];
    let mnli = [
        ("premise", Some("sentence1")),
        ("hypothesis", Some("sentence2")),
    ];
    let mnli_labels = ["entailment", "neutral", "contradiction"];
    let questions = [("question1", None), ("question2", None)];
    let qnli = [("question", None), ("sentence", None)];
    let mut tasks = vec![
        Task {
            // Columns: source, label, the linguists' mark, sentence.
            headerless: Some(Headerless {
                n_columns: 4,
                first: 3,
                label: 1,
            }),
            ..task(
                "cola",
                "CoLA",
                &sentence,
                LABEL,
                &["unacceptable", "acceptable"],
                &[Metric::Matthews],
            )
        },
        task(
            "sst2",
            "SST-2",
            &sentence,
            LABEL,
            &["negative", "positive"],
            &accuracy,
        ),
        task(
            "mrpc",
            "MRPC",
            &mrpc,
            ("label", Some("Quality")),
            &["not_equivalent", "equivalent"],
            &with_f1,
        ),
        task(
            "stsb",
            "STS-B",
            &sentences,
            ("label", Some("score")),
            &[],
            &correlations,
        ),
        task(
            "qqp",
            "QQP",
            &questions,
            ("label", Some("is_duplicate")),
            &["not_duplicate", "duplicate"],
            &with_f1,
        ),
        Task {
            eval_splits: vec![
                SplitName::ValidationMatched,
                SplitName::ValidationMismatched,
            ],
            test_splits: vec![SplitName::TestMatched, SplitName::TestMismatched],
            ..task(
                "mnli",
                "MNLI",
                &mnli,
                ("label", Some("gold_label")),
                &mnli_labels,
                &accuracy,
            )
        },
        task("qnli", "QNLI", &qnli, LABEL, &entailment, &accuracy),
        task("rte", "RTE", &sentences, LABEL, &entailment, &accuracy),
        task(
            "wnli",
            "WNLI",
            &sentences,
            LABEL,
            &["not_entailment", "entailment"],
            &accuracy,
        ),
        Task {
            source: TaskSource::Generated(Generator::Sample),
            test_splits: Vec::new(),
            ..task(
                "sample",
                "",
                &sentence,
                LABEL,
                &["negative", "positive"],
                &accuracy,
            )
        },
        Task {
            source: TaskSource::Generated(Generator::SamplePairs),
            test_splits: Vec::new(),
            ..task(
                "sample_pairs",
                "",
                &sentences,
                LABEL,
                &entailment,
                &accuracy,
            )
        },
    ];
    tasks.extend(crate::tasks::squad::tasks());
    tasks
});

/// A task with one validation and one test split. Without labels it is a regression.
fn task(
    name: &str,
    glue_folder: &str,
    texts: &[Names],
    label: Names,
    labels: &[&str],
    metrics: &[Metric],
) -> Task {
    let column = |&(name, tsv_name): &Names| Column {
        name: name.to_owned(),
        tsv_name: tsv_name.map(str::to_owned),
        parts: Vec::new(),
    };
    Task {
        name: name.to_owned(),
        source: TaskSource::Glue(glue_folder.to_owned()),
        columns: Columns {
            first: column(&texts[0]),
            second: texts.get(1).map(column),
            label: column(&label),
        },
        labels: labels.iter().map(|&label| label.to_owned()).collect(),
        problem_type: match labels {
            [] => ProblemType::Regression,
            _ => ProblemType::SingleLabelClassification,
        },
        metrics: metrics.to_vec(),
        eval_splits: vec![SplitName::Validation],
        test_splits: vec![SplitName::Test],
        headerless: None,
        has_unanswerable: false,
    }
}
