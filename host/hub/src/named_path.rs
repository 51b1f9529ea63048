//! A path from a command line, or fetched for an id there, with its origin if it lies in the hub's
//! cache. Made by `config` and `fetch`; read by whatever opens the path or reports its origin.

use super::{environment::cache_directory, repository::Pin};
use std::path::{Path, PathBuf};

/// A path and its origin in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPath {
    path: PathBuf,
    pin: Option<Pin>,
}

impl NamedPath {
    /// A path, or an id that has not been resolved yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self {
            pin: Pin::below(&cache_directory(), &path),
            path,
        }
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The repository and commit of the path, if it lies in this process' cache.
    pub fn pin(&self) -> Option<&Pin> {
        self.pin.as_ref()
    }

    /// The name to type on a command line: id and commit for a path in the cache, otherwise the
    /// path.
    pub fn typed(&self) -> String {
        match &self.pin {
            Some(pin) => pin.typed(),
            None => self.path.to_string_lossy().into_owned(),
        }
    }
}

impl From<&str> for NamedPath {
    fn from(path: &str) -> Self {
        Self::new(path)
    }
}

impl From<PathBuf> for NamedPath {
    fn from(path: PathBuf) -> Self {
        Self::new(path)
    }
}
