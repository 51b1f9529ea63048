//! The baseline of a run: the loss and the metrics of guessing from the label frequencies of the
//! training set, without reading the texts. A run that is no better is suspect. Called by the
//! recipe.
//!
//! The figures are those of scikit-learn's `DummyClassifier(strategy="prior")`,
//! `DummyRegressor(strategy="mean")` and `log_loss`. Probabilities are clamped to [ε, 1 − ε] with
//! ε = 2⁻⁵². Tags are judged token by token, and sets of labels label by label. Questions about
//! texts have no label frequencies. For them, all tokens of a window are equally likely, and no
//! question has an answer.

mod verdict;

pub(crate) use verdict::{Verdict, judge};

use progtune_datasets::{Metric, ProblemType, Task};
use progtune_engine::{Result, Target};
use progtune_pipeline::task_scores::measure;
use progtune_pipeline::{
    EvalSplit,
    metrics::{Outcome, compute},
    token_store::Examples,
};

/// The loss and the metrics of guessing on a split.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Baseline {
    /// The loss, as in `eval_loss`; `None` if no example has a label.
    pub loss: Option<f64>,
    /// The metrics under the names of the task; NaN if a metric is undefined.
    pub metrics: Vec<(&'static str, f64)>,
}

/// The label counts of a training set.
#[derive(Debug, Clone, Default, PartialEq)]
struct Prior {
    /// Number of examples, or of tagged tokens, that have a label.
    n: u64,
    /// Number of occurrences of each label.
    counts: Vec<u64>,
    /// The sum of the scores, for regression.
    sum: f64,
}

impl Prior {
    fn of(task: &Task, examples: &Examples) -> Result<Self> {
        let mut prior = Self {
            counts: vec![0; task.num_labels()],
            ..Self::default()
        };
        for example in examples.iter() {
            match example?.target {
                Some(Target::Class(class)) => prior.add(&[class]),
                Some(Target::Classes(classes)) => prior.add(&classes),
                Some(Target::Tags(tags)) => {
                    tags.iter().flatten().for_each(|&tag| prior.add(&[tag]))
                }
                Some(Target::Score(score)) => {
                    prior.n += 1;
                    prior.sum += f64::from(score);
                }
                Some(Target::Span(_)) | None => {}
            }
        }
        Ok(prior)
    }

    fn add(&mut self, labels: &[u32]) {
        self.n += 1;
        labels
            .iter()
            .for_each(|&label| self.counts[label as usize] += 1);
    }

    fn probability(&self, label: usize) -> f64 {
        self.counts[label] as f64 / self.n.max(1) as f64
    }

    fn mean(&self) -> f64 {
        self.sum / self.n.max(1) as f64
    }

    /// The loss of an example, and the number of terms in it, as the evaluator counts them.
    fn loss_of(&self, target: &Target, n_tokens: usize) -> (f64, u64) {
        let of_class = |class: u32| -kept(self.probability(class as usize)).ln();
        match target {
            Target::Class(class) => (of_class(*class), 1),
            Target::Tags(tags) => {
                let tags = tags.iter().flatten();
                tags.fold((0.0, 0), |(sum, n), &tag| (sum + of_class(tag), n + 1))
            }
            Target::Classes(classes) => {
                let of_label = |label: usize| {
                    if classes.contains(&(label as u32)) {
                        -kept(self.probability(label)).ln()
                    } else {
                        -kept(1.0 - self.probability(label)).ln()
                    }
                };
                let n = self.counts.len();
                ((0..n).map(of_label).sum::<f64>() / n as f64, 1)
            }
            Target::Score(score) => ((f64::from(*score) - self.mean()).powi(2), 1),
            Target::Span(_) => ((n_tokens as f64).ln(), 1),
        }
    }
}

/// Clamps a probability as `log_loss` does.
fn kept(p: f64) -> f64 {
    p.clamp(f64::EPSILON, 1.0 - f64::EPSILON)
}

impl Baseline {
    /// Measures on `split` the guesses that follow the labels of `train`.
    ///
    /// # Errors
    /// Fails if examples cannot be read.
    pub(crate) fn new(task: &Task, train: &Examples, split: &EvalSplit) -> Result<Self> {
        let prior = Prior::of(task, train)?;
        let (mut targets, mut loss) = (Vec::new(), (0.0, 0));
        for example in split.examples.iter() {
            let example = example?;
            let Some(target) = example.target else {
                continue;
            };
            let (sum, n) = prior.loss_of(&target, example.input_ids.len());
            loss = (loss.0 + sum, loss.1 + n);
            targets.push(target);
        }
        let metrics = match (&split.asked, task.problem_type) {
            (Some(asked), _) => {
                let none = vec![Default::default(); asked.questions.len()];
                asked.measure(&none).unwrap_or_default()
            }
            (None, _) if targets.is_empty() => Vec::new(),
            (None, ProblemType::Regression) => numbers(task, &targets, prior.mean()),
            (None, _) => guesses(task, &targets, &prior),
        };
        Ok(Self {
            loss: (loss.1 > 0).then(|| loss.0 / loss.1 as f64),
            metrics,
        })
    }
}

/// The metrics of always predicting the mean.
fn numbers(task: &Task, targets: &[Target], mean: f64) -> Vec<(&'static str, f64)> {
    let expected: Vec<f64> = targets
        .iter()
        .filter_map(|target| match target {
            Target::Score(score) => Some(f64::from(*score)),
            _ => None,
        })
        .collect();
    let predicted = vec![mean; expected.len()];
    let outcome = Outcome::Scores {
        predicted: &predicted,
        expected: &expected,
    };
    let of = |metric: Metric| match metric {
        // The correlation with a constant is undefined, but rounding errors would produce a value.
        Metric::Pearson | Metric::Spearman => f64::NAN,
        metric => compute(metric, &outcome),
    };
    let metrics = task.metrics.iter();
    metrics
        .map(|&metric| (metric.as_str(), of(metric)))
        .collect()
}

/// The metrics of always predicting the most frequent label, or for sets of labels every label that
/// more than half of the examples have.
fn guesses(task: &Task, targets: &[Target], prior: &Prior) -> Vec<(&'static str, f64)> {
    let is_set = task.problem_type == ProblemType::MultiLabelClassification;
    // The integer counts are compared because f32 holds them exactly only up to 2²⁴. Of equally
    // frequent labels the first is chosen.
    let best = (0..prior.counts.len())
        .rev()
        .max_by_key(|&label| prior.counts[label]);
    let logit = |label: usize| {
        if is_set {
            if 2 * prior.counts[label] > prior.n {
                1.0
            } else {
                -1.0
            }
        } else if Some(label) == best {
            1.0
        } else {
            0.0
        }
    };
    let row: Vec<f32> = (0..prior.counts.len()).map(logit).collect();
    let tokens = |target: &Target| match target {
        Target::Tags(tags) => tags.len(),
        _ => 1,
    };
    let longest = targets.iter().map(tokens).max().unwrap_or(1);
    let rows = row.repeat(longest);
    let labelled: Vec<(&[f32], &Target)> = targets
        .iter()
        .map(|target| (&rows[..row.len() * tokens(target)], target))
        .collect();
    measure(task, &labelled).metrics
}

#[cfg(test)]
mod tests;
