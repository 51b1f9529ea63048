//! The timeline of a run (`--profile FILE`): what every thread did and when, in the trace format
//! of Chrome, which Perfetto opens. The recipe begins and ends it; `progtune_kernels::timeline` has
//! the marks.

mod summary;

use crate::{Error, Result};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Instant,
};
use tracing::{
    Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

/// The targets of marks: steps of a computation, and the tasks into which they are divided.
const PHASE: &str = "timeline.phase";
const TASK: &str = "timeline.task";
/// The most slices that are kept; a step of twelve blocks has a few hundred.
const MOST: usize = 4_000_000;

/// A stretch of time in which a thread did one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Slice {
    name: &'static str,
    number: Option<u64>,
    is_task: bool,
    thread: u32,
    /// Nanoseconds since the timeline began.
    start: u64,
    end: u64,
}

static IS_ON: AtomicBool = AtomicBool::new(false);
static SLICES: Mutex<Vec<Slice>> = Mutex::new(Vec::new());
static NAMES: Mutex<Vec<(u32, String)>> = Mutex::new(Vec::new());

/// The beginning of time.
fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

fn now() -> u64 {
    origin().elapsed().as_nanos() as u64
}

/// The number of the current thread, counted from 1 in the order in which threads are first seen.
fn thread() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    thread_local! {
        static OWN: u32 = {
            let own = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = std::thread::current().name().map(str::to_owned);
            let name = name.unwrap_or_else(|| format!("worker {own}"));
            NAMES.lock().unwrap_or_else(PoisonError::into_inner).push((own, name));
            own
        };
    }
    OWN.with(|own| *own)
}

/// The timeline of one run.
pub struct Timeline {
    path: PathBuf,
    file: File,
}

impl Timeline {
    /// Begins to record, for a file that is created now.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn begin(path: &Path) -> Result<Self> {
        let file = File::create(path).map_err(Error::io(path, "create"))?;
        origin();
        IS_ON.store(true, Ordering::SeqCst);
        tracing::callsite::rebuild_interest_cache();
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Ends recording, and writes the file. Returns a table of the time of `steps`, the marks of
    /// this name.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn finish(self, steps: &str) -> Result<String> {
        IS_ON.store(false, Ordering::SeqCst);
        tracing::callsite::rebuild_interest_cache();
        let slices = std::mem::take(&mut *SLICES.lock().unwrap_or_else(PoisonError::into_inner));
        let written = write(&slices, &mut BufWriter::new(&self.file));
        written.map_err(Error::io(&self.path, "write"))?;
        let place = self.path.display();
        let more = if slices.len() == MOST {
            "; it is full, so later steps are missing"
        } else {
            ""
        };
        Ok(format!(
            "{}profile: {place}{more}; open it at https://ui.perfetto.dev",
            summary::table(&slices, steps)
        ))
    }
}

/// Writes slices as Chrome's "complete" events, times in microseconds.
fn write(slices: &[Slice], to: &mut impl Write) -> std::io::Result<()> {
    writeln!(to, "{{\"displayTimeUnit\": \"ms\", \"traceEvents\": [")?;
    let names = NAMES.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for (thread, name) in names {
        let event = json!({
            "ph": "M", "name": "thread_name", "pid": 1, "tid": thread, "args": { "name": name },
        });
        writeln!(to, "{event},")?;
    }
    for slice in slices {
        writeln!(to, "{},", slice.event())?;
    }
    let process = json!({
        "ph": "M", "name": "process_name", "pid": 1, "args": { "name": "progtune" },
    });
    writeln!(to, "{process}\n]}}")?;
    to.flush()
}

impl Slice {
    fn event(&self) -> Value {
        let micros = |nanos: u64| nanos as f64 / 1e3;
        let mut event = json!({
            "ph": "X",
            "name": self.name,
            "cat": if self.is_task { "task" } else { "step" },
            "pid": 1,
            "tid": self.thread,
            "ts": micros(self.start),
            "dur": micros(self.end - self.start),
        });
        if let Some(number) = self.number {
            event["args"] = json!({ "number": number });
        }
        event
    }
}

/// Whether a mark is recorded.
pub(crate) fn records(metadata: &Metadata<'_>) -> bool {
    [PHASE, TASK].contains(&metadata.target()) && IS_ON.load(Ordering::Relaxed)
}

/// Collects marks.
pub(crate) struct Recorder;

/// The number of a mark, and when it was entered.
struct Mark(Option<u64>, u64);

impl Visit for Mark {
    fn record_u64(&mut self, _: &Field, value: u64) {
        self.0 = Some(value);
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut mark = Mark(None, now());
        attributes.record(&mut mark);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(mark);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let end = now();
        let Some(span) = context.span(&id) else {
            return;
        };
        let extensions = span.extensions();
        let Some(Mark(number, start)) = extensions.get::<Mark>() else {
            return;
        };
        let slice = Slice {
            name: span.name(),
            number: *number,
            is_task: span.metadata().target() == TASK,
            thread: thread(),
            start: *start,
            end,
        };
        let mut slices = SLICES.lock().unwrap_or_else(PoisonError::into_inner);
        if slices.len() < MOST {
            slices.push(slice);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_chrome_s_events() {
        let slice = |number, is_task| Slice {
            name: "block forward",
            number,
            is_task,
            thread: 2,
            start: 1_500,
            end: 4_000,
        };
        let mut bytes = Vec::new();
        write(&[slice(Some(3), false), slice(None, true)], &mut bytes).unwrap();
        let trace: Value = serde_json::from_slice(&bytes).unwrap();
        let events = trace["traceEvents"].as_array().unwrap();
        let [first, second] = events
            .iter()
            .filter(|event| event["ph"] == "X")
            .collect::<Vec<_>>()[..]
        else {
            panic!("{events:?}")
        };
        assert_eq!((&first["ts"], &first["dur"]), (&json!(1.5), &json!(2.5)));
        assert_eq!(first["args"]["number"], 3);
        assert_eq!(
            (&first["cat"], &second["cat"]),
            (&json!("step"), &json!("task"))
        );
        assert_eq!(second["tid"], 2);
    }
}
