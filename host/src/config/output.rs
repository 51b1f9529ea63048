//! Where a run leaves its result, and how often it says how far it is. Read by `train` and `plan`.

use std::path::PathBuf;

use super::settings::Settings;
use super::{ConfigError, read_count};

/// The output of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputConfig {
    /// Run directory; `None` is [`RunConfig::default_output`](super::RunConfig::default_output).
    pub directory: Option<PathBuf>,
    /// Whether a finished run in the run directory may be replaced.
    pub overwrite: bool,
    /// Steps between progress lines where there is no progress bar; at least 1.
    pub logging_steps: usize,
}

impl OutputConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self {
            directory: settings.optional_path("output")?,
            overwrite: settings.switch("overwrite_output")?,
            logging_steps: read_count(settings, "logging_steps")?,
        })
    }
}
