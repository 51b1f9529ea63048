//! Chosen failures of the file system, for tests. Called by [`super`], and by unit tests.
//!
//! A program built with the feature `faults` reads `PROGTUNE_FAULT`. `N` counts the operations of
//! the process from 1.
//!
//! - `count`: every operation happens.
//! - `fail:N` or `fail:N:EIO`: operation N fails with ENOSPC, or with EIO.
//! - `short:N`: operation N, if it writes, writes half of its bytes; then it fails with ENOSPC.
//! - `full:N`: from operation N on, everything that needs space fails with ENOSPC.
//! - `kill:N`: the process is killed right before operation N.
//!
//! `PROGTUNE_FAULT_LOG` names a file that receives a line for each operation: its number, kind and
//! file. With `count` and without that file, the lines go to standard error.

use super::{Fate, Operation};
use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// The errors that the system gives for a full disk and for a broken one.
const NO_SPACE: i32 = 28;
const BROKEN: i32 = 5;

/// The failure of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No operation fails.
    None,
    /// The operation fails with this error of the system.
    Fail(i32),
    /// The operation writes half of its bytes and fails.
    Short,
    /// This and every later operation that needs space fails.
    Full,
    /// The process ends before the operation.
    Kill,
}

/// A failure and its operation, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The failure.
    pub fault: Fault,
    /// The number of the operation.
    pub at: u64,
}

impl Plan {
    /// Reads the value of `PROGTUNE_FAULT`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text == "count" {
            let fault = Fault::None;
            return Some(Self { fault, at: 0 });
        }
        let (kind, rest) = text.split_once(':')?;
        let (at, error) = match rest.split_once(':') {
            Some((at, error)) => (at, Some(error)),
            None => (rest, None),
        };
        let fault = match (kind, error) {
            ("fail", None | Some("ENOSPC")) => Fault::Fail(NO_SPACE),
            ("fail", Some("EIO")) => Fault::Fail(BROKEN),
            ("short", None) => Fault::Short,
            ("full", None) => Fault::Full,
            ("kill", None) => Fault::Kill,
            _ => return None,
        };
        let at = at.parse().ok().filter(|&at| at > 0)?;
        Some(Self { fault, at })
    }
}

/// The operations so far.
#[derive(Debug)]
struct Course {
    plan: Plan,
    n: u64,
    log: Log,
}

#[derive(Debug)]
enum Log {
    None,
    StandardError,
    File(PathBuf),
    #[cfg(test)]
    Lines(Vec<String>),
}

impl Course {
    /// The process' own course, from its environment.
    fn of_process() -> Option<Self> {
        let text = std::env::var("PROGTUNE_FAULT").ok()?;
        let Some(plan) = Plan::parse(&text) else {
            eprintln!(
                "PROGTUNE_FAULT={text}: expected count, fail:N, fail:N:EIO, short:N, full:N or kill:N"
            );
            std::process::exit(2);
        };
        let log = match std::env::var_os("PROGTUNE_FAULT_LOG") {
            Some(path) => Log::File(path.into()),
            None if plan.fault == Fault::None => Log::StandardError,
            None => Log::None,
        };
        Some(Self { plan, n: 0, log })
    }

    fn fate(&mut self, operation: Operation, path: &Path) -> Fate {
        self.n += 1;
        let Plan { fault, at } = self.plan;
        let is_now = self.n == at;
        let mark = if is_now && fault != Fault::None {
            " <- fault"
        } else {
            ""
        };
        let name = path.file_name().unwrap_or(path.as_os_str());
        let line = format!("{} {operation:?} {}{mark}", self.n, name.to_string_lossy());
        self.log.write(line);
        let error = |code| Fate::Fails(io::Error::from_raw_os_error(code));
        match fault {
            Fault::Fail(code) if is_now => error(code),
            Fault::Short if is_now && operation == Operation::Write => {
                Fate::WritesHalf(io::Error::from_raw_os_error(NO_SPACE))
            }
            Fault::Short if is_now => error(NO_SPACE),
            Fault::Full if self.n >= at && needs_space(operation) => error(NO_SPACE),
            Fault::Kill if self.n >= at => killed(),
            _ => Fate::Happens,
        }
    }
}

fn needs_space(operation: Operation) -> bool {
    matches!(operation, Operation::Create | Operation::Write)
}

/// Ends the process without running any more of its code.
#[cfg(not(test))]
fn killed() -> Fate {
    #[cfg(unix)]
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}

/// A unit test cannot kill its process. It ends up with the same files, because nothing happens
/// from here on.
#[cfg(test)]
fn killed() -> Fate {
    Fate::Fails(io::Error::other("killed"))
}

impl Log {
    fn write(&mut self, line: String) {
        match self {
            Self::None => {}
            Self::StandardError => eprintln!("{line}"),
            Self::File(path) => {
                let opened = File::options().create(true).append(true).open(path);
                let _ = opened.and_then(|mut file| file.write_all((line + "\n").as_bytes()));
            }
            #[cfg(test)]
            Self::Lines(lines) => lines.push(line),
        }
    }
}

static PROCESS: Mutex<Option<Option<Course>>> = Mutex::new(None);

/// Counts an operation and decides whether it happens.
pub(super) fn fate(operation: Operation, path: &Path) -> Fate {
    #[cfg(test)]
    if let Some(fate) = in_test::fate(operation, path) {
        return fate;
    }
    let mut course = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    match course.get_or_insert_with(Course::of_process) {
        Some(course) => course.fate(operation, path),
        None => Fate::Happens,
    }
}

#[cfg(test)]
pub(crate) mod in_test {
    //! Failures within one thread of a unit test. Called by the tests of [`super::super::super`].

    use super::*;
    use std::cell::RefCell;

    thread_local! {
        static COURSE: RefCell<Option<Course>> = const { RefCell::new(None) };
    }

    pub(super) fn fate(operation: Operation, path: &Path) -> Option<Fate> {
        COURSE.with_borrow_mut(|course| Some(course.as_mut()?.fate(operation, path)))
    }

    /// Runs work on this thread with a failure. Returns its outcome and the operations as
    /// `NUMBER KIND NAME`.
    pub(crate) fn with<T>(plan: &str, work: impl FnOnce() -> T) -> (T, Vec<String>) {
        let plan = Plan::parse(plan).unwrap();
        let log = Log::Lines(Vec::new());
        COURSE.set(Some(Course { plan, n: 0, log }));
        let outcome = work();
        match COURSE.take().unwrap().log {
            Log::Lines(lines) => (outcome, lines),
            _ => unreachable!("made with lines"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_read() {
        let plan = |text: &str| Plan::parse(text).map(|plan| (plan.fault, plan.at));
        assert_eq!(plan("count"), Some((Fault::None, 0)));
        assert_eq!(plan("fail:3"), Some((Fault::Fail(NO_SPACE), 3)));
        assert_eq!(plan("fail:3:EIO"), Some((Fault::Fail(BROKEN), 3)));
        assert_eq!(plan("short:1"), Some((Fault::Short, 1)));
        assert_eq!(plan("full:2"), Some((Fault::Full, 2)));
        assert_eq!(plan("kill:12"), Some((Fault::Kill, 12)));
        for wrong in ["", "fail", "fail:0", "fail:x", "fail:1:EPERM", "kill:1:EIO"] {
            assert_eq!(plan(wrong), None, "{wrong}");
        }
        let kind = |code| io::Error::from_raw_os_error(code).kind();
        assert_eq!(kind(NO_SPACE), io::ErrorKind::StorageFull);
    }
}
