//! The visible progress of a transfer: a bar on a terminal, then a line per file with its size and
//! speed. Elsewhere there is only this line, and occasional lines during a long transfer. Programs
//! get `fetch` events. The hub calls it.

use indicatif::ProgressBar;
use progtune_hub::{Observer, Transfer};
use progtune_process::{
    GoingOn,
    terminal::{self, Mode, bar_style, events::emit, note, note_for_people},
};
use serde_json::json;
use std::time::{Duration, Instant};

/// The intervals between two signs of a transfer without a bar.
const LINES: Duration = Duration::from_secs(10);
const EVENTS: Duration = Duration::from_secs(1);

/// Shows the hub at work as everything else is shown.
pub(super) struct Shown;

impl Observer for Shown {
    fn note(&self, text: &str) {
        note(text);
    }

    fn begin(&self, file: &str, have: u64, size: Option<u64>) -> Box<dyn Transfer> {
        Box::new(ShownTransfer::new(file, have, size))
    }
}

/// The transfer of one file.
struct ShownTransfer {
    name: String,
    size: Option<u64>,
    bar: Option<ProgressBar>,
    start: Instant,
    /// The time of the last sign.
    said: Instant,
    /// Bytes received over the network.
    bytes: u64,
    _going_on: GoingOn,
}

impl ShownTransfer {
    /// Starts or resumes a transfer after `have` bytes.
    fn new(name: &str, have: u64, size: Option<u64>) -> Self {
        let bar = (terminal::show().mode == Mode::Bar).then(|| {
            let bar = ProgressBar::new(size.unwrap_or(0)).with_position(have);
            let style = match terminal::width() {
                0..60 => "{bytes}/{total_bytes} {wide_msg}",
                _ => "{bar:16} {bytes}/{total_bytes} {bytes_per_sec}  {wide_msg}",
            };
            bar.set_style(bar_style(style));
            bar.set_message(name.to_owned());
            terminal::set_bar(Some(bar.clone()));
            bar
        });
        let now = Instant::now();
        let transfer = Self {
            name: name.to_owned(),
            size,
            bar,
            start: now,
            said: now,
            bytes: 0,
            _going_on: GoingOn::new(&format!("fetching {name}")),
        };
        transfer.emit(have, false);
        transfer
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            terminal::set_bar(None);
            bar.finish_and_clear();
        }
    }

    fn emit(&self, have: u64, finished: bool) {
        emit(
            "fetch",
            &json!({
                "file": self.name,
                "bytes": have,
                "total_bytes": self.size,
                "secs": self.start.elapsed().as_secs_f64(),
                "finished": finished,
            }),
        );
    }
}

impl Transfer for ShownTransfer {
    fn add(&mut self, bytes: u64, have: u64) {
        self.bytes += bytes;
        match (&self.bar, terminal::show().mode) {
            (Some(bar), _) => bar.set_position(have),
            (None, Mode::Json) if self.said.elapsed() > EVENTS => {
                self.said = Instant::now();
                self.emit(have, false);
            }
            (None, Mode::Plain) if self.said.elapsed() > LINES => {
                self.said = Instant::now();
                let of = self
                    .size
                    .map_or_else(String::new, |size| format!(" of {}", megabytes(size)));
                terminal::say(format!("fetching {}: {}{of}", self.name, megabytes(have)));
            }
            _ => {}
        }
    }

    fn finish(mut self: Box<Self>, size: u64) {
        self.clear();
        self.emit(size, true);
        let secs = self.start.elapsed().as_secs_f64().max(1e-3);
        let resumed = match size.saturating_sub(self.bytes) {
            0 => String::new(),
            before => format!(", {} were already there", megabytes(before)),
        };
        note_for_people(&format!(
            "fetched {}: {} in {secs:.1} s ({}/s{resumed})",
            self.name,
            megabytes(size),
            megabytes((self.bytes as f64 / secs) as u64),
        ));
    }
}

impl Drop for ShownTransfer {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A number of bytes for people, in powers of 1000 like the hub.
fn megabytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}
