//! One writer per output directory. The directory contains a lock file, which is locked as long as
//! the writer lives and names it. Called by the run directory, `merge`, `evaluate` and `predict`.
//!
//! The system releases the lock when the process ends, however it ends, so a crashed run leaves
//! only an unlocked file. On file systems without locks the text of the file decides: the process
//! that it names is looked up on this machine.

use super::{
    cleanup::{Leftover, Listed, make_listed},
    directory_of, durable,
    folder::{Folder, is_named},
    medium,
    owner::{Life, Owner},
    temporary::sweep_once,
};
use crate::error::{Error, Result};
use std::{
    fs::{self, File, TryLockError},
    io::{self, ErrorKind, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};

/// The name of the lock file.
pub const LOCK_FILE: &str = ".progtune.lock";

/// Number of attempts at a file that others remove or replace meanwhile.
const TRIES: usize = 50;
/// The pause between two attempts, and the time that a new owner has to write its name.
const WAIT: Duration = Duration::from_millis(10);

/// The exclusive right to write into a directory. When it is dropped, the lock file is removed, and
/// so are directories that were created for it and are still empty.
#[derive(Debug)]
pub struct DirectoryLock {
    folder: Folder,
    // The order matters: the file is dropped before the directories that contain it.
    _file: LockFile,
    _made: Vec<MadeDirectory>,
}

#[derive(Debug)]
struct LockFile {
    path: PathBuf,
    file: File,
    _listed: Listed,
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // The name may belong to another lock if the directory was removed and created again.
        if is_named(&self.file, &self.path) {
            let _ = medium::remove_file(&self.path);
        }
    }
}

#[derive(Debug)]
struct MadeDirectory {
    folder: Folder,
    _listed: Listed,
}

impl Drop for MadeDirectory {
    fn drop(&mut self) {
        // Another directory may have taken its place.
        if self.folder.is_in_place() {
            let _ = medium::remove_directory(self.folder.path());
        }
    }
}

/// The file system's answer to a lock request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Granted {
    /// The lock is ours.
    Yes,
    /// Another process holds the lock.
    No,
    /// The file system does not support locks.
    Unsupported,
}

/// The decision about a lock file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The lock file is ours now.
    Take,
    /// Its owner is still writing.
    Refuse,
    /// Its owner may still be writing; only a person can tell.
    RefuseUnlessRemoved,
}

/// Decides from the file system's answer and from the owner that the file names, if it names one.
fn verdict(granted: Granted, owner: Option<&Owner>) -> Verdict {
    let life = owner.map(|owner| {
        // An unlocked file of this process is a leftover of an earlier attempt.
        if owner.is_this() {
            Life::Ended
        } else {
            owner.life()
        }
    });
    match (granted, life) {
        (Granted::No, _) => Verdict::Refuse,
        // A lock that does not exclude a living owner is no lock.
        (_, Some(Life::Running)) => Verdict::Refuse,
        (Granted::Unsupported, Some(Life::Unknown)) => Verdict::RefuseUnlessRemoved,
        _ => Verdict::Take,
    }
}

impl DirectoryLock {
    /// Becomes the only writer of a directory, which is created if necessary. Messages name it by
    /// `flag` (`--output`).
    ///
    /// # Errors
    /// Fails if another run writes there, or the file system refuses.
    pub fn take(directory: &Path, flag: &str) -> Result<Self> {
        let failed = |error: io::Error| {
            let error = Error::io(directory, "write to the directory")(error);
            Error::Usage(format!("{flag} {error}"))
        };
        // An absolute path stays valid if the working directory changes.
        let directory = &std::path::absolute(directory).map_err(failed)?;
        for _ in 0..TRIES {
            let made = match make_directories(directory) {
                // Another process created the directory, gave up and removed it.
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    sleep(WAIT);
                    continue;
                }
                outcome => outcome.map_err(failed)?,
            };
            let folder = match Folder::open(directory) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                outcome => outcome.map_err(failed)?,
            };
            match try_file(&folder, flag).map_err(|error| match error {
                Attempt::Io(error) => failed(error),
                Attempt::Refused(error) => error,
            })? {
                Some(file) => {
                    sweep_once(directory);
                    return Ok(Self {
                        folder,
                        _file: file,
                        _made: made,
                    });
                }
                None => sleep(WAIT),
            }
        }
        Err(failed(io::Error::other(
            "other processes keep replacing its lock file",
        )))
    }

    /// The locked directory.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }
}

