//! The log: warnings on the terminal, and everything in the run directory's `log.txt`. Set up by
//! `main`.

use crate::{
    files::journal::{Journal, Mark},
    terminal::{self, Colour, events},
    timeline,
};
use progtune_plain_text::shown;
use serde_json::{Map, Value, json};
use std::{
    fmt::Debug,
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::filter_fn,
    fmt,
    fmt::MakeWriter,
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

/// The destination of log lines: a buffer until the run has a directory, then a file in it.
pub enum Sink {
    /// Lines that wait for a file.
    Waiting(Vec<u8>),
    /// A plain file.
    File(File),
    /// A file that can be taken back to a mark.
    Journal(Journal),
}

impl From<File> for Sink {
    fn from(file: File) -> Self {
        Self::File(file)
    }
}

impl From<Journal> for Sink {
    fn from(journal: Journal) -> Self {
        Self::Journal(journal)
    }
}

impl Sink {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::File(file) => file.write_all(bytes)?,
            Self::Journal(journal) => journal.append(bytes)?,
            Self::Waiting(kept) if kept.len() < WAITING_BYTES => kept.extend_from_slice(bytes),
            Self::Waiting(_) => {}
        }
        Ok(())
    }

    /// Everything that was logged.
    fn contents(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match self {
            Self::Waiting(kept) => bytes.clone_from(kept),
            Self::File(file) => {
                file.seek(SeekFrom::Start(0))?;
                file.read_to_end(&mut bytes)?;
            }
            Self::Journal(journal) => bytes = journal.contents()?,
        }
        Ok(bytes)
    }
}

static SINK: Mutex<Sink> = Mutex::new(Sink::Waiting(Vec::new()));

/// The limit of the buffer.
const WAITING_BYTES: usize = 1 << 20;

#[derive(Clone, Copy)]
struct FileWriter;

impl Write for FileWriter {
    /// Writes one event, which the subscriber passes in one piece. It is escaped, so that it cannot
    /// control a pager or begin a line of its own.
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let text = shown(text.trim_end_matches('\n')) + "\n";
        let appended = match SINK.lock() {
            Ok(mut sink) => sink.append(text.as_bytes()),
            Err(_) => Ok(()),
        };
        if let Err(error) = appended {
            say_that_it_fails(&error);
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Says once that the log cannot be written. A run does not end for that.
fn say_that_it_fails(error: &io::Error) {
    static SAID: AtomicBool = AtomicBool::new(false);
    if SAID.swap(true, Ordering::SeqCst) || terminal::show().quiet {
        return;
    }
    let text = format!("the log cannot be written: {error}; lines are missing from log.txt");
    if events::are_on() {
        return events::emit("warning", &json!({ "message": text }));
    }
    let paint = terminal::show().colour.stderr();
    terminal::say_message("warning", |kind| paint.colour(Colour::Cached, kind), &text);
}

impl<'a> MakeWriter<'a> for FileWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}

/// Starts logging. Standard error shows warnings, more with `-v` or by `PROGTUNE_LOG`, and only
/// errors with `--quiet`.
pub fn start(verbose: u8) {
    let level = match (terminal::show().quiet, verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, _) => "debug",
    };
    let filter = std::env::var("PROGTUNE_LOG")
        .ok()
        .and_then(|text| EnvFilter::try_new(text).ok())
        .unwrap_or_else(|| {
            EnvFilter::new(format!(
                "{},progtune={level},plugin={level}",
                if level == "error" { "error" } else { "warn" }
            ))
        });
    let file = fmt::layer()
        .with_writer(FileWriter)
        .with_ansi(false)
        .with_filter(EnvFilter::new("warn,progtune=debug,plugin=debug"));
    // A second call (in tests) keeps the first logger.
    let _ = tracing_subscriber::registry()
        .with(Terminal.with_filter(filter))
        .with(file)
        .with(timeline::Recorder.with_filter(filter_fn(timeline::records)))
        .try_init();
}

/// Shows log events on standard error as messages, above the bar, or as progress events.
struct Terminal;

impl<S: Subscriber> Layer<S> for Terminal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut said = Said::default();
        event.record(&mut said);
        let level = event.metadata().level();
        if events::are_on() {
            let name = if *level == Level::WARN {
                "warning"
            } else {
                "log"
            };
            let mut about = Map::new();
            if name == "log" {
                let level = level.as_str().to_lowercase();
                about.insert("level".into(), json!(level));
            }
            about.insert("message".into(), json!(said.message));
            if !said.fields.is_empty() {
                about.insert("fields".into(), Value::Object(said.fields));
            }
            return events::emit(name, &Value::Object(about));
        }
        let of_plugin = match event.metadata().target() {
            "plugin" => "plugin ",
            _ => "",
        };
        let paint = terminal::show().colour.stderr();
        let (name, colour) = match *level {
            Level::ERROR => ("error", Some(Colour::Error)),
            Level::WARN => ("warning", Some(Colour::Cached)),
            Level::INFO => ("info", None),
            _ => ("debug", None),
        };
        let mut text = said.message;
        for (name, value) in &said.fields {
            text += &format!(" {name}={value}");
        }
        let painted = |kind: &str| match colour {
            Some(colour) => paint.colour(colour, kind),
            None => kind.into(),
        };
        terminal::say_message(&format!("{of_plugin}{name}"), painted, &text);
    }
}

/// The message and the fields of an event.
#[derive(Default)]
struct Said {
    message: String,
    fields: Map<String, Value>,
}

impl Said {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => {
                self.fields.insert(name.into(), value);
            }
        }
    }
}

impl Visit for Said {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, json!(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, json!(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, json!(format!("{value:?}")));
    }
}

/// Sends the log to this file from now on, beginning with the buffered lines.
///
/// # Errors
/// Fails if the file cannot be written.
pub fn write_to(file: impl Into<Sink>) -> io::Result<()> {
    if let Ok(mut sink) = SINK.lock() {
        let mut file = file.into();
        if let Sink::Waiting(kept) = &*sink {
            file.append(kept)?;
        }
        *sink = file;
    }
    Ok(())
}

/// Continues the log in this file. The buffered lines are about the start of the process, of which
/// the file already tells; they are dropped.
pub fn continue_in(file: impl Into<Sink>) {
    if let Ok(mut sink) = SINK.lock() {
        *sink = file.into();
    }
}

/// Moves the log to this new file, beginning with the whole log so far.
///
/// # Errors
/// Fails if the old log cannot be read, or the file cannot be written.
pub fn move_to(file: impl Into<Sink>) -> io::Result<()> {
    if let Ok(mut sink) = SINK.lock() {
        let mut file = file.into();
        file.append(&sink.contents()?)?;
        *sink = file;
    }
    Ok(())
}

/// The state of the log's file; `None` if it is no journal.
pub fn mark() -> Option<Mark> {
    match &*SINK.lock().ok()? {
        Sink::Journal(journal) => Some(journal.mark()),
        _ => None,
    }
}

/// Forces the log to the disk.
///
/// # Errors
/// Fails if the file system refuses.
pub fn sync() -> io::Result<()> {
    match SINK.lock().as_deref() {
        Ok(Sink::Journal(journal)) => journal.sync(),
        Ok(Sink::File(file)) => file.sync_all(),
        _ => Ok(()),
    }
}
