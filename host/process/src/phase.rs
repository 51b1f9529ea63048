//! A part of the work that may take long and is not a training step: reading and tokenising data,
//! loading a model, evaluating. The code that does the work calls it.
//!
//! A separate thread shows the phase, so it is visible even if nothing counts its progress. On a
//! terminal a bar or a spinner appears after a moment. As lines, only phases of several seconds are
//! shown, and rarely. As events, a phase has a beginning, an end, and one event per second in
//! between.

use crate::{
    terminal::{self, Mode, bar_style, events::emit},
    thousands::grouped,
};
use indicatif::ProgressBar;
use progtune_plain_text::shown_line;
use serde_json::json;
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// The delays before the first sign of a phase, and between two signs.
const BAR: (Duration, Duration) = (Duration::from_millis(300), Duration::from_millis(100));
const LINES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(10));
const EVENTS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(1));

/// The active phases by number, the innermost last.
static GOING_ON: Mutex<Vec<(u64, String)>> = Mutex::new(Vec::new());

fn going_on() -> MutexGuard<'static, Vec<(u64, String)>> {
    GOING_ON.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The innermost active phase, for people: `tokenising the train split`.
pub(crate) fn current() -> Option<String> {
    going_on().last().map(|(_, what)| what.clone())
}

/// An activity that lasts until this is dropped.
pub struct GoingOn(u64);

impl GoingOn {
    /// Registers the activity.
    pub fn new(what: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        going_on().push((number, what.to_owned()));
        Self(number)
    }
}

impl Drop for GoingOn {
    fn drop(&mut self) {
        going_on().retain(|(number, _)| *number != self.0);
    }
}

/// A phase that lasts until it is finished or dropped.
pub struct Phase {
    course: Arc<Course>,
    _going_on: GoingOn,
    ticker: Option<(Sender<()>, JoinHandle<bool>)>,
}

/// The progress of a phase.
struct Course {
    name: &'static str,
    what: String,
    /// `what`, escaped for a terminal.
    shown: String,
    unit: &'static str,
    total: Option<u64>,
    done: AtomicU64,
    start: Instant,
}

impl Phase {
    /// Begins a phase. `name` is for programs (`tokenize`), `what` for people (`tokenising the
    /// train split`). `total` is the number of `unit`s (`rows`), if it is known.
    pub fn begin(
        name: &'static str,
        what: impl Into<String>,
        unit: &'static str,
        total: Option<u64>,
    ) -> Self {
        let what: String = what.into();
        let course = Arc::new(Course {
            name,
            shown: shown_line(&what),
            what,
            unit,
            total,
            done: AtomicU64::new(0),
            start: Instant::now(),
        });
        let going_on = GoingOn::new(&course.what);
        let mode = terminal::show().mode;
        if mode == Mode::Json {
            course.emit(false);
        }
        let ticker = (mode != Mode::Silent).then(|| {
            let (sender, ended) = channel();
            let course = Arc::clone(&course);
            let thread = thread::spawn(move || {
                let (first, then) = match mode {
                    Mode::Bar => BAR,
                    Mode::Plain | Mode::Silent => LINES,
                    Mode::Json => EVENTS,
                };
                let mut sign = Sign::new(mode);
                let mut wait = first;
                while ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                    sign.show(&course);
                    wait = then;
                }
                sign.clear()
            });
            (sender, thread)
        });
        Self {
            course,
            _going_on: going_on,
            ticker,
        }
    }

    /// Counts further units as done.
    pub fn advance(&self, units: u64) {
        self.course.done.fetch_add(units, Ordering::Relaxed);
    }

    /// Ends the phase successfully.
    pub fn finish(mut self) {
        let shown = self.stop();
        match terminal::show().mode {
            Mode::Json => self.course.emit(true),
            Mode::Plain if shown => terminal::say(format!(
                "{}, done after {:.1} s",
                self.course.text(),
                self.course.start.elapsed().as_secs_f64()
            )),
            _ => {}
        }
    }

    /// Stops the thread that shows the phase; returns whether it showed anything.
    fn stop(&mut self) -> bool {
        let Some((sender, thread)) = self.ticker.take() else {
            return false;
        };
        drop(sender);
        thread.join().unwrap_or(false)
    }
}

impl Drop for Phase {
    /// A failed phase says nothing, because the error is reported anyway.
    fn drop(&mut self) {
        self.stop();
    }
}

impl Course {
    /// The phase in words: `tokenising the train split: 12,288 of 67,349 rows`.
    fn text(&self) -> String {
        match (self.total, self.unit) {
            (Some(_), unit) if !unit.is_empty() => format!("{} {unit}", self.beside_a_bar()),
            _ => self.beside_a_bar(),
        }
    }

    /// The same without the unit if there is a total, because there is little room beside a bar.
    fn beside_a_bar(&self) -> String {
        let done = grouped(self.done.load(Ordering::Relaxed));
        match (self.total, self.unit) {
            (_, "") => self.shown.clone(),
            (Some(total), _) => format!("{}: {done} of {}", self.shown, grouped(total)),
            (None, unit) => format!("{}: {done} {unit}", self.shown),
        }
    }

    fn emit(&self, finished: bool) {
        emit(
            "phase",
            &json!({
                "phase": self.name,
                "what": self.what,
                "done": self.done.load(Ordering::Relaxed),
                "total": self.total,
                "secs": self.start.elapsed().as_secs_f64(),
                "finished": finished,
            }),
        );
    }
}

/// The visible sign of a phase.
struct Sign {
    mode: Mode,
    /// The bar that the phase draws itself.
    own: Option<ProgressBar>,
    shown: bool,
}

impl Sign {
    fn new(mode: Mode) -> Self {
        Self {
            mode,
            own: None,
            shown: false,
        }
    }

    fn show(&mut self, course: &Course) {
        self.shown = true;
        match self.mode {
            Mode::Plain => terminal::say(course.text()),
            Mode::Json => course.emit(false),
            Mode::Bar => {
                let text = course.beside_a_bar();
                // While training, the training bar shows the phase.
                if let (None, Some(bar)) = (&self.own, terminal::bar()) {
                    bar.set_message(text);
                    return;
                }
                let bar = self.own.get_or_insert_with(|| spinner(course.total));
                bar.set_position(course.done.load(Ordering::Relaxed));
                bar.set_message(text);
                bar.tick();
            }
            Mode::Silent => {}
        }
    }

    fn clear(self) -> bool {
        if let Some(bar) = self.own {
            terminal::set_bar(None);
            bar.finish_and_clear();
        }
        self.shown
    }
}

fn spinner(total: Option<u64>) -> ProgressBar {
    let (bar, style) = match total.filter(|_| terminal::width() >= 60) {
        Some(total) => (ProgressBar::new(total), "{bar:16} {eta} left  {wide_msg}"),
        None => (ProgressBar::new_spinner(), "{spinner} {wide_msg}"),
    };
    bar.set_style(bar_style(style));
    terminal::set_bar(Some(bar.clone()));
    bar
}
