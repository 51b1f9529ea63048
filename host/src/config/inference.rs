//! The resolved configuration of `evaluate`, and the part of it that `predict` shares. Resolved by
//! `main`, read by those commands.

use std::path::{Path, PathBuf};

use progtune_datasets::{Metric, OwnRequest, Sample};

use super::settings::Settings;
use super::{
    ConfigError, HubConfig, MachineConfig, Sources, Split,
    answering::{self, DOC_STRIDE},
    batching::{MAX_LENGTH, read_eval_batch},
    caching::TOKEN_CACHE,
    data::{DATA, MAX_EVAL_SAMPLES, SAMPLE, TASK, read_metrics},
    inputs::{MODEL, read_model},
    layers, own, plugins,
    split::SPLIT,
    training::SEED,
};
use crate::flags::{Arguments, Flag, Scope, Takes};
use progtune_engine::plugin::PluginSources;
use progtune_hub::NamedPath;
use progtune_pipeline::{
    batch_order::BatchLimit, question_answering::Answering, token_cache::TokenCacheUse,
};

pub(crate) static ADAPTER: Flag<Vec<PathBuf>> = Flag::key(
    "adapter",
    "DIR or NAME=DIR",
    "Adapter to apply to the model, also from the hub; repeatable for several over one loaded model, `none` is the model without \
     one",
)
.computed("none")
.example("runs/my-run")
.scope(Scope::Inference)
.takes(Takes::Values)
.usual()
.elsewhere(&[(&["merge"], "DIR or ID", "Adapter to merge into the weights of the model")]);

pub(crate) static ANSWERS: Flag<String> = Flag::argument(
    "answers",
    "DIR",
    "Directory for predictions.json, nbest_predictions.json and (SQuAD v2.0) null_odds.json; several adapters get a directory \
     each",
)
.computed("not written");

/// An adapter to apply to the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterChoice {
    /// The name in results: the given one, otherwise the last part of the path.
    pub name: String,
    /// The adapter's directory; `None` for the model without an adapter.
    pub directory: Option<PathBuf>,
}

impl AdapterChoice {
    /// Parses `DIR`, `NAME=DIR` or `none`. A name has no `/`, so a directory with `=` in its name
    /// is written as `./DIR`.
    fn parse(text: &str) -> Option<Self> {
        let (name, path) = match text.split_once('=') {
            Some((name, path)) if !name.contains(std::path::is_separator) => (Some(name), path),
            _ => (None, text),
        };
        let last = || {
            Path::new(path)
                .file_name()
                .map(|last| last.to_string_lossy())
        };
        let name = match name {
            Some(name) => name.trim().to_owned(),
            None => last().map_or_else(|| path.to_owned(), Into::into),
        };
        (!name.is_empty() && !path.trim().is_empty()).then(|| Self {
            name,
            directory: (path != "none").then(|| path.into()),
        })
    }

    /// The requested adapters; if there are none, the model without an adapter.
    pub(super) fn read(settings: &Settings) -> Result<Vec<Self>, ConfigError> {
        let mut choices: Vec<Self> = Vec::new();
        for path in settings.paths(&ADAPTER)? {
            let text = path.to_string_lossy();
            let choice = Self::parse(&text)
                .ok_or_else(|| settings.bad(&ADAPTER, "DIR or NAME=DIR", &text))?;
            if let Some(other) = choices.iter().find(|other| other.name == choice.name) {
                return Err(ConfigError::Conflict {
                    first: format!("adapter `{text}`"),
                    second: format!("another adapter named `{}`", other.name),
                    reason: "results are distinguished by name".into(),
                    advice: "name them: --adapter NAME=DIR".into(),
                });
            }
            choices.push(choice);
        }
        if choices.is_empty() {
            choices.extend(Self::parse("none"));
        }
        Ok(choices)
    }
}

/// A model and the adapters to apply to it: as named in the configuration, or as local paths from
/// `Fetcher::models`.
#[derive(Debug, Clone, PartialEq)]
pub struct AdaptedModel {
    /// Directory or id of a checkpoint, or of the base model of `adapters`; `None` for the embedded
    /// model.
    pub model: Option<NamedPath>,
    /// Whether the model was named. If not, it is the one that the adapters record.
    pub(crate) is_model_given: bool,
    /// The adapters to apply, one after the other, with distinct names; at least one, which may be
    /// `none`.
    pub adapters: Vec<AdapterChoice>,
}

