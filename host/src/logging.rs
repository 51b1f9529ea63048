//! The log: warnings on the terminal, everything in the run directory's `log.txt`. Set up by `main`.

use std::{fs::File, io::Write, path::Path, sync::Mutex};
use tracing_subscriber::{
    EnvFilter, Layer, fmt, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt,
};

/// Where log lines go: kept until the run has a directory, then its file.
enum Sink {
    Waiting(Vec<u8>),
    File(File),
}

static SINK: Mutex<Sink> = Mutex::new(Sink::Waiting(Vec::new()));

/// What is kept at most before there is a file.
const WAITING_BYTES: usize = 1 << 20;

#[derive(Clone, Copy)]
struct FileWriter;

impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match SINK.lock().as_deref_mut() {
            Ok(Sink::File(file)) => file.write_all(bytes)?,
            Ok(Sink::Waiting(kept)) if kept.len() < WAITING_BYTES => kept.extend_from_slice(bytes),
            _ => {}
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for FileWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}

/// Starts logging. The terminal shows warnings, or more with `-v`, or what `PROGTUNE_LOG` says.
pub fn start(verbose: u8, quiet: bool) {
    let level = match (quiet, verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, _) => "debug",
    };
    let filter = std::env::var("PROGTUNE_LOG")
        .ok()
        .and_then(|text| EnvFilter::try_new(text).ok())
        .unwrap_or_else(|| EnvFilter::new(format!("warn,progtune={level},plugin={level}")));
    let terminal = fmt::layer()
        .with_writer(std::io::stderr)
        .without_time()
        .with_target(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_filter(filter);
    let file = fmt::layer()
        .with_writer(FileWriter)
        .with_ansi(false)
        .with_filter(EnvFilter::new("warn,progtune=debug,plugin=debug"));
    // A second call (in tests) keeps the first logger.
    let _ = tracing_subscriber::registry()
        .with(terminal)
        .with(file)
        .try_init();
}

/// From now on everything goes to this file, beginning with what was logged before.
///
/// # Errors
/// When it cannot be created or written.
pub fn write_to(path: &Path) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    if let Ok(mut sink) = SINK.lock() {
        if let Sink::Waiting(kept) = &*sink {
            file.write_all(kept)?;
        }
        *sink = Sink::File(file);
    }
    Ok(())
}
