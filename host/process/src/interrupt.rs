//! Ctrl-C, SIGTERM and SIGHUP. The first signal asks the command to stop; the second one ends the
//! process. `main` starts to listen, and long work asks here. Plugins see the request as
//! `HostRecord::cancelled`.
//!
//! Long loops call [`check`] and return its error. Work that cannot ask (a reader, a library, a
//! system call) has `PATIENCE` to finish. Then the thread that handles signals removes temporary
//! files and ends the process. A training run is never ended in this way, because it has something
//! to lose.

use crate::{
    error::{Error, Result},
    files::cleanup,
    phase,
    signal::{self, Signal},
    terminal::{self, events},
};
use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    thread,
    time::Duration,
};

/// The number of the first signal, or 0.
static REQUESTED: AtomicU8 = AtomicU8::new(0);
static COURSE: AtomicU8 = AtomicU8::new(Course::Free as u8);
/// Whether the command has ended and reports its own outcome.
static ENDED: AtomicBool = AtomicBool::new(false);
/// The last message of a process that is ended at once.
static LAST_WORDS: Mutex<String> = Mutex::new(String::new());
/// Held while files that belong together are moved.
static MOVING: Mutex<()> = Mutex::new(());

/// The time within which a command should notice the request to stop.
const PATIENCE: Duration = Duration::from_secs(2);
const TICK: Duration = Duration::from_millis(50);

/// The cost of an interruption at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Course {
    /// No cost: the command can end anywhere.
    Free,
    /// A training run is in progress: it ends after the current step.
    Training,
    /// The long work is done and is being saved, which takes a moment: the command ends by itself.
    Saving,
}

/// Sets the cost of an interruption from now on.
pub fn set_course(course: Course) {
    COURSE.store(course as u8, Ordering::SeqCst);
}

fn is(course: Course) -> bool {
    COURSE.load(Ordering::SeqCst) == course as u8
}

/// Starts to listen for signals; a second call has no effect.
pub fn listen(on_request: fn()) {
    let outcome = signal::listen(move |signal| {
        let first = REQUESTED.compare_exchange(0, signal as u8, Ordering::SeqCst, Ordering::SeqCst);
        if first.is_err() {
            end(&format!("interrupted at once; {}", last_words()), signal);
        }
        on_request();
        if is(Course::Training) {
            tracing::warn!("stopping after this step; press Ctrl-C again to end the run at once");
        }
        if is(Course::Saving) {
            tracing::warn!(
                "saving the result; press Ctrl-C again to end the command at once, without saving"
            );
        }
        // A new thread, because this one must receive the second signal.
        thread::spawn(end_what_does_not_notice);
    });
    if let Err(error) = outcome {
        tracing::debug!("cannot install a signal handler: {error}");
    }
}

fn end_what_does_not_notice() {
    let mut free = Duration::ZERO;
    while !ENDED.load(Ordering::SeqCst) {
        if free >= PATIENCE {
            end(&stopped().to_string(), Signal::Interrupt);
        }
        thread::sleep(TICK);
        free = if is(Course::Free) {
            free + TICK
        } else {
            Duration::ZERO
        };
    }
}

fn end(message: &str, signal: Signal) -> ! {
    let _moving = uninterrupted();
    terminal::set_bar(None);
    if may_say_how_it_ended() {
        events::failure(message, signal.exit_code());
    }
    cleanup::exit(signal.exit_code().into())
}

fn last_words() -> String {
    let words = LAST_WORDS.lock().unwrap_or_else(PoisonError::into_inner);
    match words.as_str() {
        "" => "nothing was saved".into(),
        words => words.into(),
    }
}

/// Sets the last message of a process that is ended at once. Until the first call it says that
/// nothing was saved.
pub fn set_last_words(words: impl Into<String>) {
    *LAST_WORDS.lock().unwrap_or_else(PoisonError::into_inner) = words.into();
}

/// Keeps signals from ending the process until the guard is dropped.
pub fn uninterrupted() -> MutexGuard<'static, ()> {
    MOVING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Marks the command as ended, so that the caller reports the outcome; false if that was done
/// already.
pub fn may_say_how_it_ended() -> bool {
    !ENDED.swap(true, Ordering::SeqCst)
}

/// Whether the user asked to stop.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst) != 0
}

/// The signal that asked to stop, for the error that says so; Ctrl-C if there was none.
pub fn received() -> Signal {
    Signal::of_number(REQUESTED.load(Ordering::SeqCst)).unwrap_or(Signal::Interrupt)
}

fn stopped() -> Error {
    Error::Stopped {
        doing: phase::current(),
    }
}

/// Returns an error if the user asked to stop and the command can be stopped now.
///
/// # Errors
/// [`Error::Stopped`], in that case.
pub fn check() -> Result<()> {
    if requested() && !is(Course::Saving) {
        Err(stopped())
    } else {
        Ok(())
    }
}
