//! The documentation: every command in it is run, and completions and manual pages have every flag.

mod completions;
mod messages;
mod readme;
