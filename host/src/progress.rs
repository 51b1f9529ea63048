//! Shows the progress of a run on standard error: as a bar in a terminal, plain lines, events for a
//! program, or nothing (`--progress`). It also formats the metrics of an evaluation. Called by the
//! recipe and `evaluate`.

use crate::class_report;
use indicatif::ProgressBar;
use progtune_engine::plan::Stage;
use progtune_plain_text::shown_line;
use progtune_process::{
    terminal::{self, Mode, bar_style, events::emit, note_for_people},
    thousands::grouped,
};
use serde_json::{Map, Value, json};

/// The progress of one run.
pub struct Progress {
    bar: Option<ProgressBar>,
    mode: Mode,
    /// Number of steps between plain lines.
    every: u64,
    /// Number of epochs in the run.
    epochs: u32,
    /// Number of tokens in the steps so far.
    tokens: u64,
    /// Duration of these steps in seconds.
    secs: f64,
}

impl Progress {
    /// Creates the display for a run of `epochs` epochs; `every` is the number of steps between
    /// plain lines.
    pub fn new(every: usize, epochs: u32) -> Self {
        Self {
            bar: None,
            mode: terminal::show().mode,
            every: every.max(1) as u64,
            epochs,
            tokens: 0,
            secs: 0.0,
        }
    }

    /// Begins training, which ends after the step `last`.
    pub fn begin(&mut self, last: u64) {
        if self.mode == Mode::Bar {
            let bar = training_bar(last);
            terminal::set_bar(Some(bar.clone()));
            self.bar = Some(bar);
        }
    }

    /// Shows that a new stage begins after `step` steps.
    pub fn stage(&self, stage: &Stage, step: u64) {
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
    pub fn step(&mut self, record: &Value, last: u64) {
        emit("step", record);
        let whole = |key: &str| record[key].as_u64().unwrap_or_default();
        let number = |key: &str| record[key].as_f64().unwrap_or_default();
        self.tokens += whole("tokens");
        self.secs += number("secs");
        let speed = self.tokens as f64 / self.secs.max(1e-9);
        let step = whole("step");
        let message = format!(
            "epoch {}  loss {:.4}  lr {:.2e}  {speed:.0} tok/s",
            record["epoch"],
            number("loss"),
            number("lr")
        );
        if let Some(bar) = &self.bar {
            bar.set_position(step);
            bar.set_message(message);
        } else if self.mode == Mode::Plain && (step.is_multiple_of(self.every) || step == last) {
            terminal::say(format!("step {step}/{last}  {message}"));
        }
    }

    /// Shows a finished evaluation; `record` is its line in `metrics.jsonl`.
    pub fn evaluation(&self, epoch: u32, record: &Value, results: &Map<String, Value>) {
        emit("evaluation", record);
        note_for_people(&format!(
            "epoch {epoch}/{}: {}",
            self.epochs,
            metrics_text(results)
        ));
    }

    /// Removes the bar.
    pub fn finish(&mut self) {
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
fn training_bar(last: u64) -> ProgressBar {
    let bar = ProgressBar::new(last);
    let style = match terminal::width() {
        0..60 => "{pos}/{len} {wide_msg}".to_owned(),
        width => format!(
            "{{bar:{}}} {{pos}}/{{len}} {{eta}} left  {{wide_msg}}",
            (width / 8).min(40)
        ),
    };
    bar.set_style(bar_style(&style));
    bar
}

/// Formats the metrics of an evaluation as text, without counts and times.
pub fn metrics_text(results: &Map<String, Value>) -> String {
    let metrics = metrics(results);
    let texts: Vec<String> = metrics.map(|(name, v)| format!("{name} {v}")).collect();
    texts.join(", ")
}

/// Formats the evaluations of several adapters as a table.
pub fn metrics_table(results: &[(String, Map<String, Value>)]) -> String {
    let names = results
        .iter()
        .map(|(name, _)| shown_line(name).chars().count());
    let width = names.chain(["adapter".len()]).max().unwrap_or(0);
    let columns: Vec<&str> = match results.first() {
        Some((_, first)) => metrics(first).map(|(name, _)| name).collect(),
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
            metrics(result).map(|(_, value)| value).collect(),
        );
    }
    text
}

/// The names and values of an evaluation's metrics, without counts and times.
pub fn metrics(results: &Map<String, Value>) -> impl Iterator<Item = (&str, String)> {
    results.iter().filter_map(|(key, value)| {
        let name = key.strip_prefix("eval_")?;
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
