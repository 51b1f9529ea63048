//! A file that appears whole or not at all, written piece by piece. Called by
//! [`super::write_atomically`], and by everything that saves more than fits twice into memory.

use super::{
    directory_of,
    temporary::{Access, Temporary},
};
use crate::error::{Error, Result};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Number of bytes that are collected before they are written.
const COLLECTED: usize = 1 << 16;

/// A new file under a temporary name. [`finish`](Self::finish) gives it its own name; without that,
/// it is removed and whatever had the name stays.
#[derive(Debug)]
pub struct AtomicFile {
    temporary: Temporary,
    target: PathBuf,
    collected: Vec<u8>,
}

impl AtomicFile {
    /// Creates the temporary file beside `path`, with the rights that the umask allows. A link at
    /// `path` will be replaced, not followed.
    ///
    /// # Errors
    /// Fails if the file system refuses; the error names `path`.
    pub fn create(path: &Path) -> Result<Self> {
        Self::with_access(path, Access::Shared).map_err(|error| failed(path, error))
    }

    /// Like [`create`](Self::create), with explicit access rights.
    ///
    /// # Errors
    /// Fails if the file system refuses.
    pub(crate) fn with_access(path: &Path, access: Access) -> io::Result<Self> {
        Ok(Self {
            temporary: Temporary::new_in(directory_of(path), "", access)?,
            target: path.to_owned(),
            collected: Vec::new(),
        })
    }

    /// Forces the contents to the disk, renames the file, and forces the new name to the disk.
    ///
    /// # Errors
    /// Fails if the file system refuses; the error names the file. Its earlier contents are then
    /// intact, unless only the last of these operations failed.
    pub fn finish(self) -> Result<()> {
        let path = self.target.clone();
        self.persist().map_err(|error| failed(&path, error))
    }

    /// [`finish`](Self::finish) with the plain error.
    ///
    /// # Errors
    /// Fails if the file system refuses.
    pub fn persist(mut self) -> io::Result<()> {
        self.flush()?;
        self.temporary.persist(&self.target)
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.collected.len() + bytes.len() > COLLECTED {
            self.flush()?;
        }
        if bytes.len() > COLLECTED {
            self.temporary.write_all(bytes)?;
        } else {
            self.collected.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.collected.is_empty() {
            return Ok(());
        }
        let collected = std::mem::take(&mut self.collected);
        self.temporary.write_all(&collected)
    }
}

/// An error of writing this file. It omits the name of the temporary file, which would only
/// confuse.
pub(super) fn failed(path: &Path, error: io::Error) -> Error {
    let unnamed = match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => error.kind().into(),
    };
    Error::io(path, "write")(unnamed)
}
