//! The outcome of a training run, for its report and its records. Made by the recipe, read by the report.

use crate::best_model::Best;
use progtune_engine::plan::Stage;
use serde_json::{Map, Value};

/// What a run amounts to.
#[derive(Debug, Default)]
pub struct Summary {
    /// Optimizer steps.
    pub steps: u64,
    /// Epochs, with a fraction when stopped early.
    pub epochs: f64,
    /// Seconds from the process' beginning to its first step.
    pub startup_secs: f64,
    /// Mean loss over the steps.
    pub train_loss: f64,
    /// Seconds of training, evaluations included (Hugging Face's `train_runtime`).
    pub train_secs: f64,
    /// Seconds of training steps alone.
    pub step_secs: f64,
    /// Examples seen.
    pub samples: u64,
    /// Real tokens seen.
    pub tokens: u64,
    /// Σ over epochs of the size of the trainable set, weighted by the share of the epoch that ran.
    pub updated_parameters: f64,
    /// The last evaluation, or that of the best epoch where its model was brought back, by `eval_…` keys.
    pub evaluation: Map<String, Value>,
    /// The one answer that the model gives to every example of the first split, if it gives no other.
    pub only_answer: Option<String>,
    /// The epoch whose model is the result, where the best one was asked for.
    pub best: Option<Best>,
    /// Every epoch that ran, the last one perhaps in part.
    pub history: Vec<EpochRecord>,
}

/// An epoch of a run that is over.
#[derive(Debug, Clone, Default)]
pub struct EpochRecord {
    /// Counted from 1.
    pub epoch: u32,
    /// What it trained, as [`Stage::block_ranges`]; of several stages the first one's, and `…`.
    pub blocks: String,
    /// The parameters it updated: those of its stages by the share of its steps they had.
    pub updated_parameters: f64,
    /// Seconds, its evaluation included.
    pub secs: f64,
    /// The evaluation after it, by `eval_…` keys.
    pub evaluation: Map<String, Value>,
}

impl EpochRecord {
    /// A stage of it begins.
    pub fn add_stage(&mut self, stage: &Stage) {
        let blocks = stage.block_ranges();
        if self.blocks.is_empty() {
            self.blocks = blocks;
        } else if self.blocks != blocks && !self.blocks.ends_with('…') {
            self.blocks += " …";
        }
    }
}
