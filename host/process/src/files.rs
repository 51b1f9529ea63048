//! Safe reading of bounded size ([`bounded`]) and safe writing: neither a crash nor a full disk nor
//! a power failure leaves half a file, nothing is written through a link, and no temporary file
//! stays behind. Everything that saves files calls it.

pub mod bounded;
pub mod durable;
pub mod journal;
pub mod lock;
pub mod medium;
pub mod temporary;

mod atomic_file;
pub(crate) mod cleanup;
mod folder;
mod owner;

#[cfg(test)]
mod fault_tests;

use crate::error::{Error, Result};
use atomic_file::failed;
use medium::Operation;
use progtune_plugin_api::names::did_you_mean;
use std::{fs, io, io::Write, path::Path};
use temporary::Access;

pub use atomic_file::AtomicFile;
pub use folder::Folder;
pub use owner::Owner;

/// Writes `bytes` to a temporary file beside `path`, forces it to the disk and renames it. Readers
/// see either the old file or the new one, also after a power failure. A link at `path` is
/// replaced, not followed. The umask decides who may read the file.
///
/// # Errors
/// Fails if the file system refuses; the error names the path.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, bytes, Access::Shared).map_err(|error| failed(path, error))
}

/// Like [`write_atomically`], with explicit access rights.
///
/// # Errors
/// Fails if the file system refuses.
pub fn write_with(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let mut file = AtomicFile::with_access(path, access)?;
    file.write_all(bytes)?;
    file.persist()
}

/// Writes a file that a person named. A device or a pipe (`/dev/stdout`, `>(command)`) is written
/// to directly; any other file is replaced as a whole.
///
/// # Errors
/// Fails if the file system refuses; the error names the path.
pub fn write_named(path: &Path, bytes: &[u8]) -> Result<()> {
    let is_stream = fs::metadata(path).is_ok_and(|about| !about.is_file() && !about.is_dir());
    if !is_stream && !path.starts_with("/dev") && !path.starts_with("/proc") {
        return write_atomically(path, bytes);
    }
    let opened = fs::File::options().write(true).open(path);
    opened
        .and_then(|mut file| medium::write(&mut file, path, bytes))
        .map_err(Error::io(path, "write"))
}

/// The directory that contains a file.
pub fn directory_of(path: &Path) -> &Path {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// The end of a message about a missing path, such as `; did you mean 'glue/MRPC'?`. It is empty if
/// nothing beside the path has a similar name.
pub fn near_path(path: &Path) -> String {
    // The first missing part is the one that was misspelt.
    let there = |parent: &Path| parent.as_os_str().is_empty() || parent.is_dir();
    let wrong = path
        .ancestors()
        .find(|part| part.parent().is_some_and(there));
    let Some((parent, name)) = wrong.and_then(|part| Some((part.parent()?, part.file_name()?)))
    else {
        return String::new();
    };
    let listed = if parent.as_os_str().is_empty() {
        Path::new(".").read_dir()
    } else {
        parent.read_dir()
    };
    let entries = listed.into_iter().flatten().flatten();
    let names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let near = did_you_mean(&name.to_string_lossy(), names.iter().map(String::as_str));
    if parent.as_os_str().is_empty() {
        near
    } else {
        near.replace(" '", &format!(" '{}/", parent.display()))
    }
}

/// Creates a directory and its parents.
pub fn create_directory(path: &Path) -> Result<()> {
    let created = medium::announce(Operation::Create, path).and_then(|()| fs::create_dir_all(path));
    created.map_err(Error::io(path, "create"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_misspelt_is_told_from_its_neighbours() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        std::fs::create_dir_all(root.join("models/bert-base")).unwrap();
        std::fs::create_dir_all(root.join("models/roberta")).unwrap();
        let near =
            |name: &str| near_path(&root.join(name)).replace(&root.display().to_string(), "DIR");
        assert_eq!(
            near("models/bert-bsae"),
            "; did you mean 'DIR/models/bert-base'?"
        );
        assert_eq!(near("modles/bert-base"), "; did you mean 'DIR/models'?");
        assert_eq!(near("elsewhere/x"), "");
        assert_eq!(near_path(Path::new("/")), "");
    }
}
