//! The terminal: how progress is shown, in which colours, and printing that never panics.
//! `println!` and `eprintln!` panic when a reader has gone (`| head`) or a disk is full, which
//! could cost hours of training. `main` sets it up once; everything that prints goes through here.
//!
//! Results go to standard output, everything else to standard error.

pub mod events;

mod colour;
mod note;
mod panics;
mod screen;
mod wrap;

pub use colour::{Colour, ColourChoice, Paint};
pub use note::{note, note_for_people};
pub use panics::say_panics;
pub use screen::Screen;
pub use wrap::{NO_BREAK, spaced, wrapped};

use crate::error::{Error, Result};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::{ErrorKind, IsTerminal, Write},
    path::Path,
    sync::{Mutex, RwLock},
};
use wrap::wrapped_after;

/// The width of lines if the width of the terminal is unknown.
const USUAL_WIDTH: usize = 80;

/// The way in which progress is shown on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A bar that is redrawn in place, with other lines above it.
    Bar,
    /// Lines without control characters.
    Plain,
    /// One object per line and nothing else ([`events`]).
    Json,
    /// Warnings only.
    Silent,
}

/// The settings for everything that this process shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Show {
    /// The way in which progress is shown.
    pub mode: Mode,
    /// Whether warnings and the final report are left out as well.
    pub quiet: bool,
    /// The use of colours.
    pub colour: ColourChoice,
}

/// The settings before `main` has read the arguments, and in tests.
static SHOW: RwLock<Show> = RwLock::new(Show {
    mode: Mode::Silent,
    quiet: false,
    colour: ColourChoice::Never,
});

/// The visible bar; other output goes above it.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Changes the settings of this process.
pub fn set_up(show: Show) {
    if let Ok(mut now) = SHOW.write() {
        *now = show;
    }
}

/// The settings of this process.
pub fn show() -> Show {
    SHOW.read()
        .map_or_else(|poisoned| *poisoned.into_inner(), |now| *now)
}

/// The default mode: a bar if standard error is a terminal that can draw one, otherwise lines.
pub fn automatic_mode() -> Mode {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if std::io::stderr().is_terminal() && !dumb {
        Mode::Bar
    } else {
        Mode::Plain
    }
}

/// The width of the terminal at standard error; 80 if there is none.
pub fn width() -> usize {
    columns(std::io::stderr()).unwrap_or(USUAL_WIDTH)
}

/// The width of the terminal at standard output; 80 if there is none.
pub fn stdout_width() -> usize {
    columns(std::io::stdout()).unwrap_or(USUAL_WIDTH)
}

#[cfg(unix)]
fn columns(stream: impl std::os::fd::AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    (size.ws_col > 0).then_some(size.ws_col.into())
}

#[cfg(not(unix))]
fn columns<T>(_: T) -> Option<usize> {
    None
}

/// Writes a text to standard output. It is not an error if a reader closed the pipe early. The text
/// is escaped and masked, unless it is a [`Screen`], whose parts have been already.
///
/// # Errors
/// Fails if standard output cannot be written, for example because a disk is full.
pub fn print(text: impl Into<Screen>) -> Result<()> {
    write_out(text.into().as_str())
}

/// Writes JSON to standard output like [`print()`], without changing its values.
///
/// # Errors
/// Fails like [`print()`].
pub fn print_json(json: &str) -> Result<()> {
    write_out(Screen::json(json).as_str())
}

/// Writes data for programs to standard output, unchanged. On a terminal it is escaped like any
/// text.
///
/// # Errors
/// Fails like [`print()`].
pub fn print_data(data: &str) -> Result<()> {
    if std::io::stdout().is_terminal() {
        print(data)
    } else {
        write_out(data)
    }
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

/// Writes a line to standard error, above the bar and in one piece; if nobody reads it any more,
/// nothing happens. The line is escaped and masked, unless it is a [`Screen`].
pub fn say(line: impl Into<Screen>) {
    let line = line.into();
    above_the_bar(|| {
        let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
    });
}

/// Writes a message after its kind, such as `error`, which `paint` may colour. The message's
/// further lines are indented. On a terminal, long lines are broken at spaces.
pub(crate) fn say_message(kind: &str, paint: impl Fn(&str) -> Screen, text: &str) {
    let mut line = paint(kind);
    line += ": ";
    let text = match show().mode {
        Mode::Bar => wrapped_after(kind.len() + 2, text, width()),
        Mode::Plain | Mode::Json | Mode::Silent => text.to_owned(),
    };
    line += Screen::message(&text);
    say(line);
}

/// Sets or removes the visible bar.
pub fn set_bar(bar: Option<ProgressBar>) {
    if let Ok(mut now) = BAR.lock() {
        *now = bar;
    }
}

/// The visible bar.
pub(crate) fn bar() -> Option<ProgressBar> {
    BAR.lock().ok().and_then(|now| now.clone())
}

/// The style for a template. Its bar is a thin line, so that nobody mistakes it for the squares of
/// a plan.
pub fn bar_style(template: &str) -> ProgressStyle {
    // Two columns stay free behind the cursor. Otherwise the `^C` that a terminal echoes would
    // start a new line and leave the old one behind.
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
