//! The task of a run with its data. The files of a named task are read split by split; the user's
//! own files define their task and are read with it. Called by the recipe, `plan`, `evaluate` and
//! `predict`.

use crate::config::{DataConfig, InferenceConfig, InputsConfig};
use progtune_datasets::{
    Format, Labels, Metric, OWN_TASK, OwnRequest, ProblemType, QuestionData, RepairTags,
    SkippedRows, TaggedData, Task,
};
use progtune_engine::{Error, LearnedTask, Result};
use progtune_hub::NamedPath;
use progtune_pipeline::{
    KeyedFiles,
    data_description::{describe, describe_skipped},
    data_remarks,
    token_cache::{TokenCache, TokenCacheUse},
    token_classification,
};
use progtune_process::{Phase, terminal::note};
use std::path::{Path, PathBuf};

/// A task and the location of its examples.
#[derive(Debug)]
pub enum TaskData {
    /// A named task.
    Named {
        /// The task.
        task: Box<Task>,
        /// The directory of its files.
        directory: PathBuf,
    },
    /// The user's own files, in which every row has been checked.
    Own(Box<KeyedFiles>),
    /// The user's own sentences whose words have tags.
    Tagged {
        /// The sentences.
        data: Box<TaggedData>,
        /// The repair of their tags.
        repair: RepairTags,
    },
    /// Questions about texts from a named task or from the user's own files. They have been read.
    Questions(Box<QuestionData>),
}

impl TaskData {
    /// A named task in a directory. `metrics` replace the task's own if there are any.
    ///
    /// # Errors
    /// Fails if there is no such task, or a metric does not fit it.
    pub fn named(name: &str, directory: Option<&Path>, metrics: &[Metric]) -> Result<Self> {
        Ok(Self::Named {
            task: Box::new(with_metrics(trainable_task(name)?, metrics)?),
            directory: directory.unwrap_or(Path::new(".")).to_owned(),
        })
    }

    /// Reads the user's own files. `known` contains the labels of a trained model, if there is one.
    /// Facts about the files are stored in `cache`.
    ///
    /// # Errors
    /// Fails if the files are invalid, or a metric does not fit them.
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

    /// Reads the user's own sentences with tags. `known` contains the labels of a trained model.
    ///
    /// # Errors
    /// Fails in the cases of [`TaskData::own`].
    pub fn tagged(
        request: &OwnRequest,
        known: Option<&Labels>,
        metrics: &[Metric],
    ) -> Result<Self> {
        let mut data = TaggedData::load(request, known)?;
        data.task = with_metrics(&data.task, metrics)?;
        Ok(Self::Tagged {
            data: Box::new(data),
            repair: request.reading.repair_tags.unwrap_or_default(),
        })
    }

    /// Reads the user's own questions about texts. `has_unanswerable` states what a model was
    /// trained for.
    ///
    /// # Errors
    /// Fails in the cases of [`TaskData::own`].
    pub fn questions(
        request: &OwnRequest,
        has_unanswerable: Option<bool>,
        metrics: &[Metric],
    ) -> Result<Self> {
        let data = QuestionData::own(request, has_unanswerable)?;
        with_metrics(&data.task, metrics)?;
        Ok(Self::Questions(Box::new(data)))
    }

    /// Reads the data of a run. The paths in `inputs` are local.
    ///
    /// # Errors
    /// Fails in the cases of [`TaskData::named`] and [`TaskData::own`].
    pub fn of_run(
        config: &DataConfig,
        inputs: &InputsConfig,
        token_cache: TokenCacheUse,
    ) -> Result<Self> {
        let phase = reading();
        let data = Self::read(config, inputs, token_cache)?;
        phase.finish();
        Ok(data)
    }

    fn read(
        config: &DataConfig,
        inputs: &InputsConfig,
        token_cache: TokenCacheUse,
    ) -> Result<Self> {
        match &inputs.own {
            Some(request) if TaggedData::is_asked_for(request) => {
                Self::tagged(request, None, &config.metrics)
            }
            Some(request) if QuestionData::are_meant(request)? => {
                Self::questions(request, None, &config.metrics)
            }
            Some(request) => {
                let cache = TokenCache::new(token_cache);
                Self::own(request, None, &config.metrics, &cache)
            }
            None => {
                let named = Self::named(
                    &config.task,
                    inputs.data.as_ref().map(NamedPath::path),
                    &config.metrics,
                )?;
                let samples = [config.train_sample(), config.eval_sample()];
                match named {
                    Self::Named { task, directory }
                        if task.problem_type == ProblemType::QuestionAnswering =>
                    {
                        let data = QuestionData::of_task(&task, &directory, samples)?;
                        Ok(Self::Questions(Box::new(data)))
                    }
                    other => Ok(other),
                }
            }
        }
    }

    /// The task.
    pub fn task(&self) -> &Task {
        match self {
            Self::Named { task, .. } => task,
            Self::Own(own) => &own.files.task,
            Self::Tagged { data, .. } => &data.task,
            Self::Questions(data) => &data.task,
        }
    }

    /// Returns the inputs with everything that was detected in the user's own files: the kind of
    /// task and the columns.
    pub fn settle(&self, mut inputs: InputsConfig) -> InputsConfig {
        let task = self.task();
        if let (Self::Questions(_), Some(request)) = (self, &mut inputs.own) {
            request.reading.problem_type = Some(task.problem_type);
        }
        if let (Self::Own(own), Some(request)) = (self, &mut inputs.own) {
            request.reading.header.clone_from(&own.files.header);
        }
        if let (Self::Own(_) | Self::Tagged { .. }, Some(request)) = (self, &mut inputs.own) {
            let columns = &task.columns;
            request.reading.text_column = Some(columns.first.name.clone());
            request.reading.pair_column = columns.second.as_ref().map(|c| c.name.clone());
            request.reading.label_column = Some(columns.label.name.clone());
            request.reading.problem_type = Some(task.problem_type);
        }
        inputs
    }

