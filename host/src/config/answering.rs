//! The keys about questions over texts: how they are cut into inputs, and how answers are chosen. Read by the resolved
//! configurations of every command that reads data.

use super::ConfigError;
use super::settings::Settings;
use progtune_datasets::ProblemType;
use progtune_pipeline::question_answering::Answering;

/// The longest input where none is asked for; of questions about texts, as Hugging Face's `run_qa.py` has it.
const MAX_LENGTH: (usize, usize) = (128, 384);

pub(super) fn read(settings: &Settings) -> Result<Answering, ConfigError> {
    let count = |key: &str| settings.number(key, "a whole number from 1", |&n| n >= 1);
    Ok(Answering {
        doc_stride: settings.number("doc_stride", "a whole number from 0", |_| true)?,
        n_best_size: count("n_best_size")?,
        max_answer_length: count("max_answer_length")?,
        null_threshold: settings.number("null_threshold", "a number", |x: &f32| x.is_finite())?,
    })
}

/// The longest input in tokens: what is asked for, else what suits the task.
pub fn max_length(asked: Option<usize>, problem: ProblemType) -> usize {
    asked.unwrap_or(match problem {
        ProblemType::QuestionAnswering => MAX_LENGTH.1,
        _ => MAX_LENGTH.0,
    })
}

/// Differs from the defaults everywhere.
#[cfg(test)]
pub(super) const UNUSUAL: Answering = Answering {
    doc_stride: 32,
    n_best_size: 5,
    max_answer_length: 12,
    null_threshold: -1.5,
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of `run_qa.py`.
    #[test]
    fn defaults() {
        let Answering {
            doc_stride,
            n_best_size,
            max_answer_length,
            null_threshold,
        } = Answering::default();
        assert_eq!((doc_stride, n_best_size, max_answer_length), (128, 20, 30));
        assert_eq!(null_threshold, 0.0);
        assert_eq!(max_length(None, ProblemType::QuestionAnswering), 384);
        assert_eq!(max_length(None, ProblemType::Regression), 128);
        assert_eq!(max_length(Some(7), ProblemType::QuestionAnswering), 7);
    }
}
