//! Plugins: found, checked, loaded and called. The host's recipe and commands use [`Plugins`]; nothing else touches a
//! library.
//!
//! - [`discover`]: which files in which directories, without running any of their code;
//! - [`manifest`]: what a file says about itself, read from a linker section;
//! - [`options`]: what the user typed, against what an entry declares;
//! - [`load`]: from a file to a root module, the only `unsafe` code here;
//! - [`bridge`]: the only caller of plugins: every answer is checked before it is used;
//! - [`offer`]: what the program that runs the plugins can do for them;
//! - [`fault`]: what can go wrong, in words for the user.
//!
//! No tensor library is in here: the crate builds in seconds, and against any version of the interface.
//!
//! Plugins are native code and not sandboxed: whoever may write to a plugin directory may run code as the user.

pub mod bridge;
pub mod discover;
pub mod fault;
pub mod load;
pub mod manifest;
pub mod offer;
pub mod options;

pub use bridge::{LoadedMethod, LoadedSchedule, Plugins, Unchecked};
pub use discover::{Entry, Library};
pub use fault::PluginFault;
pub use manifest::EntryKind;
pub use offer::{Offer, set_cancelled};
