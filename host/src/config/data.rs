//! The task of a run, and how much of its data is used. Read by `train` and `plan`.

use progtune_datasets::Metric;

use super::settings::Settings;
use super::{ConfigError, answering, own, read_limit};
use crate::question_answering::Answering;

/// The task of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct DataConfig {
    /// Name of the task; not yet checked against the tasks there are.
    pub task: String,
    /// Metrics to report, the most important first; empty for the task's own.
    pub metrics: Vec<Metric>,
    /// Use the first N training rows, at least 1; `None` is all.
    pub max_train_samples: Option<usize>,
    /// Use the first N evaluation rows, at least 1; `None` is all.
    pub max_eval_samples: Option<usize>,
    /// How questions about texts are read and answered; without effect on other tasks.
    pub answering: Answering,
}

impl DataConfig {
    pub(super) fn read(settings: &Settings, task: String) -> Result<Self, ConfigError> {
        Ok(Self {
            task,
            metrics: own::read_metrics(settings)?,
            max_train_samples: read_limit(settings, "max_train_samples")?,
            max_eval_samples: read_limit(settings, "max_eval_samples")?,
            answering: answering::read(settings)?,
        })
    }
}
