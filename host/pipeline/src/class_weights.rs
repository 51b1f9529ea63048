//! The weights in the training loss, from `--class-weights` and `--label-smoothing`. Balanced
//! weights are counted from the training set. Called by the recipe.

use crate::{data_description::in_line, label_counts::label_counts, token_store::Examples};
use progtune_datasets::{ProblemType, Task};
use progtune_engine::{Error, Result, kind_of, model::LossWeighting};
use progtune_process::short_list;
use std::fmt;

/// The weights of classes in the training loss.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum ClassWeights {
    /// Equal weights.
    #[default]
    Even,
    /// Weights inversely proportional to the class frequencies in the training set.
    Balanced,
    /// Given weights: one positive number per class, in the order of ids.
    Given(Vec<f32>),
}

impl ClassWeights {
    /// The values that [`ClassWeights::parse`] takes, in words.
    pub const EXPECTED: &'static str =
        "`balanced`, `none`, or a number above 0 for each label, such as 0.5,2";

    /// Reads `balanced`, `none` or one number per label; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "none" => Some(Self::Even),
            "balanced" => Some(Self::Balanced),
            numbers => numbers
                .split(',')
                .map(|number| number.trim().parse::<f32>().ok())
                .map(|number| number.filter(|n| n.is_finite() && *n > 0.0))
                .collect::<Option<_>>()
                .map(Self::Given),
        }
    }
}

impl fmt::Display for ClassWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Even => f.write_str("none"),
            Self::Balanced => f.write_str("balanced"),
            Self::Given(weights) => {
                let weights: Vec<String> = weights.iter().map(f32::to_string).collect();
                f.write_str(&weights.join(","))
            }
        }
    }
}

/// Computes the weights for a run over these training examples.
///
/// Balanced weights are scikit-learn's, n / (C · n\[c\]), where n\[c\] of n examples (or tagged
/// tokens) belong to class c and C classes occur. For sets of labels, each output is a separate
/// question. There, a label that applies to p of n examples has the weight (n − p) / p relative to
/// its absence. A label without examples has weight 1.
///
/// # Errors
/// Fails if the task has no classes, if the number of weights differs from the number of classes,
/// or if examples cannot be read.
pub fn loss_weighting(
    class_weights: &ClassWeights,
    label_smoothing: f64,
    task: &Task,
    examples: &Examples,
) -> Result<LossWeighting> {
    let refuse = |key: &str, why: &str| {
        Err(Error::Usage(format!(
            "{key}: {why}, but the task `{}` is {}; remove it",
            task.name,
            task.problem_type.as_str().replace('_', " ")
        )))
    };
    let kind = kind_of(task.problem_type);
    if *class_weights != ClassWeights::Even && !kind.has_classes() {
        return refuse("--class-weights", "only classes have weights");
    }
    if label_smoothing > 0.0 && !kind.has_one_class() {
        return refuse(
            "--label-smoothing",
            "it spreads the target of one class over the others",
        );
    }
    let class_weights = match class_weights {
        ClassWeights::Even => Vec::new(),
        ClassWeights::Balanced => balanced(task, examples)?,
        ClassWeights::Given(weights) if weights.len() == task.num_labels() => weights.clone(),
        ClassWeights::Given(weights) => {
            return Err(Error::Usage(format!(
                "--class-weights {}: expected a number for each of the {} labels ({}), found {}; give one per label",
                class_weights,
                task.num_labels(),
                short_list(&task.labels, ", "),
                weights.len()
            )));
        }
    };
    Ok(LossWeighting {
        label_smoothing: label_smoothing as f32,
        class_weights,
    })
}

fn balanced(task: &Task, examples: &Examples) -> Result<Vec<f32>> {
    let (counts, total) = label_counts(task.num_labels(), examples)?;
    let is_set = task.problem_type == ProblemType::MultiLabelClassification;
    let occurring = counts.iter().filter(|&&n| n > 0).count();
    let weight = |n: usize| match n {
        0 => 1.0,
        n if is_set => (total.saturating_sub(n).max(1)) as f64 / n as f64,
        n => total as f64 / (occurring * n) as f64,
    };
    Ok(counts.iter().map(|&n| weight(n) as f32).collect())
}

/// The weights in one line, as many as fit in it; `None` if all are equal.
pub fn describe(weighting: &LossWeighting, task: &Task) -> Option<String> {
    let weights = weighting.weights()?;
    let labelled = task.labels.iter().zip(weights);
    let parts: Vec<String> = labelled
        .map(|(label, weight)| format!("{label} {weight:.3}"))
        .collect();
    Some(in_line("class weights", &parts, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use progtune_engine::{EncodedExample, Target};

    fn examples(targets: Vec<Target>) -> Examples {
        let example = |target| EncodedExample {
            input_ids: vec![0; 5],
            token_type_ids: vec![0; 5],
            target: Some(target),
        };
        targets.into_iter().map(example).collect()
    }

    fn task(problem_type: ProblemType) -> Task {
        let mut task = Task::by_name("sst2").expect("a task").clone();
        task.problem_type = problem_type;
        task
    }

    fn weights(problem_type: ProblemType, targets: Vec<Target>) -> Vec<f32> {
        let (task, examples) = (task(problem_type), examples(targets));
        let weighting = loss_weighting(&ClassWeights::Balanced, 0.0, &task, &examples);
        weighting.expect("weights").class_weights
    }

    /// scikit-learn 1.7: `compute_class_weight("balanced", classes=[0, 1], y=[0, 0, 0, 1])` is
    /// [2/3, 2].
    #[test]
    fn balanced_weights_are_scikit_learns() {
        let of = |class| Target::Class(class);
        let classes = vec![of(0), of(0), of(0), of(1)];
        let single = ProblemType::SingleLabelClassification;
        assert_eq!(weights(single, classes), [2.0 / 3.0, 2.0]);
        assert_eq!(weights(single, vec![of(1), of(1)]), [1.0, 1.0]);
        let tags = Target::Tags(vec![None, Some(0), Some(1), Some(0), Some(0)]);
        assert_eq!(
            weights(ProblemType::TokenClassification, vec![tags]),
            [2.0 / 3.0, 2.0]
        );
        let sets = vec![
            Target::Classes(vec![0, 1]),
            Target::Classes(vec![0]),
            Target::Classes(vec![0]),
            Target::Classes(vec![]),
        ];
        assert_eq!(
            weights(ProblemType::MultiLabelClassification, sets),
            [1.0 / 3.0, 3.0]
        );
    }

    #[test]
    fn what_has_no_classes_takes_neither() {
        let message = |class_weights: &ClassWeights, label_smoothing: f64, task: &Task| {
            let result =
                loss_weighting(class_weights, label_smoothing, task, &examples(Vec::new()));
            result
                .err()
                .map_or(String::new(), |error| error.to_string())
        };
        let weights = ClassWeights::Given(vec![1.0, 2.0, 3.0]);
        let single = task(ProblemType::SingleLabelClassification);
        let text = message(&weights, 0.0, &single);
        assert!(
            text.contains("each of the 2 labels (negative, positive), found 3"),
            "{text}"
        );
        let text = message(&weights, 0.0, &task(ProblemType::Regression));
        assert!(text.contains("only classes have weights"), "{text}");
        let text = message(
            &ClassWeights::Even,
            0.1,
            &task(ProblemType::QuestionAnswering),
        );
        assert!(text.contains("--label-smoothing"), "{text}");
        assert_eq!(message(&ClassWeights::Even, 0.1, &single), "");
    }
}
