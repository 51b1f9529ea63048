//! The settings that control how questions are split into inputs and how their answers are chosen.
//! They are part of the configuration, and are read where questions become windows.

use super::decode::DecodeSettings;
use progtune_datasets::Task;

/// The settings for reading and answering questions. Names and defaults are those of `run_qa.py`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answering {
    /// Number of tokens shared by consecutive windows of a long text.
    pub doc_stride: usize,
    /// Number of candidate answers per question, and of first and last tokens tried per window; at
    /// least 1.
    pub n_best_size: usize,
    /// The maximum number of tokens in an answer; at least 1.
    pub max_answer_length: usize,
    /// The margin by which the score of no answer must exceed the best answer's
    /// (`null_score_diff_threshold`).
    pub null_threshold: f32,
}

impl Default for Answering {
    fn default() -> Self {
        let decode = DecodeSettings::default();
        Self {
            doc_stride: 128,
            n_best_size: decode.n_best_size,
            max_answer_length: decode.max_answer_length,
            null_threshold: decode.null_score_diff_threshold,
        }
    }
}

impl Answering {
    /// The settings for choosing answers in a task.
    pub fn decode_settings(&self, task: &Task) -> DecodeSettings {
        DecodeSettings {
            n_best_size: self.n_best_size,
            max_answer_length: self.max_answer_length,
            version_2_with_negative: task.has_unanswerable,
            null_score_diff_threshold: self.null_threshold,
        }
    }
}
