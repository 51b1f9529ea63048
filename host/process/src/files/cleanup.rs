//! The list of what must not outlive this process: temporary files, lock files, and directories that were made for a
//! result that never came. Guards remove these things when a command succeeds or fails. An ending from the thread that
//! handles signals runs no guards, so it removes what is listed here. Called by [`super::temporary`], [`super::lock`] and
//! [`crate::interrupt`].

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Something to remove.
#[derive(Debug, Clone)]
pub enum Leftover {
    /// A file.
    File(PathBuf),
    /// A directory, which is removed only if it is empty.
    Directory(PathBuf),
}

impl Leftover {
    fn remove(&self) {
        // It may be gone already, or hold something by now: both are fine.
        let _ = match self {
            Self::File(path) => fs::remove_file(path),
            Self::Directory(path) => fs::remove_dir(path),
        };
    }
}

#[derive(Debug)]
struct List {
    next: u64,
    entries: BTreeMap<u64, Leftover>,
}

static LIST: Mutex<List> = Mutex::new(List {
    next: 0,
    entries: BTreeMap::new(),
});

fn list() -> MutexGuard<'static, List> {
    // A panic elsewhere leaves the list as it was.
    LIST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A place in the list, given up when this is dropped.
#[derive(Debug)]
pub struct Listed(u64);

impl Drop for Listed {
    fn drop(&mut self) {
        list().entries.remove(&self.0);
    }
}

/// Makes something and lists it in one go, so that no signal comes in between.
///
/// # Errors
/// Those of `make`; nothing is listed then.
pub fn make_listed<T, E>(
    make: impl FnOnce() -> Result<(T, Leftover), E>,
) -> Result<(T, Listed), E> {
    let mut list = list();
    let (made, leftover) = make()?;
    let number = list.next;
    list.next += 1;
    list.entries.insert(number, leftover);
    Ok((made, Listed(number)))
}

/// Ends the process after everything that is listed was removed, the latest first.
pub fn exit(code: i32) -> ! {
    // Held to the end: what is made after this moment would not be removed.
    let list = list();
    for leftover in list.entries.values().rev() {
        leftover.remove();
    }
    std::process::exit(code)
}
