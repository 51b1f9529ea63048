//! Which files of a repository are wanted, chosen from the names that the repository has, or from those in the cache. Called by
//! `hub`; made by whoever asks it for a snapshot.

use std::path::Path;

/// A choice of files.
pub trait Wanted {
    /// The files out of `names`; an error says what is missing and what to do.
    ///
    /// # Errors
    /// When `names` lacks one that is needed.
    fn choose(&self, names: &[String]) -> Result<Vec<String>, String>;

    /// More files, which those that are there name.
    ///
    /// # Errors
    /// When they cannot be read.
    fn then(&self, _snapshot: &Path) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }

    /// The names of the usual files, for a person who is to put them somewhere.
    fn usual(&self) -> Vec<String>;

    /// The flag that takes a directory of them in place of an id.
    fn flag(&self) -> &'static str;
}
