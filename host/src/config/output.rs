//! The directory for a run's results, and the frequency of progress lines. Read by `train` and
//! `plan`.

use std::path::PathBuf;

use super::export::Written;
use super::settings::Settings;
use super::{ConfigError, limit};
use crate::flags::Flag;

pub(crate) static OUTPUT: Flag<PathBuf> = Flag::key(
    "output",
    "DIR",
    "Directory for the result and the records of the run",
)
.computed("runs/<task>-<schedule>-<method>-seed<seed>")
.example("runs/my-run")
.usual();

pub(crate) static OVERWRITE_OUTPUT: Flag<bool> = Flag::switch(
    "overwrite_output",
    "Replace the finished run in that directory",
);

pub(crate) static LOGGING_STEPS: Flag<usize> = Flag::key(
    "logging_steps",
    "N",
    "Steps between progress lines, when there is no progress bar",
)
.default("50")
.form(limit());

pub(crate) static PROFILE: Flag<PathBuf> = Flag::key(
    "profile",
    "FILE",
    "Timeline of all threads in Chrome's trace format (for ui.perfetto.dev), and where a step's time goes",
)
.computed("none")
.example("trace.json");

/// The output of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputConfig {
    /// Run directory; `None` for `RunConfig::default_output`.
    pub directory: Option<PathBuf>,
    /// Whether a finished run in the run directory may be replaced.
    pub overwrite: bool,
    /// Steps between progress lines if there is no progress bar; at least 1.
    pub(crate) logging_steps: usize,
    /// The file of the run's timeline.
    pub(crate) profile: Option<PathBuf>,
}

impl OutputConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self {
            directory: settings.path(&OUTPUT)?,
            overwrite: settings.get(&OVERWRITE_OUTPUT)?,
            logging_steps: settings.get(&LOGGING_STEPS)?,
            profile: settings.path(&PROFILE)?,
        })
    }

    /// Writes the keys except `overwrite` and `profile`, which hold for a single run and not for
    /// every repetition from the file.
    pub(super) fn write(&self, written: &mut Written) {
        written.set_if(&OUTPUT, self.directory.as_deref());
        written.set(&LOGGING_STEPS, self.logging_steps);
    }
}
