//! The metrics of all tasks, computed like scikit-learn, scipy and seqeval. Called by the
//! evaluator.

use progtune_datasets::Metric;

pub mod sets;

mod classes;
mod entities;
pub(crate) mod entity_scores;
#[cfg(test)]
mod tests;

pub use classes::{ClassReport, Confusion, arg_max};
pub use entities::entities;

pub(crate) use classes::softmax;

use classes::auroc;
use entity_scores::EntityScores;
use sets::LabelSets;

/// Metrics where lower is better; for every other one higher is better (Hugging Face's
/// `greater_is_better`).
const LOWER_IS_BETTER: [&str; 3] = ["loss", "mse", "mae"];

/// Whether lower is better for a metric, including MNLI's second half (`loss_mm`).
pub fn is_lower_better(name: &str) -> bool {
    LOWER_IS_BETTER.contains(&name.strip_suffix("_mm").unwrap_or(name))
}

/// The predictions and references of one evaluation.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// Classes.
    Classes {
        /// The model's logits, one row per example.
        logits: &'a [&'a [f32]],
        /// The reference class ids.
        expected: &'a [u32],
        /// The confusion matrix of predictions and references.
        confusion: &'a Confusion,
    },
    /// Sets of labels.
    Sets(&'a LabelSets<'a>),
    /// Entities in sentences.
    Entities(&'a EntityScores),
    /// Numbers.
    Scores {
        /// The predicted values.
        predicted: &'a [f64],
        /// The reference values.
        expected: &'a [f64],
    },
}

/// The value of a metric. NaN if it is undefined (a constant prediction has no correlation) or does
/// not apply to this kind of outcome.
pub fn compute(metric: Metric, outcome: &Outcome<'_>) -> f64 {
    match outcome {
        Outcome::Classes {
            logits,
            expected,
            confusion,
        } => match metric {
            // With one label per example, each wrong decision is one false positive and one false
            // negative.
            Metric::Accuracy | Metric::F1Micro => confusion.accuracy(),
            Metric::F1 if confusion.counts.len() < 2 => f64::NAN,
            Metric::F1 => confusion.report(1).f1,
            Metric::F1Macro => confusion.f1_macro(),
            Metric::F1Weighted => confusion.f1_weighted(),
            Metric::Matthews => confusion.matthews(),
            Metric::Auroc => auroc(logits, expected),
            _ => f64::NAN,
        },
        Outcome::Sets(sets) => match metric {
            Metric::Accuracy => sets.accuracy(),
            Metric::F1Micro => sets.f1_micro(),
            Metric::F1Macro => sets.f1_macro(),
            Metric::F1Weighted => sets.f1_weighted(),
            Metric::Auroc => sets.auroc(),
            _ => f64::NAN,
        },
        Outcome::Entities(scores) => scores.compute(metric),
        Outcome::Scores {
            predicted,
            expected,
        } => match metric {
            Metric::Pearson => pearson(predicted, expected),
            Metric::Spearman => pearson(&ranks(predicted), &ranks(expected)),
            Metric::Mse => mean(predicted, expected, |d| d * d),
            Metric::Mae => mean(predicted, expected, f64::abs),
            _ => f64::NAN,
        },
    }
}

/// The mean of `of` over the differences.
fn mean(a: &[f64], b: &[f64], of: impl Fn(f64) -> f64) -> f64 {
    let sum: f64 = a.iter().zip(b).map(|(a, b)| of(a - b)).sum();
    sum / a.len() as f64
}

fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (ma, mb) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        ab += (x - ma) * (y - mb);
        aa += (x - ma).powi(2);
        bb += (y - mb).powi(2);
    }
    ab / (aa * bb).sqrt()
}

/// Ranks counted from 1; equal numbers share the mean of their ranks.
fn ranks(x: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..x.len()).collect();
    order.sort_by(|&i, &j| x[i].total_cmp(&x[j]));
    let mut ranks = vec![0.0; x.len()];
    let mut start = 0;
    while start < order.len() {
        let mut end = start;
        while end + 1 < order.len() && x[order[end + 1]] == x[order[start]] {
            end += 1;
        }
        for &i in &order[start..=end] {
            ranks[i] = (start + end) as f64 / 2.0 + 1.0;
        }
        start = end + 1;
    }
    ranks
}
