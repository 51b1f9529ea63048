//! The resolved configuration of `progtune check`. Resolved by `main`, read by `check_command`.

use std::path::PathBuf;

use super::{ConfigError, InferenceConfig, Sources, inputs::MODEL, layers, machine::KERNELS};
use crate::flags::{Arguments, Scope};
use progtune_datasets::Sample;

/// The configuration of `progtune check`.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckConfig {
    /// The directory of the result.
    pub directory: PathBuf,
    /// The lookup of ids, the plugins and the machine. The model is the base model of an adapter,
    /// if it was named.
    pub inference: InferenceConfig,
    /// Whether the base model was named.
    pub(crate) is_base_given: bool,
    /// Whether the kernels were named. If not, they are those that computed the recorded logits.
    pub(crate) are_kernels_given: bool,
}

impl CheckConfig {
    /// Resolves the configuration for a result in `directory`.
    ///
    /// # Errors
    /// Fails like [`RunConfig::resolve_train`](super::RunConfig::resolve_train).
    pub fn resolve(
        directory: PathBuf,
        arguments: &Arguments,
        sources: &Sources,
    ) -> Result<Self, ConfigError> {
        let settings = layers::merge(arguments, sources, Scope::Inference)?;
        Ok(Self {
            directory,
            is_base_given: settings.is_set(&MODEL),
            are_kernels_given: settings.is_set(&KERNELS),
            inference: InferenceConfig::read(&settings, None, Sample::first)?,
        })
    }
}
