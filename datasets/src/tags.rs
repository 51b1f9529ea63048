//! Sentences whose words have tags, in files of the user's own. Called by the host.

pub(crate) mod columns;
pub(crate) mod data;
