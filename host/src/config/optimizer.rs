//! AdamW and its learning rate. Read by `train` and `plan`.

use super::export::Written;
use super::settings::Settings;
use super::{ConfigError, fraction};
use crate::flags::{Flag, Form};
use progtune_engine::Error;
use progtune_engine::optim::{self, LrRestart, LrScheduler, LrShape, Warmup};

pub(crate) static LR: Flag<f64> = Flag::key("lr", "LR", "Peak learning rate of AdamW")
    .computed(
        "the method's suggestion: 5e-5 full fine-tuning, 1e-3 lora, 1e-3 adapter, 2e-3 bitfit, …",
    )
    .example("5e-4")
    .usual()
    .form(positive());

pub(crate) static LR_SCHEDULER: Flag<LrScheduler> = Flag::key(
    "lr_scheduler",
    "NAME",
    "Learning-rate curve after warm-up: linear or cosine (both to zero at the last step), polynomial (to --lr-end), constant",
)
.default("linear")
.form(Form::OneOf(LrScheduler::NAMES));

pub(crate) static LR_END: Flag<f64> = Flag::key(
    "lr_end",
    "LR",
    "Learning rate at the end of --lr-scheduler polynomial",
)
.computed("1e-7 for polynomial")
.example("1e-6")
.form(Form::Parsed("a number of at least 0", from_zero));

pub(crate) static LR_POWER: Flag<f64> = Flag::key(
    "lr_power",
    "X",
    "Exponent of --lr-scheduler polynomial; 1 is a straight line",
)
.computed("1 for polynomial")
.example("2")
.form(positive());

pub(crate) static LR_RESTART: Flag<LrRestart> = Flag::key(
    "lr_restart",
    "WHEN",
    "Start of a new learning-rate curve, with its warm-up: none, or stage (whenever the schedule trains other parameters)",
)
.default("none")
.form(Form::OneOf(LrRestart::NAMES));

pub(crate) static WARMUP: Flag<Warmup> = Flag::key(
    "warmup",
    "X",
    "Warm-up: a share of all steps if below 1, else a number of steps",
)
.default("0")
.example("0.06")
.form(Form::Parsed(
    "a share of all steps (at least 0 and below 1), or a whole number of steps",
    Warmup::parse,
));

pub(crate) static WEIGHT_DECAY: Flag<f64> = Flag::key(
    "weight_decay",
    "X",
    "Weight decay, except for biases and LayerNorm",
)
.default("0.0")
.form(Form::Parsed("a number of at least 0", from_zero));

pub(crate) static ADAM_BETA1: Flag<f64> = Flag::key("adam_beta1", "X", "AdamW's beta 1")
    .default("0.9")
    .form(fraction());

pub(crate) static ADAM_BETA2: Flag<f64> = Flag::key("adam_beta2", "X", "AdamW's beta 2")
    .default("0.999")
    .form(fraction());

pub(crate) static ADAM_EPSILON: Flag<f64> = Flag::key("adam_epsilon", "X", "AdamW's epsilon")
    .default("1e-8")
    .form(positive());

pub(crate) static MAX_GRAD_NORM: Flag<f64> = Flag::key(
    "max_grad_norm",
    "X",
    "Maximum gradient norm; 0 turns clipping off",
)
.default("1.0")
.form(Form::Parsed(
    "a number of at least 0 (0 is no clipping)",
    from_zero,
));

/// The optimizer. Its defaults agree with those of Hugging Face's Trainer, if it has one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OptimizerConfig {
    /// Peak learning rate, above 0; `None` uses the method's suggestion.
    pub lr: Option<f64>,
    /// The learning-rate curve after warm-up.
    pub lr_scheduler: LrScheduler,
    /// The learning rate at the end of a polynomial curve, at least 0; `None` for transformers'
    /// default, and for other curves.
    pub lr_end: Option<f64>,
    /// The exponent of a polynomial curve, above 0; `None` for transformers' default, and for other
    /// curves.
    pub(crate) lr_power: Option<f64>,
    /// The times at which the curve starts again.
    pub(crate) lr_restart: LrRestart,
    /// The duration of the warm-up.
    pub warmup: Warmup,
    /// Decay, moments and clipping: β₁ and β₂ in `[0, 1)`, ε above 0, and the others at least 0.
    pub adamw: optim::Settings,
}

