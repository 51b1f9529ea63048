//! Checks the user's options (`--peft-opt r=8`) against an entry's declaration. Called by `bridge`
//! before it creates a schedule or a method.
//!
//! The rule itself is the interface's ([`progtune_plugin_api::options::resolve`]), so that a
//! plugin's own tests read options in the same way.

use crate::{discover::Entry, fault::PluginFault};
use progtune_plugin_api::{open::Attribute, options};

/// All options of an entry, in the order of its declaration: the given ones, and the defaults of
/// the others.
///
/// # Errors
/// [`PluginFault::Option`] for an option that is not declared (with the nearest names), given
/// twice, of the wrong type, out of range, not among the choices, or required and missing.
pub(crate) fn resolve(
    entry: &Entry,
    given: &[(String, String)],
) -> Result<Vec<Attribute>, PluginFault> {
    options::resolve(&entry.options, given).map_err(|fault| PluginFault::Option {
        plugin: entry.library.to_string(),
        id: entry.id.clone(),
        option: fault.name,
        reason: fault.reason,
    })
}