/// The process that is writing into a directory now; `None` if there is none. Nothing is changed.
pub fn writer(directory: &Path) -> Option<Owner> {
    let path = directory.join(LOCK_FILE);
    // Reading a pipe would block, and a link leads elsewhere.
    let about = fs::symlink_metadata(&path).ok()?;
    if !about.is_file() {
        return None;
    }
    let mut file = File::open(&path).ok()?;
    let owner = owner_of(&mut file, false)?;
    let is_writing = match owner.life() {
        Life::Running => true,
        Life::Ended => false,
        Life::Unknown => matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)),
    };
    is_writing.then_some(owner)
}

enum Attempt {
    Io(io::Error),
    Refused(Error),
}

impl From<io::Error> for Attempt {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Tries to lock the file once; `None` if it changed hands meanwhile.
fn try_file(folder: &Folder, flag: &str) -> Result<Option<LockFile>, Attempt> {
    let path = folder.path().join(LOCK_FILE);
    let existing = match folder.open_own(LOCK_FILE) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        // A link or a hard-linked file leads to something that is not ours to write.
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            folder.remove(LOCK_FILE).map(|()| None)
        }
        Err(error) => Err(error),
    };
    let (mut file, is_new) = match existing? {
        Some(file) => (file, false),
        None => match folder.create_new(LOCK_FILE) {
            Ok(file) => (file, true),
            Err(e) if matches!(e.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        },
    };
    let granted = match file.try_lock() {
        Ok(()) => Granted::Yes,
        Err(TryLockError::WouldBlock) => Granted::No,
        Err(TryLockError::Error(_)) => Granted::Unsupported,
    };
    if granted == Granted::Yes && !folder.holds(LOCK_FILE, &file) {
        return Ok(None);
    }
    let owner = owner_of(&mut file, !is_new && granted != Granted::Yes);
    match verdict(granted, owner.as_ref()) {
        Verdict::Take => {}
        // Its owner has ended meanwhile.
        Verdict::Refuse if !folder.holds(LOCK_FILE, &file) => return Ok(None),
        refused => {
            let unsure = refused == Verdict::RefuseUnlessRemoved;
            return Err(Attempt::Refused(in_use(folder, flag, owner, unsure)));
        }
    }
    if let Some(owner) = owner {
        tracing::info!(
            "{}: the run of process {} (since {}) ended without removing its lock",
            folder.path().display(),
            owner.pid,
            owner.since
        );
    }
    let text = Owner::this().to_text();
    let ((), listed) = make_listed(|| Ok::<_, io::Error>(((), Leftover::File(path.clone()))))?;
    let mut lock = LockFile {
        path,
        file,
        _listed: listed,
    };
    medium::truncate(&lock.file, &lock.path, 0)?;
    lock.file.seek(SeekFrom::Start(0))?;
    medium::write(&mut lock.file, &lock.path, text.as_bytes())?;
    Ok(Some(lock))
}

/// The owner that a lock file names; with `patiently`, a new owner gets time to write its name.
fn owner_of(file: &mut File, patiently: bool) -> Option<Owner> {
    let tries = if patiently { 20 } else { 1 };
    for attempt in 0..tries {
        if attempt > 0 {
            sleep(WAIT);
        }
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).ok()?;
        file.take(4096).read_to_end(&mut bytes).ok()?;
        if let Some(owner) = Owner::parse(&String::from_utf8_lossy(&bytes)) {
            return Some(owner);
        }
    }
    None
}

fn in_use(folder: &Folder, flag: &str, owner: Option<Owner>, unsure: bool) -> Error {
    let who = owner.map_or_else(String::new, |owner| {
        let host = if owner.host == Owner::this().host {
            String::new()
        } else {
            format!(" on {}", owner.host)
        };
        format!(" (process {}{host}, since {})", owner.pid, owner.since)
    });
    let directory = folder.path().display();
    let what_to_do = if unsure {
        format!("if that run has ended, remove {directory}/{LOCK_FILE}; otherwise wait")
    } else {
        "wait for it to end".into()
    };
    Error::Usage(format!(
        "{flag} {directory}: another run of progtune is writing to this directory{who}; {what_to_do}, or choose another \
         {flag}"
    ))
}

