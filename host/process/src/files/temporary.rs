//! Temporary files. Their names identify the process, which also holds a lock on them. They are
//! removed whenever the process can still do so, otherwise by the next run. Everything that writes
//! files calls it.

use super::{
    cleanup::{Leftover, Listed, make_listed},
    directory_of, durable,
    medium::{self, Operation},
    owner::{Life, Owner},
};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// The prefix of all temporary files.
pub const PREFIX: &str = ".progtune-";

/// The age at which the unlocked file of an unreachable process counts as abandoned.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// Number of bytes copied at once.
const COPIED_AT_ONCE: usize = 1 << 18;

/// The access rights of a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Readable by its owner only.
    Private,
    /// Readable as the umask allows.
    Shared,
}

/// An open temporary file.
#[derive(Debug)]
pub struct Temporary {
    file: File,
    path: TemporaryPath,
}

/// The path of a temporary file, which is removed when this is dropped.
#[derive(Debug)]
pub struct TemporaryPath {
    path: PathBuf,
    /// `None` once the file has a name of its own.
    listed: Option<Listed>,
}

impl Drop for TemporaryPath {
    fn drop(&mut self) {
        if self.listed.is_some() {
            // If it fails, the next process removes the file.
            let _ = medium::remove_file(&self.path);
        }
    }
}

impl Temporary {
    /// Creates a file in a directory; its name ends with `suffix`.
    ///
    /// # Errors
    /// Fails if the file system refuses.
    pub fn new_in(directory: &Path, suffix: &str, access: Access) -> io::Result<Self> {
        sweep_once(directory);
        let prefix = format!("{PREFIX}{}-", Owner::this().tag());
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(suffix);
        #[cfg(unix)]
        if access == Access::Shared {
            use std::os::unix::fs::PermissionsExt;
            // The system subtracts the umask when it creates the file.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        #[cfg(not(unix))]
        let _ = access;
        let ((file, path), listed) = make_listed(|| {
            medium::announce(Operation::Create, &directory.join(format!("{PREFIX}…")))?;
            let made = builder.tempfile_in(directory)?;
            let path = std::path::absolute(made.path())?;
            Ok::<_, io::Error>((made.keep()?, Leftover::File(path)))
        })?;
        // The lock tells processes elsewhere that this one is running. Not every file system has
        // locks.
        let _ = file.try_lock();
        Ok(Self {
            file,
            path: TemporaryPath {
                path,
                listed: Some(listed),
            },
        })
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path.path
    }

    /// Copies the first `length` bytes into `to`. The outer result is that of reading; the inner
    /// result is that of writing.
    ///
    /// # Errors
    /// Fails if this file cannot be read, or has fewer bytes.
    pub fn copy_to(&mut self, length: u64, to: &mut impl Write) -> io::Result<io::Result<()>> {
        self.file.seek(SeekFrom::Start(0))?;
        let mut piece = vec![0; COPIED_AT_ONCE];
        let mut left = length;
        while left > 0 {
            let size = left.min(piece.len() as u64) as usize;
            self.file.read_exact(&mut piece[..size])?;
            if let Err(error) = to.write_all(&piece[..size]) {
                return Ok(Err(error));
            }
            left -= size as u64;
        }
        Ok(Ok(()))
    }

    /// Renames the file to `to`, replacing whatever has that name. A link is replaced, not
    /// followed. The contents are forced to the disk first, and the name afterwards.
    ///
    /// # Errors
    /// Fails if the file system refuses; in that case the file is removed. If only the name could
    /// not be forced to the disk, the file already has it.
    pub fn persist(self, to: &Path) -> io::Result<()> {
        medium::sync(&self.file, self.path())?;
        self.path.persist(to).map_err(|(_, error)| error)?;
        durable::sync_directory(directory_of(to))
    }

    /// The file and its path; keep both as long as the file is in use.
    pub fn into_parts(self) -> (File, TemporaryPath) {
        (self.file, self.path)
    }
}

impl TemporaryPath {
    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Renames the file like [`Temporary::persist`], but leaves it to the system when contents and
    /// name reach the disk.
    ///
    /// # Errors
    /// Fails if the file system refuses; the error returns the path unchanged.
    pub fn persist(mut self, to: &Path) -> Result<(), (Self, io::Error)> {
        match medium::rename(&self.path, to) {
            Ok(()) => {
                self.listed = None;
                Ok(())
            }
            Err(error) => Err((self, error)),
        }
    }
}

impl Write for Temporary {
    /// Writes all bytes.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        medium::write(&mut self.file, &self.path.path, bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Removes the leftovers of killed runs from a directory, once per process and directory.
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
        // Links and directories cannot be our temporary files.
        let Some(about) = entry.metadata().ok().filter(fs::Metadata::is_file) else {
            continue;
        };
        let life = Owner::of_tag(rest).map_or(Life::Unknown, |owner| owner.life());
        let is_left = match life {
            Life::Running => false,
            Life::Ended => true,
            Life::Unknown => is_old(&about) && is_unlocked(&entry.path()),
        };
        if is_left && medium::remove_file(&entry.path()).is_ok() {
            tracing::debug!(
                "{}: removed the leftover of a killed run",
                entry.path().display()
            );
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
    use std::time::SystemTime;

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
        kept.write_all(b"text").unwrap();
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
