//! The keys about the hub. Read by the resolved configurations of every command that reads models
//! or data; used by `fetch`.

use super::export::Written;
use super::{ConfigError, settings::Settings};
use crate::flags::{Flag, Scope};

pub(crate) static REVISION: Flag<String> = Flag::key(
    "revision",
    "REV",
    "Revision of a --model on the hub: a branch, a tag or a commit; --model ID@REV says the same",
)
.computed("main")
.example("main")
.scope(Scope::All);

pub(crate) static OFFLINE: Flag<bool> = Flag::switch(
    "offline",
    "Use only the cache and no network, like HF_HUB_OFFLINE=1",
)
.scope(Scope::All);

pub(crate) static DATA_CONFIG: Flag<String> = Flag::key(
    "data_config",
    "NAME",
    "Configuration of that data set (one of its folders)",
)
.computed("the task's, else the only one or `default`")
.example("plain_text")
.scope(Scope::All);

/// The settings for looking up ids that do not come from the environment (`HF_HOME` and the like).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HubConfig {
    /// Revision of the model; `None` uses the one in its id, otherwise `main`.
    pub revision: Option<String>,
    /// Configuration of a data set; `None` uses the task's, the only one or the default one.
    pub(crate) data_config: Option<String>,
    /// Whether downloads are disabled.
    pub offline: bool,
}

impl HubConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let data_config = settings.optional_text(&DATA_CONFIG)?;
        // The name becomes that of a folder.
        let leads_out = |name: &String| name.split('/').any(|part| matches!(part, "" | "." | ".."));
        if let Some(name) = data_config.as_ref().filter(|name| leads_out(name)) {
            return Err(settings.bad(&DATA_CONFIG, "the name of a configuration", name));
        }
        Ok(Self {
            revision: settings.optional_text(&REVISION)?,
            data_config,
            offline: settings.get(&OFFLINE)?,
        })
    }

    /// Writes the keys. A pinned model (`is_pinned`) is written with its commit, so its revision is
    /// left out.
    pub(super) fn write(&self, is_pinned: bool, written: &mut Written) {
        let revision = self.revision.as_deref().filter(|_| !is_pinned);
        written.set_if(&REVISION, revision);
        written.set(&OFFLINE, self.offline);
        written.set_if(&DATA_CONFIG, self.data_config.as_deref());
    }
}
