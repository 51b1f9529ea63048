//! Sets aside the trained parameters of the best evaluation, and restores them at the end. Called
//! by the recipe.
//!
//! A new best has a file of its own, and the older one is removed after it. The last one stays
//! until the result is saved, so that a run that is cut short at any time leaves the best
//! parameters.

use candle_core::Device;
use progtune_datasets::Task;
use progtune_engine::{
    Error, Result,
    export::{WeightDtype, write_safetensors},
    model::{Model, ParameterId},
};
use progtune_pipeline::metrics::is_lower_better;
use progtune_pipeline::task_scores::metric_names;
use progtune_plugin_api::names::did_you_mean;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The file with the best parameters in a run directory of version 0.1.
pub(crate) const FILE_OF_0_1: &str = "best.safetensors";

const PREFIX: &str = "best-";
const SUFFIX: &str = ".safetensors";

/// Whether a file with the best parameters has this name.
pub(crate) fn is_file_name(name: &str) -> bool {
    let number = name.strip_prefix(PREFIX);
    let number = number.and_then(|rest| rest.strip_suffix(SUFFIX));
    number.is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Removes the files with the best parameters from a run directory, whose result is saved. A file
/// that stays does no harm, so errors are only logged.
pub(crate) fn remove_files(directory: &Path) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| is_file_name(&entry.file_name().to_string_lossy())) {
        if let Err(error) = fs::remove_file(entry.path()) {
            tracing::debug!("{}: cannot be removed: {error}", entry.path().display());
        }
    }
}

/// The best evaluation so far. The file with its parameters is in the run directory.
#[derive(Debug)]
pub(crate) struct BestModel {
    directory: PathBuf,
    /// The key of the metric in an evaluation, with `eval_`.
    key: String,
    /// Whether lower values are better.
    lower: bool,
    best: Option<Best>,
}

/// The place of an evaluation in a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// The number of steps before it.
    pub step: u64,
    /// The number of its epoch, counted from 1.
    pub epoch: u32,
    /// The number of epochs before it with a fraction, if it is inside an epoch.
    pub inside: Option<f64>,
}

impl Moment {
    /// The epoch in the records: its number at its end, and inside it the epochs so far with a
    /// fraction.
    pub(crate) fn epoch_json(&self) -> Value {
        self.inside
            .map_or(json!(self.epoch), |epochs| json!(epochs))
    }

    /// The epoch for people: `2` at its end, `1.25` inside it.
    pub(crate) fn epoch_text(&self) -> String {
        match self.inside {
            Some(epochs) => format!("{epochs:.2}"),
            None => self.epoch.to_string(),
        }
    }
}

/// The best evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Its place in the run.
    pub moment: Moment,
    /// The value of the chosen metric, which is finite.
    pub value: f64,
    /// All of the evaluation, by `eval_…` keys.
    pub evaluation: Map<String, Value>,
}

impl Best {
    /// The file with its parameters.
    fn file(&self, directory: &Path) -> PathBuf {
        directory.join(format!("{PREFIX}{}{SUFFIX}", self.moment.step))
    }
}

impl BestModel {
    /// Starts without a best evaluation. Evaluations are compared by the metric `given`, a key of
    /// an evaluation with or without `eval_`.
    ///
    /// # Errors
    /// Fails if the task has no such metric.
    pub(crate) fn told_by(given: &str, task: &Task) -> Result<Self> {
        let name = given.strip_prefix("eval_").unwrap_or(given);
        let known = metric_names(task);
        let is_known = |name: &str| name == "loss" || known.contains(&name);
        // MNLI's second validation split has the same metrics under other names.
        if !is_known(name) && !name.strip_suffix("_mm").is_some_and(is_known) {
            return Err(Error::Usage(format!(
                "--metric-for-best-model {given}: no such metric; expected loss or a metric of the task `{}`: {} \
                 (choose other metrics with --metrics){}",
                task.name,
                known.join(", "),
                did_you_mean(name, known.iter().copied().chain(["loss"])),
            )));
        }
        Ok(Self {
            directory: PathBuf::new(),
            key: format!("eval_{name}"),
            lower: is_lower_better(name),
            best: None,
        })
    }

    /// Sets the directory for the parameters to the run's current directory, which may have moved.
    pub(crate) fn keep_in(&mut self, directory: &Path) {
        directory.clone_into(&mut self.directory);
    }

    /// The name of the metric, with `eval_`.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Whether lower values of the metric are better.
    pub(crate) fn is_lower_better(&self) -> bool {
        self.lower
    }

    /// The value of the best evaluation so far.
    pub(crate) fn value(&self) -> Option<f64> {
        self.best.as_ref().map(|best| best.value)
    }

    /// The metric in an evaluation; `None` if it is undefined there. Such an evaluation is never
    /// the best.
    pub(crate) fn value_in(&self, evaluation: &Map<String, Value>) -> Option<f64> {
        evaluation.get(&self.key).and_then(Value::as_f64)
    }

