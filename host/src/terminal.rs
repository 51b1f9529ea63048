//! Printing that never panics: `println!` and `eprintln!` do when a reader has gone (`| head`) or a disk is full, and
//! hours of training would be lost to it. Called by everything that prints.

use crate::error::{Error, Result};
use std::{
    io::{ErrorKind, Write},
    path::Path,
};

/// Writes a text to standard output. A reader that closed the pipe early is no failure.
///
/// # Errors
/// When standard output cannot take it, a file on a full disk for example.
pub fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Error::io(Path::new("standard output"), "write")(e))
        }
        _ => Ok(()),
    }
}

/// Writes a line to standard error, if anything still reads it.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
