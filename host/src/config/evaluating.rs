//! The evaluations of a run, and its end if they no longer improve. Read by `train` and `plan`.

use super::error::ConfigError;
use super::export::Written;
use super::output::LOGGING_STEPS;
use super::settings::Settings;
use crate::{
    early_stopping::EarlyStopping,
    evaluations::{EvalSteps, EvalStrategy, Evaluations},
    flags::{Declared, Flag, Form},
};

pub(crate) static EVAL_STRATEGY: Flag<EvalStrategy> = Flag::key(
    "eval_strategy",
    "WHEN",
    "Evaluations: epoch (at the end of each), steps (also every --eval-steps steps), no (only at the end of the run)",
)
.computed("steps with --eval-steps, else epoch")
.example("steps")
.form(Form::OneOf(EvalStrategy::NAMES));

pub(crate) static EVAL_STEPS: Flag<EvalSteps> = Flag::key(
    "eval_steps",
    "N",
    "Steps between evaluations, or below 1 a share of all steps; implies --eval-strategy steps",
)
.computed("--logging-steps with --eval-strategy steps, else none")
.example("100")
.form(Form::Parsed(
    "a whole number of steps, or a share of all steps (above 0 and below 1)",
    EvalSteps::parse,
));

pub(crate) static EARLY_STOPPING_PATIENCE: Flag<u32> = Flag::key(
    "early_stopping_patience",
    "N",
    "End the run after N evaluations without improvement; implies --load-best-model-at-end",
)
.computed("none: all steps of all epochs")
.example("3")
.form(Form::Parsed("a whole number of at least 1", |text| {
    text.parse().ok().filter(|&n| n >= 1)
}));

pub(crate) static EARLY_STOPPING_THRESHOLD: Flag<f64> = Flag::key(
    "early_stopping_threshold",
    "X",
    "Least change of the metric that counts as an improvement for --early-stopping-patience",
)
.default("0")
.form(Form::Parsed("a number of at least 0", |text| {
    let number: f64 = text.parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number)
}));

/// The evaluations of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EvaluatingConfig {
    /// Their times.
    pub evaluations: Evaluations,
    /// The end of a run whose evaluations no longer improve; `None` for a run of all steps.
    pub early_stopping: Option<EarlyStopping>,
}

impl EvaluatingConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let config = Self {
            evaluations: read_evaluations(settings)?,
            early_stopping: read_early_stopping(settings)?,
        };
        if config.early_stopping.is_some() && config.evaluations.strategy == EvalStrategy::No {
            return Err(ConfigError::Conflict {
                first: settings.named(&EARLY_STOPPING_PATIENCE),
                second: format!(
                    "eval_strategy no (from {})",
                    settings.origin(&EVAL_STRATEGY)
                ),
                reason: "early stopping compares evaluations during the run".into(),
                advice: "choose --eval-strategy epoch or steps, or remove early_stopping_patience"
                    .into(),
            });
        }
        Ok(config)
    }

    pub(super) fn write(&self, written: &mut Written) {
        // Evaluations after epochs are not written, so that `--eval-steps` over the file suffices.
        if self.evaluations.strategy != EvalStrategy::Epoch {
            written.set(&EVAL_STRATEGY, self.evaluations.strategy.to_string());
        }
        match self.evaluations.steps {
            Some(EvalSteps::Steps(steps)) => written.set(&EVAL_STEPS, steps),
            Some(EvalSteps::Share(share)) => written.set(&EVAL_STEPS, share),
            None => {}
        }
        let early = self.early_stopping;
        let patience = early.map(|early| u64::from(early.patience));
        written.set_if(&EARLY_STOPPING_PATIENCE, patience);
        let threshold = early.map_or(0.0, |early| early.threshold);
        written.set(&EARLY_STOPPING_THRESHOLD, threshold);
    }
}

fn read_evaluations(settings: &Settings) -> Result<Evaluations, ConfigError> {
    let steps = settings.find(&EVAL_STEPS)?;
    let given = if settings.is_set(&EVAL_STRATEGY) {
        Some(settings.get(&EVAL_STRATEGY)?)
    } else {
        None
    };
    let strategy = match (given, steps) {
        (Some(strategy), Some(_)) if strategy != EvalStrategy::Steps => {
            return Err(ConfigError::Conflict {
                first: settings.named(&EVAL_STEPS),
                second: format!(
                    "eval_strategy {strategy} (from {})",
                    settings.origin(&EVAL_STRATEGY)
                ),
                reason: "only the strategy `steps` evaluates every so many steps".into(),
                advice: "remove one of them, or unset the one of a file with --eval-steps none"
                    .into(),
            });
        }
        (Some(strategy), _) => strategy,
        (None, Some(_)) => EvalStrategy::Steps,
        (None, None) => EvalStrategy::Epoch,
    };
    // As in transformers, the interval of the progress lines is the default.
    let steps = match (strategy, steps) {
        (EvalStrategy::Steps, None) => Some(EvalSteps::Steps(settings.get(&LOGGING_STEPS)? as u64)),
        (_, steps) => steps,
    };
    Ok(Evaluations { strategy, steps })
}

fn read_early_stopping(settings: &Settings) -> Result<Option<EarlyStopping>, ConfigError> {
    let threshold = settings.get(&EARLY_STOPPING_THRESHOLD)?;
    let Some(patience) = settings.find(&EARLY_STOPPING_PATIENCE)? else {
        if threshold > 0.0 {
            return Err(ConfigError::Missing {
                key: EARLY_STOPPING_PATIENCE.about().flag(),
                reason: format!(
                    "{} has an effect only with it",
                    settings.named(&EARLY_STOPPING_THRESHOLD)
                ),
                advice: "give something like --early-stopping-patience 3, or remove the threshold"
                    .into(),
            });
        }
        return Ok(None);
    };
    Ok(Some(EarlyStopping {
        patience,
        threshold,
    }))
}
