//! The course of training: its length, its randomness, and the choice of the resulting model. Read
//! by `train` and `plan`.

use progtune_datasets::Metric;
use progtune_pipeline::HeadInit;

use super::export::Written;
use super::settings::Settings;
use super::{ConfigError, EARLY_STOPPING_PATIENCE, fraction};
use crate::flags::{Flag, Form, Offers, Scope};
use crate::nonfinite::OnNonfinite;

pub(crate) static EPOCHS: Flag<u32> =
    Flag::key("epochs", "T", "Number of passes over the training set")
        .default("3")
        .usual()
        .form(Form::Parsed("a whole number from 1 to 10000", |text| {
            // Hugging Face's command lines say `3.0`.
            let whole = text.strip_suffix(".0").unwrap_or(text);
            whole.parse().ok().filter(|n| (1..=10_000).contains(n))
        }));

pub(crate) static MAX_STEPS: Flag<u64> = Flag::key(
    "max_steps",
    "N",
    "Stop after N steps; the schedule and the learning rate still follow --epochs",
)
.computed("none: all steps of all epochs")
.example("100")
.form(Form::Parsed("a whole number of at least 1", |text| {
    text.parse().ok().filter(|&n| n >= 1)
}));

pub(crate) static SEED: Flag<u64> = Flag::key("seed", "N", "Random seed")
    .default("42")
    .scope(Scope::Measuring)
    .elsewhere(&[(
        &["evaluate"],
        "N",
        "Random seed of the sample of --max-eval-samples",
    )])
    .form(Form::Parsed(
        "a whole number of at least 0 and below 2^64",
        |text| text.parse().ok(),
    ));

pub(crate) static DROPOUT: Flag<f64> = Flag::key(
    "dropout",
    "P",
    "Dropout probability, instead of the model's hidden, attention and classifier dropout",
)
.computed("the model's own config.json")
.example("0.1")
.form(fraction());

pub(crate) static FROZEN_DROPOUT: Flag<bool> = Flag::switch(
    "frozen_dropout",
    "Apply dropout also below the lowest trained parameter (in frozen blocks and embeddings)",
);

pub(crate) static HEAD_INIT: Flag<HeadInit> = Flag::key(
    "head_init",
    "NAME",
    "Bias of a new head: auto (the labels' mean for regression, else 0), prior (also the label frequencies), pytorch (0)",
)
.default("auto")
.form(Form::OneOf(HeadInit::NAMES));

pub(crate) static LOAD_BEST_MODEL_AT_END: Flag<bool> = Flag::switch(
    "load_best_model_at_end",
    "Keep the model of the best evaluation instead of the last",
);

pub(crate) static METRIC_FOR_BEST_MODEL: Flag<String> = Flag::key(
    "metric_for_best_model",
    "NAME",
    "Metric that selects the best evaluation: loss or a metric of the task; implies --load-best-model-at-end",
)
.computed("loss")
.example("accuracy")
.offers(Offers::Some(|| {
    let metrics = Metric::ALL.into_iter().map(Metric::as_str);
    ["loss"].into_iter().chain(metrics).collect()
}));

pub(crate) static ON_NONFINITE: Flag<OnNonfinite> = Flag::key(
    "on_nonfinite",
    "WHAT",
    "Reaction to a loss or gradient that is NaN or infinite: stop, skip (leave the step out, at most 10 in a row), rollback \
     (skip, and take the parameters back to the last checkpoint)",
)
.default("stop")
.form(Form::OneOf(OnNonfinite::NAMES));

/// The course of training.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingConfig {
    /// Passes over the training set (T), from 1 to 10000.
    pub epochs: u32,
    /// Number of optimizer steps after which training stops, at least 1. T and the learning-rate
    /// horizon still follow `epochs`.
    pub max_steps: Option<u64>,
    /// Random seed.
    pub seed: u64,
    /// Dropout in `[0, 1)` that replaces the model's hidden, attention and classifier dropout;
    /// `None` keeps the model's.
    pub dropout: Option<f64>,
    /// Whether dropout also applies to blocks and embeddings below the lowest trained parameter.
    pub frozen_dropout: bool,
    /// The initialisation of a new head.
    pub head_init: HeadInit,
    /// The evaluation key, with or without `eval_`, whose best evaluation has the result; `None`
    /// for the model of the last step.
    pub(crate) best_model_metric: Option<String>,
    /// The reaction to a loss or gradient that is not finite.
    pub(crate) on_nonfinite: OnNonfinite,
}

impl TrainingConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        // Early stopping compares with the best evaluation, so it keeps its model, too.
        let keeps_best = settings.get(&LOAD_BEST_MODEL_AT_END)?
            || settings.is_set(&METRIC_FOR_BEST_MODEL)
            || settings.find(&EARLY_STOPPING_PATIENCE)?.is_some();
        let metric = settings.optional_text(&METRIC_FOR_BEST_MODEL)?;
        Ok(Self {
            epochs: settings.get(&EPOCHS)?,
            max_steps: settings.find(&MAX_STEPS)?,
            seed: settings.get(&SEED)?,
            dropout: settings.find(&DROPOUT)?,
            frozen_dropout: settings.get(&FROZEN_DROPOUT)?,
            head_init: settings.get(&HEAD_INIT)?,
            best_model_metric: keeps_best.then(|| metric.unwrap_or_else(|| "loss".into())),
            on_nonfinite: settings.get(&ON_NONFINITE)?,
        })
    }

    /// The number of the last step, if an epoch has `steps_per_epoch` steps.
    pub fn last_step(&self, steps_per_epoch: u64) -> u64 {
        let total = steps_per_epoch * u64::from(self.epochs);
        self.max_steps.unwrap_or(total).min(total)
    }

    pub(super) fn write(&self, written: &mut Written) {
        written.set(&EPOCHS, u64::from(self.epochs));
        written.set_if(&MAX_STEPS, self.max_steps);
        written.set(&SEED, self.seed);
        written.set_if(&DROPOUT, self.dropout);
        written.set(&FROZEN_DROPOUT, self.frozen_dropout);
        written.set(&HEAD_INIT, self.head_init.to_string());
        // Naming a metric implies loading the best model.
        let metric = self.best_model_metric.as_deref();
        written.set(&LOAD_BEST_MODEL_AT_END, metric.is_some());
        written.set_if(&METRIC_FOR_BEST_MODEL, metric);
        written.set(&ON_NONFINITE, self.on_nonfinite.to_string());
    }
}
