//! Decides whether a run's result is better than guessing, and words the warning if it is not.
//! Called by the recipe.

use super::Baseline;
use crate::{evaluate::only_label, summary::Summary};
use progtune_engine::model::LossWeighting;
use progtune_pipeline::metrics::is_lower_better;
use progtune_plain_text::shown_line;
use serde_json::{Map, Value, json};

/// The result of comparing a run with guessing.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Verdict {
    /// The reasons why the run is suspect, one clause each; empty if the run is better than
    /// guessing.
    pub reasons: Vec<String>,
    /// The reason why the metrics say little: all evaluated examples have the same label.
    hollow: Option<String>,
    baseline: Baseline,
}

/// Compares a run's result with guessing. Normally the loss and the first metric are compared, and
/// either one can make the run suspect. With class weights or label smoothing, the training loss
/// differs from `eval_loss`. Then only the metrics are compared, and the run is suspect if none of
/// them is better.
pub(crate) fn judge(summary: &Summary, baseline: Baseline, weighting: &LossWeighting) -> Verdict {
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
    let compared: Vec<&(&str, f64)> = if is_plain {
        baseline.metrics.iter().take(1).collect()
    } else {
        baseline.metrics.iter().collect()
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
    let label = summary.only_label.as_deref().map(shown_line);
    Verdict {
        reasons,
        hollow: label.map(|label| only_label::remark("evaluated", &label)),
        baseline,
    }
}

/// The reason why a metric is no better than guessing; `None` if it is better, or if guessing is
/// already perfect.
fn metric_reason(name: &str, value: Option<f64>, guessed: f64) -> Option<String> {
    let lower = is_lower_better(name);
    // The correlation is undefined because guesses are constant.
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
            "eval_{name} {value} is not {how} {guessed:.4}, which the same answer for every example reaches"
        )
    })
}

impl Verdict {
    /// Whether the run is no better than guessing, or its metrics say little.
    pub(crate) fn is_suspect(&self) -> bool {
        !self.reasons.is_empty() || self.hollow.is_some()
    }

    fn all_reasons(&self) -> Vec<&str> {
        let all = self.reasons.iter().chain(&self.hollow);
        all.map(String::as_str).collect()
    }

    /// The keys of `all_results.json`: `suspect`, `suspect_reasons`, `baseline_loss`, and a
    /// `baseline_…` for every metric.
    pub(crate) fn to_json(&self) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("suspect".into(), json!(self.is_suspect()));
        map.insert("suspect_reasons".into(), json!(self.all_reasons()));
        map.insert("baseline_loss".into(), json!(self.baseline.loss));
        for &(name, value) in &self.baseline.metrics {
            let value = value.is_finite().then_some(value);
            map.insert(format!("baseline_{name}"), json!(value));
        }
        map
    }

    /// The warning about a suspect run; `None` if the run is better than guessing.
    pub(crate) fn warning(&self) -> Option<String> {
        // On examples of one label, guessing is perfect, and a comparison with it means nothing.
        if let Some(hollow) = &self.hollow {
            return Some(format!("{hollow}; {}", only_label::ADVICE));
        }
        self.is_suspect().then(|| {
            format!(
                "the result is no better than guessing: {}; try a lower --lr, more --epochs or --max-steps, or check that \
                 each label belongs to its text",
                self.reasons.join("; ")
            )
        })
    }
}
