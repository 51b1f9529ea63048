//! Shows the progress of a run on standard error: as a bar in a terminal, plain lines, events for a
//! program, or nothing (`--progress`). It also formats the metrics of an evaluation. Called by the
//! recipe and `evaluate`.

pub(crate) mod pace;

use crate::class_report;
use indicatif::{ProgressBar, ProgressState};
use pace::Pace;
use progtune_engine::plan::Stage;
use progtune_plain_text::shown_line;
use progtune_process::{
    duration::clock,
    grouped,
    terminal::{self, Mode, NO_BREAK, bar_style, events::emit, note_for_people},
};
use serde_json::{Map, Value, json};
use std::{fmt::Write, time::Instant};

/// The progress of one run.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    mode: Mode,
    /// Number of steps between plain lines.
    every: u64,
    /// Number of epochs in the run.
    epochs: u32,
    /// The expected duration of training.
    pace: Pace,
    /// The beginning of training.
    start: Instant,
    /// Number of tokens in the steps so far.
    tokens: u64,
    /// Duration of these steps in seconds.
    secs: f64,
}

impl Progress {
    /// Creates the display for a run of `epochs` epochs; `every` is the number of steps between
    /// plain lines.
    pub(crate) fn new(every: usize, epochs: u32, pace: Pace) -> Self {
        Self {
            bar: None,
            mode: terminal::show().mode,
            every: every.max(1) as u64,
            epochs,
            pace,
            start: Instant::now(),
            tokens: 0,
            secs: 0.0,
        }
    }

    /// Begins training.
    pub(crate) fn begin(&mut self) {
        self.start = Instant::now();
        if self.mode == Mode::Bar {
            let bar = training_bar(self.pace.last_step());
            bar.set_position(self.pace.steps());
            terminal::set_bar(Some(bar.clone()));
            self.bar = Some(bar);
        }
    }

    /// Continues after `step` steps and `evaluations` evaluations of an earlier process.
    pub(crate) fn continue_at(&mut self, step: u64, evaluations: u64) {
        self.pace.continue_at(step, evaluations);
    }

    /// Shows that a new stage begins after `step` steps.
    pub(crate) fn stage(&self, stage: &Stage, step: u64) {
        let mut about = stage.to_json(stage.trainable_parameters);
        if let Value::Object(about) = &mut about {
            about.shift_remove("updated_parameters");
            about.insert("step".into(), json!(step));
        }
        emit("stage", &about);
        let embeddings = if stage.embeddings { ", embeddings" } else { "" };
        note_for_people(&format!(
            "epoch {}/{}: training blocks {}{embeddings} ({} parameters)",
            stage.epoch,
            self.epochs,
            stage.block_ranges(),
            grouped(stage.trainable_parameters),
        ));
    }

    /// Shows a finished step; `record` is its line in `metrics.jsonl`.
    pub(crate) fn step(&mut self, record: &Value) {
        emit("step", record);
        let whole = |key: &str| record[key].as_u64().unwrap_or_default();
        let number = |key: &str| record[key].as_f64().unwrap_or_default();
        self.tokens += whole("tokens");
        self.secs += number("secs");
        let speed = self.tokens as f64 / self.secs.max(1e-9);
        let step = whole("step");
        self.pace.reach_step(step);
        let last = self.pace.last_step();
        let loss = if record["skipped"].as_bool() == Some(true) {
            "skipped".to_owned()
        } else {
            format!("loss {:.4}", number("loss"))
        };
        let message = format!(
            "epoch {}  {loss}  lr {:.2e}  {speed:.0} tok/s",
            record["epoch"],
            number("lr")
        );
        if let Some(bar) = &self.bar {
            bar.set_position(step);
            bar.set_prefix(self.total().map_or_else(String::new, clock));
            bar.set_message(message);
        } else if self.mode == Mode::Plain && (step.is_multiple_of(self.every) || step == last) {
            let course = self.course();
            terminal::say(format!("step {step}/{last}  {message}  {course}"));
        }
    }

    /// The expected duration of training in seconds.
    fn total(&self) -> Option<f64> {
        self.pace.total_secs(self.start.elapsed().as_secs_f64())
    }

    /// The time since training began, and its expected duration: `1:12 of 3:40`.
    fn course(&self) -> String {
        let elapsed = clock(self.start.elapsed().as_secs_f64());
        match self.total() {
            Some(total) => format!("{elapsed} of {}", clock(total)),
            None => elapsed,
        }
    }