    /// The best evaluation so far, and the name of the file with its parameters.
    pub(crate) fn kept(&self) -> Option<(Best, String)> {
        let best = self.best.clone()?;
        let name = best.file(Path::new(""));
        Some((best, name.to_string_lossy().into_owned()))
    }

    /// Continues with the best evaluation of the run so far, whose file is in the run directory.
    pub(crate) fn continue_with(&mut self, best: Best) {
        self.best = Some(best);
    }

    /// Keeps the parameters if this evaluation is better than all before it; of equal evaluations
    /// the first is kept.
    ///
    /// # Errors
    /// Fails if the parameters cannot be written.
    pub(crate) fn offer(
        &mut self,
        model: &Model,
        trained: &[ParameterId],
        moment: Moment,
        evaluation: &Map<String, Value>,
    ) -> Result<bool> {
        let Some(value) = self
            .value_in(evaluation)
            .filter(|&value| self.is_better(value))
        else {
            return Ok(false);
        };
        let best = Best {
            moment,
            value,
            evaluation: evaluation.clone(),
        };
        let name = |name: &str| name.to_owned();
        write_safetensors(
            &best.file(&self.directory),
            &model.parameters,
            trained,
            name,
            None,
            WeightDtype::F32,
        )?;
        if let Some(older) = self.best.replace(best) {
            let _ = fs::remove_file(older.file(&self.directory));
        }
        Ok(true)
    }

    /// Whether a value is better than the best one so far.
    fn is_better(&self, value: f64) -> bool {
        self.value().is_none_or(|best| {
            if self.lower {
                value < best
            } else {
                value > best
            }
        })
    }

    /// Restores the parameters of the best evaluation in the model, which has been trained for
    /// `steps` steps. Their file stays. Returns `None` if no evaluation had a value.
    ///
    /// # Errors
    /// Fails if the parameters cannot be read.
    pub(crate) fn restore(self, model: &Model, steps: u64) -> Result<Option<Best>> {
        let Some(best) = self.best else {
            tracing::warn!(
                "--metric-for-best-model: {} is undefined in every evaluation; the result is the model of the last step",
                self.key
            );
            return Ok(None);
        };
        if best.moment.step != steps {
            let file = best.file(&self.directory);
            // If somebody removed the directory, the model of the last step still exists.
            if !file.exists() {
                tracing::warn!(
                    "{}: the file with the best parameters is missing; the result is the model of the last step",
                    file.display()
                );
                return Ok(None);
            }
            for (name, value) in candle_core::safetensors::load(&file, &Device::Cpu)? {
                let id = model.parameters.id(&name)?;
                model.parameters.set(id, &value)?;
            }
        }
        Ok(Some(best))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told_by(key: &str, best: Option<f64>) -> BestModel {
        let moment = Moment {
            step: 3,
            epoch: 1,
            inside: None,
        };
        BestModel {
            directory: PathBuf::new(),
            key: key.to_owned(),
            lower: is_lower_better(key.trim_start_matches("eval_")),
            best: best.map(|value| Best {
                moment,
                value,
                evaluation: Map::new(),
            }),
        }
    }

    #[test]
    fn an_undefined_value_is_never_the_best_and_blocks_no_later_one() {
        let model = told_by("eval_pearson", None);
        for value in [Value::Null, json!(f64::NAN), json!(f64::INFINITY)] {
            let evaluation = Map::from_iter([("eval_pearson".to_owned(), value)]);
            assert_eq!(model.value_in(&evaluation), None);
        }
        let evaluation = Map::from_iter([("eval_pearson".to_owned(), json!(-0.5))]);
        assert_eq!(model.value_in(&evaluation), Some(-0.5));
        assert!(model.is_better(-0.5));
    }

    #[test]
    fn the_metric_decides_and_equal_values_change_nothing() {
        let loss = told_by("eval_loss", Some(0.5));
        assert!(loss.is_better(0.4) && !loss.is_better(0.5) && !loss.is_better(0.6));
        let f1 = told_by("eval_f1", Some(0.5));
        assert!(f1.is_better(0.6) && !f1.is_better(0.5) && !f1.is_better(0.4));
    }

    #[test]
    fn files_of_other_names_stay() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "best-3.safetensors",
            "best-x.safetensors",
            "best-.safetensors",
        ] {
            fs::write(folder.path().join(name), "x").unwrap();
            assert_eq!(is_file_name(name), name.contains('3'));
        }
        remove_files(folder.path());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_moment_inside_an_epoch_has_a_fraction() {
        let end = Moment {
            step: 8,
            epoch: 2,
            inside: None,
        };
        assert_eq!((end.epoch_json(), end.epoch_text()), (json!(2), "2".into()));
        let inside = Moment {
            inside: Some(1.25),
            ..end
        };
        assert_eq!(inside.epoch_json(), json!(1.25));
        assert_eq!(inside.epoch_text(), "1.25");
    }
}
