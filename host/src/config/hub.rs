//! The keys about the hub. Read by the resolved configurations of every command that reads models or data; used by `fetch`.

use super::{ConfigError, settings::Settings};

/// How ids are looked up, where the environment does not say it (`HF_HOME` and the like).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HubConfig {
    /// Revision of the model; `None` is the one in its id, else `main`.
    pub revision: Option<String>,
    /// Configuration of a data set; `None` is the task's, the only one or the default one.
    pub data_config: Option<String>,
    /// Whether nothing is fetched.
    pub offline: bool,
}

impl HubConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let data_config = settings.optional_text("data_config")?;
        // It becomes a folder's name.
        let leads_out = |name: &String| name.split('/').any(|part| matches!(part, "" | "." | ".."));
        if let Some(name) = data_config.as_ref().filter(|name| leads_out(name)) {
            return Err(settings.bad("data_config", "the name of a configuration", name));
        }
        Ok(Self {
            revision: settings.optional_text("revision")?,
            data_config,
            offline: settings.switch("offline")?,
        })
    }
}
