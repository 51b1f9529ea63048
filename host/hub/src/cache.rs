//! The cache directory shared by all of Hugging Face's tools:
//! `models--org--name/{refs,snapshots,blobs}`. Called by `hub`.
//!
//! `refs/main` names a commit. `snapshots/COMMIT/` contains the files under their names, as links
//! to `blobs/ETAG`, or as files if links cannot be created. `.locks/` beside the repositories keeps
//! two processes from fetching the same blob.

use progtune_process::files::{bounded::read_text, durable, temporary::Access, write_with};

use super::repository::{Repository, is_commit, is_plain_path};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

/// The longest file with the name of a commit that is read.
const LONGEST_COMMIT: u64 = 1 << 12;

/// A cache directory.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    /// The directory.
    pub root: PathBuf,
    /// Whether snapshots contain files instead of links.
    pub copies: bool,
}

impl Cache {
    /// The folder of a repository.
    pub(crate) fn folder(&self, repository: &Repository) -> PathBuf {
        self.root.join(repository.folder())
    }

    /// The commit to which the revision refers, if the cache knows it.
    pub(crate) fn commit_of(&self, repository: &Repository) -> Option<String> {
        if repository.is_pinned() {
            return Some(repository.revision.clone());
        }
        let path = self
            .folder(repository)
            .join("refs")
            .join(&repository.revision);
        let text = read_text(&path, LONGEST_COMMIT).ok()?;
        let commit = text.trim();
        (is_plain_path(commit) && !commit.contains('/')).then(|| commit.to_owned())
    }

    /// Remembers the commit of the revision. A read-only cache is used as it is.
    pub(crate) fn remember(&self, repository: &Repository, commit: &str) {
        let path = self
            .folder(repository)
            .join("refs")
            .join(&repository.revision);
        if is_commit(&repository.revision)
            || read_text(&path, LONGEST_COMMIT).is_ok_and(|known| known == commit)
        {
            return;
        }
        let written = path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| write_with(&path, commit.as_bytes(), Access::Shared));
        if let Err(error) = written {
            tracing::warn!("{}: cannot write: {error}", path.display());
        }
    }

    /// The directory of a commit's files.
    pub(crate) fn snapshot(&self, repository: &Repository, commit: &str) -> PathBuf {
        self.folder(repository).join("snapshots").join(commit)
    }

    /// The names of a snapshot's files, sorted; empty if there is no such snapshot.
    pub(crate) fn names(&self, repository: &Repository, commit: &str) -> Vec<String> {
        files_below(&self.snapshot(repository, commit))
    }

    /// The path of a blob.
    pub(crate) fn blob(&self, repository: &Repository, etag: &str) -> PathBuf {
        self.folder(repository).join("blobs").join(etag)
    }

    /// Waits until no other process is fetching this blob. The lock is released when the returned
    /// file is dropped. `waiting` is called before a wait. On file systems without locks this does
    /// not wait; each blob is checked before it gets its name.
    ///
    /// # Errors
    /// Fails if the lock file cannot be created.
    pub(crate) fn lock(
        &self,
        repository: &Repository,
        etag: &str,
        waiting: impl FnOnce(),
    ) -> io::Result<File> {
        let folder = self.root.join(".locks").join(repository.folder());
        fs::create_dir_all(&folder)?;
        let mut options = File::options();
        options.write(true).create(true).truncate(false);
        not_through_links(&mut options);
        let file = options.open(folder.join(format!("{etag}.lock")))?;
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            waiting();
            // File systems without locks refuse this.
            let _ = file.lock();
        }
        Ok(file)
    }

    /// Gives a blob a name in a snapshot.
    ///
    /// # Errors
    /// Fails if the file system refuses.
    pub(crate) fn link(
        &self,
        repository: &Repository,
        commit: &str,
        name: &str,
        etag: &str,
    ) -> io::Result<()> {
        let target = self.snapshot(repository, commit).join(name);
        if target.exists() {
            return Ok(());
        }
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        // Replaces a dangling link, whose blob was deleted. Another process may do the same.
        if target.is_symlink() {
            match fs::remove_file(&target) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let up = "../".repeat(2 + name.matches('/').count());
        let relative = format!("{up}blobs/{etag}");
        let linked = if self.copies {
            Err(io::ErrorKind::Unsupported.into())
        } else {
            symlink(Path::new(&relative), &target)
        };
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                match durable::rename(&self.blob(repository, etag), &target) {
                    // Another process has moved the blob there.
                    Err(_) if target.exists() => Ok(()),
                    outcome => outcome,
                }
            }
            _ => Ok(()),
        }
    }

    /// Repositories of this kind in the cache whose names end alike: the ones that may have been
    /// meant.
    pub(crate) fn namesakes(&self, repository: &Repository) -> Vec<String> {
        let name = repository.id.rsplit('/').next().unwrap_or_default();
        let prefix = format!("{}--", repository.kind.plural());
        let Ok(entries) = fs::read_dir(&self.root) else {
            return Vec::new();
        };
        let mut ids: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter_map(|folder| Some(folder.strip_prefix(&prefix)?.replacen("--", "/", 1)))
            .filter(|id| *id != repository.id && id.rsplit('/').next() == Some(name))
            .collect();
        ids.sort();
        ids
    }
}

