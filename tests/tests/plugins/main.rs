//! Plugins of every origin: first-party, third-party, hostile, for other versions of the interface,
//! in their own processes.

mod authoring;
mod compatibility;
mod export_macro;
mod hostile_plugins;
mod isolation;
mod plugin_trust;
mod plugins;
