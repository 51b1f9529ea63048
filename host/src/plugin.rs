//! Plugins as this host runs them: what it offers them, and how it looks for them. The recipe and the commands call
//! [`discover`]; everything behind it is in the crate `progtune-plugin-loader`.

use crate::graph::OPERATIONS;
use progtune_plugin_api::records::Mode;
pub use progtune_plugin_loader::*;
use std::path::PathBuf;

/// What a plugin may ask of this host.
pub const OFFER: Offer = Offer {
    version: env!("CARGO_PKG_VERSION"),
    operations: OPERATIONS,
    modes: &[Mode::OUTPUT, Mode::WEIGHT],
    signals: &["train_loss", "eval_metric", "block_grad_norm"],
};

/// Searches the directories of the user (`--plugin-dir`), then the usual ones; see [`mod@discover`]. Runs no plugin.
///
/// # Errors
/// When a directory of `directories` cannot be read or everyone may write to it.
pub fn discover(directories: &[PathBuf]) -> Result<Plugins, PluginFault> {
    Plugins::discover(directories, OFFER)
}
