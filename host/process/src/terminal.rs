//! The terminal as this process uses it: how progress is shown, in which colours, and printing that never panics
//! (`println!` and `eprintln!` do when a reader has gone (`| head`) or a disk is full, and hours of training would be lost
//! to it). `main` sets it up once; everything that prints asks here.
//!
//! Results go to standard output, everything else to standard error.

pub mod colour;
pub mod events;
mod note;
mod panics;
mod screen;
mod wrap;

pub use note::{note, note_for_people};
pub use panics::say_panics;
pub use screen::Screen;
pub use wrap::wrapped;

use crate::error::{Error, Result};
use colour::ColourChoice;
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::{ErrorKind, IsTerminal, Write},
    path::Path,
    sync::{Mutex, RwLock},
};

/// The width of lines where nobody says how wide the terminal is.
const USUAL_WIDTH: usize = 80;

/// How the course of a command is shown, once it is known where standard error goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A bar that is drawn again and again, and lines above it.
    Bar,
    /// Lines without control characters.
    Plain,
    /// An object a line, and nothing else ([`events`]).
    Json,
    /// Warnings alone.
    Silent,
}

/// How a process shows what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Show {
    /// The course of things.
    pub mode: Mode,
    /// Whether warnings and the report at the end are left out as well.
    pub quiet: bool,
    /// Colours.
    pub colour: ColourChoice,
}

/// Until `main` has read the arguments, and in tests.
static SHOW: RwLock<Show> = RwLock::new(Show {
    mode: Mode::Silent,
    quiet: false,
    colour: ColourChoice::Never,
});

/// The bar that is drawn now: what is said meanwhile goes above it.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Sets how this process shows what it does.
pub fn set_up(show: Show) {
    if let Ok(mut now) = SHOW.write() {
        *now = show;
    }
}

/// How this process shows what it does.
pub fn show() -> Show {
    SHOW.read()
        .map_or_else(|poisoned| *poisoned.into_inner(), |now| *now)
}

/// What is shown on standard error where nothing else is asked for: a bar in a terminal that can draw one.
pub fn automatic_mode() -> Mode {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    match std::io::stderr().is_terminal() && !dumb {
        true => Mode::Bar,
        false => Mode::Plain,
    }
}

/// The width of the terminal at standard error, 80 where there is none.
pub fn width() -> usize {
    columns().unwrap_or(USUAL_WIDTH)
}

#[cfg(unix)]
fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok()?;
    (size.ws_col > 0).then_some(size.ws_col.into())
}

#[cfg(not(unix))]
fn columns() -> Option<usize> {
    None
}

/// Writes a text to standard output. A reader that closed the pipe early is no failure. Texts of others in it are escaped
/// and masked, unless it is a [`Screen`], which is so already.
///
/// # Errors
/// When standard output cannot take it, a file on a full disk for example.
pub fn print(text: impl Into<Screen>) -> Result<()> {
    write_out(text.into().as_str())
}

/// Writes JSON to standard output, as [`print`] does; its values are not changed.
///
/// # Errors
/// As [`print`].
pub fn print_json(json: &str) -> Result<()> {
    write_out(Screen::json(json).as_str())
}

fn write_out(text: &str) -> Result<()> {
    above_the_bar(|| {
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(e) if e.kind() != ErrorKind::BrokenPipe => {
                Err(Error::io(Path::new("standard output"), "write")(e))
            }
            _ => Ok(()),
        }
    })
}

/// Writes a line to standard error, if anything still reads it: above the bar, and whole, whoever else writes. Texts of
/// others in it are escaped and masked, unless it is a [`Screen`].
pub fn say(line: impl Into<Screen>) {
    let line = line.into();
    above_the_bar(|| {
        let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
    });
}

/// Says a message after what kind it is of (`error`): further lines of it are indented.
pub fn say_message(kind: Screen, text: &str) {
    let mut line = kind;
    line += ": ";
    line += Screen::message(text);
    say(line);
}

/// Draws this bar from now on, or none.
pub fn set_bar(bar: Option<ProgressBar>) {
    if let Ok(mut now) = BAR.lock() {
        *now = bar;
    }
}

/// The bar that is drawn now.
pub fn bar() -> Option<ProgressBar> {
    BAR.lock().ok().and_then(|now| now.clone())
}

/// A template's style. Its bar is a line, so that nobody takes it for the squares of a plan.
pub fn bar_style(template: &str) -> ProgressStyle {
    // Two columns stay free behind the cursor: the `^C` that a terminal writes there would begin a new line, and the old one
    // would stay.
    let template = format!("{template}  \x1b[2D");
    ProgressStyle::with_template(&template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸ ")
}

fn above_the_bar<T>(write: impl FnOnce() -> T) -> T {
    match bar() {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}