/// Creates a directory and its parents, and returns those that did not exist.
fn make_directories(directory: &Path) -> io::Result<Vec<MadeDirectory>> {
    let missing: Vec<&Path> = directory
        .ancestors()
        .take_while(|path| !path.as_os_str().is_empty() && fs::metadata(path).is_err())
        .collect();
    let mut made = Vec::new();
    for path in missing.into_iter().rev() {
        let outcome = make_listed(|| {
            medium::create_directory(path)?;
            durable::sync_directory(directory_of(path))?;
            Ok::<_, io::Error>((Folder::open(path)?, Leftover::Directory(path.to_owned())))
        });
        match outcome {
            // The innermost directory must be dropped first.
            Ok((folder, listed)) => made.insert(
                0,
                MadeDirectory {
                    folder,
                    _listed: listed,
                },
            ),
            Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(path: &Path) -> Result<DirectoryLock> {
        DirectoryLock::take(path, "--output")
    }

    fn dead() -> Owner {
        Owner {
            started: Owner::this().started.saturating_sub(1),
            since: "2026-01-02 03:04:05 UTC".into(),
            ..Owner::this().clone()
        }
    }

    #[test]
    fn a_second_writer_is_told_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let first = take(&path).unwrap();
        let text = take(&path).unwrap_err().to_string();
        let who = format!(
            "(process {}, since {})",
            std::process::id(),
            Owner::this().since
        );
        assert!(
            text.starts_with("--output ") && text.contains(&who) && text.contains("wait"),
            "{text}"
        );
        assert_eq!(take(&path).unwrap_err().exit_code(), 2);
        drop(first);
        assert!(!folder.path().join("a").exists(), "nothing is left");
        let second = take(&path).unwrap();
        fs::write(path.join("result"), "").unwrap();
        drop(second);
        assert_eq!(Folder::open(&path).unwrap().names().unwrap(), ["result"]);
    }

    #[test]
    fn the_file_of_a_crashed_owner_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(LOCK_FILE);
        for text in [dead().to_text(), String::new(), "noise".into()] {
            fs::write(&file, text).unwrap();
            let lock = take(folder.path()).unwrap();
            let owner = Owner::parse(&fs::read_to_string(&file).unwrap());
            assert!(owner.is_some_and(|owner| owner.is_this()));
            drop(lock);
            assert!(!file.exists());
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn where_there_are_no_locks_the_text_decides() {
        use Granted::{No, Unsupported, Yes};
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        let started = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19);
        let running = Owner {
            pid: child.id(),
            started: started.unwrap().parse().unwrap(),
            ..dead()
        };
        let elsewhere = Owner {
            place: Owner::this().place ^ 1,
            ..dead()
        };
        for (granted, owner, expected) in [
            (Yes, None, Verdict::Take),
            (Yes, Some(&dead()), Verdict::Take),
            (Yes, Some(&elsewhere), Verdict::Take),
            (Yes, Some(&running), Verdict::Refuse),
            (No, None, Verdict::Refuse),
            (No, Some(&dead()), Verdict::Refuse),
            (Unsupported, None, Verdict::Take),
            (Unsupported, Some(&dead()), Verdict::Take),
            (Unsupported, Some(&running), Verdict::Refuse),
            (Unsupported, Some(&elsewhere), Verdict::RefuseUnlessRemoved),
        ] {
            assert_eq!(verdict(granted, owner), expected, "{granted:?} {owner:?}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(verdict(Unsupported, Some(&running)), Verdict::Take);
    }

    #[cfg(unix)]
    #[test]
    fn a_planted_lock_file_leads_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let [canary, output] = ["canary", "output"].map(|name| folder.path().join(name));
        fs::write(&canary, "precious").unwrap();
        fs::create_dir(&output).unwrap();
        let file = output.join(LOCK_FILE);
        std::os::unix::fs::symlink(&canary, &file).unwrap();
        drop(take(&output).unwrap());
        fs::hard_link(&canary, &file).unwrap();
        drop(take(&output).unwrap());
        std::os::unix::fs::symlink(folder.path().join("none"), &file).unwrap();
        drop(take(&output).unwrap());
        assert_eq!(fs::read_to_string(&canary).unwrap(), "precious");
        assert!(!folder.path().join("none").exists() && !file.exists());
    }
}
