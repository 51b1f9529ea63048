//! The boundary to the file system. Every operation of [`super`] that changes a file or a directory
//! passes through here. With the feature `faults`, and in unit tests, such an operation can be made
//! to fail (`faults`); otherwise these functions only call the system. Called by everything in
//! [`super`], and by the caches for the files that they write themselves.

#[cfg(any(test, feature = "faults"))]
pub(crate) mod faults;

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// An operation that changes the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A new file or directory.
    Create,
    /// Bytes written to a file.
    Write,
    /// The contents of a file, or the names in a directory, forced to the disk.
    Sync,
    /// A new name for a file.
    Rename,
    /// A name removed.
    Remove,
    /// A file cut to a length.
    Truncate,
}

/// The outcome that was chosen for an operation.
#[derive(Debug)]
enum Fate {
    /// The operation takes place.
    Happens,
    /// The operation fails and changes nothing.
    #[cfg(any(test, feature = "faults"))]
    Fails(io::Error),
    /// Half of the bytes are written, then the operation fails.
    #[cfg(any(test, feature = "faults"))]
    WritesHalf(io::Error),
}

#[cfg(any(test, feature = "faults"))]
fn fate(operation: Operation, path: &Path) -> Fate {
    faults::fate(operation, path)
}

#[cfg(not(any(test, feature = "faults")))]
#[inline]
fn fate(_: Operation, _: &Path) -> Fate {
    Fate::Happens
}

/// Announces an operation that the caller performs itself.
///
/// # Errors
/// Fails if the operation is to fail; the caller must then not perform it.
#[inline]
pub(crate) fn announce(operation: Operation, path: &Path) -> io::Result<()> {
    match fate(operation, path) {
        Fate::Happens => Ok(()),
        #[cfg(any(test, feature = "faults"))]
        Fate::Fails(error) | Fate::WritesHalf(error) => Err(error),
    }
}

/// Writes all bytes at the file's position.
///
/// # Errors
/// Fails if the file system refuses; some of the bytes may then be written.
pub fn write(file: &mut File, path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fate(Operation::Write, path) {
        Fate::Happens => file.write_all(bytes),
        #[cfg(any(test, feature = "faults"))]
        Fate::Fails(error) => Err(error),
        #[cfg(any(test, feature = "faults"))]
        Fate::WritesHalf(error) => {
            file.write_all(&bytes[..bytes.len() / 2])?;
            Err(error)
        }
    }
}

/// Forces the contents of a file to the disk.
///
/// # Errors
/// Fails if the file system refuses.
pub(crate) fn sync(file: &File, path: &Path) -> io::Result<()> {
    announce(Operation::Sync, path)?;
    file.sync_all()
}

/// Cuts a file to a length.
///
/// # Errors
/// Fails if the file system refuses.
pub fn truncate(file: &File, path: &Path, length: u64) -> io::Result<()> {
    announce(Operation::Truncate, path)?;
    file.set_len(length)
}

/// Renames a file, replacing whatever has the new name. A link is replaced, not followed.
///
/// # Errors
/// Fails if the file system refuses.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    announce(Operation::Rename, to)?;
    fs::rename(from, to)
}

/// Removes a file or a link.
///
/// # Errors
/// Fails if the file system refuses.
pub fn remove_file(path: &Path) -> io::Result<()> {
    announce(Operation::Remove, path)?;
    fs::remove_file(path)
}

/// Removes an empty directory.
///
/// # Errors
/// Fails if it is not empty, or the file system refuses.
pub(crate) fn remove_directory(path: &Path) -> io::Result<()> {
    announce(Operation::Remove, path)?;
    fs::remove_dir(path)
}

/// Creates a directory.
///
/// # Errors
/// Fails if the file system refuses.
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    announce(Operation::Create, path)?;
    fs::create_dir(path)
}
