//! What a person sees of a transfer: on a terminal a bar, then a line a file with its size and speed; elsewhere the line alone. Called by
//! `download`.

use crate::terminal;
use indicatif::{ProgressBar, ProgressStyle};
use std::{io::IsTerminal, time::Instant};

/// The transfer of one file.
pub(super) struct Transfer {
    name: String,
    bar: Option<ProgressBar>,
    quiet: bool,
    start: Instant,
    /// Bytes that came over the network.
    bytes: u64,
}

impl Transfer {
    /// A transfer that goes on from `have` bytes.
    pub fn new(name: &str, have: u64, size: Option<u64>, quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(size.unwrap_or(0)).with_position(have);
            let style = "{bar:16} {bytes}/{total_bytes} {bytes_per_sec}  {wide_msg}";
            let style = ProgressStyle::with_template(style);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_message(name.to_owned());
            bar
        });
        Self {
            name: name.to_owned(),
            bar,
            quiet,
            start: Instant::now(),
            bytes: 0,
        }
    }

    /// More bytes have come; `have` are there now.
    pub fn add(&mut self, bytes: u64, have: u64) {
        self.bytes += bytes;
        if let Some(bar) = &self.bar {
            bar.set_position(have);
        }
    }

    /// All of it is there.
    pub fn finish(self, size: u64) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if self.quiet {
            return;
        }
        let secs = self.start.elapsed().as_secs_f64().max(1e-3);
        let resumed = match size.saturating_sub(self.bytes) {
            0 => String::new(),
            before => format!(", {} were there", megabytes(before)),
        };
        terminal::say(&format!(
            "fetched {}: {} in {secs:.1} s ({}/s{resumed})",
            self.name,
            megabytes(size),
            megabytes((self.bytes as f64 / secs) as u64),
        ));
    }
}

/// A number of bytes for a person, in powers of 1000 as the hub shows sizes.
pub(super) fn megabytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}
