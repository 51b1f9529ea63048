//! The inputs of a run: models, adapters and data. Read by every command that has them; `fetch`
//! turns their names into local paths.

use std::path::PathBuf;

use progtune_datasets::OwnRequest;

use super::data::DATA;
use super::export::Written;
use super::settings::Settings;
use super::{ConfigError, EMBEDDED_MODEL};
use crate::flags::{Flag, Scope};
use progtune_hub::NamedPath;

pub(crate) static MODEL: Flag<String> = Flag::key(
    "model",
    "DIR or ID",
    "Directory of a Hugging Face checkpoint, id of one on the hub (org/name), or `embedded` for the model inside the program",
)
.computed("embedded")
.example("models/bert-base-uncased")
.scope(Scope::All)
.usual()
.elsewhere(&[
    (&["evaluate", "predict"], "DIR or ID", "Directory of a checkpoint, id of one on the hub, or `embedded`; adapters record their base model, and need none"),
    (&["merge"], "DIR or ID", "Base model of --adapter in place of the recorded one: a directory, an id on the hub, or `embedded`"),
    (&["check"], "DIR or ID", "Base model of an adapter in place of the recorded one: a directory, an id on the hub, or `embedded`"),
    (&["data inspect"], "DIR or ID", "Checkpoint whose tokenizer is used: a directory, an id on the hub, or `embedded`"),
    (&["plugins show"], "DIR", "Show the parameters that a method inserts into this model; only its config.json is read [default: a small BERT]"),
]);

pub(crate) static INIT_ADAPTER: Flag<PathBuf> = Flag::key(
    "init_adapter",
    "DIR or ID",
    "Adapter to start from: a directory, or an id on the hub",
)
.computed("none: the method's own start")
.example("runs/mnli-lora");

/// The models and the data of a run: as named in the configuration, or as local paths from
/// `Fetcher::run`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InputsConfig {
    /// Directory of a Hugging Face checkpoint, or its id on the hub; `None` for the embedded model.
    pub model: Option<NamedPath>,
    /// The initial adapter: a directory or an id.
    pub init_adapter: Option<NamedPath>,
    /// Directory with the task's files, or the id of a data set. `None` for tasks that generate
    /// their data or, before `fetch`, for tasks that have a data set on the hub.
    pub data: Option<NamedPath>,
    /// The user's own files; `Some` exactly for the task `own`. A request without files refers to
    /// those of `data`.
    pub own: Option<OwnRequest>,
}

impl InputsConfig {
    pub(super) fn read(settings: &Settings, own: Option<OwnRequest>) -> Result<Self, ConfigError> {
        Ok(Self {
            model: read_model(settings)?,
            init_adapter: settings.path(&INIT_ADAPTER)?.map(NamedPath::new),
            data: settings.path(&DATA)?.map(NamedPath::new),
            own,
        })
    }

    /// Writes the keys. Inputs from the hub are written by id and commit.
    pub(super) fn write(&self, written: &mut Written) {
        match &self.model {
            Some(model) => written.set(&MODEL, model),
            None => written.set(&MODEL, EMBEDDED_MODEL),
        }
        written.set_if(&INIT_ADAPTER, self.init_adapter.as_ref());
        written.set_if(&DATA, self.data.as_ref());
        if let Some(own) = &self.own {
            super::own::write(own, self.data.is_none(), written);
        }
    }
}

pub(super) fn read_model(settings: &Settings) -> Result<Option<NamedPath>, ConfigError> {
    Ok(settings
        .optional_text(&MODEL)?
        .filter(|model| model != EMBEDDED_MODEL)
        .map(NamedPath::new))
}
