//! A choice of files, made from the names in a repository or in the cache. Called by `hub`;
//! implemented for each kind of snapshot.

use std::path::Path;

/// A choice of files.
pub trait Wanted {
    /// Chooses files from `names`. An error says what is missing and what to do.
    ///
    /// # Errors
    /// Fails if `names` lacks a required file.
    fn choose(&self, names: &[String]) -> Result<Vec<String>, String>;

    /// Further files, which are named by those already fetched.
    ///
    /// # Errors
    /// Fails if these cannot be read.
    fn then(&self, _snapshot: &Path) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }

    /// The usual file names, for messages to a person who has to supply them.
    fn usual(&self) -> Vec<String>;

    /// The flag that accepts a directory of these files instead of an id.
    fn flag(&self) -> &'static str;
}
