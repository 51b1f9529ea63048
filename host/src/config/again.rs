//! The configuration of a run that is taken up again, from its `config.toml` and the flags of
//! `resume`, `fork` and `replay`. Read by these commands.

use std::path::Path;

use super::{Beginning, ConfigError, OutputConfig, RunConfig, Sources, layers, own};
use crate::flags::{Arguments, Scope};

impl RunConfig {
    /// Resolves the configuration of a run whose `config.toml` is `recorded`: flags and variables
    /// take precedence. The result is written to `output`.
    ///
    /// # Errors
    /// Fails like [`RunConfig::resolve_train`].
    pub(crate) fn resolve_again(
        arguments: &Arguments,
        sources: &Sources,
        recorded: &Path,
        output: &Path,
        beginning: Beginning,
    ) -> Result<Self, ConfigError> {
        let sources = Sources {
            file: Some(recorded.to_owned()),
            variables: sources.variables.clone(),
        };
        let config = Self::read(&layers::merge(arguments, &sources, Scope::Training)?)?;
        if let (Some(own), None) = (&config.inputs.own, &config.inputs.data) {
            own::check_complete(own)?;
        }
        Ok(Self {
            output: OutputConfig {
                directory: Some(output.to_owned()),
                ..config.output.clone()
            },
            saving: super::SavingConfig {
                beginning,
                ..config.saving.clone()
            },
            ..config
        })
    }
}
