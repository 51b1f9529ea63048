//! Where plugins are looked for, and which builds are meant: the part of the configuration that every command has.

use super::{ConfigError, Sources, layers, settings::Settings};
use crate::{cli::PluginArgs, config_keys::Scope};
use progtune_engine::plugin::{Isolation, PluginSources};

/// Resolves where `progtune plugins …` looks for plugins.
///
/// # Errors
/// As [`super::RunConfig::resolve_train`].
pub fn resolve_plugins(args: &PluginArgs, sources: &Sources) -> Result<PluginSources, ConfigError> {
    read(&layers::merge(args, sources, Scope::All)?)
}

pub(super) fn read(settings: &Settings) -> Result<PluginSources, ConfigError> {
    Ok(PluginSources {
        files: settings.paths("plugin")?,
        directories: settings.paths("plugin_dir")?,
        lock: settings.optional_path("lock")?,
        locked: settings.switch("locked")?,
        isolation: settings.choice("plugin_isolation", Isolation::NAMES)?,
    })
}
