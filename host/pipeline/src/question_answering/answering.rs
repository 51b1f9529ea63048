//! How questions about texts are cut into inputs, and how their answers are chosen. A value of the configuration, read where
//! questions become windows.

use super::decode::DecodeSettings;
use progtune_datasets::Task;

/// How questions are read and answered. Names and defaults are those of `run_qa.py`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answering {
    /// Tokens that the windows of a long text share.
    pub doc_stride: usize,
    /// Answers that are kept of a question, and first and last tokens of a window that are tried; at least 1.
    pub n_best_size: usize,
    /// The most tokens of an answer; at least 1.
    pub max_answer_length: usize,
    /// There is no answer when its score exceeds the best answer's by more than this (`null_score_diff_threshold`).
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
    /// How answers of a task are chosen.
    pub fn decode_settings(&self, task: &Task) -> DecodeSettings {
        DecodeSettings {
            n_best_size: self.n_best_size,
            max_answer_length: self.max_answer_length,
            version_2_with_negative: task.has_unanswerable,
            null_score_diff_threshold: self.null_threshold,
        }
    }
}
