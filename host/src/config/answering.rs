//! The keys about questions over texts: how texts are cut into inputs, and how answers are chosen.
//! Read by the resolved configurations of every command that reads data.

use super::export::Written;
use super::settings::Settings;
use super::{ConfigError, limit};
use crate::flags::{Flag, Form, Scope};
use progtune_datasets::ProblemType;
use progtune_pipeline::question_answering::Answering;

pub(crate) static DOC_STRIDE: Flag<usize> = Flag::key(
    "doc_stride",
    "N",
    "Overlap in tokens of neighbouring windows, for texts longer than --max-length",
)
.default("128")
.scope(Scope::All)
.form(Form::Parsed("a whole number of at least 0", |text| {
    text.parse().ok()
}));

pub(crate) static N_BEST_SIZE: Flag<usize> = Flag::key(
    "n_best_size",
    "N",
    "Number of candidate answers per question, and of start and end tokens per window",
)
.default("20")
.scope(Scope::All)
.form(limit());

pub(crate) static MAX_ANSWER_LENGTH: Flag<usize> =
    Flag::key("max_answer_length", "N", "Maximum answer length in tokens")
        .default("30")
        .scope(Scope::All)
        .form(limit());

pub(crate) static NULL_THRESHOLD: Flag<f32> = Flag::key(
    "null_threshold",
    "X",
    "Predict no answer if its score exceeds the best answer's by more than this (SQuAD v2.0)",
)
.default("0.0")
.scope(Scope::All)
.form(Form::Parsed("a number", |text| {
    text.parse().ok().filter(|x: &f32| x.is_finite())
}))
.adjust(|arg| arg.allow_hyphen_values(true));

/// The default maximum input lengths; the second, for questions about texts, is that of Hugging
/// Face's `run_qa.py`.
const MAX_LENGTH: (usize, usize) = (128, 384);

pub(super) fn read(settings: &Settings) -> Result<Answering, ConfigError> {
    Ok(Answering {
        doc_stride: settings.get(&DOC_STRIDE)?,
        n_best_size: settings.get(&N_BEST_SIZE)?,
        max_answer_length: settings.get(&MAX_ANSWER_LENGTH)?,
        null_threshold: settings.get(&NULL_THRESHOLD)?,
    })
}

pub(super) fn write(answering: &Answering, written: &mut Written) {
    written.set(&DOC_STRIDE, answering.doc_stride);
    written.set(&N_BEST_SIZE, answering.n_best_size);
    written.set(&MAX_ANSWER_LENGTH, answering.max_answer_length);
    written.set(&NULL_THRESHOLD, f64::from(answering.null_threshold));
}

/// The maximum input length in tokens: the given one, otherwise the default for the kind of task.
pub(crate) fn max_length(asked: Option<usize>, problem: ProblemType) -> usize {
    asked.unwrap_or(match problem {
        ProblemType::QuestionAnswering => MAX_LENGTH.1,
        _ => MAX_LENGTH.0,
    })
}

/// Settings that all differ from the defaults.
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

    /// The defaults are those of `run_qa.py`.
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
