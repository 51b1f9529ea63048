//! The surroundings of every command-line program: atomic file writes, signals, the terminal,
//! progress, the log, and the formatting of numbers and lists. This is the lowest layer of the host
//! and knows nothing about models.

mod byte_size;
mod choice;
mod error;
mod phase;
mod short_list;
mod short_name;
mod signal;
mod thousands;

// Durations in messages: `duration::in_words(90.0)`.
pub mod duration;
// Safe reading and writing, locks, and the remains of killed processes.
pub mod files;
// Ctrl-C and its relatives: `interrupt::check()?` in long loops.
pub mod interrupt;
// The log: warnings on standard error, everything in a file.
pub mod logging;
// Printing, colours, bars, notes and events.
pub mod terminal;
// What every thread did, for `--profile`.
pub mod timeline;

// Errors, and the signals among them.
pub use error::{Error, Result};
pub use signal::Signal;
// Slow work, while it goes on.
pub use phase::{GoingOn, Phase};
// Values, numbers, names and lists in messages.
pub use byte_size::ByteSize;
pub use choice::name_of;
pub use short_list::short_list;
pub use short_name::{short_name, short_path};
pub use thousands::grouped;
