//! The kinds of tasks. Everything by which one kind differs from another in a model, in the files
//! of Transformers and PEFT, and in the loss of an evaluation. The metrics and the predictions of a
//! kind are the pipeline's `task_scores`.
//!
//! ```
//! use progtune_datasets::ProblemType;
//! use progtune_engine::{HeadKind, kind_of};
//!
//! let tags = kind_of(ProblemType::TokenClassification);
//! assert_eq!(tags.head(9), HeadKind::Token(9));
//! assert_eq!(tags.peft_task_type(), "TOKEN_CLS");
//! ```

use crate::batch::Target;
use progtune_datasets::{ProblemType, Task};

/// The head above the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadKind {
    /// One row of logits per sequence, of this size: classification or regression.
    Sequence(usize),
    /// Start and end logits of every token, without a pooler: question answering.
    QuestionAnswering,
    /// This many logits of every token, without a pooler: token classification.
    Token(usize),
}

impl HeadKind {
    /// The head of a task.
    pub fn of(task: &Task) -> Self {
        kind_of(task.problem_type).head(task.num_labels())
    }

    /// Whether the head reads every token's row. Otherwise it reads the first row of each sequence.
    pub fn reads_every_token(self) -> bool {
        matches!(self, Self::QuestionAnswering | Self::Token(_))
    }
}

/// A kind of task.
pub trait TaskKind: Sync {
    /// The head for this number of labels.
    fn head(&self, labels: usize) -> HeadKind {
        HeadKind::Sequence(labels)
    }

    /// The end of the name of a model class in Transformers.
    fn class_suffix(&self) -> &'static str {
        "ForSequenceClassification"
    }

    /// PEFT's `task_type`.
    fn peft_task_type(&self) -> &'static str {
        "SEQ_CLS"
    }

    /// PEFT's `modules_to_save`. PEFT saves whole modules: the classifier always, and the pooler if
    /// it was trained.
    fn saved_modules(&self, pooler_trained: bool) -> &'static [&'static str] {
        if pooler_trained {
            &["classifier", "pooler"]
        } else {
            &["classifier", "score"]
        }
    }

    /// The names of the outputs in `config.json`, for a task with these labels.
    fn output_names(&self, labels: &[String]) -> Vec<String> {
        labels.to_vec()
    }

    /// Whether the outputs are classes, which may have weights in the loss.
    fn has_classes(&self) -> bool {
        true
    }

    /// Whether an output is one class of several, so that its target can be smoothed.
    fn has_one_class(&self) -> bool {
        true
    }

    /// The evaluation loss of one example and the number of terms in it; no terms for a target of
    /// another kind.
    fn loss(&self, logits: &[f32], target: &Target) -> (f64, u32);
}

/// The kind of a problem type.
pub fn kind_of(problem: ProblemType) -> &'static dyn TaskKind {
    match problem {
        ProblemType::SingleLabelClassification => &SingleLabel,
        ProblemType::MultiLabelClassification => &MultiLabel,
        ProblemType::Regression => &Regression,
        ProblemType::TokenClassification => &Tokens,
        ProblemType::QuestionAnswering => &Questions,
    }
}

struct SingleLabel;
struct MultiLabel;
struct Regression;
struct Tokens;
struct Questions;

const OF_ANOTHER_KIND: (f64, u32) = (0.0, 0);

impl TaskKind for SingleLabel {
    fn loss(&self, logits: &[f32], target: &Target) -> (f64, u32) {
        match target {
            Target::Class(class) => (cross_entropy(logits.iter().copied(), *class), 1),
            _ => OF_ANOTHER_KIND,
        }
    }
}

impl TaskKind for MultiLabel {
    fn has_one_class(&self) -> bool {
        false
    }

    fn loss(&self, logits: &[f32], target: &Target) -> (f64, u32) {
        let Target::Classes(classes) = target else {
            return OF_ANOTHER_KIND;
        };
        let of = |(output, &x): (usize, &f32)| {
            let x = f64::from(x);
            let x = if classes.contains(&(output as u32)) {
                -x
            } else {
                x
            };
            x.max(0.0) + (-x.abs()).exp().ln_1p()
        };
        let sum: f64 = logits.iter().enumerate().map(of).sum();
        (sum / logits.len() as f64, 1)
    }
}

impl TaskKind for Regression {
    fn output_names(&self, _: &[String]) -> Vec<String> {
        vec!["LABEL_0".into()]
    }

    fn has_classes(&self) -> bool {
        false
    }

    fn has_one_class(&self) -> bool {
        false
    }

    fn loss(&self, logits: &[f32], target: &Target) -> (f64, u32) {
        match target {
            Target::Score(score) => ((f64::from(logits[0]) - f64::from(*score)).powi(2), 1),
            _ => OF_ANOTHER_KIND,
        }
    }
}

impl TaskKind for Tokens {
    fn head(&self, labels: usize) -> HeadKind {
        HeadKind::Token(labels)
    }

    fn class_suffix(&self) -> &'static str {
        "ForTokenClassification"
    }

    fn peft_task_type(&self) -> &'static str {
        "TOKEN_CLS"
    }

    /// The loss of every tagged token.
    fn loss(&self, logits: &[f32], target: &Target) -> (f64, u32) {
        let Target::Tags(tags) = target else {
            return OF_ANOTHER_KIND;
        };
        let n = logits.len() / tags.len().max(1);
        let tagged = logits.chunks(n.max(1)).zip(tags);
        let losses =
            tagged.filter_map(|(row, tag)| Some(cross_entropy(row.iter().copied(), (*tag)?)));
        losses.fold((0.0, 0), |(sum, count), loss| (sum + loss, count + 1))
    }
}

impl TaskKind for Questions {
    fn head(&self, _: usize) -> HeadKind {
        HeadKind::QuestionAnswering
    }

    fn class_suffix(&self) -> &'static str {
        "ForQuestionAnswering"
    }

    fn peft_task_type(&self) -> &'static str {
        "QUESTION_ANS"
    }

    fn saved_modules(&self, _: bool) -> &'static [&'static str] {
        &["qa_outputs"]
    }

    /// Transformers' own names, because the outputs are positions and not labels.
    fn output_names(&self, _: &[String]) -> Vec<String> {
        vec!["LABEL_0".into(), "LABEL_1".into()]
    }

    fn has_classes(&self) -> bool {
        false
    }

    fn has_one_class(&self) -> bool {
        false
    }

    fn loss(&self, logits: &[f32], target: &Target) -> (f64, u32) {
        let Target::Span(span) = target else {
            return OF_ANOTHER_KIND;
        };
        let end = |end: usize| logits.iter().skip(end).step_by(2).copied();
        let loss = (0..2).map(|at| cross_entropy(end(at), span[at]));
        (loss.sum::<f64>() / 2.0, 1)
    }
}

fn cross_entropy(logits: impl Iterator<Item = f32> + Clone, class: u32) -> f64 {
    let max = f64::from(logits.clone().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.clone().map(|v| (f64::from(v) - max).exp()).sum();
    let right = logits.skip(class as usize).map(f64::from).next();
    max + sum.ln() - right.unwrap_or(f64::NAN)
}
