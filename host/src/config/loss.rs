//! The loss. Read by `train` and `plan`.

use super::settings::Settings;
use super::{ConfigError, read_fraction};
use crate::class_weights::ClassWeights;

/// The weight of each label in the loss.
#[derive(Debug, Clone, PartialEq)]
pub struct LossConfig {
    /// How much classes count in the loss.
    pub class_weights: ClassWeights,
    /// The share of a class's target that is spread evenly over all classes, in `[0, 1)`.
    pub label_smoothing: f64,
}

impl LossConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self {
            class_weights: settings
                .optional_parsed("class_weights", ClassWeights::EXPECTED, ClassWeights::parse)?
                .unwrap_or_default(),
            label_smoothing: read_fraction(settings, "label_smoothing")?,
        })
    }
}
