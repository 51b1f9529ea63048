//! The outcome of a training run, for its report and its records. Made by the recipe, read by the
//! report.

use crate::best_model::Best;
use progtune_engine::plan::Stage;
use serde_json::{Map, Value};

/// The outcome of a training run.
#[derive(Debug, Default)]
pub struct Summary {
    /// Number of optimizer steps.
    pub steps: u64,
    /// Number of epochs, with a fraction if the run stopped early.
    pub epochs: f64,
    /// Seconds from the start of the process to the first step.
    pub startup_secs: f64,
    /// The mean loss over the steps.
    pub train_loss: f64,
    /// Duration of training in seconds, including evaluations (Hugging Face's `train_runtime`).
    pub train_secs: f64,
    /// Duration of only the training steps in seconds.
    pub step_secs: f64,
    /// Duration of only the evaluations after epochs in seconds.
    pub eval_secs: f64,
    /// Duration of the evaluation on the test data in seconds; 0 without test data.
    pub test_secs: f64,
    /// Number of examples seen.
    pub samples: u64,
    /// Number of tokens seen, without padding.
    pub tokens: u64,
    /// The size of the trainable set, summed over the epochs and weighted by the share of each
    /// epoch that ran.
    pub updated_parameters: f64,
    /// The last evaluation, or that of the best epoch if its model was restored, by `eval_…` keys,
    /// and the evaluation on the test data by `test_…` keys.
    pub evaluation: Map<String, Value>,
    /// The one answer that the model gives to every example of the first split, if it gives no
    /// other.
    pub only_answer: Option<String>,
    /// The one label of every example of the first split, if they all have the same.
    pub only_label: Option<String>,
    /// The epoch whose model is the result, if the best model was requested.
    pub best: Option<Best>,
    /// Number of steps that trained each part of the model, as in [`crate::engaged::count_step`].
    pub trained_steps: Vec<u64>,
    /// Every epoch that ran; the last one may be cut short.
    pub history: Vec<EpochRecord>,
}

/// The record of an epoch.
#[derive(Debug, Clone, Default)]
pub struct EpochRecord {
    /// The number of the epoch, counted from 1.
    pub epoch: u32,
    /// The trained blocks, as in [`Stage::block_ranges`]. If later stages train other blocks, `…`
    /// follows those of the first stage.
    pub blocks: String,
    /// Number of updated parameters: the trainable sets of its stages, weighted by their share of
    /// its steps.
    pub updated_parameters: f64,
    /// The share of its steps that ran; below 1 only in the last epoch of a run that was cut short.
    pub share: f64,
    /// The mean training loss over its steps.
    pub train_loss: f64,
    /// Duration in seconds, including its evaluation.
    pub secs: f64,
    /// The evaluation after the epoch, by `eval_…` keys.
    pub evaluation: Map<String, Value>,
}

impl EpochRecord {
    /// Adds a stage of the epoch.
    pub fn add_stage(&mut self, stage: &Stage) {
        let blocks = stage.block_ranges();
        if self.blocks.is_empty() {
            self.blocks = blocks;
        } else if self.blocks != blocks && !self.blocks.ends_with('…') {
            self.blocks += " …";
        }
    }
}
