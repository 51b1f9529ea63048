//! The outcome of a training run, for its report and its records. Made by the recipe, read by the
//! report.

use crate::best_model::Best;
use progtune_engine::plan::Stage;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// The outcome of a training run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Number of optimizer steps, including skipped ones.
    pub steps: u64,
    /// Number of steps that were skipped, because their loss or gradient was not finite.
    pub skipped_steps: u64,
    /// The reason why training ended.
    pub end_reason: EndReason,
    /// Number of epochs, with a fraction if the run stopped early.
    pub epochs: f64,
    /// Seconds from the start of the process to the first step.
    pub startup_secs: f64,
    /// The mean loss over the steps that were not skipped; NaN if all were.
    #[serde(deserialize_with = "number_or_nan")]
    pub train_loss: f64,
    /// Duration of training in seconds, including evaluations (Hugging Face's `train_runtime`).
    pub train_secs: f64,
    /// Duration of only the training steps in seconds.
    pub step_secs: f64,
    /// Duration of only the evaluations in seconds.
    pub(crate) eval_secs: f64,
    /// Duration of the evaluation on the test data in seconds; 0 without test data.
    pub(crate) test_secs: f64,
    /// Number of examples seen.
    pub samples: u64,
    /// Number of tokens seen, without padding.
    pub tokens: u64,
    /// The size of the trainable set, summed over the epochs and weighted by the share of each
    /// epoch that ran.
    pub updated_parameters: f64,
    /// The last evaluation, or the best one if its model was restored, by `eval_…` keys,
    /// and the evaluation on the test data by `test_…` keys.
    pub evaluation: Map<String, Value>,
    /// The one answer that the model gives to every example of the first split, if it gives no
    /// other.
    pub(crate) only_answer: Option<String>,
    /// The one label of every example of the first split, if they all have the same.
    pub(crate) only_label: Option<String>,
    /// The evaluation whose model is the result, if the best model was requested.
    pub best: Option<Best>,
    /// Number of steps that trained each part of the model, as in [`crate::engaged::count_step`].
    pub(crate) trained_steps: Vec<u64>,
    /// Every epoch that ran; the last one may be cut short.
    pub history: Vec<EpochRecord>,
}

/// The reason why training ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndReason {
    /// Every step of every epoch is done.
    #[default]
    Completed,
    /// `--max-steps` came before the last epoch's end.
    MaxSteps,
    /// The evaluations did not improve (`--early-stopping-patience`).
    EarlyStopping,
}

impl EndReason {
    /// The reason of a run that ended after `steps` steps. Its epochs have `total_steps`, of which
    /// `last_step` is the last one by `--max-steps`.
    pub fn of(steps: u64, last_step: u64, total_steps: u64) -> Self {
        if steps >= total_steps {
            Self::Completed
        } else if steps >= last_step {
            Self::MaxSteps
        } else {
            Self::EarlyStopping
        }
    }

    /// The name in `all_results.json` and in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::MaxSteps => "max_steps",
            Self::EarlyStopping => "early_stopping",
        }
    }
}

/// The record of an epoch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
    /// The mean training loss over its steps that were not skipped; NaN if all were.
    #[serde(deserialize_with = "number_or_nan")]
    pub train_loss: f64,
    /// Duration in seconds, including its evaluations.
    pub secs: f64,
    /// The evaluation after the epoch, by `eval_…` keys; empty if there was none.
    pub evaluation: Map<String, Value>,
}

impl EpochRecord {
    /// Adds a stage of the epoch.
    pub(crate) fn add_stage(&mut self, stage: &Stage) {
        let blocks = stage.block_ranges();
        if self.blocks.is_empty() {
            self.blocks = blocks;
        } else if self.blocks != blocks && !self.blocks.ends_with('…') {
            self.blocks += " …";
        }
    }
}

/// A number, for which JSON has no form if it is not finite.
fn number_or_nan<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}
