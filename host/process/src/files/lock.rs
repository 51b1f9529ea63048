//! One writer per output directory: a lock file in it, which is locked as long as the writer lives and says who that is.
//! Called by the run directory, `merge`, `evaluate` and `predict`.
//!
//! The system lets go of a lock when its process ends, however it ends, so what a crashed run leaves is only a file with
//! its name. On file systems without locks the text decides: its process is looked for on this machine.

use super::{
    cleanup::{Leftover, Listed, make_listed},
    folder::{Folder, is_named},
    owner::{Life, Owner},
    temporary::sweep_once,
};
use crate::error::{Error, Result};
use std::{
    fs::{self, File, TryLockError},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};

/// The name of the lock file.
pub const LOCK_FILE: &str = ".progtune.lock";

/// How often a file is tried that others remove or replace meanwhile.
const TRIES: usize = 50;
/// Between two tries, and until a new owner has written who it is.
const WAIT: Duration = Duration::from_millis(10);

/// The right to write into a directory. The lock file goes with it, and so do directories that were made for it, if they
/// are still empty.
#[derive(Debug)]
pub struct DirectoryLock {
    folder: Folder,
    // The order counts: the file is removed before the directories it lies in.
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
        // Another one's lock may have the name, if the directory was removed and made again.
        if is_named(&self.file, &self.path) {
            let _ = fs::remove_file(&self.path);
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
        // Another one may have taken its place.
        if self.folder.is_in_place() {
            let _ = fs::remove_dir(self.folder.path());
        }
    }
}

/// What the file system says to a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Granted {
    /// Nobody else has it.
    Yes,
    /// Somebody has it.
    No,
    /// It knows no locks.
    Unsupported,
}

/// What is to be done about a lock file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It is ours now.
    Take,
    /// Its owner is writing.
    Refuse,
    /// Its owner may be writing; only a person can tell.
    RefuseUnlessRemoved,
}

/// Decides from what the system says, and from who the file says its owner is; `None` if it says nothing.
fn verdict(granted: Granted, owner: Option<&Owner>) -> Verdict {
    let life = owner.map(|owner| match owner.is_this() {
        // A file of this process that is not locked is a leftover of an earlier attempt.
        true => Life::Ended,
        false => owner.life(),
    });
    match (granted, life) {
        (Granted::No, _) => Verdict::Refuse,
        // Locks that do not exclude a living owner are none.
        (_, Some(Life::Running)) => Verdict::Refuse,
        (Granted::Unsupported, Some(Life::Unknown)) => Verdict::RefuseUnlessRemoved,
        _ => Verdict::Take,
    }
}

impl DirectoryLock {
    /// Makes the directory if need be and becomes its only writer; messages call it `flag` (`--output`).
    ///
    /// # Errors
    /// When another run writes there, or the file system refuses.
    pub fn take(directory: &Path, flag: &str) -> Result<Self> {
        let failed = |error: io::Error| {
            let error = Error::io(directory, "write to the directory")(error);
            Error::Usage(format!("{flag} {error}"))
        };
        // Absolute, so that it is found again from wherever.
        let directory = &std::path::absolute(directory).map_err(failed)?;
        for _ in 0..TRIES {
            let made = match make_directories(directory) {
                // Removed by whoever made it, and gave up.
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
            "its lock file keeps changing hands",
        )))
    }

    /// The directory.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }
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

/// `None`: the file changed hands meanwhile.
fn try_file(folder: &Folder, flag: &str) -> Result<Option<LockFile>, Attempt> {
    let path = folder.path().join(LOCK_FILE);
    let existing = match folder.open_own(LOCK_FILE) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        // A link, or a file with other names: what it leads to is not ours to write.
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
        // Its owner has gone meanwhile.
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
    let lock = LockFile {
        path,
        file,
        _listed: listed,
    };
    let mut file = &lock.file;
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(text.as_bytes())?;
    Ok(Some(lock))
}

/// Who a lock file says its owner is, `patiently` if it may not have said so yet.
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
        let host = match owner.host == Owner::this().host {
            true => String::new(),
            false => format!(" on {}", owner.host),
        };
        format!(" (process {}{host}, since {})", owner.pid, owner.since)
    });
    let directory = folder.path().display();
    let what_to_do = match unsure {
        true => format!("if that run has ended, remove {directory}/{LOCK_FILE}; otherwise wait"),
        false => "wait for it to end".into(),
    };
    Error::Usage(format!(
        "{flag} {directory}: another run of progtune is writing to this directory{who}; {what_to_do}, or choose another \
         {flag}"
    ))
}

/// Makes a directory with its parents; those that were not there.
fn make_directories(directory: &Path) -> io::Result<Vec<MadeDirectory>> {
    let missing: Vec<&Path> = directory
        .ancestors()
        .take_while(|path| !path.as_os_str().is_empty() && fs::metadata(path).is_err())
        .collect();
    let mut made = Vec::new();
    for path in missing.into_iter().rev() {
        let outcome = make_listed(|| {
            fs::create_dir(path)?;
            Ok::<_, io::Error>((Folder::open(path)?, Leftover::Directory(path.to_owned())))
        });
        match outcome {
            // The first that is dropped must be the innermost.
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