/// The configuration that `evaluate` and `predict` share: a model, a task and the machine.
#[derive(Debug, Clone, PartialEq)]
pub struct InferenceConfig {
    /// The model and its adapters.
    pub models: AdaptedModel,
    /// The lookup of ids.
    pub hub: HubConfig,
    /// Name of the task, which may not exist; `None` uses the task of each adapter's head.
    pub task: Option<String>,
    /// Metrics to report; if empty, the task's own.
    pub metrics: Vec<Metric>,
    /// Maximum sequence length in tokens, including special tokens; at least 3. `None` chooses it
    /// by the kind of task.
    pub max_length: Option<usize>,
    /// The reading and answering of questions about texts; without effect on other tasks.
    pub answering: Answering,
    /// Whether the overlap of windows was given. If not, it is the one that the result records.
    pub(crate) is_doc_stride_given: bool,
    /// The limit of a batch.
    pub(crate) eval_batch: BatchLimit,
    /// The rows to use; `None` uses all. Predictions are made for the first rows, because they are
    /// matched with the lines of a file.
    pub sample: Option<Sample>,
    /// The search path for plugins, and the pinned builds.
    pub plugins: PluginSources,
    /// Threads, device and kernels.
    pub machine: MachineConfig,
    /// The use of the tokenised data on disk.
    pub token_cache: TokenCacheUse,
}

impl InferenceConfig {
    pub(super) fn read(
        settings: &Settings,
        task: Option<String>,
        sampling: impl FnOnce(usize) -> Sample,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            models: AdaptedModel {
                model: read_model(settings)?,
                is_model_given: settings.is_set(&MODEL),
                adapters: AdapterChoice::read(settings)?,
            },
            hub: HubConfig::read(settings)?,
            task,
            metrics: read_metrics(settings)?,
            max_length: settings.find(&MAX_LENGTH)?,
            answering: answering::read(settings)?,
            is_doc_stride_given: settings.is_set(&DOC_STRIDE),
            eval_batch: read_eval_batch(settings)?,
            sample: settings.find(&MAX_EVAL_SAMPLES)?.map(sampling),
            plugins: plugins::read(settings)?,
            machine: MachineConfig::read(settings)?,
            token_cache: settings.get(&TOKEN_CACHE)?,
        })
    }
}

/// The task that is requested or implied by own files, and the request for these files.
pub(super) fn read_task(
    settings: &Settings,
) -> Result<(Option<String>, Option<OwnRequest>), ConfigError> {
    let (task, own) = own::read_own(settings, false)?;
    let is_known = own.is_some() || settings.is_set(&TASK);
    Ok((is_known.then_some(task), own))
}

/// The configuration of `progtune evaluate`.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluateConfig {
    /// Model, task and machine.
    pub inference: InferenceConfig,
    /// Directory with the task's files, or id of a data set. `None` for the data of the run that
    /// made the result, for a task that generates its data or has a data set on the hub, and for
    /// own files.
    pub data: Option<PathBuf>,
    /// The user's own files of `split`; a request without files refers to those of `data` or of the
    /// run that made the result.
    pub own: Option<OwnRequest>,
    /// The part of the data to evaluate on; by default, validation.
    pub split: Split,
    /// Directory for the answer files of questions about texts; `None` writes none.
    pub answers: Option<PathBuf>,
}

impl EvaluateConfig {
    /// Resolves the configuration of `progtune evaluate`.
    ///
    /// # Errors
    /// Fails like [`RunConfig::resolve_train`](super::RunConfig::resolve_train).
    pub fn resolve(arguments: &Arguments, sources: &Sources) -> Result<Self, ConfigError> {
        let settings = layers::merge(arguments, sources, Scope::Inference)?;
        let (task, own) = read_task(&settings)?;
        let split = settings.find(&SPLIT)?;
        let preferred = [Split::Validation, Split::Test, Split::Train];
        let data = settings.path(&DATA)?;
        let own = own
            .map(|own| {
                if own::is_without_files(&own) {
                    // The files are known once the data set is, or the record of the run is read.
                    Ok((own, split.unwrap_or(Split::Validation)))
                } else {
                    own::of_split(own, split, preferred)
                }
            })
            .transpose()?;
        let (rule, seed) = (settings.get(&SAMPLE)?, settings.get(&SEED)?);
        let sample = |n_rows| Sample { n_rows, rule, seed };
        let config = Self {
            inference: InferenceConfig::read(&settings, task, sample)?,
            data,
            split: match &own {
                Some((_, split)) => *split,
                None => split.unwrap_or(Split::Validation),
            },
            own: own.map(|(own, _)| own),
            answers: arguments.one(&ANSWERS).map(PathBuf::from),
        };
        Ok(config)
    }
}
