//! The resolved configuration of `progtune data inspect`. Resolved by `main`, read by
//! `inspect_command`.

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

/// The files to inspect, and the model whose tokenizer is used.
#[derive(Debug, Clone, PartialEq)]
pub struct InspectConfig {
    /// The files to inspect.
    pub own: OwnRequest,
    /// Directory or id of the checkpoint whose tokenizer counts the tokens; `None` for the embedded
    /// model.
    pub model: Option<NamedPath>,
    /// The lookup of ids.
    pub hub: HubConfig,
    /// Maximum sequence length in tokens, including special tokens; at least 3. `None` chooses it
    /// by the kind of task.
    pub max_length: Option<usize>,
}

impl InspectConfig {
    /// Resolves the configuration of `progtune data inspect`.
    ///
    /// # Errors
    /// Fails like [`RunConfig::resolve_train`](super::RunConfig::resolve_train), or if there are no
    /// files.
    pub fn resolve(arguments: &Arguments, sources: &Sources) -> Result<Self, ConfigError> {
        let settings = layers::merge(arguments, sources, Scope::Inference)?;
        let (_, own) = own::read_own(&settings, false)?;
        let own = own.filter(|own| {
            !own.train.is_empty() || !own.validation.is_empty() || !own.test.is_empty()
        });
        Ok(Self {
            own: own.ok_or_else(|| ConfigError::Missing {
                key: "FILE".into(),
                reason: "there is nothing to inspect".into(),
                advice: "give files, or --train-file, --validation-file or --test-file".into(),
            })?,
            model: read_model(&settings)?,
            hub: HubConfig::read(&settings)?,
            max_length: settings.find(&MAX_LENGTH)?,
        })
    }
}