/// Refuses to open a link, so that nothing is written elsewhere.
pub(super) fn not_through_links(options: &mut OpenOptions) {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        options,
        rustix::fs::OFlags::NOFOLLOW.bits() as i32,
    );
    #[cfg(not(unix))]
    let _ = options;
}

/// The files below a directory, sorted by their relative names with `/` between the parts. Hidden
/// files and dangling links are left out.
pub fn files_below(directory: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(directory.join(&folder)) else {
            continue;
        };
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            let name = match folder.as_str() {
                "" => name,
                folder => format!("{folder}/{name}"),
            };
            match fs::metadata(entry.path()) {
                Ok(data) if data.is_file() => names.push(name),
                // Links to directories could lead in circles.
                Ok(data) if data.is_dir() && !entry.path().is_symlink() => folders.push(name),
                _ => {}
            }
        }
    }
    names.sort();
    names
}

#[cfg(unix)]
fn symlink(to: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(to, at)
}

#[cfg(windows)]
fn symlink(to: &Path, at: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(to, at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::Kind;

    #[test]
    fn links_and_files_have_the_same_names() {
        for copies in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let cache = Cache {
                root: directory.path().to_owned(),
                copies,
            };
            let repository = Repository::parse(Kind::Dataset, "org/name").unwrap();
            let commit = "0a".repeat(20);
            let blob = cache.blob(&repository, "etag");
            fs::create_dir_all(blob.parent().unwrap()).unwrap();
            fs::write(&blob, "contents").unwrap();
            cache
                .link(&repository, &commit, "a/b/c.csv", "etag")
                .unwrap();
            cache.remember(&repository, &commit);
            assert_eq!(cache.commit_of(&repository), Some(commit.clone()));
            assert_eq!(cache.names(&repository, &commit), ["a/b/c.csv"]);
            let path = directory
                .path()
                .join(format!("datasets--org--name/snapshots/{commit}/a/b/c.csv"));
            assert_eq!(fs::read_to_string(&path).unwrap(), "contents");
            assert_eq!(path.is_symlink(), !copies);
            assert_eq!(blob.exists(), !copies);
            let written =
                fs::read_to_string(directory.path().join("datasets--org--name/refs/main"));
            assert_eq!(written.unwrap(), commit);
        }
    }

    #[test]
    fn a_name_without_its_organisation_finds_namesakes() {
        let directory = tempfile::tempdir().unwrap();
        for folder in [
            "models--google-bert--bert-base",
            "models--x--other",
            "datasets--y--bert-base",
        ] {
            fs::create_dir(directory.path().join(folder)).unwrap();
        }
        let cache = Cache {
            root: directory.path().to_owned(),
            copies: false,
        };
        let repository = Repository::parse(Kind::Model, "bert-base").unwrap();
        assert_eq!(cache.namesakes(&repository), ["google-bert/bert-base"]);
    }
}
