//! What a person sees while training: a bar in a terminal, plain lines otherwise. Called by the recipe and the trainer.

use crate::{
    class_report,
    plan::{Stage, grouped},
};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value};
use std::{io::IsTerminal, time::Instant};

/// The reporter of one run. Everything goes to standard error; results go to standard output.
pub struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    every: u64,
    start: Instant,
    tokens: u64,
}

impl Progress {
    /// A reporter; `every` is the number of steps between plain lines.
    pub fn new(quiet: bool, every: usize) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(0);
            let style = "{bar:16} {pos}/{len} {eta} left  {wide_msg}";
            bar.set_style(
                ProgressStyle::with_template(style)
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar
        });
        Self {
            bar,
            quiet,
            every: every.max(1) as u64,
            start: Instant::now(),
            tokens: 0,
        }
    }

    /// A line that stays.
    pub fn line(&self, text: &str) {
        match &self.bar {
            _ if self.quiet => {}
            Some(bar) => bar.println(text),
            None => crate::terminal::say(text),
        }
    }

    /// A new stage begins.
    pub fn stage(&self, stage: &Stage, epochs: u32) {
        let embeddings = if stage.embeddings { ", embeddings" } else { "" };
        self.line(&format!(
            "epoch {}/{epochs}: training blocks {}{embeddings} ({} parameters)",
            stage.epoch,
            stage.block_ranges(),
            grouped(stage.trainable_parameters),
        ));
    }

    /// A step is done.
    pub fn step(&mut self, step: u64, last: u64, epoch: u32, loss: f64, lr: f64, tokens: usize) {
        self.tokens += tokens as u64;
        let speed = self.tokens as f64 / self.start.elapsed().as_secs_f64().max(1e-9);
        let message = format!("epoch {epoch}  loss {loss:.4}  lr {lr:.2e}  {speed:.0} tokens/s");
        match &self.bar {
            Some(bar) => {
                bar.set_length(last);
                bar.set_position(step);
                bar.set_message(message);
            }
            None if step.is_multiple_of(self.every) || step == last => {
                self.line(&format!("step {step}/{last}  {message}"));
            }
            None => {}
        }
    }

    /// An evaluation begins.
    pub fn evaluating(&self, split: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("evaluating on {split}"));
        }
    }

    /// An evaluation is done.
    pub fn evaluation(&self, epoch: u32, epochs: u32, results: &Map<String, Value>) {
        self.line(&format!(
            "epoch {epoch}/{epochs}: {}",
            metrics_text(results)
        ));
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The metrics of an evaluation in words, without counts and times.
pub fn metrics_text(results: &Map<String, Value>) -> String {
    let metrics = metrics(results);
    let texts: Vec<String> = metrics.map(|(name, v)| format!("{name} {v}")).collect();
    texts.join(", ")
}

/// The evaluations of several adapters as a table for a person.
pub fn metrics_table(results: &[(String, Map<String, Value>)]) -> String {
    let names = results.iter().map(|(name, _)| name.chars().count());
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
        text += &line(name, metrics(result).map(|(_, value)| value).collect());
    }
    text
}

/// Names and values of an evaluation's metrics, without counts and times.
fn metrics(results: &Map<String, Value>) -> impl Iterator<Item = (&str, String)> {
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
