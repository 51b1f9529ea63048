//! The search path for plugins, and the pinned builds: the part of the configuration that every
//! command has.

use std::path::PathBuf;

use super::export::Written;
use super::{ConfigError, PLUGINS, Sources, layers, settings::Settings};
use crate::flags::{Arguments, Flag, Form, Scope, Takes};
use progtune_engine::plugin::{Isolation, PluginSources};

pub(crate) static PLUGIN: Flag<Vec<PathBuf>> = Flag::key(
    "plugin",
    "FILE",
    "Plugin library to use before any other that offers the same ids; repeatable",
)
.computed("none")
.example("target/release/libmine.so")
.scope(Scope::All)
.takes(Takes::Values);

pub(crate) static PLUGIN_DIR: Flag<Vec<PathBuf>> = Flag::key(
    "plugin_dir",
    "DIR",
    "Directory to search for plugins first; repeatable",
)
.computed("the search path only: PROGTUNE_PLUGIN_PATH, the user's data folder, beside the program")
.example("plugins")
.scope(Scope::All)
.takes(Takes::Values);

pub(crate) static LOCK: Flag<PathBuf> =
    Flag::key("lock", "FILE", "Lock file that pins plugins to builds")
        .computed("progtune.lock in the current directory, if it is there")
        .example("progtune.lock")
        .scope(Scope::All);

pub(crate) static LOCKED: Flag<bool> =
    Flag::switch("locked", "Refuse plugins that the lock file does not pin").scope(Scope::All);

pub(crate) static PLUGIN_ISOLATION: Flag<Isolation> = Flag::key(
    "plugin_isolation",
    "KIND",
    "Isolation of plugins: `process` runs each library in a supervised process of its own, `none` loads it into progtune",
)
.default("process")
.scope(Scope::All)
.form(Form::OneOf(Isolation::NAMES));

/// Resolves the search path of `progtune plugins …`.
///
/// # Errors
/// Fails like [`super::RunConfig::resolve_train`].
pub fn resolve_plugins(
    arguments: &Arguments,
    sources: &Sources,
) -> Result<PluginSources, ConfigError> {
    read(&layers::merge(
        &arguments.only(PLUGINS),
        sources,
        Scope::All,
    )?)
}

pub(super) fn read(settings: &Settings) -> Result<PluginSources, ConfigError> {
    Ok(PluginSources {
        files: settings.paths(&PLUGIN)?,
        directories: settings.paths(&PLUGIN_DIR)?,
        lock: settings.path(&LOCK)?,
        locked: settings.get(&LOCKED)?,
        isolation: settings.get(&PLUGIN_ISOLATION)?,
    })
}

pub(super) fn write(plugins: &PluginSources, written: &mut Written) {
    written.set(&PLUGIN, plugins.files.as_slice());
    written.set(&PLUGIN_DIR, plugins.directories.as_slice());
    written.set_if(&LOCK, plugins.lock.as_deref());
    written.set(&LOCKED, plugins.locked);
    written.set(&PLUGIN_ISOLATION, plugins.isolation.to_string());
}
