//! The final report of a run: `all_results.json` for programs, and the same facts for the user,
//! with the command that uses the result. Called by the recipe.

pub(crate) mod commands;
mod end;
mod epochs;
mod peak;

use crate::{
    class_report,
    engaged::Engaged,
    memory_forecast::mib,
    progress::{metrics, metrics_text},
    summary::{EndReason, EpochRecord, Summary},
};
use commands::Trained;
pub(crate) use end::StageNotReached;
use progtune_pipeline::metrics::is_lower_better;
use progtune_plain_text::shown_line;
use progtune_process::{
    duration::in_words,
    grouped,
    terminal::{self, Colour, Paint, Screen, wrapped},
};
use serde_json::{Map, Value, json};

/// The width of facts and commands in columns. Tables may use the whole width of a terminal.
const WIDTH: usize = 80;
/// The smallest width of a table.
const LEAST_WIDTH: usize = 60;
/// The column in which facts begin, after their names.
const LEFT: usize = 20;

/// A run that has finished and been saved.
pub(crate) struct Report<'a> {
    /// The totals of the run.
    pub summary: &'a Summary,
    /// The result of the run.
    pub trained: Trained<'a>,
    /// The plan of the run in figures.
    pub planned: Planned,
    /// The effect of training on each part of the model.
    pub engaged: &'a Engaged,
    /// The number of training examples.
    pub train_samples: usize,
    /// Duration of the whole process in seconds.
    pub(crate) total_secs: f64,
}

/// The plan of a run in figures. A run may end earlier.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// Number of optimizer steps.
    pub steps: u64,
    /// Number of updated parameters.
    pub updated_parameters: u64,
    /// The number of parameters that the method may train.
    pub candidate_size: u64,
    /// Number of epochs.
    pub epochs: usize,
    /// Whether the schedule follows signals, so that the run may update fewer parameters.
    pub(crate) is_upper_bound: bool,
    /// The stages of epochs that did not begin.
    pub(crate) not_reached: Vec<StageNotReached>,
}

impl Planned {
    /// The updated parameters as a share of training every block in every epoch.
    fn share(&self) -> f64 {
        let full = self.candidate_size as f64 * self.epochs as f64;
        self.updated_parameters as f64 / full.max(1.0)
    }
}

