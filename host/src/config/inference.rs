//! The resolved configurations of `evaluate`, `predict` and `merge`. Resolved by `main`, read by those commands.

use std::path::{Path, PathBuf};

use progtune_datasets::{Metric, OwnRequest};

use super::settings::Settings;
use super::{
    ConfigError, HubConfig, MachineConfig, Sources, Split, answering,
    batching::{read_eval_batch, read_max_length},
    caching::read_token_cache,
    inputs::read_model,
    layers,
    machine::read_threads,
    own, plugins, read_limit,
};
use crate::config_keys::{Scope, advice};
use crate::{
    batch_order::BatchLimit,
    cli::{EvaluateArgs, MergeArgs, PredictArgs},
    export::WeightDtype,
    hub::NamedPath,
    plugin::PluginSources,
    question_answering::Answering,
    token_cache::TokenCacheUse,
};

/// An adapter to put on the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterChoice {
    /// How results call it: given, or the last part of its path.
    pub name: String,
    /// Its directory; `None` is the model alone.
    pub directory: Option<PathBuf>,
}

impl AdapterChoice {
    /// Reads `DIR`, `NAME=DIR` or `none`. A name has no `/`, so a directory with `=` in its name is `./DIR`.
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

    /// All that were asked for; without any, the model alone.
    fn read(settings: &Settings) -> Result<Vec<Self>, ConfigError> {
        let mut choices: Vec<Self> = Vec::new();
        for path in settings.paths("adapter")? {
            let text = path.to_string_lossy();
            let choice = Self::parse(&text)
                .ok_or_else(|| settings.bad("adapter", "DIR or NAME=DIR", &text))?;
            if let Some(other) = choices.iter().find(|other| other.name == choice.name) {
                return Err(ConfigError::Conflict {
                    first: format!("adapter `{text}`"),
                    second: format!("another one called `{}`", other.name),
                    reason: "results are told apart by name".into(),
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

/// A model and the adapters to put on it: as the configuration names them, or, from `Fetcher::models`, as local paths.
#[derive(Debug, Clone, PartialEq)]
pub struct AdaptedModel {
    /// Directory or id of a checkpoint, or of the base model of `adapters`; `None` is the embedded model.
    pub model: Option<NamedPath>,
    /// What to put on the model, one after the other; at least one, perhaps nothing (`none`). Names differ.
    pub adapters: Vec<AdapterChoice>,
}

/// What `evaluate` and `predict` have in common: a model, a task and the machine.
#[derive(Debug, Clone, PartialEq)]
pub struct InferenceConfig {
    /// The model and its adapters.
    pub models: AdaptedModel,
    /// How ids are looked up.
    pub hub: HubConfig,
    /// Name of the task, not yet checked against the tasks there are; `None`: the one of each adapter's head.
    pub task: Option<String>,
    /// Metrics to report; empty for the task's own.
    pub metrics: Vec<Metric>,
    /// Longest sequence in tokens, special tokens included; at least 3. `None`: what suits the task.
    pub max_length: Option<usize>,
    /// How questions about texts are read and answered; without effect on other tasks.
    pub answering: Answering,
    /// What a batch holds at most.
    pub eval_batch: BatchLimit,
    /// Use the first N rows, at least 1; `None` is all.
    pub max_eval_samples: Option<usize>,
    /// Where plugins are looked for, and which builds are meant.
    pub plugins: PluginSources,
    /// Threads, device and kernels.
    pub machine: MachineConfig,
    /// What is done with tokenised data on disk.
    pub token_cache: TokenCacheUse,
}

impl InferenceConfig {
    fn read(settings: &Settings, task: Option<String>) -> Result<Self, ConfigError> {
        Ok(Self {
            models: AdaptedModel {
                model: read_model(settings)?,
                adapters: AdapterChoice::read(settings)?,
            },
            hub: HubConfig::read(settings)?,
            task,
            metrics: own::read_metrics(settings)?,
            max_length: read_max_length(settings)?,
            answering: answering::read(settings)?,
            eval_batch: read_eval_batch(settings)?,
            max_eval_samples: read_limit(settings, "max_eval_samples")?,
            plugins: plugins::read(settings)?,
            machine: MachineConfig::read(settings)?,
            token_cache: read_token_cache(settings)?,
        })
    }
}

/// The task that was asked for, or is implied by own files; and the request for these.
fn read_task(settings: &Settings) -> Result<(Option<String>, Option<OwnRequest>), ConfigError> {
    let (task, own) = own::read_own(settings, false)?;
    let is_known = own.is_some() || settings.is_set("task");
    Ok((is_known.then_some(task), own))
}

/// The configuration of `progtune evaluate`.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluateConfig {
    /// Model, task and machine.
    pub inference: InferenceConfig,
    /// Directory with the task's files or id of a data set; `None` for what is generated, `own`, and what has a data set on the hub.
    pub data: Option<PathBuf>,
    /// The user's own files of `split`; without files, those of `data` are meant.
    pub own: Option<OwnRequest>,
    /// The part of the data to evaluate on; validation by default.
    pub split: Split,
    /// Directory for the files of answers to questions about texts; `None` writes none.
    pub answers: Option<PathBuf>,
}

impl EvaluateConfig {
    /// The configuration of `progtune evaluate`.
    ///
    /// # Errors
    /// As [`RunConfig::resolve_train`](super::RunConfig::resolve_train).
    pub fn resolve(args: &EvaluateArgs, sources: &Sources) -> Result<Self, ConfigError> {
        let settings = layers::merge(args, sources, Scope::Inference)?;
        let (task, own) = read_task(&settings)?;
        let split = settings.optional_choice("split", Split::NAMES)?;
        let preferred = [Split::Validation, Split::Test, Split::Train];
        let data = settings.optional_path("data")?;
        let own = own
            .map(|own| match data.is_some() && own::is_without_files(&own) {
                // Its files are known when the data is.
                true => Ok((own, split.unwrap_or(Split::Validation))),
                false => own::of_split(own, split, preferred),
            })
            .transpose()?;
        let config = Self {
            inference: InferenceConfig::read(&settings, task)?,
            data,
            split: match &own {
                Some((_, split)) => *split,
                None => split.unwrap_or(Split::Validation),
            },
            own: own.map(|(own, _)| own),
            answers: args.examples.answers.as_ref().map(PathBuf::from),
        };
        Ok(config)
    }
}

/// Where the examples to predict come from.
#[derive(Debug, Clone, PartialEq)]
pub enum PredictInput {
    /// A JSONL file; its lines carry the task's columns.
    File(PathBuf),
    /// The user's own files, in any format.
    Own(OwnRequest),
    /// A part of a data set of the user's own choice.
    OwnData {
        /// How its files are read.
        request: OwnRequest,
        /// Directory or id.
        data: PathBuf,
        /// The part; test by default.
        split: Split,
    },
    /// A part of the task's data.
    Data {
        /// Directory with the task's files or id of a data set; `None` for what is generated and what has a data set on the hub.
        data: Option<PathBuf>,
        /// The part; test by default.
        split: Split,
    },
}

/// The configuration of `progtune predict`.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictConfig {
    /// Model, task and machine.
    pub inference: InferenceConfig,
    /// What to predict: `--input`, else `--data` with `--split`.
    pub input: PredictInput,
    /// JSONL file to write; `None` is standard output.
    pub output: Option<PathBuf>,
    /// Directory for the files of answers to questions about texts; `None` writes none.
    pub answers: Option<PathBuf>,
}

impl PredictConfig {
    /// The configuration of `progtune predict`.
    ///
    /// # Errors
    /// As [`RunConfig::resolve_train`](super::RunConfig::resolve_train); the data is needed only without `--input`.
    pub fn resolve(args: &PredictArgs, sources: &Sources) -> Result<Self, ConfigError> {
        let settings = layers::merge(args, sources, Scope::Inference)?;
        let (task, own) = read_task(&settings)?;
        let inference = InferenceConfig::read(&settings, task)?;
        let data = settings.optional_path("data")?;
        let split = settings.optional_choice("split", Split::NAMES)?;
        let input = match (&args.input, own) {
            (Some(file), Some(own)) => PredictInput::Own(own::of_input(own, file.as_ref())),
            (Some(file), None) => PredictInput::File(file.into()),
            (None, Some(own)) => {
                let unlabelled = |own| OwnRequest {
                    ignore_labels: true,
                    ..own
                };
                match data.filter(|_| own::is_without_files(&own)) {
                    Some(data) => PredictInput::OwnData {
                        request: unlabelled(own),
                        data,
                        split: split.unwrap_or(Split::Test),
                    },
                    None => {
                        let preferred = [Split::Test, Split::Validation, Split::Train];
                        let (own, _) = own::of_split(own, split, preferred)?;
                        PredictInput::Own(unlabelled(own))
                    }
                }
            }
            (None, None) => {
                let split = split.unwrap_or(Split::Test);
                PredictInput::Data { data, split }
            }
        };
        Ok(Self {
            inference,
            input,
            output: args.predictions.as_ref().map(PathBuf::from),
            answers: args.examples.answers.as_ref().map(PathBuf::from),
        })
    }
}

/// The configuration of `progtune merge`.
#[derive(Debug, Clone, PartialEq)]
pub struct MergeConfig {
    /// Directory or id of the base model; `None` is the embedded model.
    pub model: Option<NamedPath>,
    /// How ids are looked up.
    pub hub: HubConfig,
    /// The adapter's directory.
    pub adapter: PathBuf,
    /// The task of its head; `None`: what the directory says.
    pub task: Option<String>,
    /// Where the merged model goes.
    pub output: PathBuf,
    /// The numbers of its weights.
    pub dtype: WeightDtype,
    /// Where plugins are looked for, and which builds are meant.
    pub plugins: PluginSources,
    /// Threads, from 1 to 1024; `None` is one for each core.
    pub threads: Option<usize>,
}

impl MergeConfig {
    /// The configuration of `progtune merge`.
    ///
    /// # Errors
    /// As [`RunConfig::resolve_train`](super::RunConfig::resolve_train), and when there is not exactly one adapter.
    pub fn resolve(args: &MergeArgs, sources: &Sources) -> Result<Self, ConfigError> {
        let settings = layers::merge(args, sources, Scope::Inference)?;
        let mut adapters = AdapterChoice::read(&settings)?;
        let adapter = match (adapters.pop(), adapters.is_empty()) {
            (Some(AdapterChoice { directory, .. }), true) => directory,
            _ => {
                let found = "more than one";
                return Err(settings.bad("adapter", "one directory (one model is merged)", found));
            }
        };
        let given = args.dtype.as_deref().unwrap_or("f32");
        let dtype = WeightDtype::NAMES.iter().find(|(name, _)| *name == given);
        Ok(Self {
            model: read_model(&settings)?,
            hub: HubConfig::read(&settings)?,
            adapter: adapter.ok_or_else(|| ConfigError::Missing {
                key: "--adapter".into(),
                reason: "it is what is merged into the model".into(),
                advice: "pass the directory of an adapter".into(),
            })?,
            task: read_task(&settings)?.0,
            output: PathBuf::from(&args.merged),
            dtype: dtype
                .map(|&(_, dtype)| dtype)
                .ok_or_else(|| ConfigError::BadValue {
                    key: "dtype".into(),
                    origin: "flag --dtype".into(),
                    expected: "one of f32, f16, bf16".into(),
                    found: format!("`{given}`"),
                    advice: advice(
                        given,
                        WeightDtype::NAMES.iter().map(|(name, _)| *name),
                        "give something like --dtype f32",
                    ),
                })?,
            plugins: plugins::read(&settings)?,
            threads: read_threads(&settings)?,
        })
    }
}
