//! AdamW and its learning rate. Read by `train` and `plan`.

use super::settings::Settings;
use super::{ConfigError, read_fraction};
use crate::optim::{self, LrScheduler, Warmup};

/// The optimizer. Where Hugging Face's Trainer has a default, it is the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OptimizerConfig {
    /// Peak learning rate, above 0; `None` is the method's suggestion.
    pub lr: Option<f64>,
    /// The learning-rate curve after warm-up.
    pub lr_scheduler: LrScheduler,
    /// How long the learning rate climbs.
    pub warmup: Warmup,
    /// Decay, moments and clipping: β₁ and β₂ in `[0, 1)`, ε above 0, the others at least 0.
    pub adamw: optim::Settings,
}

impl OptimizerConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self {
            lr: settings.optional_number("lr", "a number above 0", |&x| is_positive(x))?,
            lr_scheduler: settings.choice("lr_scheduler", LrScheduler::NAMES)?,
            warmup: settings.parsed(
                "warmup",
                "a share of all steps from 0 and below 1, or a whole number of steps from 1",
                Warmup::parse,
            )?,
            adamw: optim::Settings {
                beta1: read_fraction(settings, "adam_beta1")?,
                beta2: read_fraction(settings, "adam_beta2")?,
                eps: settings.number("adam_epsilon", "a number above 0", |&x| is_positive(x))?,
                weight_decay: settings
                    .number("weight_decay", "a number from 0", |&x| is_from_zero(x))?,
                max_grad_norm: settings.number(
                    "max_grad_norm",
                    "a number from 0 (0 is no clipping)",
                    |&x| is_from_zero(x),
                )?,
            },
        })
    }
}

fn is_positive(x: f64) -> bool {
    x.is_finite() && x > 0.0
}

fn is_from_zero(x: f64) -> bool {
    x.is_finite() && x >= 0.0
}
