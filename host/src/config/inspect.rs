//! The resolved configuration of `progtune data inspect`. Resolved by `main`, read by `inspect_command`.

use progtune_datasets::OwnRequest;

use super::{
    ConfigError, HubConfig, Sources, batching::MAX_LENGTH, inputs::read_model, layers, own,
};
use crate::flags::{Arguments, Flag, Scope, Takes};
use progtune_hub::NamedPath;

pub(crate) static FILES: Flag<Vec<String>> =
    Flag::argument("files", "FILE", "Files to inspect, like --train-file")
        .sets("train_file")
        .takes(Takes::Values)
        .positional()
        .adjust(|arg| arg.num_args(1..).conflicts_with("train_file"));

/// What to look at, and through whose tokenizer.
#[derive(Debug, Clone, PartialEq)]
pub struct InspectConfig {
    /// The files to look at.
    pub own: OwnRequest,
    /// Directory or id of the checkpoint whose tokenizer counts; `None` is the embedded model.
    pub model: Option<NamedPath>,
    /// How ids are looked up.
    pub hub: HubConfig,
    /// Longest sequence in tokens, special tokens included; at least 3. `None`: what suits the task.
    pub max_length: Option<usize>,
}

impl InspectConfig {
    /// The configuration of `progtune data inspect`.
    ///
    /// # Errors
    /// As [`RunConfig::resolve_train`](super::RunConfig::resolve_train); also when there are no files.
    pub fn resolve(arguments: &Arguments, sources: &Sources) -> Result<Self, ConfigError> {
        let settings = layers::merge(arguments, sources, Scope::Inference)?;
        let (_, own) = own::read_own(&settings, false)?;
        let own = own.filter(|own| {
            !own.train.is_empty() || !own.validation.is_empty() || !own.test.is_empty()
        });
        Ok(Self {
            own: own.ok_or_else(|| ConfigError::Missing {
                key: "FILE".into(),
                reason: "there is nothing to look at".into(),
                advice: "give files, or --train-file, --validation-file or --test-file".into(),
            })?,
            model: read_model(&settings)?,
            hub: HubConfig::read(&settings)?,
            max_length: settings.find(&MAX_LENGTH)?,
        })
    }
}
