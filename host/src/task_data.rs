//! The task of a run with the data it comes with: a named task, whose files are read split by split, or the user's own
//! files, which make the task and are read with it. Also the file that tells later commands what such a task was.
//! Called by the recipe, `plan`, `evaluate` and `predict`.

use crate::{
    config::{InferenceConfig, RunConfig},
    error::{Error, Result},
    files::write_atomically,
    model_source::ModelSource,
    own_files::KeyedFiles,
    plan::trainable_task,
    progress::Progress,
    token_cache::TokenCache,
};
use progtune_datasets::{
    Column, Columns, Labels, Metric, OwnFiles, OwnRequest, ProblemType, SkippedRows, Task,
    TaskSource,
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What a result of training on own files is accompanied by.
pub const TASK_FILE: &str = "task.json";

/// How many rows that were left out are shown on the terminal.
const N_SHOWN: usize = 5;

/// A task and where its examples are.
#[derive(Debug)]
pub enum TaskData {
    /// A named task.
    Named {
        /// The task.
        task: Box<Task>,
        /// The directory of its files.
        directory: PathBuf,
    },
    /// The user's own files, of which every row is known to be good.
    Own(Box<KeyedFiles>),
}

impl TaskData {
    /// A named task in a directory, with `metrics` in place of its own if there are any.
    ///
    /// # Errors
    /// When there is no such task, or a metric says nothing about it.
    pub fn named(name: &str, directory: Option<&Path>, metrics: &[Metric]) -> Result<Self> {
        Ok(Self::Named {
            task: Box::new(with_metrics(trainable_task(name)?, metrics)?),
            directory: directory.unwrap_or(Path::new(".")).to_owned(),
        })
    }

    /// The user's own files; `known` is what a model was trained to say. What is found out about them is kept in `cache`.
    ///
    /// # Errors
    /// When the files are not as they should be, or a metric says nothing about them.
    pub fn own(
        request: &OwnRequest,
        known: Option<&Labels>,
        metrics: &[Metric],
        cache: &TokenCache,
    ) -> Result<Self> {
        let mut own = KeyedFiles::open(request, known, cache)?;
        own.files.task = with_metrics(&own.files.task, metrics)?;
        Ok(Self::Own(Box::new(own)))
    }

    /// What a run trains on.
    ///
    /// # Errors
    /// As [`TaskData::named`] and [`TaskData::own`].
    pub fn of_run(config: &RunConfig) -> Result<Self> {
        match &config.own {
            Some(request) => {
                let cache = TokenCache::new(config.token_cache);
                Self::own(request, None, &config.metrics, &cache)
            }
            None => Self::named(&config.task, config.data.as_deref(), &config.metrics),
        }
    }

    /// The task.
    pub fn task(&self) -> &Task {
        match self {
            Self::Named { task, .. } => task,
            Self::Own(own) => &own.files.task,
        }
    }

    /// The configuration with what was guessed or learned written down; the columns of own files.
    pub fn settle(&self, config: &RunConfig) -> RunConfig {
        let mut config = config.clone();
        if let (Self::Own(own), Some(request)) = (self, &mut config.own) {
            let columns = &own.files.task.columns;
            request.reading.text_column = Some(columns.first.name.clone());
            request.reading.pair_column = columns.second.as_ref().map(|c| c.name.clone());
            request.reading.label_column = Some(columns.label.name.clone());
            request.reading.problem_type = Some(own.files.task.problem_type);
        }
        config
    }

    /// Lists the rows that were left out in the log.
    pub fn log_skipped(&self) {
        if let Self::Own(own) = self {
            log_skipped(&own.files);
        }
    }

    /// Says which columns are read, what the labels are and which rows were left out.
    pub fn announce(&self, progress: &Progress) {
        if let Self::Own(own) = self {
            let text = describe(&own.files);
            text.lines().for_each(|line| progress.line(line));
        }
    }
}

/// Columns, labels and rows left out, a line each.
pub fn describe(data: &OwnFiles) -> String {
    let columns = &data.task.columns;
    let column = |what: &str, name: &str| {
        let guessed = match data.guessed.contains(&what) {
            true => " (guessed)",
            false => "",
        };
        format!("{what} `{name}`{guessed}")
    };
    let mut parts = vec![column("text", &columns.first.name)];
    parts.extend(columns.second.as_ref().map(|c| column("pair", &c.name)));
    parts.push(column("label", &columns.label.name));
    let mut text = format!("columns: {}\n", parts.join(", "));
    text.push_str(&match data.task.problem_type {
        ProblemType::Regression => "labels: numbers (regression)\n".to_owned(),
        ProblemType::SingleLabelClassification
        | ProblemType::MultiLabelClassification
        | ProblemType::TokenClassification => {
            format!("labels: {}\n", data.task.labels.join(", "))
        }
        ProblemType::QuestionAnswering => String::new(),
    });
    text + &describe_skipped(&data.facts.skipped)
}

fn describe_skipped(skipped: &SkippedRows) -> String {
    if skipped.n_rows == 0 {
        return String::new();
    }
    let mut text = format!("rows left out: {}\n", skipped.n_rows);
    for reason in skipped.reasons.iter().take(N_SHOWN) {
        text.push_str(&format!("  {reason}\n"));
    }
    if skipped.n_rows > N_SHOWN {
        text.push_str(&format!("  and {} more\n", skipped.n_rows - N_SHOWN));
    }
    text
}

/// The task with `metrics` in place of its own, if there are any.
///
/// # Errors
/// When one says nothing about the task.
pub fn with_metrics(task: &Task, metrics: &[Metric]) -> Result<Task> {
    for metric in metrics {
        if let Some(why) = metric.unfit_for(task.problem_type, task.labels.len()) {
            return Err(Error::Usage(format!(
                "--metrics {}: expected metrics of the task `{}`: {why}",
                metric.as_str(),
                task.name
            )));
        }
    }
    let mut task = task.clone();
    if !metrics.is_empty() {
        task.metrics = metrics.to_vec();
    }
    Ok(task)
}

/// Own files that a model is used on, read with the labels that the model, or the first adapter that says, was trained to
/// tell.
///
/// # Errors
/// When the files are not as they should be, a metric says nothing about them, or nothing says what the labels are.
pub fn read_own(config: &InferenceConfig, request: &OwnRequest) -> Result<KeyedFiles> {
    let adapters = config.adapters.iter();
    let directories = adapters
        .filter_map(|adapter| adapter.directory.as_deref())
        .chain(config.model.as_deref().map(Path::new));
    let learned = match LearnedTask::find(directories)? {
        Some(learned) => learned,
        None => {
            let source = ModelSource::new(config.model.as_deref())?;
            LearnedTask::of_checkpoint(&source.config()?.labels, &source.name())?
        }
    };
    let cache = TokenCache::new(config.token_cache);
    let request = learned.complete(request);
    let mut own = KeyedFiles::open(&request, Some(&learned.labels), &cache)?;
    let data = &mut own.files;
    data.task = with_metrics(&data.task, &config.metrics)?;
    for line in describe(data).lines() {
        tracing::info!("{line}");
    }
    let n_skipped = data.facts.skipped.n_rows;
    if n_skipped > 0 {
        tracing::warn!("rows left out: {n_skipped} (-v lists them)");
    }
    log_skipped(data);
    Ok(own)
}

fn log_skipped(data: &OwnFiles) {
    for reason in &data.facts.skipped.reasons {
        tracing::info!("row left out: {reason}");
    }
}

/// Writes `task.json` beside a result of own files, so that `evaluate` and `predict` need not be told of them again.
///
/// # Errors
/// When it cannot be written.
pub fn save_task(directory: &Path, task: &Task) -> Result<()> {
    if task.source != TaskSource::Own {
        return Ok(());
    }
    let columns = &task.columns;
    let value = json!({
        "problem_type": task.problem_type.as_str(),
        "labels": task.labels,
        "text_column": columns.first.name,
        "pair_column": columns.second.as_ref().map(|column| &column.name),
        "label_column": columns.label.name,
    });
    write_atomically(
        &directory.join(TASK_FILE),
        format!("{value:#}\n").as_bytes(),
    )
}

/// What was learned by a run on own files: its labels, and the names of its columns.
#[derive(Debug, Clone, PartialEq)]
pub struct LearnedTask {
    /// The labels.
    pub labels: Labels,
    /// The columns it was trained on: text, pair, label; `None` if nothing is known of them.
    columns: Option<(String, Option<String>, String)>,
}

impl LearnedTask {
    /// What the first of `directories` with a `task.json` says.
    ///
    /// # Errors
    /// When such a file cannot be read or is not one of these.
    pub fn find<'a>(directories: impl Iterator<Item = &'a Path>) -> Result<Option<Self>> {
        for directory in directories {
            let path = directory.join(TASK_FILE);
            if path.is_file() {
                return Self::read(&path).map(Some);
            }
        }
        Ok(None)
    }

    fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path, "read"))?;
        let fault = |what: String| {
            Error::Model(format!(
                "{}: {what}; copy the file again, or remove it and name columns by flags",
                path.display()
            ))
        };
        let value: Value = serde_json::from_str(&text)
            .map_err(|error| fault(format!("not valid JSON: {error}")))?;
        let text = |key: &str| {
            let text = value.get(key).and_then(Value::as_str).map(str::to_owned);
            text.ok_or_else(|| fault(format!("key `{key}`: expected a text")))
        };
        let problem_type = match text("problem_type")?.as_str() {
            "regression" => ProblemType::Regression,
            "single_label_classification" => ProblemType::SingleLabelClassification,
            other => {
                return Err(fault(format!(
                    "key `problem_type`: expected regression or single_label_classification, found `{other}`"
                )));
            }
        };
        let labels = value.get("labels").and_then(Value::as_array);
        let names: Option<Vec<String>> = labels.and_then(|labels| {
            labels
                .iter()
                .map(|label| label.as_str().map(str::to_owned))
                .collect()
        });
        Ok(Self {
            labels: Labels {
                problem_type,
                names: names
                    .ok_or_else(|| fault("key `labels`: expected a list of texts".into()))?,
            },
            columns: Some((
                text("text_column")?,
                text("pair_column").ok(),
                text("label_column")?,
            )),
        })
    }

    /// What a checkpoint says of its head in `id2label`.
    ///
    /// # Errors
    /// When it says nothing.
    pub fn of_checkpoint(labels: &[String], origin: &str) -> Result<Self> {
        if labels.is_empty() {
            return Err(Error::Model(format!(
                "{origin}: there is no {TASK_FILE} and no `id2label` in config.json, so the labels of the model are not \
                 known; give the directory of a training run, or add `id2label`"
            )));
        }
        let is_regression = labels.len() == 1;
        Ok(Self {
            labels: Labels {
                problem_type: match is_regression {
                    true => ProblemType::Regression,
                    false => ProblemType::SingleLabelClassification,
                },
                names: match is_regression {
                    true => Vec::new(),
                    false => labels.to_vec(),
                },
            },
            columns: None,
        })
    }

    /// The task it was.
    pub fn task(&self) -> Task {
        let (first, second, label) = self.columns.clone().unwrap_or_default();
        let columns = Columns {
            first: Column::named(first),
            second: second.map(Column::named),
            label: Column::named(label),
        };
        Task::own(columns, self.labels.clone())
    }

    /// The request with the columns of training where it names none.
    pub fn complete(&self, request: &OwnRequest) -> OwnRequest {
        let mut request = request.clone();
        let reading = &mut request.reading;
        if let (Some((text, pair, label)), None, None) =
            (&self.columns, &reading.text_column, &reading.pair_column)
        {
            reading.text_column = Some(text.clone());
            reading.pair_column.clone_from(pair);
            reading.label_column.get_or_insert_with(|| label.clone());
        }
        request
    }
}
