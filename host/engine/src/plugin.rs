//! Plugins as this host runs them: the host's offer to them, and the search for them. The recipe
//! and the commands call [`find`]; the rest is in the crate `progtune-plugin-loader`.

use crate::model::graph::OPERATIONS;
use progtune_plugin_api::{extensions, records::Mode};
pub use progtune_plugin_loader::{
    Cache, Entry, EntryKind, Isolation, Library, LoadedMethod, LoadedSchedule, Lock, Offer,
    PluginFault, Plugins, Probe, Settings, install, lock, no_plugins, probe,
};
use std::path::PathBuf;

/// The features of this host that a plugin may ask for.
pub const OFFER: Offer = Offer {
    version: env!("CARGO_PKG_VERSION"),
    operations: OPERATIONS,
    modes: &[Mode::OUTPUT, Mode::WEIGHT, Mode::KV_PREFIX, Mode::INPUT],
    signals: &["train_loss", "eval_metric", "block_grad_norm"],
    extensions: || {
        vec![extensions::understands(&[
            extensions::POSITION_SHIFT,
            extensions::LR_SCALES,
        ])]
    },
};

/// The places in which plugins are searched for, and the builds that are accepted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PluginSources {
    /// Library files that take precedence over all others.
    pub files: Vec<PathBuf>,
    /// Directories that are searched before the usual ones.
    pub directories: Vec<PathBuf>,
    /// The lock file; `None` for `progtune.lock` in the current directory, if it exists.
    pub lock: Option<PathBuf>,
    /// Whether plugins that are not pinned are refused.
    pub locked: bool,
    /// The process in which plugins run.
    pub isolation: Isolation,
}

/// Searches for plugins as configured (see [`progtune_plugin_loader`]), without running any.
///
/// ```no_run
/// use progtune_engine::plugin::{PluginSources, find};
///
/// let plugins = find(&PluginSources::default())?;
/// let lora = plugins.method("lora", &[("r".to_owned(), "8".to_owned())])?;
/// # Ok::<(), progtune_engine::plugin::PluginFault>(())
/// ```
///
/// # Errors
/// When a named file or directory, or the lock file, cannot be used.
pub fn find(sources: &PluginSources) -> Result<Plugins, PluginFault> {
    Plugins::discover(Settings {
        lock: Lock::find(sources.lock.as_deref())?,
        locked: sources.locked,
        ..places(sources)
    })
}

/// Searches for plugins without regard to the lock file.
///
/// # Errors
/// When a named file or directory cannot be used.
pub fn find_unlocked(sources: &PluginSources) -> Result<Plugins, PluginFault> {
    Plugins::discover(places(sources))
}

fn places(sources: &PluginSources) -> Settings {
    Settings {
        files: sources.files.clone(),
        directories: sources.directories.clone(),
        isolation: sources.isolation,
        ..Settings::new(OFFER)
    }
}

/// Searches these directories, then the usual ones, without a lock file.
///
/// # Errors
/// When one of `directories` cannot be used.
pub fn discover(directories: &[PathBuf]) -> Result<Plugins, PluginFault> {
    Plugins::discover(Settings {
        directories: directories.to_vec(),
        ..Settings::new(OFFER)
    })
}
