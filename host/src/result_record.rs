//! The records in the directory of a result, from which later commands know the task of its head,
//! how its inputs were read, and the run's own data. Read by `evaluate`, `predict` and `merge`.

use crate::config::RecordedData;
use progtune_datasets::{OWN_TASK, OwnRequest, QuestionData, Task};
use progtune_engine::{
    LearnedTask, Result,
    adapter::{Adapter, NEUTRAL_CONFIG},
    model::ModelConfig,
};
use progtune_process::files::bounded::{LARGEST_TEXT, read_text};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The configuration of the run, beside its result.
const RUN_CONFIG: &str = "config.toml";

/// The records of a result.
#[derive(Debug, Clone)]
pub(crate) struct ResultRecord {
    /// The directory.
    pub directory: PathBuf,
    /// The name of the task: a named one, or `own`. `None` if nothing records it.
    task: Option<String>,
    /// The description of the task, if the directory has one.
    learned: Option<LearnedTask>,
    /// The maximum length of an input in tokens.
    pub max_length: Option<usize>,
    /// The overlap of the windows of a long text.
    pub doc_stride: Option<usize>,
}

impl ResultRecord {
    /// Reads the records of a directory. Results of version 0.1 have a task in `plan.json`, and a
    /// length only in `config.toml`.
    ///
    /// # Errors
    /// Fails if `task.json` is damaged.
    pub(crate) fn read(directory: &Path) -> Result<Self> {
        let learned = LearnedTask::find([directory].into_iter())?;
        let of_learned = learned.as_ref().map(|learned| match learned.named() {
            Some(named) => named.name.clone(),
            None => OWN_TASK.to_owned(),
        });
        let named_in = |file: &str| {
            let text = read_text(&directory.join(file), LARGEST_TEXT).ok()?;
            let value: Value = serde_json::from_str(&text).ok()?;
            value.get("task")?.as_str().map(str::to_owned)
        };
        let task = of_learned
            .or_else(|| named_in(NEUTRAL_CONFIG))
            .or_else(|| named_in("plan.json"));
        let number = |key: &str| {
            let path = directory.join(RUN_CONFIG);
            let text = read_text(&path, LARGEST_TEXT).ok()?;
            let table: toml::Table = text.parse().ok()?;
            usize::try_from(table.get(key)?.as_integer()?).ok()
        };
        let known = learned.as_ref();
        Ok(Self {
            max_length: known
                .and_then(|known| known.max_length)
                .or_else(|| number("max_length").filter(|&length| length >= 3)),
            doc_stride: known
                .and_then(|known| known.doc_stride)
                .or_else(|| number("doc_stride")),
            directory: directory.to_owned(),
            task,
            learned,
        })
    }

    /// The named task, if it is one.
    pub(crate) fn named(&self) -> Option<&'static Task> {
        let name = self.task.as_deref().filter(|name| *name != OWN_TASK)?;
        Task::by_name(name).ok()
    }

    /// Whether the result is of a run on the user's own files.
    pub(crate) fn is_own(&self) -> bool {
        self.task.as_deref() == Some(OWN_TASK)
    }

    /// The name of the task in its records; `None` if they do not state one.
    pub(crate) fn task_name(&self) -> Option<&str> {
        self.task.as_deref()
    }

    /// The description of the task, if the directory has one.
    pub(crate) fn learned(&self) -> Option<&LearnedTask> {
        self.learned.as_ref()
    }

    /// The data of the run, as its `config.toml` records it; `None` if there is no such file.
    ///
    /// # Errors
    /// Fails if the file is not a run's configuration.
    pub(crate) fn data(&self) -> Result<Option<RecordedData>> {
        let path = self.directory.join(RUN_CONFIG);
        if !fs::metadata(&path).is_ok_and(|about| about.is_file()) {
            return Ok(None);
        }
        Ok(Some(RecordedData::read(&path)?))
    }
}

/// The description of the task of a head, as the user's own files need it: from the records of the
/// result, from PEFT's configuration and the adapter's head, or from the model's `config.json`.
///
/// # Errors
/// Fails if nothing says what the head predicts.
pub(crate) fn learned_task(
    record: Option<&ResultRecord>,
    adapter: Option<&Adapter>,
    base: (&ModelConfig, &str),
    request: Option<&OwnRequest>,
) -> Result<LearnedTask> {
    if let Some(learned) = record.and_then(ResultRecord::learned) {
        return Ok(learned.clone());
    }
    if let Some(named) = record.and_then(ResultRecord::named) {
        return Ok(LearnedTask::of_task(named));
    }
    let (config, name) = base;
    if let Some(request) = request
        && QuestionData::are_meant(request)?
    {
        return Ok(LearnedTask::of_questions());
    }
    match adapter.filter(|adapter| adapter.is_peft) {
        Some(adapter) => adapter.learned_task(config, name),
        None => LearnedTask::of_checkpoint(config, name),
    }
}
