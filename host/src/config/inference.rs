//! The resolved configurations of `evaluate` and `predict`. Resolved by `main`, read by the recipes of those commands.

use std::path::PathBuf;

use super::keys::Scope;
use super::settings::Settings;
use super::{
    ConfigError, Device, Kernels, PluginSources, Sources, Split, TokenCacheUse, layers, limit_of,
    read_device, read_eval_batch, read_kernels, read_limit, read_max_length, read_model,
    read_threads, require_data,
};
use crate::{
    batch_order::BatchLimit,
    cli::{EvaluateArgs, PredictArgs},
};

/// What `evaluate` and `predict` have in common: a model, a task and the machine.
#[derive(Debug, Clone, PartialEq)]
pub struct InferenceConfig {
    /// Directory of a checkpoint, or of the base model of `adapter`; `None` is the embedded model.
    pub model: Option<String>,
    /// Adapter directory to put on the model.
    pub adapter: Option<PathBuf>,
    /// Name of the task; not yet checked against the tasks there are.
    pub task: String,
    /// Longest sequence in tokens, special tokens included; at least 3.
    pub max_length: usize,
    /// What a batch holds at most.
    pub eval_batch: BatchLimit,
    /// Use the first N rows, at least 1; `None` is all.
    pub max_eval_samples: Option<usize>,
    /// Where plugins are looked for, and which builds are meant.
    pub plugins: PluginSources,
    /// Threads, from 1 to 1024; `None` is one for each core.
    pub threads: Option<usize>,
    /// Where the model is computed.
    pub device: Device,
    /// Which form of the operations runs; never `Fused` on CUDA.
    pub kernels: Kernels,
    /// What is done with tokenised data on disk.
    pub token_cache: TokenCacheUse,
}

impl InferenceConfig {
    fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let (size, tokens) = read_eval_batch(settings)?;
        Ok(Self {
            model: read_model(settings)?,
            adapter: settings.optional_path("adapter")?,
            task: settings.text("task")?,
            max_length: read_max_length(settings)?,
            eval_batch: limit_of(size, tokens),
            max_eval_samples: read_limit(settings, "max_eval_samples")?,
            plugins: PluginSources::read(settings)?,
            threads: read_threads(settings)?,
            device: read_device(settings)?,
            kernels: read_kernels(settings)?,
            token_cache: settings.choice("token_cache", TokenCacheUse::NAMES)?,
        })
    }
}

/// The configuration of `progtune evaluate`.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluateConfig {
    /// Model, task and machine.
    pub inference: InferenceConfig,
    /// Directory with the task's files; `Some` for every task but `sample`.
    pub data: Option<PathBuf>,
    /// The part of the data to evaluate on; validation by default.
    pub split: Split,
}

impl EvaluateConfig {
    /// The configuration of `progtune evaluate`.
    ///
    /// # Errors
    /// As [`RunConfig::resolve_train`](super::RunConfig::resolve_train).
    pub fn resolve(args: &EvaluateArgs, sources: &Sources) -> Result<Self, ConfigError> {
        let settings = layers::merge(args, sources, Scope::Inference)?;
        let config = Self {
            inference: InferenceConfig::read(&settings)?,
            data: settings.optional_path("data")?,
            split: settings
                .optional_choice("split", Split::NAMES)?
                .unwrap_or(Split::Validation),
        };
        require_data(&config.inference.task, config.data.as_deref())?;
        Ok(config)
    }
}

/// Where the examples to predict come from.
#[derive(Debug, Clone, PartialEq)]
pub enum PredictInput {
    /// A JSONL file; its lines carry the task's columns.
    File(PathBuf),
    /// A part of the task's data.
    Data {
        /// Directory with the task's files; `Some` for every task but `sample`.
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
}

impl PredictConfig {
    /// The configuration of `progtune predict`.
    ///
    /// # Errors
    /// As [`RunConfig::resolve_train`](super::RunConfig::resolve_train); the data is needed only without `--input`.
    pub fn resolve(args: &PredictArgs, sources: &Sources) -> Result<Self, ConfigError> {
        let settings = layers::merge(args, sources, Scope::Inference)?;
        let inference = InferenceConfig::read(&settings)?;
        let data = settings.optional_path("data")?;
        let split = settings
            .optional_choice("split", Split::NAMES)?
            .unwrap_or(Split::Test);
        let input = match &args.input {
            Some(file) => PredictInput::File(file.into()),
            None => {
                require_data(&inference.task, data.as_deref())?;
                PredictInput::Data { data, split }
            }
        };
        Ok(Self {
            inference,
            input,
            output: args.predictions.as_ref().map(PathBuf::from),
        })
    }
}
