//! Sets aside the trained parameters of the best epoch, and restores them at the end. Called by the
//! recipe.

use candle_core::Device;
use progtune_datasets::Task;
use progtune_engine::{
    error::{Error, Result},
    export::{WeightDtype, write_safetensors},
    model::{Model, parameters::ParameterId},
};
use progtune_pipeline::metrics::is_lower_better;
use progtune_pipeline::task_scores::metric_names;
use progtune_plugin_api::names::did_you_mean;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The file in the run directory during training; a run that is interrupted leaves it behind.
pub const FILE: &str = "best.safetensors";

/// The best epoch so far, and the file with its parameters.
#[derive(Debug)]
pub struct BestModel {
    file: PathBuf,
    /// The key of the metric in an evaluation, with `eval_`.
    key: String,
    /// Whether lower values are better.
    lower: bool,
    best: Option<Best>,
}

/// The best epoch and its evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// The number of the epoch, counted from 1.
    pub epoch: u32,
    /// The value of the chosen metric.
    pub value: f64,
    /// The epoch's evaluation, by `eval_…` keys.
    pub evaluation: Map<String, Value>,
}

impl BestModel {
    /// Starts without a best epoch. Epochs are compared by the metric `given`, a key of the
    /// evaluation with or without `eval_`.
    ///
    /// # Errors
    /// Fails if the task has no such metric.
    pub fn told_by(given: &str, task: &Task) -> Result<Self> {
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
            file: PathBuf::from(FILE),
            key: format!("eval_{name}"),
            lower: is_lower_better(name),
            best: None,
        })
    }

    /// Sets the directory for the parameters to the run's current directory, which may have moved.
    pub fn keep_in(&mut self, directory: &Path) {
        self.file = directory.join(FILE);
    }

    /// The best epoch so far, and the name of its file.
    pub fn kept(&self) -> Option<(Best, String)> {
        let name = self.file.file_name()?.to_string_lossy().into_owned();
        Some((self.best.clone()?, name))
    }

    /// Continues with the best epoch of the run so far.
    pub fn continue_with(&mut self, best: Best, file: PathBuf) {
        self.best = Some(best);
        self.file = file;
    }

    /// Keeps the parameters if this evaluation is better than all before it; of equal evaluations
    /// the first is kept.
    ///
    /// # Errors
    /// Fails if the parameters cannot be written.
    pub fn offer(
        &mut self,
        model: &Model,
        trained: &[ParameterId],
        epoch: u32,
        evaluation: &Map<String, Value>,
    ) -> Result<bool> {
        let Some(value) = evaluation.get(&self.key).and_then(Value::as_f64) else {
            return Ok(false);
        };
        let is_better = self.best.as_ref().is_none_or(|best| {
            if self.lower {
                value < best.value
            } else {
                value > best.value
            }
        });
        if is_better {
            let name = |name: &str| name.to_owned();
            write_safetensors(
                &self.file,
                &model.parameters,
                trained,
                name,
                None,
                WeightDtype::F32,
            )?;
            self.best = Some(Best {
                epoch,
                value,
                evaluation: evaluation.clone(),
            });
        }
        Ok(is_better)
    }

    /// Restores the parameters of the best epoch in the model; returns `None` if no evaluation had
    /// a value.
    ///
    /// # Errors
    /// Fails if the parameters cannot be read.
    pub fn restore(self, model: &Model, epochs: u32) -> Result<Option<Best>> {
        let Some(best) = self.best else {
            return Ok(None);
        };
        if best.epoch != epochs {
            // If somebody removed the directory, the model of the last epoch still exists.
            if !self.file.exists() {
                tracing::warn!(
                    "{}: the file with the parameters of the best epoch is missing; the result is the model of \
                     the last epoch",
                    self.file.display()
                );
                return Ok(None);
            }
            for (name, value) in candle_core::safetensors::load(&self.file, &Device::Cpu)? {
                let id = model.parameters.id(&name)?;
                model.parameters.set(id, &value)?;
            }
        }
        let _ = fs::remove_file(&self.file);
        Ok(Some(best))
    }
}
