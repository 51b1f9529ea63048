//! The list of things that must not outlive this process: temporary files, lock files, and new
//! directories that are still empty. Guards remove these things when a command succeeds or fails.
//! If the thread that handles signals ends the process, no guard runs, so that thread removes
//! everything listed here. Called by [`super::temporary`], [`super::lock`] and
//! [`crate::interrupt`].

use super::medium;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A thing to remove.
#[derive(Debug, Clone)]
pub(crate) enum Leftover {
    /// A file.
    File(PathBuf),
    /// A directory, which is removed only if it is empty.
    Directory(PathBuf),
}

impl Leftover {
    fn remove(&self) {
        // It may already be gone, or no longer be empty; both are fine.
        let _ = match self {
            Self::File(path) => medium::remove_file(path),
            Self::Directory(path) => medium::remove_directory(path),
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
    // A panic elsewhere leaves the list intact.
    LIST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An entry of the list, which is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Listed(u64);

impl Drop for Listed {
    fn drop(&mut self) {
        list().entries.remove(&self.0);
    }
}

/// Creates something and lists it in one step, so that no signal can come in between.
///
/// # Errors
/// Those of `make`; in that case nothing is listed.
pub(crate) fn make_listed<T, E>(
    make: impl FnOnce() -> Result<(T, Leftover), E>,
) -> Result<(T, Listed), E> {
    let mut list = list();
    let (made, leftover) = make()?;
    let number = list.next;
    list.next += 1;
    list.entries.insert(number, leftover);
    Ok((made, Listed(number)))
}

/// Removes everything that is listed, latest first, and ends the process.
pub(crate) fn exit(code: i32) -> ! {
    // The lock is held to the end, because nothing created from here on would be removed.
    let list = list();
    for leftover in list.entries.values().rev() {
        leftover.remove();
    }
    std::process::exit(code)
}
