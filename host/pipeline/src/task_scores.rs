//! The metrics of a task and the predictions from its logits, by the kind of task. Called by the
//! evaluation, by the comparison with guessing, and by `predict`.
//!
//! The losses and names of the kinds are the engine's `task_kind`.

use crate::{
    metrics::{
        ClassReport, Confusion, Outcome, arg_max, compute,
        sets::{self, LabelSets},
        softmax,
    },
    question_answering::squad_metrics,
    token_classification,
};
use progtune_datasets::{ProblemType, Task, TaskSource};
use progtune_engine::Target;
use serde_json::{Map, Value, json};

/// The mean of a GLUE task's metrics, as `run_glue.py` calls it.
const COMBINED_SCORE: &str = "combined_score";

/// An example's logits and its label.
pub(crate) type Labelled<'a> = (&'a [f32], &'a Target);

/// The metrics of labelled examples.
#[derive(Default)]
pub struct Measured {
    /// Names without `eval_`, and values.
    pub metrics: Vec<(&'static str, f64)>,
    /// The confusion matrix, if each example has one class.
    pub confusion: Option<Confusion>,
    /// The reports of labels or entity types by name, if an example can have several.
    pub parts: Vec<(String, ClassReport)>,
}

/// The scores of a kind of task.
trait TaskScores: Sync {
    /// The task's metrics, with the reports that come with them.
    fn measure(&self, task: &Task, labelled: &[Labelled<'_>]) -> Measured;

    /// The prediction for one example as JSON; null if other modules write this kind's predictions.
    fn prediction(&self, task: &Task, row: &[f32], top_k: Option<usize>) -> Value;
}

fn scores_of(problem: ProblemType) -> &'static dyn TaskScores {
    match problem {
        ProblemType::SingleLabelClassification => &SingleLabel,
        ProblemType::MultiLabelClassification => &MultiLabel,
        ProblemType::Regression => &Regression,
        ProblemType::TokenClassification => &Tokens,
        ProblemType::QuestionAnswering => &Questions,
    }
}

/// Computes the task's metrics, and the confusion matrix if the task has classes.
pub fn measure(task: &Task, labelled: &[Labelled<'_>]) -> Measured {
    let mut measured = scores_of(task.problem_type).measure(task, labelled);
    if has_combined_score(task) {
        let metrics = &mut measured.metrics;
        let sum: f64 = metrics.iter().map(|(_, value)| value).sum();
        metrics.push((COMBINED_SCORE, sum / metrics.len() as f64));
    }
    measured
}

/// The prediction for one example: its logits and what they mean. With `top_k`, the labels with the
/// highest probabilities are listed instead of the probabilities of all.
pub fn prediction(task: &Task, row: &[f32], top_k: Option<usize>) -> Value {
    scores_of(task.problem_type).prediction(task, row, top_k)
}

/// Adds the probabilities of the labels to a prediction: of all by name, or the `top_k` highest as
/// a list.
fn add_probabilities(
    prediction: &mut Value,
    task: &Task,
    probabilities: &[f64],
    top_k: Option<usize>,
) {
    let mut named: Vec<(&String, f64)> = task
        .labels
        .iter()
        .zip(probabilities.iter().copied())
        .collect();
    let Some(k) = top_k else {
        let all: Map<String, Value> = named
            .into_iter()
            .map(|(label, probability)| (label.clone(), json!(probability)))
            .collect();
        prediction["probabilities"] = all.into();
        return;
    };
    // Equal probabilities stay in the order of the labels.
    named.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let best = named.into_iter().take(k);
    prediction["top_k"] = best
        .map(|(label, score)| json!({ "label": label, "score": score }))
        .collect();
}

/// The names under which an evaluation reports the metrics of a task, without `eval_`.
pub fn metric_names(task: &Task) -> Vec<&'static str> {
    if task.problem_type == ProblemType::QuestionAnswering {
        return squad_metrics::names(task.has_unanswerable).to_vec();
    }
    let mut names: Vec<&str> = task.metrics.iter().map(|metric| metric.as_str()).collect();
    if has_combined_score(task) {
        names.push(COMBINED_SCORE);
    }
    names
}

/// Whether Hugging Face's `run_glue` adds the mean of the metrics, as it does if a task has
/// several.
fn has_combined_score(task: &Task) -> bool {
    task.metrics.len() > 1 && matches!(task.source, TaskSource::Glue(_))
}

fn values(task: &Task, outcome: &Outcome<'_>) -> Vec<(&'static str, f64)> {
    let metrics = task.metrics.iter();
    metrics
        .map(|&metric| (metric.as_str(), compute(metric, outcome)))
        .collect()
}

struct SingleLabel;
struct MultiLabel;
struct Regression;
struct Tokens;
struct Questions;

impl TaskScores for SingleLabel {
    fn measure(&self, task: &Task, labelled: &[Labelled<'_>]) -> Measured {
        let (logits, expected): (Vec<&[f32]>, Vec<u32>) = labelled
            .iter()
            .filter_map(|(row, target)| match target {
                Target::Class(class) => Some((*row, *class)),
                _ => None,
            })
            .unzip();
        let predicted: Vec<u32> = logits.iter().map(|row| arg_max(row)).collect();
        let confusion = Confusion::new(&predicted, &expected, task.num_labels());
        let outcome = Outcome::Classes {
            logits: &logits,
            expected: &expected,
            confusion: &confusion,
        };
        Measured {
            metrics: values(task, &outcome),
            confusion: Some(confusion),
            parts: Vec::new(),
        }
    }

    fn prediction(&self, task: &Task, row: &[f32], top_k: Option<usize>) -> Value {
        let best = arg_max(row) as usize;
        let name = task.labels.get(best).map_or("", String::as_str);
        let probabilities = softmax(row);
        let score = probabilities.get(best);
        let mut said = json!({ "logits": row, "label": name, "score": score });
        add_probabilities(&mut said, task, &probabilities, top_k);
        said
    }
}

impl TaskScores for MultiLabel {
    fn measure(&self, task: &Task, labelled: &[Labelled<'_>]) -> Measured {
        let (logits, expected): (Vec<&[f32]>, Vec<&[u32]>) = labelled
            .iter()
            .filter_map(|(row, target)| match target {
                Target::Classes(classes) => Some((*row, classes.as_slice())),
                _ => None,
            })
            .unzip();
        let sets = LabelSets::new(logits, expected, task.num_labels());
        let names = task.labels.iter().cloned();
        Measured {
            parts: names.zip(sets.reports()).collect(),
            metrics: values(task, &Outcome::Sets(&sets)),
            confusion: None,
        }
    }

    fn prediction(&self, task: &Task, row: &[f32], top_k: Option<usize>) -> Value {
        let names = sets::predicted(row);
        let names = names.iter().map(|&id| task.labels.get(id as usize));
        let scores: Vec<f64> = row.iter().map(|&logit| sets::sigmoid(logit)).collect();
        let label: Vec<Option<&String>> = names.collect();
        let mut said = json!({ "logits": row, "label": label, "scores": scores });
        add_probabilities(&mut said, task, &scores, top_k);
        said
    }
}

impl TaskScores for Regression {
    fn measure(&self, task: &Task, labelled: &[Labelled<'_>]) -> Measured {
        let (predicted, expected): (Vec<f64>, Vec<f64>) = labelled
            .iter()
            .filter_map(|(row, target)| match target {
                Target::Score(score) => Some((f64::from(row[0]), f64::from(*score))),
                _ => None,
            })
            .unzip();
        let outcome = Outcome::Scores {
            predicted: &predicted,
            expected: &expected,
        };
        Measured {
            metrics: values(task, &outcome),
            ..Measured::default()
        }
    }

    fn prediction(&self, _: &Task, row: &[f32], _: Option<usize>) -> Value {
        json!({ "logits": row, "label": row[0] })
    }
}

impl TaskScores for Tokens {
    fn measure(&self, task: &Task, labelled: &[Labelled<'_>]) -> Measured {
        let scores = token_classification::score(task, labelled);
        let types = scores.by_type();
        Measured {
            parts: types
                .map(|(kind, report)| (kind.to_owned(), report))
                .collect(),
            metrics: values(task, &Outcome::Entities(&scores)),
            confusion: None,
        }
    }

    /// `token_classification::predictions` writes them.
    fn prediction(&self, _: &Task, row: &[f32], _: Option<usize>) -> Value {
        json!({ "logits": row, "label": null })
    }
}

impl TaskScores for Questions {
    /// The metrics come from the answers.
    fn measure(&self, _: &Task, _: &[Labelled<'_>]) -> Measured {
        Measured::default()
    }

    /// `question_answering::prediction_files` writes them.
    fn prediction(&self, _: &Task, row: &[f32], _: Option<usize>) -> Value {
        json!({ "logits": row, "label": null })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use progtune_datasets::{Column, Columns, Labels};

    fn task(problem_type: ProblemType) -> Task {
        let columns = Columns {
            first: Column::named("text"),
            second: None,
            label: Column::named("label"),
        };
        let names = ["a", "b", "c"].map(str::to_owned).into();
        Task::own(
            columns,
            Labels {
                problem_type,
                names,
            },
        )
    }

    #[test]
    fn a_class_has_the_probability_of_its_logit() {
        let task = task(ProblemType::SingleLabelClassification);
        let said = prediction(&task, &[0.0, (3.0_f32).ln(), 0.0], None);
        assert_eq!(said["label"], "b");
        assert!((said["score"].as_f64().unwrap() - 0.6).abs() < 1e-7);
        let sum: f64 = said["probabilities"]
            .as_object()
            .unwrap()
            .values()
            .filter_map(Value::as_f64)
            .sum();
        assert!((sum - 1.0).abs() < 1e-12);
        let said = prediction(&task, &[1.0, 2.0, 2.0], Some(2));
        assert!(said.get("probabilities").is_none());
        let top: Vec<&Value> = said["top_k"].as_array().unwrap().iter().collect();
        assert_eq!(
            (&top[0]["label"], &top[1]["label"]),
            (&json!("b"), &json!("c"))
        );
        let all = prediction(&task, &[1.0, 2.0, 2.0], Some(9));
        assert_eq!(all["top_k"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn labels_of_a_set_have_probabilities_of_their_own() {
        let task = task(ProblemType::MultiLabelClassification);
        let said = prediction(&task, &[0.0, 2.0, -2.0], None);
        assert_eq!(said["probabilities"]["a"], 0.5);
        assert_eq!(said["probabilities"]["b"], said["scores"][1]);
        let said = prediction(&task, &[0.0, 2.0, -2.0], Some(1));
        assert_eq!(said["top_k"][0]["label"], "b");
    }
}
