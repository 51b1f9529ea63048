//! A path that a command names, or has fetched for a name, and what it is of where it lies in the hub's cache. Made by
//! `config` and `fetch`, read by whatever opens it or says later what it was.

use super::{environment::cache_directory, repository::Pin};
use std::path::{Path, PathBuf};

/// A path, and what it is of in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPath {
    path: PathBuf,
    pin: Option<Pin>,
}

impl NamedPath {
    /// A path, or an id that has not been looked up.
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

    /// The repository and the commit that it is of, in this process' cache.
    pub fn pin(&self) -> Option<&Pin> {
        self.pin.as_ref()
    }

    /// As it is typed: in the cache, by the id and the commit that it is of.
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
