//! Runs a model over a split: logits, loss and metrics. Called by the trainer after each epoch, by `evaluate` and
//! `predict`.

use crate::{
    batch::{Batch, EncodedExample},
    batch_order::BatchLimit,
    error::{Error, Result},
    metrics::{Outcome, classes::Confusion, compute},
    model::{Model, Start},
};
use progtune_datasets::{Label, ProblemType, Task, TaskSource};

/// What a model says about a split.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// `eval_loss`: the mean over the labelled examples; `None` without labels.
    pub loss: Option<f64>,
    /// The task's metrics by Hugging Face's name; empty without labels.
    pub metrics: Vec<(&'static str, f64)>,
    /// What was taken for what; `None` without labels, or where they are numbers.
    pub confusion: Option<Confusion>,
    /// Wall time.
    pub secs: f64,
    /// Examples.
    pub samples: usize,
    /// Batches they were computed in.
    pub steps: usize,
}

/// Tells where a batch starts; `None`: at the embeddings.
pub type FindStart<'a> = &'a mut dyn FnMut(&Batch) -> Result<Option<Start>>;

/// Logits of every example, in order, `outputs` numbers each.
pub fn logits(
    model: &Model,
    examples: &[EncodedExample],
    limit: BatchLimit,
) -> Result<Vec<Vec<f32>>> {
    logits_from(model, examples, limit, &mut |_| Ok(None))
}

/// As [`logits`], each batch from where `find_start` says.
pub fn logits_from(
    model: &Model,
    examples: &[EncodedExample],
    limit: BatchLimit,
    find_start: FindStart<'_>,
) -> Result<Vec<Vec<f32>>> {
    let mut results = vec![Vec::new(); examples.len()];
    for indices in batches(examples, limit) {
        let batch = Batch::new(examples, &indices, model.config.first_position());
        let logits = model.logits_from(&batch, find_start(&batch)?)?;
        for (&index, row) in indices.iter().zip(logits.to_vec2::<f32>()?) {
            results[index] = row;
        }
    }
    Ok(results)
}

/// Similar lengths together: attention's scratch memory stays small. Results go back to their places.
fn batches(examples: &[EncodedExample], limit: BatchLimit) -> Vec<Vec<usize>> {
    let lengths: Vec<usize> = examples.iter().map(|e| e.input_ids.len()).collect();
    let mut order: Vec<usize> = (0..examples.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(lengths[i]));
    limit.cut(&order, &lengths)
}

/// Evaluates a split.
pub fn evaluate(
    model: &Model,
    task: &Task,
    examples: &[EncodedExample],
    limit: BatchLimit,
) -> Result<Evaluation> {
    evaluate_from(model, task, examples, limit, &mut |_| Ok(None))
}

/// As [`evaluate`], each batch from where `find_start` says.
pub fn evaluate_from(
    model: &Model,
    task: &Task,
    examples: &[EncodedExample],
    limit: BatchLimit,
    find_start: FindStart<'_>,
) -> Result<Evaluation> {
    let start = std::time::Instant::now();
    let logits = logits_from(model, examples, limit, find_start)?;
    let labelled: Vec<(&Vec<f32>, Label)> = logits
        .iter()
        .zip(examples)
        .filter_map(|(row, example)| example.label.map(|label| (row, label)))
        .collect();
    let (loss, (metrics, confusion)) = if labelled.is_empty() {
        (None, (Vec::new(), None))
    } else {
        (Some(mean_loss(&labelled)), measure(task, &labelled))
    };
    if loss.is_some_and(|loss| !loss.is_finite()) {
        return Err(Error::Training(
            "the evaluation loss is not finite: training diverged; try a lower --lr or a longer --warmup".into(),
        ));
    }
    Ok(Evaluation {
        loss,
        metrics,
        confusion,
        secs: start.elapsed().as_secs_f64(),
        samples: examples.len(),
        steps: batches(examples, limit).len(),
    })
}

fn mean_loss(labelled: &[(&Vec<f32>, Label)]) -> f64 {
    let total: f64 = labelled
        .iter()
        .map(|(row, label)| match label {
            Label::Class(class) => {
                let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max) as f64;
                let sum: f64 = row.iter().map(|&v| (v as f64 - max).exp()).sum();
                max + sum.ln() - row[*class as usize] as f64
            }
            Label::Score(score) => (row[0] as f64 - *score as f64).powi(2),
        })
        .sum();
    total / labelled.len() as f64
}

/// The task's metrics, and what was taken for what where the task has classes.
fn measure(
    task: &Task,
    labelled: &[(&Vec<f32>, Label)],
) -> (Vec<(&'static str, f64)>, Option<Confusion>) {
    let values = |outcome: &Outcome<'_>| -> Vec<(&'static str, f64)> {
        let metrics = task.metrics.iter();
        metrics
            .map(|&metric| (metric.as_str(), compute(metric, outcome)))
            .collect()
    };
    let (mut metrics, confusion) = match task.problem_type {
        ProblemType::SingleLabelClassification => {
            let (logits, expected): (Vec<&[f32]>, Vec<u32>) = labelled
                .iter()
                .filter_map(|(row, label)| match label {
                    Label::Class(class) => Some((row.as_slice(), *class)),
                    Label::Score(_) => None,
                })
                .unzip();
            let predicted: Vec<u32> = logits.iter().map(|row| arg_max(row)).collect();
            let confusion = Confusion::new(&predicted, &expected, task.num_labels());
            let values = values(&Outcome::Classes {
                logits: &logits,
                expected: &expected,
                confusion: &confusion,
            });
            (values, Some(confusion))
        }
        ProblemType::Regression => {
            let (predicted, expected): (Vec<f64>, Vec<f64>) = labelled
                .iter()
                .filter_map(|(row, label)| match label {
                    Label::Score(score) => Some((f64::from(row[0]), f64::from(*score))),
                    Label::Class(_) => None,
                })
                .unzip();
            let values = values(&Outcome::Scores {
                predicted: &predicted,
                expected: &expected,
            });
            (values, None)
        }
    };
    // Hugging Face's `run_glue` adds the mean where a task has several.
    if metrics.len() > 1 && matches!(task.source, TaskSource::Glue(_)) {
        let sum: f64 = metrics.iter().map(|(_, value)| value).sum();
        metrics.push(("combined_score", sum / metrics.len() as f64));
    }
    (metrics, confusion)
}

/// The class with the highest logit; the first of equals.
pub fn arg_max(row: &[f32]) -> u32 {
    let mut best = 0;
    for (class, &value) in row.iter().enumerate() {
        if value > row[best] {
            best = class;
        }
    }
    best as u32
}
