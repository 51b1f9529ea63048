//! Plugins: they are found, checked, loaded and called here, and nowhere else. The host's recipe
//! and commands use [`Plugins`].
//!
//! - `plugins` resolves an id to a library, and makes a schedule or a method of it.
//! - `discover` lists the libraries in the searched directories without running their code;
//!   `permissions` checks who may write there.
//! - [`manifest_reader`] reads a library's description of itself from a linker section.
//! - `options` checks the user's options against an entry's declaration.
//! - [`lock`] pins builds (`progtune.lock`).
//! - [`probe`] tries an unknown library in a child process.
//! - `load` turns a file into a root module; `private` makes copies of the file as it was listed;
//!   `open` has the `unsafe` code of plugins.
//! - `isolation` runs a library in a process of its own; `child_process` has the parts that it
//!   shares with `probe`.
//! - `consistency` checks that a plugin gives the same answer to the same question.
//! - `bridge` is the only caller of plugins, and checks every answer before it is used.
//! - `offer` describes the features that the host offers to plugins.
//! - `cache` keeps private copies, verdicts and given warnings; `digest` is the hash that names
//!   them.
//! - [`install`] copies libraries into the user's plugin directory and removes them.
//! - `wire` writes the interface's records as bytes.
//! - `fault` has the errors, in words for the user; `printable` cleans the texts of others in
//!   them.
//!
//! The crate has no tensor library. It therefore builds in seconds, and against any version of the
//! interface.
//!
//! Plugins are native code and not sandboxed. Any user who may write to a plugin directory may run
//! code as the user of progtune.

mod bridge;
mod cache;
mod child_process;
mod consistency;
mod digest;
mod discover;
mod fault;
mod isolation;
mod load;
mod offer;
mod open;
mod options;
mod permissions;
mod plugins;
mod printable;
mod private;
mod wire;

// Modules whose names belong to those of their functions, as in `manifest_reader::read`.
pub mod install;
pub mod lock;
pub mod manifest_reader;
pub mod probe;

// The search, with its settings, and its results.
pub use discover::{Entry, Library};
pub use isolation::{Isolation, Limits};
pub use lock::Lock;
pub use manifest_reader::EntryKind;
pub use plugins::{Plugins, Settings};
// Loaded plugins.
pub use bridge::{LoadedMethod, LoadedSchedule, Unchecked};
// The host's offer to them.
pub use offer::{Offer, set_cancelled};
// Records about libraries, kept from one run of the program to the next, and their trial.
pub use cache::Cache;
pub use probe::Probe;
// Errors.
pub use fault::{PluginFault, no_plugins};
