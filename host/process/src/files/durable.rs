//! Names that survive a power failure: a new name is certain once its directory is on the disk.
//! Called by [`super::temporary`], and by everything that renames files.

use super::{directory_of, medium};
use std::{io, path::Path};

/// Renames a file whose contents are on the disk, and forces the new name to the disk as well.
/// Whatever has the new name is replaced.
///
/// # Errors
/// Fails if the file system refuses. If the rename itself failed, nothing has changed.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    medium::rename(from, to)?;
    let (before, after) = (directory_of(from), directory_of(to));
    sync_directory(after)?;
    if before == after {
        Ok(())
    } else {
        sync_directory(before)
    }
}

/// Forces the names in a directory to the disk. Some file systems have no such operation; their
/// refusal is no error.
///
/// # Errors
/// Fails if the disk does.
#[cfg(unix)]
pub fn sync_directory(path: &Path) -> io::Result<()> {
    match std::fs::File::open(path) {
        Ok(directory) => accepted(medium::sync(&directory, path)),
        // Files can be created in a directory that its user may not read.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    }
}

/// Directories cannot be forced to the disk here; the system orders its own records.
#[cfg(not(unix))]
pub fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Turns the refusals of file systems that cannot sync a directory into success.
#[cfg(unix)]
pub(super) fn accepted(outcome: io::Result<()>) -> io::Result<()> {
    use rustix::io::Errno;
    let unsupported = [Errno::INVAL, Errno::NOTSUP, Errno::OPNOTSUPP];
    match outcome {
        Err(error)
            if unsupported
                .iter()
                .any(|e| error.raw_os_error() == Some(e.raw_os_error())) =>
        {
            Ok(())
        }
        outcome => outcome,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_by_principle_is_accepted() {
        let failure = |code| accepted(Err(io::Error::from_raw_os_error(code)));
        for code in [rustix::io::Errno::INVAL, rustix::io::Errno::OPNOTSUPP] {
            assert!(failure(code.raw_os_error()).is_ok());
        }
        for code in [rustix::io::Errno::IO, rustix::io::Errno::NOSPC] {
            assert!(failure(code.raw_os_error()).is_err());
        }
    }

    #[test]
    fn a_file_moves_between_directories() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to] = ["a/file", "b/file"].map(|name| folder.path().join(name));
        for name in ["a", "b"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        std::fs::write(&from, "text").unwrap();
        rename(&from, &to).unwrap();
        assert!(!from.exists());
        assert_eq!(std::fs::read_to_string(to).unwrap(), "text");
        assert!(rename(&from, &folder.path().join("c")).is_err());
        assert!(sync_directory(&folder.path().join("none")).is_err());
    }
}
