//! The final report of a run: `all_results.json` for programs, and the same facts for the user,
//! with the command that uses the result. Called by the recipe.

pub mod commands;
mod peak;

use crate::{
    class_report,
    memory_forecast::mib,
    progress::{metrics, metrics_text},
    summary::{EpochRecord, Summary},
};
use commands::Trained;
use progtune_pipeline::metrics::is_lower_better;
use progtune_plain_text::shown_line;
use progtune_process::{
    terminal::{
        Screen,
        colour::{Colour, Paint},
        wrapped,
    },
    thousands::grouped,
};
use serde_json::{Map, Value, json};

/// The width of the report in columns.
const WIDTH: usize = 80;
/// The column in which facts begin, after their names.
const LEFT: usize = 20;
/// Number of epochs up to which every row is shown. Of more epochs, the first, the last and the
/// best are shown.
const MOST_EPOCHS: usize = 12;

/// A run that has finished and been saved.
pub struct Report<'a> {
    /// The totals of the run.
    pub summary: &'a Summary,
    /// The result of the run.
    pub trained: Trained<'a>,
    /// The number of parameters that the method may train.
    pub candidate_size: u64,
    /// The number of training examples.
    pub train_samples: usize,
}

impl Report<'_> {
    /// Returns the contents of `all_results.json`: Hugging Face's keys, the paper's cost, and every
    /// fact that the user sees.
    pub fn results(&self, plugins: Value) -> Value {
        let summary = self.summary;
        let mut results = summary.evaluation.clone();
        let secs = summary.train_secs.max(1e-9);
        let epochs: Vec<Value> = summary.history.iter().map(epoch_json).collect();
        for (key, value) in [
            ("epoch", json!(summary.epochs)),
            ("startup_secs", json!(summary.startup_secs)),
            ("train_loss", json!(summary.train_loss)),
            ("train_runtime", json!(summary.train_secs)),
            ("train_samples", json!(self.train_samples)),
            (
                "train_samples_per_second",
                json!(summary.samples as f64 / secs),
            ),
            ("train_steps_per_second", json!(summary.steps as f64 / secs)),
            ("train_step_secs", json!(summary.step_secs)),
            ("train_tokens", json!(summary.tokens)),
            ("train_tokens_per_second", json!(self.speed())),
            (
                "total_updated_parameters",
                json!(summary.updated_parameters.round() as u64),
            ),
            ("updated_share", json!(self.updated_share())),
            ("peak_memory_bytes", json!(peak::peak_memory())),
            ("epochs", Value::Array(epochs)),
            (
                "output",
                json!(self.trained.directory.display().to_string()),
            ),
            ("predict_command", json!(self.trained.predict().line())),
            ("plugins", plugins),
        ] {
            results.insert(key.into(), value);
        }
        if let Some(best) = &summary.best {
            results.insert("best_epoch".into(), json!(best.epoch));
            results.insert("best_metric".into(), json!(best.value));
        }
        Value::Object(results)
    }

    /// Returns the text of the report for the user.
    pub fn text(&self, paint: Paint) -> Screen {
        let summary = self.summary;
        let mut text = Screen::default();
        let classes = class_report::table(&summary.evaluation);
        if !classes.is_empty() {
            text += &classes;
            text += "\n";
        }
        text += self.epoch_table(paint);
        let result = match &summary.best {
            Some(best) => format!(
                "{} (epoch {}, the best)",
                metrics_text(&summary.evaluation),
                best.epoch
            ),
            None => metrics_text(&summary.evaluation),
        };
        text += fact("result", &result, |line| paint.colour(Colour::Good, line));
        if let (None, Some((name, value, epoch))) = (&summary.best, self.better_epoch()) {
            let better = format!(
                "{name} {value:.4} after epoch {epoch}; --load-best-model-at-end keeps that model"
            );
            text += fact("best", &better, |line| line.into());
        }
        let plain = |name: &str, value: String| fact(name, &value, |line| line.into());
        text += plain(
            "updated parameters",
            format!(
                "{} ({:.1} % of every block in every epoch)",
                grouped(summary.updated_parameters.round() as u64),
                100.0 * self.updated_share(),
            ),
        );
        text += plain(
            "time",
            format!(
                "{:.1} s, and {:.1} s to start; {:.0} tokens/s in training",
                summary.train_secs,
                summary.startup_secs,
                self.speed(),
            ),
        );
        if let Some(bytes) = peak::peak_memory() {
            text += plain("peak memory", mib(bytes));
        }
        // The line is not wrapped, whatever its length, because it is meant to be copied.
        let directory = self.trained.directory.display().to_string();
        text += &format!("{:<LEFT$}{}\n", "saved in", shown_line(&directory));
        let (what, next) = self.trained.next();
        for (what, command) in [("use it", self.trained.predict()), (what, next)] {
            text += &format!("{what}:\n{}\n", command.lines(WIDTH));
        }
        text
    }

    /// Returns the updated parameters as a share of training every block in every epoch.
    fn updated_share(&self) -> f64 {
        let full = self.candidate_size as f64 * self.summary.epochs;
        self.summary.updated_parameters / full.max(1.0)
    }

    fn speed(&self) -> f64 {
        self.summary.tokens as f64 / self.summary.step_secs.max(1e-9)
    }

    /// Returns the name of the task's first metric, or `loss` if it has no other.
    fn metric(&self) -> Option<String> {
        let first = metrics(&self.summary.evaluation).next()?.0;
        Some(first.to_owned())
    }

    /// Returns the name and value of the first metric in the best epoch, and that epoch, if the
    /// last one was worse.
    fn better_epoch(&self) -> Option<(String, f64, u32)> {
        let name = self.metric()?;
        let value = |epoch: &EpochRecord| epoch.evaluation.get(&format!("eval_{name}"))?.as_f64();
        let (last, earlier) = self.summary.history.split_last()?;
        let mut best: Option<(f64, u32)> = None;
        for epoch in earlier {
            let found = value(epoch)?;
            let so_far = best.map_or(value(last)?, |(so_far, _)| so_far);
            let is_better = if is_lower_better(&name) {
                found < so_far
            } else {
                found > so_far
            };
            if is_better {
                best = Some((found, epoch.epoch));
            }
        }
        best.map(|(value, epoch)| (name, value, epoch))
    }

    /// Returns the table of the epochs, with trained blocks, time and metrics.
    fn epoch_table(&self, paint: Paint) -> Screen {
        let history = &self.summary.history;
        let metric = self.metric().filter(|name| name != "loss");
        let blocks = |epoch: &EpochRecord| {
            let text: String = epoch.blocks.chars().take(18).collect();
            match epoch.blocks.chars().nth(18) {
                Some(_) => text + "…",
                None => text,
            }
        };
        let width = history.iter().map(|epoch| blocks(epoch).chars().count());
        let width = width.max().unwrap_or(0).max(6);
        let columns = metric.iter().map(String::as_str).chain(["loss"]);
        let columns: Vec<&str> = columns.collect();
        let mut header = format!(
            "epoch  {:<width$}  {:>14}  {:>8}",
            "blocks", "updated", "seconds"
        );
        for column in &columns {
            header += &format!("  {column:>8}");
        }
        let mut text = Screen::from(header + "\n");
        let best = match &self.summary.best {
            Some(best) => Some(best.epoch),
            None => self.better_epoch().map(|(.., epoch)| epoch),
        };
        let half = MOST_EPOCHS / 2;
        let mut left_out = 0;
        for (at, epoch) in history.iter().enumerate() {
            let is_best = best == Some(epoch.epoch);
            let is_shown =
                history.len() <= MOST_EPOCHS || at < half || at + half >= history.len() || is_best;
            if !is_shown {
                left_out += 1;
                continue;
            }
            if left_out > 0 {
                text += &format!("    …  {left_out} more in all_results.json\n");
                left_out = 0;
            }
            let mut row = format!(
                "{:>5}  {:<width$}  {:>14}  {:>8.1}",
                epoch.epoch,
                blocks(epoch),
                grouped(epoch.updated_parameters.round() as u64),
                epoch.secs
            );
            for column in &columns {
                let value = epoch.evaluation.get(&format!("eval_{column}"));
                let value = value.and_then(Value::as_f64);
                let value = value.map_or("undefined".to_owned(), |value| format!("{value:.4}"));
                row += &format!("  {value:>0$}", column.len().max(8));
            }
            if is_best {
                text += paint.bold(&(row + "  best"))
            } else {
                text += &row
            }
            text += "\n";
        }
        text += "\n";
        text
    }
}

/// Returns an epoch as it appears in the records.
fn epoch_json(epoch: &EpochRecord) -> Value {
    let mut object = Map::new();
    object.insert("epoch".into(), json!(epoch.epoch));
    object.insert("blocks".into(), json!(epoch.blocks));
    let updated = epoch.updated_parameters.round() as u64;
    object.insert("updated_parameters".into(), json!(updated));
    object.insert("secs".into(), json!(epoch.secs));
    for (name, _) in metrics(&epoch.evaluation) {
        let key = format!("eval_{name}");
        object.insert(key.clone(), epoch.evaluation[&key].clone());
    }
    Value::Object(object)
}

/// Formats a fact after its name, over as many lines as it needs.
fn fact(name: &str, value: &str, paint: impl Fn(&str) -> Screen) -> Screen {
    let mut text = Screen::default();
    for (at, line) in wrapped(value, WIDTH - LEFT).lines().enumerate() {
        let name = if at == 0 { name } else { "" };
        text += &format!("{name:<LEFT$}");
        text += paint(line);
        text += "\n";
    }
    text
}
