//! Ctrl-C and SIGTERM, from the start of the program: the first one asks to stop, the second one ends the process.
//! Listened to by `main`, which passes it on to the plugins; asked by whatever takes long.
//!
//! Long loops ask [`check`] and return an error. What cannot ask (a reader, a library, a system call) is not waited for
//! longer than [`PATIENCE`]: then the thread that handles signals removes temporary files and ends the process. A run that
//! trains is never ended like that, because it has something to lose.

use crate::{
    error::{Error, Result},
    files::cleanup,
    phase,
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

static REQUESTED: AtomicBool = AtomicBool::new(false);
static COURSE: AtomicU8 = AtomicU8::new(Course::Free as u8);
/// Whether the command has ended and says why by itself.
static ENDED: AtomicBool = AtomicBool::new(false);
/// What a process that is ended at once says last.
static LAST_WORDS: Mutex<String> = Mutex::new(String::new());
/// Held while files are moved that belong together.
static MOVING: Mutex<()> = Mutex::new(());

/// How long a command may take to notice that it is to stop.
const PATIENCE: Duration = Duration::from_secs(2);
const TICK: Duration = Duration::from_millis(50);

/// What an interruption costs now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Course {
    /// Nothing: the command can end anywhere.
    Free,
    /// A run trains: it ends after a step.
    Training,
    /// What took long is done, and saving it is a matter of moments: the command ends by itself.
    Saving,
}

/// Says what an interruption costs from now on.
pub fn set_course(course: Course) {
    COURSE.store(course as u8, Ordering::SeqCst);
}

fn is(course: Course) -> bool {
    COURSE.load(Ordering::SeqCst) == course as u8
}

/// Starts listening, and calls `on_request` at the first signal; a second call changes nothing.
pub fn listen(on_request: fn()) {
    let outcome = ctrlc::set_handler(move || {
        if REQUESTED.swap(true, Ordering::SeqCst) {
            end(&format!("interrupted at once; {}", last_words()));
        }
        on_request();
        if is(Course::Training) {
            tracing::warn!("stopping after this step; once more (Ctrl-C) ends the run at once");
        }
        if is(Course::Saving) {
            tracing::warn!(
                "saving the result; once more (Ctrl-C) ends the command at once, without it"
            );
        }
        // Not here: this thread must hear the second signal.
        thread::spawn(end_what_does_not_notice);
    });
    if let Err(error) = outcome {
        tracing::debug!("no signal handler: {error}");
    }
}

fn end_what_does_not_notice() {
    let mut free = Duration::ZERO;
    while !ENDED.load(Ordering::SeqCst) {
        if free >= PATIENCE {
            let doing = phase::current();
            end(&Error::Stopped { doing }.to_string());
        }
        thread::sleep(TICK);
        free = match is(Course::Free) {
            true => free + TICK,
            false => Duration::ZERO,
        };
    }
}

fn end(message: &str) -> ! {
    let _moving = uninterrupted();
    terminal::set_bar(None);
    if may_say_how_it_ended() {
        events::failure(message, 130);
    }
    cleanup::exit(130)
}

fn last_words() -> String {
    let words = LAST_WORDS.lock().unwrap_or_else(PoisonError::into_inner);
    match words.as_str() {
        "" => "nothing was saved".into(),
        words => words.into(),
    }
}

/// What a process that is ended at once says last; nothing has been saved until this is called.
pub fn set_last_words(words: impl Into<String>) {
    *LAST_WORDS.lock().unwrap_or_else(PoisonError::into_inner) = words.into();
}

/// No signal ends the process until this is dropped.
pub fn uninterrupted() -> MutexGuard<'static, ()> {
    MOVING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The command has ended, and the caller says how; false if that has been said already.
pub fn may_say_how_it_ended() -> bool {
    !ENDED.swap(true, Ordering::SeqCst)
}

/// Whether the user asked to stop.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

/// Ends what can be ended, if the user asked for it.
///
/// # Errors
/// [`Error::Stopped`], if so.
pub fn check() -> Result<()> {
    match requested() && !is(Course::Saving) {
        true => Err(Error::Stopped {
            doing: phase::current(),
        }),
        false => Ok(()),
    }
}
