//! Keeps the trained parameters of the best epoch, and brings them back at the end. Called by the trainer.

use crate::evaluate::metric_names;
use candle_core::Device;
use progtune_datasets::Task;
use progtune_engine::{
    error::{Error, Result},
    export::{WeightDtype, write_safetensors},
    model::{Model, parameters::ParameterId},
};
use progtune_pipeline::metrics::is_lower_better;
use progtune_plugin_api::names::did_you_mean;
use serde_json::{Map, Value};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The file in the run directory while training goes on; a run that is cut short leaves it.
pub const FILE: &str = "best.safetensors";

/// The best epoch so far.
#[derive(Debug)]
pub struct BestModel {
    file: PathBuf,
    /// `eval_…`.
    key: String,
    lower: bool,
    best: Option<Best>,
}

/// An epoch and what it was worth.
#[derive(Debug, Clone)]
pub struct Best {
    /// Counted from 1.
    pub epoch: u32,
    /// Of the metric that is asked for.
    pub value: f64,
    /// The epoch's evaluation, by `eval_…` keys.
    pub evaluation: Map<String, Value>,
}

impl BestModel {
    /// None yet; it is told by the metric `given`, a key of the evaluation with or without `eval_`.
    ///
    /// # Errors
    /// When the task has no such metric.
    pub fn told_by(given: &str, task: &Task) -> Result<Self> {
        let name = given.strip_prefix("eval_").unwrap_or(given);
        let known = metric_names(task);
        let is_known = |name: &str| name == "loss" || known.contains(&name);
        // MNLI's second half has the same metrics under another name.
        if !is_known(name) && !name.strip_suffix("_mm").is_some_and(is_known) {
            return Err(Error::Usage(format!(
                "--metric-for-best-model {given}: expected loss or a metric of the task `{}`: {}{}; --metrics chooses others",
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

    /// Says where the parameters are kept: in the directory of the run, wherever that is now.
    pub fn keep_in(&mut self, directory: &Path) {
        self.file = directory.join(FILE);
    }

    /// Keeps the model if its evaluation is better than all before; the first of equals stays.
    ///
    /// # Errors
    /// When the parameters cannot be written.
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
        let is_better = self.best.as_ref().is_none_or(|best| match self.lower {
            true => value < best.value,
            false => value > best.value,
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

    /// Gives the model the parameters of the best epoch; `None` when no evaluation had a value.
    ///
    /// # Errors
    /// When they cannot be read again.
    pub fn restore(self, model: &Model, epochs: u32) -> Result<Option<Best>> {
        let Some(best) = self.best else {
            return Ok(None);
        };
        if best.epoch != epochs {
            // The directory may be gone; the model of the last epoch is still here.
            if !self.file.exists() {
                tracing::warn!(
                    "{}: the parameters of the best epoch are gone; the result is the model of the last one",
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
