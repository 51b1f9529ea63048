//! Plugins of every origin: first-party, third-party, hostile, of other versions of the interface, in processes of their own.

mod authoring;
mod compatibility;
mod hostile_plugins;
mod isolation;
mod plugin_trust;
mod plugins;
