//! Compares the baseline with scikit-learn, and tests when a run is suspect.

use super::*;
use crate::summary::Summary;
use progtune_datasets::SplitName;
use progtune_engine::{EncodedExample, model::LossWeighting};
use serde_json::{Value, json};

const FIXTURE: &str = include_str!("../../../tests/fixtures/baselines.json");

fn examples(targets: Vec<Target>) -> Examples {
    let example = |target| {
        // Tags need one token each. For other targets the number of tokens matters only to the loss
        // of a question.
        let n_tokens = match &target {
            Target::Tags(tags) => tags.len(),
            _ => 5,
        };
        EncodedExample {
            input_ids: vec![0; n_tokens],
            token_type_ids: vec![0; n_tokens],
            target: Some(target),
        }
    };
    targets.into_iter().map(example).collect()
}

fn split(targets: Vec<Target>) -> EvalSplit {
    EvalSplit {
        name: SplitName::Validation,
        examples: examples(targets),
        asked: None,
    }
}

fn task(problem_type: ProblemType, n_labels: usize, metrics: &[Metric]) -> Task {
    let mut task = Task::by_name("sst2").expect("a task").clone();
    task.problem_type = problem_type;
    task.labels = (0..n_labels)
        .map(|label| format!("label {label}"))
        .collect();
    task.metrics = metrics.to_vec();
    task
}

fn ids(value: &Value) -> Vec<u32> {
    let ids = value.as_array().expect("ids").iter();
    ids.map(|id| id.as_u64().expect("an id") as u32).collect()
}

/// The targets of a case. Tags are the classes in sentences of three tokens, the last of which does
/// not count.
fn targets(kind: &str, values: &Value) -> Vec<Target> {
    let all = values.as_array().expect("labels").iter();
    match kind {
        "classes" => ids(values).into_iter().map(Target::Class).collect(),
        "tags" => ids(values)
            .chunks(2)
            .map(|pair| Target::Tags(pair.iter().copied().map(Some).chain([None]).collect()))
            .collect(),
        "sets" => all.map(|set| Target::Classes(ids(set))).collect(),
        _ => all
            .map(|x| Target::Score(x.as_f64().expect("a number") as f32))
            .collect(),
    }
}

/// Reference: scikit-learn 1.9.1, by `tests/fixtures/make_baselines.py`. The tolerance is 1e-9,
/// relative if a figure is above 1.
#[test]
fn guessing_is_worth_what_scikit_learn_says() {
    let fixture: Value = serde_json::from_str(FIXTURE).expect("JSON");
    let cases = fixture["cases"].as_array().expect("cases");
    assert!(cases.len() >= 200);
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs().max(1.0);
    for (number, case) in cases.iter().enumerate() {
        let kinds: &[(&str, ProblemType)] = match case["kind"].as_str() {
            Some("classes") => &[
                ("classes", ProblemType::SingleLabelClassification),
                ("tags", ProblemType::TokenClassification),
            ],
            Some("sets") => &[("sets", ProblemType::MultiLabelClassification)],
            _ => &[("numbers", ProblemType::Regression)],
        };
        let metrics: Vec<Metric> = [
            Metric::Accuracy,
            Metric::F1,
            Metric::F1Micro,
            Metric::F1Macro,
            Metric::F1Weighted,
            Metric::Matthews,
            Metric::Mse,
            Metric::Mae,
        ]
        .into_iter()
        .filter(|metric| case.get(metric.as_str()).is_some())
        .collect();
        for &(kind, problem_type) in kinds {
            let n = case["n"].as_u64().expect("a number") as usize;
            let task = task(problem_type, n, if kind == "tags" { &[] } else { &metrics });
            let train = examples(targets(kind, &case["train"]));
            let found = Baseline::new(&task, &train, &split(targets(kind, &case["eval"])));
            let found = found.expect("examples in memory");
            let (loss, expected) = (found.loss.expect("labels"), case["loss"].as_f64().unwrap());
            assert!(
                near(loss, expected),
                "{number} {kind}: loss {loss}, expected {expected}"
            );
            let known = |name: &str| case[name].as_f64().expect("a number");
            for (name, value) in found.metrics {
                let expected = if name == "combined_score" {
                    // Hugging Face's name for the mean of a task's metrics.
                    metrics
                        .iter()
                        .map(|metric| known(metric.as_str()))
                        .sum::<f64>()
                        / metrics.len() as f64
                } else {
                    known(name)
                };
                assert!(
                    near(value, expected),
                    "{number} {kind}: {name} {value}, expected {expected}"
                );
            }
        }
    }
}

fn run(evaluation: Value) -> Summary {
    Summary {
        evaluation: evaluation.as_object().expect("an object").clone(),
        ..Summary::default()
    }
}

fn baseline() -> Baseline {
    Baseline {
        loss: Some(0.5),
        metrics: vec![("accuracy", 0.8), ("f1", 0.0)],
    }
}

#[test]
fn a_run_is_suspect_that_is_no_better_than_guessing() {
    let plain = LossWeighting::default();
    let reasons = |evaluation: Value| judge(&run(evaluation), baseline(), &plain).reasons;
    let good = json!({ "eval_loss": 0.4, "eval_accuracy": 0.9, "eval_f1": 0.7 });
    assert!(reasons(good.clone()).is_empty());
    let loss = reasons(json!({ "eval_loss": 3.0, "eval_accuracy": 0.9, "eval_f1": 0.7 }));
    assert_eq!(
        loss,
        [
            "eval_loss 3.0000 is above 0.5000, the loss of guessing the label frequencies of the training set"
        ]
    );
    let metric = reasons(json!({ "eval_loss": 0.4, "eval_accuracy": 0.8, "eval_f1": 0.7 }));
    assert_eq!(
        metric,
        [
            "eval_accuracy 0.8000 is not above 0.8000, which the same answer for every example reaches"
        ]
    );
    let constant = Summary {
        only_answer: Some("`a\x1b`".into()),
        ..run(good)
    };
    assert_eq!(
        judge(&constant, baseline(), &plain).reasons,
        ["every prediction is `a\\u{1b}`"]
    );
}

#[test]
fn a_weighed_loss_is_not_compared_and_one_good_metric_is_enough() {
    let weighed = LossWeighting {
        class_weights: vec![1.0, 9.0],
        ..LossWeighting::default()
    };
    let reasons = |f1: f64| {
        let evaluation = json!({ "eval_loss": 3.0, "eval_accuracy": 0.7, "eval_f1": f1 });
        judge(&run(evaluation), baseline(), &weighed).reasons.len()
    };
    assert_eq!((reasons(0.6), reasons(0.0)), (0, 1));
}

#[test]
fn undefined_and_perfect_metrics() {
    let plain = LossWeighting::default();
    let reasons = |name: &'static str, guessed: f64, value: Value| {
        let baseline = Baseline {
            loss: None,
            metrics: vec![(name, guessed)],
        };
        let verdict = judge(
            &run(json!({ format!("eval_{name}"): value })),
            baseline,
            &plain,
        );
        verdict.reasons.len()
    };
    assert_eq!(reasons("pearson", f64::NAN, Value::Null), 1, "a constant");
    assert_eq!(reasons("pearson", f64::NAN, json!(0.1)), 0);
    assert_eq!(reasons("pearson", f64::NAN, json!(-0.1)), 1);
    assert_eq!(reasons("mse", 2.0, json!(2.5)), 1);
    assert_eq!(reasons("mse", 2.0, json!(1.5)), 0);
    assert_eq!(
        reasons("accuracy", 1.0, json!(1.0)),
        0,
        "guessing is already perfect"
    );
}
