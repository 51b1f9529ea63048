//! The documentation: every command in it is run, completions and manual pages have every flag, and
//! words of other tools do what the documents say.

mod completions;
mod from_transformers;
mod help_topics;
mod messages;
mod readme;
