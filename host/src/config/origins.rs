//! The origin of each setting of a run: a default, a file, a variable, a flag, or a decision of the
//! run. Resolved with the configuration; `run_record` writes it to `run.json`, `show` prints it.

use std::collections::BTreeMap;

use super::settings::{DEFAULT, Settings};
use super::{Decided, InputsConfig, RunConfig, key_flags};

/// The origin of a value that the run chose in place of a default.
pub(super) const DECIDED: &str = "decided by the run";

/// The origin of each setting, by key. The entries of a table have keys such as `peft_opt.r`.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    by_key: BTreeMap<String, String>,
}

/// Two configurations are equal if their values are, wherever these come from.
impl PartialEq for Origins {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Origins {
    /// The origins of the settings that a training run reads.
    pub(super) fn of(settings: &Settings) -> Self {
        let mut by_key = BTreeMap::new();
        for flag in key_flags().filter(|flag| flag.about().scope.is_of_training()) {
            by_key.extend(settings.origins(flag));
        }
        Self { by_key }
    }

    /// The origins of the values that are no defaults, with their keys.
    pub fn set(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.by_key.iter();
        let all = all.map(|(key, origin)| (key.as_str(), origin.as_str()));
        all.filter(|(_, origin)| *origin != DEFAULT)
    }
}

impl RunConfig {
    /// The origins of the values in the run's `config.toml`, which [`RunConfig::record`] writes.
    pub(crate) fn recorded_origins(&self, inputs: &InputsConfig, decided: &Decided) -> Origins {
        let mut origins = self.origins.clone();
        let recorded = self.decided(inputs, decided).written();
        for key in recorded.differing(&self.written()) {
            let origin = origins.by_key.entry(key).or_insert_with(|| DEFAULT.into());
            if origin == DEFAULT {
                *origin = DECIDED.into();
            }
        }
        origins
    }
}
