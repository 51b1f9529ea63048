//! The log: warnings on the terminal, everything in the run directory's `log.txt`. Set up by `main`.

use std::{fs::File, io::Write, path::Path, sync::Mutex};
use tracing_subscriber::{
    EnvFilter, Layer, fmt, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt,
};

/// The log file of the run, once there is one.
static FILE: Mutex<Option<File>> = Mutex::new(None);

#[derive(Clone, Copy)]
struct FileWriter;

impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Ok(mut file) = FILE.lock()
            && let Some(file) = file.as_mut()
        {
            file.write_all(bytes)?;
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
        .unwrap_or_else(|| EnvFilter::new(format!("warn,progtune={level}")));
    let terminal = fmt::layer()
        .with_writer(std::io::stderr)
        .without_time()
        .with_target(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_filter(filter);
    let file = fmt::layer()
        .with_writer(FileWriter)
        .with_ansi(false)
        .with_filter(EnvFilter::new("warn,progtune=debug"));
    // A second call (in tests) keeps the first logger.
    let _ = tracing_subscriber::registry()
        .with(terminal)
        .with(file)
        .try_init();
}

/// From now on everything also goes to this file.
///
/// # Errors
/// When it cannot be created.
pub fn write_to(path: &Path) -> std::io::Result<()> {
    let file = File::create(path)?;
    if let Ok(mut slot) = FILE.lock() {
        *slot = Some(file);
    }
    Ok(())
}