impl OptimizerConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let lr_scheduler = settings.get(&LR_SCHEDULER)?;
        for flag in [&LR_END, &LR_POWER] {
            if lr_scheduler != LrScheduler::Polynomial && settings.find(flag)?.is_some() {
                return Err(without_polynomial(settings, flag, lr_scheduler));
            }
        }
        Ok(Self {
            lr: settings.find(&LR)?,
            lr_scheduler,
            lr_end: settings.find(&LR_END)?,
            lr_power: settings.find(&LR_POWER)?,
            lr_restart: settings.get(&LR_RESTART)?,
            warmup: settings.get(&WARMUP)?,
            adamw: optim::Settings {
                beta1: settings.get(&ADAM_BETA1)?,
                beta2: settings.get(&ADAM_BETA2)?,
                eps: settings.get(&ADAM_EPSILON)?,
                weight_decay: settings.get(&WEIGHT_DECAY)?,
                max_grad_norm: settings.get(&MAX_GRAD_NORM)?,
            },
        })
    }

    pub(super) fn write(&self, written: &mut Written) {
        written.set_if(&LR, self.lr);
        written.set(&LR_SCHEDULER, self.lr_scheduler.to_string());
        written.set_if(&LR_END, self.lr_end);
        written.set_if(&LR_POWER, self.lr_power);
        written.set(&LR_RESTART, self.lr_restart.to_string());
        match self.warmup {
            Warmup::Ratio(ratio) => written.set(&WARMUP, ratio),
            Warmup::Steps(steps) => written.set(&WARMUP, steps),
        }
        written.set(&WEIGHT_DECAY, self.adamw.weight_decay);
        written.set(&ADAM_BETA1, self.adamw.beta1);
        written.set(&ADAM_BETA2, self.adamw.beta2);
        written.set(&ADAM_EPSILON, self.adamw.eps);
        written.set(&MAX_GRAD_NORM, self.adamw.max_grad_norm);
    }

    /// The shape of the learning-rate curve whose highest value is `peak`.
    ///
    /// # Errors
    /// Fails if a polynomial curve would not decrease, as in transformers.
    pub(crate) fn lr_shape(&self, peak: f64) -> Result<LrShape, Error> {
        let end = self.lr_end.unwrap_or(LrShape::END);
        if self.lr_scheduler == LrScheduler::Polynomial && end >= peak {
            return Err(Error::Usage(format!(
                "--lr-end {end:e}: expected a number below the peak learning rate (--lr), found {end:e} for a peak of \
                 {peak:e}; lower --lr-end or raise --lr"
            )));
        }
        Ok(LrShape {
            scheduler: self.lr_scheduler,
            warmup: self.warmup,
            end,
            power: self.lr_power.unwrap_or(LrShape::POWER),
        })
    }
}

/// The error about a setting of the polynomial curve beside another curve.
fn without_polynomial(
    settings: &Settings,
    flag: &Flag<f64>,
    lr_scheduler: LrScheduler,
) -> ConfigError {
    let name = flag.about.name;
    ConfigError::Conflict {
        first: settings.named(flag),
        second: format!(
            "lr_scheduler {lr_scheduler} (from {})",
            settings.origin(&LR_SCHEDULER)
        ),
        reason: format!("only the curve `polynomial` has {name}"),
        advice: format!("choose --lr-scheduler polynomial, or remove {name}"),
    }
}

const fn positive() -> Form<f64> {
    Form::Parsed("a number above 0", |text| {
        from_zero(text).filter(|&x| x > 0.0)
    })
}

fn from_zero(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number)
}
