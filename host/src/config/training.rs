//! The course of training: its length, its randomness, and which of its models is the result. Read by `train` and `plan`.

use super::settings::Settings;
use super::{ConfigError, is_fraction};

/// The course of training.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingConfig {
    /// Passes over the training set (T), from 1 to 10000.
    pub epochs: u32,
    /// Stop after this many optimizer steps, at least 1; T and the learning-rate horizon stay those of `epochs`.
    pub max_steps: Option<u64>,
    /// Random seed.
    pub seed: u64,
    /// Dropout in `[0, 1)` in place of the model's hidden, attention and classifier dropout; `None` keeps the model's.
    pub dropout: Option<f64>,
    /// Whether everything below the lowest trained parameter (blocks and embeddings) has dropout as well.
    pub frozen_dropout: bool,
    /// The key of the evaluation, with or without `eval_`, whose best epoch is the result; `None`: the last epoch is.
    pub best_model_metric: Option<String>,
}

impl TrainingConfig {
    pub(super) fn read(settings: &Settings, seed: u64) -> Result<Self, ConfigError> {
        let keeps_best =
            settings.switch("load_best_model_at_end")? || settings.is_set("metric_for_best_model");
        let metric = settings.optional_text("metric_for_best_model")?;
        Ok(Self {
            epochs: settings.number("epochs", "a whole number from 1 to 10000", |n| {
                (1..=10_000).contains(n)
            })?,
            max_steps: settings
                .optional_number("max_steps", "a whole number from 1", |&n| n >= 1)?,
            seed,
            dropout: settings.optional_number(
                "dropout",
                "a number from 0 and below 1",
                is_fraction,
            )?,
            frozen_dropout: settings.switch("frozen_dropout")?,
            best_model_metric: keeps_best.then(|| metric.unwrap_or_else(|| "loss".into())),
        })
    }
}

pub(super) fn read_seed(settings: &Settings) -> Result<u64, ConfigError> {
    settings.number("seed", "a whole number from 0 and below 2^64", |_| true)
}
