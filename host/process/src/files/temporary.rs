//! Temporary files: named after their process and locked by it, removed in every ending that the process survives, and by
//! the next run if it was killed. Called by everything that writes.

use super::{
    cleanup::{Leftover, Listed, make_listed},
    owner::{Life, Owner},
};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tempfile::TempPath;

/// The beginning of the names of temporary files.
pub const PREFIX: &str = ".progtune-";

/// When the file of a process that cannot be asked is taken for abandoned, if nobody holds its lock.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Its owner only.
    Private,
    /// Whoever the umask leaves it to.
    Shared,
}

/// An open temporary file.
#[derive(Debug)]
pub struct Temporary {
    file: File,
    path: TemporaryPath,
}

/// The name of a temporary file, which is removed with this.
#[derive(Debug)]
pub struct TemporaryPath {
    path: TempPath,
    _listed: Listed,
}

impl Temporary {
    /// A new file in a directory, whose name ends with `suffix`.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn new_in(directory: &Path, suffix: &str, access: Access) -> io::Result<Self> {
        sweep_once(directory);
        let prefix = format!("{PREFIX}{}-", Owner::this().tag());
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(suffix);
        #[cfg(unix)]
        if access == Access::Shared {
            use std::os::unix::fs::PermissionsExt;
            // Less the umask: the system takes it off when the file is made.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        #[cfg(not(unix))]
        let _ = access;
        let (made, listed) = make_listed(|| {
            let made = builder.tempfile_in(directory)?;
            let path = std::path::absolute(made.path())?;
            Ok::<_, io::Error>((made, Leftover::File(path)))
        })?;
        let (file, path) = made.into_parts();
        // For those who cannot tell whether this process runs. Not every file system has locks.
        let _ = file.try_lock();
        Ok(Self {
            file,
            path: TemporaryPath {
                path,
                _listed: listed,
            },
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path.path
    }

    /// The file.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives it a lasting name, in the place of what has that name: a link is replaced, not followed.
    ///
    /// # Errors
    /// When the file system refuses; the file is removed then.
    pub fn persist(self, to: &Path) -> io::Result<()> {
        self.path.persist(to).map_err(|(_, error)| error)
    }

    /// The file and its name, which must outlive each other.
    pub fn into_parts(self) -> (File, TemporaryPath) {
        (self.file, self.path)
    }
}

impl TemporaryPath {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// As [`Temporary::persist`].
    ///
    /// # Errors
    /// When the file system refuses, with the name as it was.
    pub fn persist(self, to: &Path) -> Result<(), (Self, io::Error)> {
        let Self { path, _listed } = self;
        path.persist(to).map_err(|failed| {
            let path = Self {
                path: failed.path,
                _listed,
            };
            (path, failed.error)
        })
    }
}

/// Removes what killed runs left in a directory, once per process.
pub fn sweep_once(directory: &Path) {
    static SWEPT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let Ok(directory) = directory.canonicalize() else {
        return;
    };
    let mut swept = SWEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if swept.insert(directory.clone()) {
        drop(swept);
        sweep(&directory);
    }
}

/// Removes the temporary files of processes that have ended.
pub fn sweep(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        // Links and directories are no temporary files of ours.
        let Some(about) = entry.metadata().ok().filter(fs::Metadata::is_file) else {
            continue;
        };
        let life = Owner::of_tag(rest).map_or(Life::Unknown, |owner| owner.life());
        let is_left = match life {
            Life::Running => false,
            Life::Ended => true,
            Life::Unknown => is_old(&about) && is_unlocked(&entry.path()),
        };
        if is_left && fs::remove_file(entry.path()).is_ok() {
            tracing::debug!("{}: removed, left by a killed run", entry.path().display());
        }
    }
}

fn is_old(about: &fs::Metadata) -> bool {
    let age = about.modified().ok().and_then(|time| time.elapsed().ok());
    age.is_some_and(|age| age > ABANDONED)
}

fn is_unlocked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| !matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Write, time::SystemTime};

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_temporary_file_goes_or_gets_its_name() {
        let folder = tempfile::tempdir().unwrap();
        drop(Temporary::new_in(folder.path(), ".x", Access::Shared).unwrap());
        assert_eq!(names(folder.path()), [""; 0]);
        let mut kept = Temporary::new_in(folder.path(), ".x", Access::Private).unwrap();
        kept.file().write_all(b"text").unwrap();
        let name = names(folder.path()).remove(0);
        assert!(
            name.starts_with(".progtune-") && name.ends_with(".x"),
            "{name}"
        );
        kept.persist(&folder.path().join("kept")).unwrap();
        assert_eq!(names(folder.path()), ["kept"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn only_the_files_of_ended_processes_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        let this = Owner::this();
        let dead = Owner {
            started: this.started - 1,
            ..this.clone()
        };
        let elsewhere = Owner {
            place: this.place ^ 1,
            ..this.clone()
        };
        let write = |name: &str| {
            let path = folder.path().join(name);
            fs::write(&path, "").unwrap();
            path
        };
        let age = |path: &Path| {
            let file = File::options().append(true).open(path).unwrap();
            let then = SystemTime::now() - 2 * ABANDONED;
            file.set_modified(then).unwrap();
            file
        };
        let own = Temporary::new_in(folder.path(), "", Access::Private).unwrap();
        let own_name = own.path().file_name().unwrap().to_str().unwrap().to_owned();
        write(&format!("{PREFIX}{}-AbCdEf.tokens", dead.tag()));
        let young = format!("{PREFIX}{}-young", elsewhere.tag());
        write(&young);
        let locked = format!("{PREFIX}{}-locked", elsewhere.tag());
        let held = age(&write(&locked));
        held.lock().unwrap();
        drop(age(&write(&format!("{PREFIX}{}-old", elsewhere.tag()))));
        drop(age(&write(".progtune-AbCdEf")));
        let canary = write("canary");
        let link = format!("{PREFIX}{}-link", dead.tag());
        std::os::unix::fs::symlink(&canary, folder.path().join(&link)).unwrap();
        write(".progtune.lock");
        sweep(folder.path());
        let mut expected = vec![
            own_name,
            young,
            locked,
            "canary".into(),
            link,
            ".progtune.lock".into(),
        ];
        expected.sort();
        assert_eq!(names(folder.path()), expected);
    }
}