impl Report<'_> {
    /// Returns the contents of `all_results.json`: Hugging Face's keys, the paper's cost, and every
    /// fact that the user sees. docs/results.md lists them.
    pub(crate) fn results(&self, plugins: Value) -> Value {
        let (summary, planned) = (self.summary, &self.planned);
        let mut results = summary.evaluation.clone();
        let secs = summary.train_secs.max(1e-9);
        let epochs: Vec<Value> = summary.history.iter().map(epoch_json).collect();
        let updated = summary.updated_parameters.round() as u64;
        let directory = self.trained.directory.display().to_string();
        for (key, value) in [
            ("epoch", json!(summary.epochs)),
            ("end_reason", json!(summary.end_reason.as_str())),
            ("stages_not_reached", end::to_json(&planned.not_reached)),
            ("startup_secs", json!(summary.startup_secs)),
            ("train_loss", json!(summary.train_loss)),
            ("train_runtime", json!(summary.train_secs)),
            ("train_samples", json!(self.train_samples)),
            (
                "train_samples_per_second",
                json!(summary.samples as f64 / secs),
            ),
            ("train_steps", json!(summary.steps)),
            ("skipped_steps", json!(summary.skipped_steps)),
            ("train_steps_per_second", json!(summary.steps as f64 / secs)),
            ("train_step_secs", json!(summary.step_secs)),
            ("train_eval_secs", json!(summary.eval_secs)),
            ("train_tokens", json!(summary.tokens)),
            ("train_tokens_per_second", json!(self.speed())),
            ("total_secs", json!(self.total_secs)),
            ("total_updated_parameters", json!(updated)),
            ("updated_share", json!(self.updated_share())),
            ("planned_steps", json!(planned.steps)),
            (
                "planned_updated_parameters",
                json!(planned.updated_parameters),
            ),
            ("planned_updated_share", json!(planned.share())),
            ("peak_memory_bytes", json!(peak::peak_memory())),
            ("epochs", Value::Array(epochs)),
            ("engaged", self.engaged.to_json()),
            ("output", json!(directory)),
            ("predict_command", json!(self.trained.predict().line())),
            ("plugins", plugins),
        ] {
            results.insert(key.into(), value);
        }
        if let Some(best) = &summary.best {
            results.insert("best_epoch".into(), best.moment.epoch_json());
            results.insert("best_step".into(), json!(best.moment.step));
            results.insert("best_metric".into(), json!(best.value));
        }
        Value::Object(results)
    }

    /// Returns the text of the report for the user.
    pub(crate) fn text(&self, paint: Paint) -> Screen {
        let summary = self.summary;
        let width = terminal::stdout_width().max(LEAST_WIDTH);
        let mut text = Screen::default();
        let classes = class_report::tables(&summary.evaluation, width);
        if !classes.is_empty() {
            text += &classes;
            text += "\n";
        }
        let best = match &summary.best {
            // The row of an epoch has the figures of its end.
            Some(best) => best.moment.inside.is_none().then_some(best.moment.epoch),
            None => self.better_epoch().map(|(.., epoch)| epoch),
        };
        text += epochs::table(summary, best, width, paint);
        text += self.measured(paint);
        text += self.cost();
        // The line is not wrapped, whatever its length, because it is meant to be copied.
        let directory = self.trained.directory.display().to_string();
        text += &format!("{:<LEFT$}{}\n", "saved in", shown_line(&directory));
        let (what, next) = self.trained.next();
        for (what, command) in [("use it", self.trained.predict()), (what, next)] {
            text += &format!("{what}:\n{}\n", command.lines(WIDTH));
        }
        text
    }

    /// Returns the metrics of the result, on the validation and the test data.
    fn measured(&self, paint: Paint) -> Screen {
        let summary = self.summary;
        let mut result = metrics_text(&summary.evaluation, "eval_");
        if let Some(best) = &summary.best {
            let moment = best.moment;
            let step = moment
                .inside
                .map(|_| format!(", step {}", grouped(moment.step)));
            let step = step.unwrap_or_default();
            result += &format!(" (epoch {}{step}, the best)", moment.epoch_text());
        }
        let mut text = fact("result", &result, |line| paint.colour(Colour::Good, line));
        let tested = metrics_text(&summary.evaluation, "test_");
        if !tested.is_empty() {
            text += fact("test", &tested, |line| paint.colour(Colour::Good, line));
        }
        if let (None, Some((name, value, epoch))) = (&summary.best, self.better_epoch()) {
            let better = format!(
                "{name} {value:.4} after epoch {epoch}; --load-best-model-at-end keeps that model"
            );
            text += plain_fact("best", &better);
        }
        text
    }

    /// Returns the updated parameters, the time and the memory of the run.
    fn cost(&self) -> Screen {
        let (summary, planned) = (self.summary, &self.planned);
        let mut text = Screen::default();
        if summary.steps < planned.steps {
            let share = 100.0 * summary.steps as f64 / planned.steps as f64;
            let (done, all) = (grouped(summary.steps), grouped(planned.steps));
            text += plain_fact("steps", &format!("{done} of {all} planned ({share:.1} %)"));
        }
        if summary.end_reason == EndReason::EarlyStopping {
            text += plain_fact("stopped early", &self.early_stopping());
        }
        if !planned.not_reached.is_empty() {
            text += plain_fact("not reached", &end::in_words(&planned.not_reached));
        }
        if summary.skipped_steps > 0 {
            let n = grouped(summary.skipped_steps);
            text += plain_fact(
                "skipped steps",
                &format!("{n} (loss or gradient not finite)"),
            );
        }
        text += plain_fact("updated parameters", &self.updated());
        text += plain_fact("change", &self.engaged.describe());
        text += plain_fact("time", &self.time());
        let speed = format!("{} tokens/s in training", grouped(self.speed() as u64));
        text += plain_fact("speed", &speed);
        if let Some(bytes) = peak::peak_memory() {
            text += plain_fact("peak memory", &mib(bytes));
        }
        text
    }

    /// Returns the reason of early stopping in words.
    fn early_stopping(&self) -> String {
        let config = self.trained.config;
        let metric = config.training.best_model_metric.as_deref();
        let metric = metric.unwrap_or_default().trim_start_matches("eval_");
        let patience = config
            .evaluating
            .early_stopping
            .map_or(0, |early| early.patience);
        match patience {
            1 => format!("{metric} did not improve in an evaluation"),
            n => format!("{metric} did not improve in {n} evaluations"),
        }
    }

    /// Returns the updated parameters in words. Those of a run that was cut short are the plan's,
    /// because a part of them says nothing about the schedule.
    fn updated(&self) -> String {
        let planned = &self.planned;
        let of_full =
            |share: f64| format!("({:.1} % of every block in every epoch)", 100.0 * share);
        if self.summary.steps < planned.steps {
            let most = if planned.is_upper_bound {
                "at most "
            } else {
                ""
            };
            return format!(
                "planned {most}{} {}",
                grouped(planned.updated_parameters),
                of_full(planned.share())
            );
        }
        let updated = grouped(self.summary.updated_parameters.round() as u64);
        format!("{updated} {}", of_full(self.updated_share()))
    }

    /// Returns the time of the run, by its parts.
    fn time(&self) -> String {
        let summary = self.summary;
        let mut text = format!(
            "{} ({} of it validation)",
            in_words(summary.train_secs),
            in_words(summary.eval_secs)
        );
        let is_tested = summary.test_secs > 0.0;
        if is_tested {
            text += &format!(", {} test", in_words(summary.test_secs));
        }
        text += &format!(", {} to start", in_words(summary.startup_secs));
        if is_tested {
            text += &format!("; {} in all", in_words(self.total_secs));
        }
        text
    }

    /// Returns the updated parameters as a share of training every block in every epoch.
    fn updated_share(&self) -> f64 {
        let full = self.planned.candidate_size as f64 * self.summary.epochs;
        self.summary.updated_parameters / full.max(1.0)
    }

    fn speed(&self) -> f64 {
        self.summary.tokens as f64 / self.summary.step_secs.max(1e-9)
    }

    /// Returns the name of the task's first metric, or `loss` if it has no other.
    fn metric(&self) -> Option<String> {
        let first = metrics(&self.summary.evaluation, "eval_").next()?.0;
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
}

/// Returns an epoch as it appears in the records.
fn epoch_json(epoch: &EpochRecord) -> Value {
    let mut object = Map::new();
    object.insert("epoch".into(), json!(epoch.epoch));
    object.insert("blocks".into(), json!(epoch.blocks));
    let updated = epoch.updated_parameters.round() as u64;
    object.insert("updated_parameters".into(), json!(updated));
    object.insert("secs".into(), json!(epoch.secs));
    object.insert("train_loss".into(), json!(epoch.train_loss));
    for (name, _) in metrics(&epoch.evaluation, "eval_") {
        let key = format!("eval_{name}");
        object.insert(key.clone(), epoch.evaluation[&key].clone());
    }
    Value::Object(object)
}

fn plain_fact(name: &str, value: &str) -> Screen {
    fact(name, value, |line| line.into())
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
