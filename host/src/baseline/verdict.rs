//! Whether a run's result is better than guessing, and what is said if it is not. Called by the recipe.

use super::Baseline;
use crate::summary::Summary;
use progtune_engine::model::loss::LossWeighting;
use progtune_pipeline::metrics::is_lower_better;
use progtune_plain_text::shown_line;
use serde_json::{Map, Value, json};

/// What comes of comparing a run with guessing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdict {
    /// What makes the run suspect, a clause each; nothing if it is better than guessing.
    pub reasons: Vec<String>,
    baseline: Baseline,
}

/// Compares a run's result with guessing. Where classes are weighed or labels smoothed the loss of training is another one than
/// `eval_loss`, and it takes metrics that are all no better to make the run suspect; else the first one is compared.
pub fn judge(summary: &Summary, baseline: Baseline, weighting: &LossWeighting) -> Verdict {
    let value = |name: &str| summary.evaluation.get(&format!("eval_{name}"))?.as_f64();
    let is_plain = weighting.weights().is_none() && weighting.label_smoothing == 0.0;
    let mut reasons = Vec::new();
    if let (true, Some(loss), Some(guessed)) = (is_plain, value("loss"), baseline.loss)
        && loss > guessed
    {
        reasons.push(format!(
            "eval_loss {loss:.4} is above {guessed:.4}, the loss of guessing the label frequencies of the training set"
        ));
    }
    let compared: Vec<&(&str, f64)> = match is_plain {
        true => baseline.metrics.iter().take(1).collect(),
        false => baseline.metrics.iter().collect(),
    };
    let no_better: Vec<String> = compared
        .iter()
        .filter_map(|(name, guessed)| metric_reason(name, value(name), *guessed))
        .collect();
    if no_better.len() == compared.len() {
        reasons.extend(no_better.into_iter().take(1));
    }
    if let Some(answer) = &summary.only_answer {
        reasons.push(format!("every prediction is {}", shown_line(answer)));
    }
    Verdict { reasons, baseline }
}

/// Why a metric is not above guessing; `None` if it is, or where guessing cannot be bettered.
fn metric_reason(name: &str, value: Option<f64>, guessed: f64) -> Option<String> {
    let lower = is_lower_better(name);
    // Undefined correlations are those of constants.
    let guessed = if guessed.is_nan() { 0.0 } else { guessed };
    let (is_better, is_perfect) = match (value, lower) {
        (None, _) => (false, false),
        (Some(value), true) => (value < guessed, guessed == 0.0),
        (Some(value), false) => (value > guessed, guessed == 1.0 || guessed == 100.0),
    };
    let value = value.map_or("undefined".to_owned(), |value| format!("{value:.4}"));
    let how = if lower { "below" } else { "above" };
    (!is_better && !is_perfect).then(|| {
        format!(
            "eval_{name} {value} is not {how} {guessed:.4}, that of one answer for every example"
        )
    })
}

impl Verdict {
    /// Whether the run is no better than guessing.
    pub fn is_suspect(&self) -> bool {
        !self.reasons.is_empty()
    }

    /// The keys of `all_results.json`: `suspect`, `suspect_reasons`, `baseline_loss` and a `baseline_…` for every metric.
    pub fn to_json(&self) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("suspect".into(), json!(self.is_suspect()));
        map.insert("suspect_reasons".into(), json!(self.reasons));
        map.insert("baseline_loss".into(), json!(self.baseline.loss));
        for &(name, value) in &self.baseline.metrics {
            let value = value.is_finite().then_some(value);
            map.insert(format!("baseline_{name}"), json!(value));
        }
        map
    }

    /// What is said of a suspect run.
    pub fn warning(&self) -> Option<String> {
        self.is_suspect().then(|| {
            format!(
                "the result is no better than guessing: {}; try a lower --lr, more --epochs or --max-steps, or check that \
                 the labels belong to their texts",
                self.reasons.join("; ")
            )
        })
    }
}
