//! The user's cache of plugins: private copies to load, verdicts of the probe, and warnings that
//! were given. Called by `load`, `probe` and `plugins`.
//!
//! It is `$PROGTUNE_CACHE_DIR/plugins`, otherwise `$XDG_CACHE_HOME/progtune/plugins`, otherwise
//! `~/.cache/progtune/plugins`, and only its owner can read it. If it cannot be written, copies go
//! to a temporary directory, which is removed as soon as the library is open. Nothing is remembered
//! then.

use crate::digest::sha256_hex;
use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

/// The minimum time for which a file is kept.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The place of copies and notes.
#[derive(Debug, Clone)]
pub struct Cache {
    /// `None` if nothing is kept.
    directory: Option<PathBuf>,
}

/// A file that no other user can change, with the bytes that were checked.
#[derive(Debug)]
pub(crate) struct PrivateCopy {
    /// Its path.
    pub(crate) path: PathBuf,
    /// The temporary directory around it, if there was no cache; removed when this is dropped.
    _temporary: Option<tempfile::TempDir>,
}

impl Cache {
    /// The user's cache.
    pub(crate) fn of_user() -> Self {
        Self {
            directory: directory(&|name| env::var_os(name)),
        }
    }

    /// A cache in this directory.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: Some(directory.into()),
        }
    }

    /// Writes the bytes to the cache, or to a temporary directory if that fails, and checks them
    /// there.
    pub(crate) fn copy(&self, bytes: &[u8], hash: &str) -> io::Result<PrivateCopy> {
        let kept = |directory: &PathBuf| copy_into(directory, bytes, hash).ok();
        if let Some(path) = self.directory.as_ref().and_then(kept) {
            return Ok(PrivateCopy {
                path,
                _temporary: None,
            });
        }
        let temporary = tempfile::Builder::new()
            .prefix("progtune-plugins-")
            .tempdir()?;
        Ok(PrivateCopy {
            path: copy_into(temporary.path(), bytes, hash)?,
            _temporary: Some(temporary),
        })
    }

    /// The note with this name, if it was kept and can be read.
    pub(crate) fn note(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.directory.as_ref()?.join(name)).ok()
    }

    /// Keeps a note. A failure is only logged, because it costs no more than time later.
    pub(crate) fn keep_note(&self, name: &str, text: &str) {
        let Some(directory) = &self.directory else {
            return;
        };
        let kept = create_private(directory)
            .and_then(|()| write_atomically(&directory.join(name), text.as_bytes(), 0o600));
        if let Err(error) = kept {
            tracing::debug!("{}: {error}", directory.join(name).display());
        }
    }
}

fn directory(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name: &str| {
        variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let ours = absolute("PROGTUNE_CACHE_DIR").or_else(|| {
        let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
        Some(cache?.join("progtune"))
    });
    Some(ours?.join("plugins"))
}

fn copy_into(directory: &Path, bytes: &[u8], hash: &str) -> io::Result<PathBuf> {
    create_private(directory)?;
    let copy = directory.join(format!("{hash}{}", env::consts::DLL_SUFFIX));
    // A file with this name and these bytes is this library, whoever wrote it. By now no other user
    // can write to it.
    let is_ours = restrict(&copy, 0o500).is_ok();
    if is_ours && fs::read(&copy).is_ok_and(|found| found == bytes) {
        return Ok(copy);
    }
    write_atomically(&copy, bytes, 0o500)?;
    prune(directory);
    if sha256_hex(&fs::read(&copy)?) == hash {
        Ok(copy)
    } else {
        Err(io::Error::other(format!(
            "{} does not contain the written bytes",
            copy.display()
        )))
    }
}

fn create_private(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    // Fails if the directory belongs to another user. It is then not used as a cache.
    restrict(directory, 0o700)
}

/// Writes a file beside `path` and renames it. A reader sees either the old file or the new one.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty());
    let mut file = tempfile::Builder::new()
        .prefix(".progtune-")
        .tempfile_in(directory.unwrap_or(Path::new(".")))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    restrict(file.path(), mode)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Removes the files of earlier builds, so that the cache does not grow with every rebuild. A
/// process that has loaded a library keeps it, and a process that needs a file again writes it
/// again.
fn prune(directory: &Path) {
    let old = |file: &fs::DirEntry| {
        let written = file
            .metadata()
            .and_then(|metadata| metadata.modified())
            .ok();
        written
            .and_then(|time| time.elapsed().ok())
            .is_some_and(|age| age > KEPT)
    };
    for file in fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter(old)
    {
        let _ = fs::remove_file(file.path());
    }
}

#[cfg(unix)]
fn restrict(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn restrict(_path: &Path, _mode: u32) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_the_documented_one() {
        let with = |set: &[(&str, &str)]| {
            let set: Vec<(String, OsString)> = set
                .iter()
                .map(|(name, value)| ((*name).into(), value.into()))
                .collect();
            directory(&move |name| {
                set.iter()
                    .find(|(known, _)| known == name)
                    .map(|(_, value)| value.clone())
            })
        };
        let home = ("HOME", "/h");
        assert_eq!(with(&[]), None);
        assert_eq!(with(&[home]), Some("/h/.cache/progtune/plugins".into()));
        let xdg = ("XDG_CACHE_HOME", "/x");
        assert_eq!(with(&[home, xdg]), Some("/x/progtune/plugins".into()));
        let own = ("PROGTUNE_CACHE_DIR", "/own");
        assert_eq!(with(&[home, xdg, own]), Some("/own/plugins".into()));
    }

    #[test]
    fn a_damaged_copy_is_written_again_and_a_temporary_one_goes() {
        let folder = tempfile::tempdir().unwrap();
        let hash = sha256_hex(b"bytes");
        let cache = Cache::at(folder.path());
        let copy = cache.copy(b"bytes", &hash).unwrap();
        fs::remove_file(&copy.path).unwrap();
        fs::write(&copy.path, "other").unwrap();
        assert_eq!(
            fs::read(cache.copy(b"bytes", &hash).unwrap().path).unwrap(),
            b"bytes"
        );
        let nowhere = Cache { directory: None };
        let copy = nowhere.copy(b"bytes", &hash).unwrap();
        let path = copy.path.clone();
        assert!(path.is_file());
        drop(copy);
        assert!(!path.exists());
        nowhere.keep_note("a", "b");
        assert_eq!(nowhere.note("a"), None);
        cache.keep_note("a", "b");
        assert_eq!(cache.note("a").as_deref(), Some("b"));
    }
}
