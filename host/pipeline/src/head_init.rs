//! The first bias of a new head, from `--head-init` and the labels of the training set. Called by
//! the recipe.
//!
//! A regression head that starts at zero first has to learn the labels' mean, through weights that
//! also move the model's features. With a PEFT method it often stays on that plateau. A bias at the
//! mean starts where the plateau ends.

use crate::{label_counts::label_counts, token_store::Examples};
use progtune_datasets::{ProblemType, Task};
use progtune_engine::{Result, Target};
use progtune_process::name_of;
use std::fmt;

/// The initialisation of a new head's bias. The weights are always drawn as in Transformers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HeadInit {
    /// The labels' mean for regression; zero for classes.
    #[default]
    Auto,
    /// The labels' mean for regression; for classes the logarithm of their shares, so that the
    /// first predictions are the label frequencies.
    Prior,
    /// Zero, as in PyTorch and Transformers.
    Pytorch,
}

impl HeadInit {
    /// The values of `--head-init`.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("prior", Self::Prior),
        ("pytorch", Self::Pytorch),
    ];

    /// The first bias of a new head, one value per output; `None` for zeros.
    ///
    /// Classes and tags of C labels get ln((n\[c\] + 1) / (n + C)), and labels of sets the logit of
    /// their share, (n\[c\] + 1) / (n + 2). The added counts keep labels without examples finite.
    /// Question answering has no prior.
    ///
    /// # Errors
    /// Fails if the examples cannot be read.
    pub fn bias(self, task: &Task, examples: &Examples) -> Result<Option<Vec<f32>>> {
        match (self, task.problem_type) {
            (Self::Pytorch, _) | (_, ProblemType::QuestionAnswering) => Ok(None),
            (_, ProblemType::Regression) => mean(examples),
            (Self::Auto, _) => Ok(None),
            (Self::Prior, problem_type) => {
                let (counts, total) = label_counts(task.num_labels(), examples)?;
                let of_sets = problem_type == ProblemType::MultiLabelClassification;
                let outcomes = if of_sets { 2 } else { counts.len() };
                let share = |n: usize| (n + 1) as f64 / (total + outcomes) as f64;
                let bias = counts.iter().map(|&n| {
                    let p = share(n);
                    if of_sets {
                        (p / (1.0 - p)).ln() as f32
                    } else {
                        p.ln() as f32
                    }
                });
                Ok(Some(bias.collect()))
            }
        }
    }
}

impl fmt::Display for HeadInit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(Self::NAMES, self))
    }
}

/// The mean score; `None` without scores.
fn mean(examples: &Examples) -> Result<Option<Vec<f32>>> {
    let (mut sum, mut n) = (0f64, 0u64);
    for example in examples.iter() {
        if let Some(Target::Score(score)) = example?.target {
            sum += f64::from(score);
            n += 1;
        }
    }
    Ok((n > 0).then(|| vec![(sum / n as f64) as f32]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use progtune_engine::EncodedExample;

    fn bias(init: HeadInit, problem_type: ProblemType, targets: Vec<Target>) -> Option<Vec<f32>> {
        let example = |target| EncodedExample {
            input_ids: vec![0; 5],
            token_type_ids: vec![0; 5],
            target: Some(target),
        };
        let examples: Examples = targets.into_iter().map(example).collect();
        let mut task = Task::by_name("sst2").expect("a task").clone();
        task.problem_type = problem_type;
        init.bias(&task, &examples).expect("a bias")
    }

    #[test]
    fn regression_starts_at_the_mean() {
        let scores = || vec![Target::Score(1.0), Target::Score(4.0)];
        let of = |init| bias(init, ProblemType::Regression, scores());
        assert_eq!(of(HeadInit::Auto), Some(vec![2.5]));
        assert_eq!(of(HeadInit::Prior), Some(vec![2.5]));
        assert_eq!(of(HeadInit::Pytorch), None);
    }

    #[test]
    fn classes_start_at_their_shares_on_request() {
        let single = ProblemType::SingleLabelClassification;
        let classes = || vec![Target::Class(0), Target::Class(0), Target::Class(1)];
        assert_eq!(bias(HeadInit::Auto, single, classes()), None);
        let prior = bias(HeadInit::Prior, single, classes()).expect("a prior");
        assert_eq!(prior, [0.6f64.ln() as f32, 0.4f64.ln() as f32]);
        let sets = vec![Target::Classes(vec![0]), Target::Classes(vec![])];
        let prior = bias(HeadInit::Prior, ProblemType::MultiLabelClassification, sets);
        assert_eq!(prior.expect("a prior"), [0.0, (1f64 / 3.0).ln() as f32]);
    }

    #[test]
    fn tags_are_counted_by_token() {
        let tags = Target::Tags(vec![None, Some(1), Some(1), None, None]);
        let prior = bias(
            HeadInit::Prior,
            ProblemType::TokenClassification,
            vec![tags],
        );
        assert_eq!(
            prior.expect("a prior"),
            [0.25f64.ln() as f32, 0.75f64.ln() as f32]
        );
    }
}
