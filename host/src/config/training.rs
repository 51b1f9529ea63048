//! The course of training: its length, its randomness, and the choice of the resulting model. Read
//! by `train` and `plan`.

use progtune_datasets::Metric;
use progtune_pipeline::head_init::HeadInit;

use super::export::Written;
use super::settings::Settings;
use super::{ConfigError, fraction};
use crate::flags::{Flag, Form, Offers, Scope};

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
    "Keep the model of the best epoch instead of the last",
);

pub(crate) static METRIC_FOR_BEST_MODEL: Flag<String> = Flag::key(
    "metric_for_best_model",
    "NAME",
    "Metric that selects the best epoch: loss or a metric of the task; implies --load-best-model-at-end",
)
.computed("loss")
.example("accuracy")
.offers(Offers::Some(|| {
    let metrics = Metric::ALL.into_iter().map(Metric::as_str);
    ["loss"].into_iter().chain(metrics).collect()
}));

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
    /// The evaluation key, with or without `eval_`, whose best epoch is the result; `None` for the
    /// last epoch.
    pub best_model_metric: Option<String>,
}

impl TrainingConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let keeps_best =
            settings.get(&LOAD_BEST_MODEL_AT_END)? || settings.is_set(&METRIC_FOR_BEST_MODEL);
        let metric = settings.optional_text(&METRIC_FOR_BEST_MODEL)?;
        Ok(Self {
            epochs: settings.get(&EPOCHS)?,
            max_steps: settings.find(&MAX_STEPS)?,
            seed: settings.get(&SEED)?,
            dropout: settings.find(&DROPOUT)?,
            frozen_dropout: settings.get(&FROZEN_DROPOUT)?,
            head_init: settings.get(&HEAD_INIT)?,
            best_model_metric: keeps_best.then(|| metric.unwrap_or_else(|| "loss".into())),
        })
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
    }
}
