//! Writing files so that a crash or a full disk never leaves half of one. Called by everything that saves.

use crate::error::{Error, Result};
use std::{io::Write, path::Path};

/// Writes `bytes` beside `path` and renames: readers see the old file or the new one.
///
/// # Errors
/// With the path, when the file system refuses.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let directory = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".progtune-")
        .tempfile_in(directory)
        // Without the temporary file's name, which would only puzzle.
        .map_err(|e| Error::io(path, "write")(e.kind().into()))?;
    file.write_all(bytes)
        .and_then(|()| file.as_file().sync_all())
        .map_err(Error::io(path, "write"))?;
    allow_reading(file.path()).map_err(Error::io(path, "write"))?;
    file.persist(path).map_err(|e| Error::Io {
        path: path.to_owned(),
        action: "write",
        source: e.error,
    })?;
    Ok(())
}

/// Temporary files are private; results are as readable as any file.
#[cfg(unix)]
fn allow_reading(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn allow_reading(_: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Creates a directory with its parents.
pub fn create_directory(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(Error::io(path, "create"))
}
