//! Sentences of tagged words in the user's own files. Called by the host.

pub(crate) mod columns;
pub(crate) mod data;
