//! Plugins as this host runs them: what it offers them, and how it looks for them. The recipe and the commands call
//! [`find`]; everything behind it is in the crate `progtune-plugin-loader`.

use crate::model::graph::OPERATIONS;
use progtune_plugin_api::{extensions, records::Mode};
pub use progtune_plugin_loader::*;
use std::path::PathBuf;

/// What a plugin may ask of this host.
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

/// Searches as configured; see [`mod@discover`]. Runs no plugin.
///
/// # Errors
/// When a file or directory that is named cannot be used, or the lock file.
pub fn find(sources: &PluginSources) -> Result<Plugins, PluginFault> {
    Plugins::discover(Settings {
        lock: Lock::find(sources.lock.as_deref())?,
        locked: sources.locked,
        ..places(sources)
    })
}

/// As [`find`], whatever is pinned.
///
/// # Errors
/// When a file or directory that is named cannot be used.
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

/// Searches these directories, then the usual ones, without a lock.
///
/// # Errors
/// When a directory of `directories` cannot be used.
pub fn discover(directories: &[PathBuf]) -> Result<Plugins, PluginFault> {
    Plugins::discover(Settings {
        directories: directories.to_vec(),
        ..Settings::new(OFFER)
    })
}
