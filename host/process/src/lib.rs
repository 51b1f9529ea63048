//! The surroundings of every command-line program: atomic file writes, signals, the terminal,
//! progress, the log, and the formatting of numbers and lists. This is the lowest layer of the host
//! and knows nothing about models.

pub mod byte_size;
pub mod choice;
pub mod duration;
pub mod error;
pub mod files;
pub mod interrupt;
pub mod logging;
pub mod phase;
pub mod short_list;
pub mod short_name;
pub mod signal;
pub mod terminal;
pub mod thousands;
