//! Where plugins are looked for, and which builds are meant: the part of the configuration that every command has.

use super::{ConfigError, Sources, keys::Scope, layers, settings::Settings};
use crate::{cli::PluginArgs, plugin::Isolation};
use std::path::PathBuf;

/// Where plugins are looked for, and which builds are meant.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PluginSources {
    /// Library files that go before all others.
    pub files: Vec<PathBuf>,
    /// Directories searched before the usual ones.
    pub directories: Vec<PathBuf>,
    /// The lock file; `None`: `progtune.lock` in the current directory, if it is there.
    pub lock: Option<PathBuf>,
    /// Whether what is not pinned is refused.
    pub locked: bool,
    /// Where they run.
    pub isolation: Isolation,
}

impl PluginSources {
    /// Resolves those of `progtune plugins …`.
    ///
    /// # Errors
    /// As [`super::RunConfig::resolve_train`].
    pub fn resolve(args: &PluginArgs, sources: &Sources) -> Result<Self, ConfigError> {
        Self::read(&layers::merge(args, sources, Scope::All)?)
    }

    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self {
            files: settings.paths("plugin")?,
            directories: settings.paths("plugin_dir")?,
            lock: settings.optional_path("lock")?,
            locked: settings.switch("locked")?,
            isolation: settings.choice("plugin_isolation", Isolation::NAMES)?,
        })
    }
}