    /// Lists the skipped rows in the log.
    pub(crate) fn log_skipped(&self) {
        match self {
            Self::Named { .. } => {}
            Self::Own(own) => log_skipped(&own.files.facts.skipped),
            Self::Tagged { data, .. } => log_skipped(&data.skipped),
            Self::Questions(data) => log_skipped(&data.skipped),
        }
    }

    /// Shows the columns that are read, the labels, the skipped rows, and what looks odd.
    pub fn announce(&self) {
        let text = match self {
            Self::Named { .. } => return,
            Self::Own(own) => {
                let remarks = data_remarks::remarks(&own.files);
                describe(&own.files) + &remarks.join("\n")
            }
            Self::Tagged { data, repair } => token_classification::describe(data, *repair),
            Self::Questions(data) => describe_skipped(&data.skipped),
        };
        text.lines().for_each(note);
    }
}

/// Begins the phase of reading. The user's own files and questions are read before anything else.
fn reading() -> Phase {
    Phase::begin("read", "reading the data", "", None)
}

/// Returns the task with this name for training, evaluation and prediction.
///
/// # Errors
/// Fails if there is no such task, or it belongs to the user's own files and none were given.
pub(crate) fn trainable_task(name: &str) -> Result<&'static Task> {
    if name == OWN_TASK {
        return Err(Error::Usage(format!(
            "task `{name}`: this task needs files of your own, but none were given; give --train-file, --validation-file \
             or --test-file, or `--task {name}` with `predict --input`"
        )));
    }
    Ok(Task::by_name(name)?)
}

/// Returns the task with `metrics` in place of its own, if there are any.
///
/// # Errors
/// Fails if a metric does not fit the task.
pub(crate) fn with_metrics(task: &Task, metrics: &[Metric]) -> Result<Task> {
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

/// The user's own files to which a model is applied.
#[derive(Debug)]
pub(crate) enum OwnRead {
    /// Texts.
    Examples(Box<KeyedFiles>),
    /// Sentences whose words have tags.
    Sentences(Box<TaggedData>),
    /// Questions about texts.
    Questions(Box<QuestionData>),
}

/// Reads the user's own files to which a model is applied, in the way of its training files.
///
/// # Errors
/// Fails if the files are invalid, or a metric does not fit them.
pub(crate) fn read_own(
    config: &InferenceConfig,
    learned: &LearnedTask,
    request: &OwnRequest,
) -> Result<OwnRead> {
    let phase = reading();
    let request = completed(learned, request);
    let known = Some(&learned.labels);
    let (read, text, skipped) = match learned.labels.problem_type {
        ProblemType::TokenClassification => {
            let mut data = TaggedData::load(&request, known)?;
            data.task = with_metrics(&data.task, &config.metrics)?;
            let repair = request.reading.repair_tags.unwrap_or_default();
            let text = token_classification::describe(&data, repair);
            let skipped = data.skipped.clone();
            (OwnRead::Sentences(Box::new(data)), text, skipped)
        }
        ProblemType::QuestionAnswering => {
            let data = QuestionData::own(&request, learned.has_unanswerable)?;
            with_metrics(&data.task, &config.metrics)?;
            let (text, skipped) = (describe_skipped(&data.skipped), data.skipped.clone());
            (OwnRead::Questions(Box::new(data)), text, skipped)
        }
        _ => {
            let cache = TokenCache::new(config.token_cache);
            let mut own = KeyedFiles::open(&request, known, &cache)?;
            own.files.task = with_metrics(&own.files.task, &config.metrics)?;
            let text = describe(&own.files);
            let skipped = own.files.facts.skipped.clone();
            (OwnRead::Examples(Box::new(own)), text, skipped)
        }
    };
    phase.finish();
    for line in text.lines() {
        tracing::info!("{line}");
    }
    if skipped.n_rows > 0 {
        tracing::warn!("rows left out: {} (-v lists them)", skipped.n_rows);
    }
    log_skipped(&skipped);
    Ok(read)
}

/// The request, completed by the way in which training files were read. A tagger's words may be in
/// files of another kind, with other names of columns.
fn completed(learned: &LearnedTask, request: &OwnRequest) -> OwnRequest {
    let complete = learned.complete(request);
    let has_tags = learned.labels.problem_type == ProblemType::TokenClassification;
    let all = [&request.train, &request.validation, &request.test];
    let Some(first) = all.into_iter().flatten().next().filter(|_| has_tags) else {
        return complete;
    };
    let format = complete.reading.format;
    let has_column_files = match format.or_else(|| Format::of_name(Path::new(first))) {
        None | Some(Format::Conll | Format::Tsv) => true,
        Some(_) => false,
    };
    if !learned.has_columns() || has_column_files == learned.has_column_files() {
        return complete;
    }
    let mut other = complete;
    let (given, reading) = (&request.reading, &mut other.reading);
    reading.text_column.clone_from(&given.text_column);
    reading.pair_column.clone_from(&given.pair_column);
    reading.label_column.clone_from(&given.label_column);
    other
}

fn log_skipped(skipped: &SkippedRows) {
    for reason in &skipped.reasons {
        tracing::info!("row left out: {reason}");
    }
}
