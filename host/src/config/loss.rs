//! The loss. Read by `train` and `plan`.

use super::export::Written;
use super::settings::Settings;
use super::{ConfigError, fraction};
use crate::flags::{Flag, Form, Offers};
use progtune_pipeline::class_weights::ClassWeights;

pub(crate) static CLASS_WEIGHTS: Flag<ClassWeights> = Flag::key(
    "class_weights",
    "W",
    "Class weights: balanced (inverse to each class's share), or one number per label",
)
.computed("none")
.example("balanced")
.form(Form::Parsed(ClassWeights::EXPECTED, ClassWeights::parse))
.offers(Offers::Some(|| vec!["balanced"]));

pub(crate) static LABEL_SMOOTHING: Flag<f64> = Flag::key(
    "label_smoothing",
    "X",
    "Label smoothing: share of each target that is spread over all labels",
)
.default("0")
.example("0.1")
.form(fraction());

/// The weights of labels in the loss, and label smoothing.
#[derive(Debug, Clone, PartialEq)]
pub struct LossConfig {
    /// The weight of each class in the loss.
    pub class_weights: ClassWeights,
    /// The share of a class's target that is spread evenly over all classes, in `[0, 1)`.
    pub label_smoothing: f64,
}

impl LossConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self {
            class_weights: settings.find(&CLASS_WEIGHTS)?.unwrap_or_default(),
            label_smoothing: settings.get(&LABEL_SMOOTHING)?,
        })
    }

    pub(super) fn write(&self, written: &mut Written) {
        let are_given = self.class_weights != ClassWeights::Even;
        let weights = are_given.then(|| self.class_weights.to_string());
        written.set_if(&CLASS_WEIGHTS, weights);
        written.set(&LABEL_SMOOTHING, self.label_smoothing);
    }
}
