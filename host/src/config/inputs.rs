//! What a run starts from and reads: models, adapters and data. Read by every command that has them; `fetch` turns the
//! names into local paths.

use progtune_datasets::OwnRequest;

use super::settings::Settings;
use super::{ConfigError, EMBEDDED_MODEL};
use crate::hub::NamedPath;

/// The models and the data of a run: as the configuration names them, or, from `Fetcher::run`, as local paths.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InputsConfig {
    /// Directory of a Hugging Face checkpoint, or its id on the hub; `None` is the embedded model.
    pub model: Option<NamedPath>,
    /// Adapter that training starts from: a directory or an id.
    pub init_adapter: Option<NamedPath>,
    /// Directory with the task's files, or the id of a data set; `None` for tasks that generate their data or, before
    /// `fetch`, for those that have a data set on the hub.
    pub data: Option<NamedPath>,
    /// The user's own files; `Some` exactly for the task `own`. Without files, those of `data` are meant.
    pub own: Option<OwnRequest>,
}

impl InputsConfig {
    pub(super) fn read(settings: &Settings, own: Option<OwnRequest>) -> Result<Self, ConfigError> {
        Ok(Self {
            model: read_model(settings)?,
            init_adapter: settings.optional_path("init_adapter")?.map(NamedPath::new),
            data: settings.optional_path("data")?.map(NamedPath::new),
            own,
        })
    }
}

pub(super) fn read_model(settings: &Settings) -> Result<Option<NamedPath>, ConfigError> {
    Ok(settings
        .optional_text("model")?
        .filter(|model| model != EMBEDDED_MODEL)
        .map(NamedPath::new))
}