    /// Shows a finished evaluation after `epoch`, which may have a fraction; `record` is its line
    /// in `metrics.jsonl`.
    pub(crate) fn evaluation(&mut self, epoch: &str, record: &Value, results: &Map<String, Value>) {
        emit("evaluation", record);
        self.pace.reach_evaluation();
        let main = metrics(results, "eval_").filter(|(name, _)| !is_detail(name));
        note_for_people(&format!(
            "epoch {epoch}/{} after {}: {}",
            self.epochs,
            self.course(),
            as_text(main)
        ));
    }

    /// Removes the bar.
    pub(crate) fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            terminal::set_bar(None);
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// A bar that takes a part of the width and leaves the rest for the message, which is truncated.
/// Its prefix is the expected duration.
fn training_bar(last: u64) -> ProgressBar {
    let bar = ProgressBar::new(last);
    let style = match terminal::width() {
        0..60 => "{pos}/{len} {wide_msg}".to_owned(),
        width => format!(
            "{{bar:{}}} {{pos}}/{{len}}  {{clock}} of {{prefix}}  {{wide_msg}}",
            (width / 8).min(40)
        ),
    };
    let elapsed = |state: &ProgressState, out: &mut dyn Write| {
        let _ = out.write_str(&clock(state.elapsed().as_secs_f64()));
    };
    bar.set_prefix("?");
    bar.set_style(bar_style(&style).with_key("clock", elapsed));
    bar
}

/// Formats the metrics of an evaluation as text, without counts and times. `prefix` is that of
/// their keys. No line is broken between a name and its value.
pub(crate) fn metrics_text(results: &Map<String, Value>, prefix: &str) -> String {
    as_text(metrics(results, prefix))
}

fn as_text<'a>(metrics: impl Iterator<Item = (&'a str, String)>) -> String {
    let texts: Vec<String> = metrics
        .map(|(name, v)| format!("{name}{NO_BREAK}{v}"))
        .collect();
    texts.join(", ")
}

/// Whether a metric is a detail of others: the mean that Hugging Face's `run_glue` adds, or a part
/// of SQuAD's exact match and F1. Where there is little room, details are left out.
pub(crate) fn is_detail(name: &str) -> bool {
    ["combined_score", "HasAns_", "NoAns_", "best_"]
        .iter()
        .any(|start| name.starts_with(start))
}

/// Formats the evaluations of several adapters as a table.
pub(crate) fn metrics_table(results: &[(String, Map<String, Value>)]) -> String {
    let names = results
        .iter()
        .map(|(name, _)| shown_line(name).chars().count());
    let width = names.chain(["adapter".len()]).max().unwrap_or(0);
    let columns: Vec<&str> = match results.first() {
        Some((_, first)) => metrics(first, "eval_").map(|(name, _)| name).collect(),
        None => Vec::new(),
    };
    let line = |name: &str, cells: Vec<String>| {
        let cells = columns.iter().zip(cells);
        let cells = cells.map(|(column, cell)| format!("  {cell:>0$}", column.len().max(9)));
        format!("{name:<width$}{}\n", cells.collect::<String>())
    };
    let mut text = line(
        "adapter",
        columns.iter().map(|&column| column.into()).collect(),
    );
    for (name, result) in results {
        text += &line(
            &shown_line(name),
            metrics(result, "eval_").map(|(_, value)| value).collect(),
        );
    }
    text
}

/// The names and values of an evaluation's metrics, without counts and times. `prefix` is that of
/// their keys: `eval_` or `test_`.
pub(crate) fn metrics<'a>(
    results: &'a Map<String, Value>,
    prefix: &'a str,
) -> impl Iterator<Item = (&'a str, String)> {
    results.iter().filter_map(move |(key, value)| {
        let name = key.strip_prefix(prefix)?;
        let name_only = name.trim_end_matches("_mm");
        if ["runtime", "samples"].contains(&name_only)
            || class_report::KEYS.contains(&name_only)
            || name_only.ends_with("total")
            || name_only.ends_with("_per_second")
        {
            return None;
        }
        let shown = value.as_f64().map(|v| format!("{v:.4}"));
        Some((name, shown.unwrap_or("undefined".to_owned())))
    })
}
