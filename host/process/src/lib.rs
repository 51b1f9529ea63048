//! What every command-line program needs around its work: files that are written whole, signals, the
//! terminal, progress, the log, and how numbers and lists are written. The lowest layer of the host; it
//! knows nothing of models.

pub mod byte_size;
pub mod choice;
pub mod error;
pub mod files;
pub mod interrupt;
pub mod logging;
pub mod phase;
pub mod short_list;
pub mod terminal;
pub mod thousands;
