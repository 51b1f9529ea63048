//! Writing files so that a crash or a full disk never leaves half of one. Called by everything that saves.

use crate::error::{Error, Result};
use progtune_plugin_api::names::did_you_mean;
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

/// The end of a message about a path that is not there: `; did you mean 'glue/MRPC'?`, or nothing where nothing beside it has
/// a name like it.
pub fn near_path(path: &Path) -> String {
    // The first part that is not there is the one that is wrong.
    let there = |parent: &Path| parent.as_os_str().is_empty() || parent.is_dir();
    let wrong = path
        .ancestors()
        .find(|part| part.parent().is_some_and(there));
    let Some((parent, name)) = wrong.and_then(|part| Some((part.parent()?, part.file_name()?)))
    else {
        return String::new();
    };
    let listed = match parent.as_os_str().is_empty() {
        true => Path::new(".").read_dir(),
        false => parent.read_dir(),
    };
    let entries = listed.into_iter().flatten().flatten();
    let names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let near = did_you_mean(&name.to_string_lossy(), names.iter().map(String::as_str));
    match parent.as_os_str().is_empty() {
        true => near,
        false => near.replace(" '", &format!(" '{}/", parent.display())),
    }
}

/// Creates a directory with its parents.
pub fn create_directory(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(Error::io(path, "create"))
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
