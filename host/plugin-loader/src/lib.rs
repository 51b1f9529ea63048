//! Plugins: found, checked, loaded and called. The host's recipe and commands use [`Plugins`]; nothing else touches a
//! library.
//!
//! - [`plugins`]: which library an id means, and from there to a schedule or a method;
//! - [`mod@discover`]: which files in which directories, without running any of their code; `permissions`: who may write there;
//! - [`manifest`]: what a file says about itself, read from a linker section;
//! - [`options`]: what the user typed, against what an entry declares;
//! - [`lock`]: which builds are meant (`progtune.lock`);
//! - [`probe`]: trying an unknown library in a child process;
//! - `load`: from a file to a root module; `private`: copies of the file as it was listed; `open`: the `unsafe` code of plugins;
//! - [`isolation`]: a library in a process of its own; `child_process`: what both have of such processes;
//! - `consistency`: whether a plugin answers the same question in the same way;
//! - [`bridge`]: the only caller of plugins: every answer is checked before it is used;
//! - [`offer`]: what the program that runs the plugins can do for them;
//! - [`cache`]: private copies, verdicts and warnings given; [`digest`]: the hash that names them;
//! - [`install`]: into the user's plugin directory, and out;
//! - `wire`: the records of the interface as bytes;
//! - [`fault`]: what can go wrong, in words for the user; `printable`: texts of others in them.
//!
//! No tensor library is in here: the crate builds in seconds, and against any version of the interface.
//!
//! Plugins are native code and not sandboxed: whoever may write to a plugin directory may run code as the user.

pub mod bridge;
pub mod cache;
mod child_process;
mod consistency;
pub mod digest;
pub mod discover;
pub mod fault;
pub mod install;
pub mod isolation;
mod load;
pub mod lock;
pub mod manifest;
pub mod offer;
mod open;
pub mod options;
mod permissions;
pub mod plugins;
mod printable;
mod private;
pub mod probe;
mod wire;

pub use bridge::{LoadedMethod, LoadedSchedule, Unchecked};
pub use cache::Cache;
pub use discover::{Entry, Library};
pub use fault::{PluginFault, no_plugins};
pub use isolation::{Isolation, Limits};
pub use lock::Lock;
pub use manifest::EntryKind;
pub use offer::{Offer, set_cancelled};
pub use plugins::{Plugins, Settings};
pub use probe::Probe;
