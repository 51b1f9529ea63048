//! Checkpoints: when they are saved, how many are kept, and whether a run begins from one. Read by
//! `train`; `resume` and `fork` set the beginning themselves.

use std::path::PathBuf;

use super::export::Written;
use super::settings::Settings;
use super::{ConfigError, limit};
use crate::flags::{Flag, Form};

pub(crate) static SAVE_STRATEGY: Flag<SaveStrategy> = Flag::key(
    "save_strategy",
    "WHEN",
    "Moments of checkpoints: epoch (after each epoch), steps (only as --save-steps says), no",
)
.default("epoch")
.form(Form::OneOf(SaveStrategy::NAMES));

pub(crate) static SAVE_STEPS: Flag<u64> =
    Flag::key("save_steps", "N", "Also save a checkpoint every N steps")
        .computed("none: only after epochs")
        .example("500")
        .form(Form::Parsed("a whole number of at least 1", |text| {
            text.parse().ok().filter(|&n| n >= 1)
        }));

pub(crate) static SAVE_MINUTES: Flag<f64> = Flag::key(
    "save_minutes",
    "M",
    "Also save a checkpoint when the last one is M minutes old",
)
.computed("none: only after epochs")
.example("10")
.form(Form::Parsed("a number above 0", |text| {
    text.parse()
        .ok()
        .filter(|&minutes: &f64| minutes > 0.0 && minutes.is_finite())
}));

pub(crate) static SAVE_TOTAL_LIMIT: Flag<usize> = Flag::key(
    "save_total_limit",
    "N",
    "Number of checkpoints to keep; the oldest are removed",
)
.default("1")
.form(limit());

pub(crate) static RESUME: Flag<Resume> = Flag::key(
    "resume",
    "HOW",
    "Continue an unfinished run in the output directory: auto (if one has a checkpoint there), never",
)
.default("never")
.form(Form::OneOf(Resume::NAMES));

pub(crate) static ALLOW_CHANGED: Flag<String> = Flag::key(
    "allow_changed",
    "KEYS",
    "Continue although these keys or inputs, separated by commas, have changed since the checkpoint",
)
.computed("none: a change is an error that names it")
.example("lr,weight_decay");

/// The moments at which checkpoints are saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaveStrategy {
    /// After each epoch, and whenever `--save-steps` or `--save-minutes` say so.
    Epoch,
    /// Only when `--save-steps` or `--save-minutes` say so.
    Steps,
    /// Never.
    No,
}

impl SaveStrategy {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("epoch", Self::Epoch),
        ("steps", Self::Steps),
        ("no", Self::No),
    ];

    fn name(self) -> &'static str {
        progtune_process::name_of(Self::NAMES, &self)
    }
}

/// The words of `--resume`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resume {
    /// Continue if there is a checkpoint.
    Auto,
    /// Never continue.
    Never,
}

impl Resume {
    const NAMES: &'static [(&'static str, Self)] = &[("auto", Self::Auto), ("never", Self::Never)];
}

/// The saving of checkpoints.
#[derive(Debug, Clone, PartialEq)]
pub struct SavingConfig {
    /// The moments at which they are saved.
    pub strategy: SaveStrategy,
    /// Number of steps between two of them, at least 1; `None` for none within epochs.
    pub steps: Option<u64>,
    /// Minutes between two of them, above 0; `None` for none within epochs.
    pub minutes: Option<f64>,
    /// Number of checkpoints that are kept, at least 1.
    pub(crate) total_limit: usize,
    /// The beginning of the run.
    pub beginning: Beginning,
    /// The keys and inputs that may have changed since the checkpoint.
    pub(crate) allow_changed: Vec<String>,
}

/// The beginning of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beginning {
    /// At the first step.
    New,
    /// At the newest checkpoint in the output directory, otherwise at the first step.
    Auto,
    /// At the newest checkpoint in the output directory.
    Resumed,
    /// At a checkpoint of another run.
    Forked {
        /// The directory of that run.
        from: PathBuf,
        /// The epoch whose end is the beginning; `None` for its newest checkpoint.
        at: Option<u32>,
    },
}

/// A key as it is written in a configuration, from a flag's name or a key.
fn normal(key: &str) -> String {
    key.trim().trim_start_matches("--").replace('-', "_")
}

/// Hugging Face's interval in steps.
const DEFAULT_STEPS: u64 = 500;

impl SavingConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let strategy = settings.get(&SAVE_STRATEGY)?;
        let (steps, minutes) = (settings.find(&SAVE_STEPS)?, settings.find(&SAVE_MINUTES)?);
        for (flag, is_set) in [
            (&SAVE_STEPS.about, steps.is_some()),
            (&SAVE_MINUTES.about, minutes.is_some()),
        ] {
            if is_set && strategy == SaveStrategy::No {
                return Err(ConfigError::Conflict {
                    first: settings.named(&SAVE_STRATEGY),
                    second: flag.flag(),
                    reason: "with no, nothing is saved before the end of the run".into(),
                    advice: "remove one of them".into(),
                });
            }
        }
        let needs_steps = strategy == SaveStrategy::Steps && minutes.is_none();
        Ok(Self {
            strategy,
            steps: steps.or(needs_steps.then_some(DEFAULT_STEPS)),
            minutes,
            total_limit: settings.get(&SAVE_TOTAL_LIMIT)?,
            beginning: match settings.get(&RESUME)? {
                Resume::Auto => Beginning::Auto,
                Resume::Never => Beginning::New,
            },
            allow_changed: settings
                .optional_text(&ALLOW_CHANGED)?
                .map(|keys| keys.split(',').map(normal).collect())
                .unwrap_or_default(),
        })
    }

    /// Writes the keys except those of the beginning, which hold for a single run.
    pub(super) fn write(&self, written: &mut Written) {
        written.set(&SAVE_STRATEGY, self.strategy.name());
        written.set_if(&SAVE_STEPS, self.steps);
        written.set_if(&SAVE_MINUTES, self.minutes);
        written.set(&SAVE_TOTAL_LIMIT, self.total_limit);
    }
}
