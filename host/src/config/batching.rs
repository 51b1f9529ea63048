//! Batches, and the length of the sequences in them. Read by `train` and `plan`; `evaluate`, `predict` and `data inspect`
//! read a part of it.

use super::settings::Settings;
use super::{ConfigError, read_count, read_limit};
use crate::batch_order::{BatchLimit, Rule};

/// The batches of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchingConfig {
    /// The most that a training batch holds.
    pub train: BatchLimit,
    /// The most that an evaluation batch holds.
    pub eval: BatchLimit,
    /// Batches in an optimizer step, at least 1.
    pub gradient_accumulation_steps: usize,
    /// Longest sequence in tokens, special tokens included; at least 3. The model may allow less. `None`: what suits the
    /// task ([`max_length`](super::max_length)).
    pub max_length: Option<usize>,
    /// Whether the examples come in another order in each epoch.
    pub shuffle: bool,
    /// Whether a shuffled epoch puts sequences of similar length into a batch.
    pub group_by_length: bool,
}

impl BatchingConfig {
    /// How training batches are made of examples.
    pub fn rule(&self, seed: u64) -> Rule {
        Rule {
            limit: self.train,
            shuffle: self.shuffle,
            group_by_length: self.group_by_length,
            seed,
            gradient_accumulation_steps: self.gradient_accumulation_steps,
        }
    }

    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self {
            train: read_batch(settings, "batch_size", "batch_tokens")?,
            eval: read_eval_batch(settings)?,
            gradient_accumulation_steps: read_count(settings, "gradient_accumulation_steps")?,
            max_length: read_max_length(settings)?,
            shuffle: !settings.switch("no_shuffle")?,
            group_by_length: !settings.switch("no_group_by_length")?,
        })
    }
}

/// The bound of a batch: a count of examples, or of tokens when that is set.
fn read_batch(settings: &Settings, size: &str, tokens: &str) -> Result<BatchLimit, ConfigError> {
    let Some(budget) = read_limit(settings, tokens)? else {
        return Ok(BatchLimit::Examples(read_count(settings, size)?));
    };
    // `none` takes back a size that a lower layer has set.
    if read_limit(settings, size)?.is_some() && settings.is_set(size) {
        return Err(ConfigError::Conflict {
            first: format!("{size} (from {})", settings.origin(size)),
            second: format!("{tokens} (from {})", settings.origin(tokens)),
            reason: "a batch is bounded by its examples or by its tokens".into(),
            advice: "give one of them, and `none` for the other where a file or variable sets it"
                .into(),
        });
    }
    Ok(BatchLimit::Tokens(budget))
}

pub(super) fn read_eval_batch(settings: &Settings) -> Result<BatchLimit, ConfigError> {
    read_batch(settings, "eval_batch_size", "eval_batch_tokens")
}

pub(super) fn read_max_length(settings: &Settings) -> Result<Option<usize>, ConfigError> {
    settings.optional_number(
        "max_length",
        "a whole number from 3 (two special tokens and a word)",
        |&n| n >= 3,
    )
}
