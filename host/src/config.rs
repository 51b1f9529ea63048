//! The resolved configuration of each command: defaults < `--config` file < `PROGTUNE_*` environment < flags, every
//! value checked. `main` resolves once, right after `cli` has parsed; everything later reads these structs and never
//! the arguments, so that a later error is about the run.
//!
//! A key is a flag's name in snake case. [`crate::config_keys`] lists them with their defaults, `layers` merges, `settings`
//! checks single values, this file puts them together and checks what concerns more than one.

use std::path::{Path, PathBuf};

use progtune_datasets::{Metric, OwnRequest};

use crate::{
    cli::TrainArgs,
    config_keys::Scope,
    prefix_cache::{self, CacheDtype, Mode},
};
pub use error::ConfigError;
use progtune_engine::{
    model::device::{Device, Kernels},
    optim::{LrScheduler, Warmup},
    plugin::PluginSources,
};
use progtune_hub::NamedPath;
use progtune_pipeline::{
    batch_order::{BatchLimit, Rule},
    class_weights::ClassWeights,
    question_answering::Answering,
    token_cache::TokenCacheUse,
};
use progtune_process::byte_size::ByteSize;

mod answering;
mod choices;
mod error;
pub(crate) mod export;
mod hub;
mod inference;
mod inspect;
mod layers;
mod own;
mod plugins;
mod settings;
pub mod show;
mod split;
#[cfg(test)]
mod tests;

pub use answering::max_length;
pub(crate) use choices::choices;
pub use hub::HubConfig;
pub use inference::{
    AdapterChoice, EvaluateConfig, InferenceConfig, MergeConfig, PredictConfig, PredictInput,
};
pub use inspect::InspectConfig;
pub use layers::Sources;
pub use own::check_complete as check_own_complete;
pub use plugins::resolve_plugins;
pub use split::Split;

use settings::Settings;

/// The task where none is named: one that generates its own data.
pub const SAMPLE_TASK: &str = "sample";

/// The size of a batch when nothing bounds it; also the value of a size that a limit of tokens replaces.
const DEFAULT_BATCH_SIZE: usize = 8;

/// The word for the model inside the binary.
const EMBEDDED_MODEL: &str = "embedded";

/// A training run, or the plan of one. Defaults are in [`KEYS`](crate::config_keys::KEYS); where Hugging Face's Trainer has
/// one it is the same.
#[derive(Debug, Clone, PartialEq)]
pub struct RunConfig {
    /// Directory of a Hugging Face checkpoint, or an id on the hub until `fetch` has made it one; `None` is the embedded model.
    pub model: Option<NamedPath>,
    /// Name of the task; not yet checked against the tasks there are.
    pub task: String,
    /// Directory with the task's files, or as `model` an id; `None` for tasks that generate their data or, until `fetch`
    /// was there, for those that have a data set on the hub.
    pub data: Option<NamedPath>,
    /// The user's own files; `Some` exactly for the task `own`. Without files, those of `data` are meant.
    pub own: Option<OwnRequest>,
    /// How ids are looked up.
    pub hub: HubConfig,
    /// Metrics to report, the most important first; empty for the task's own.
    pub metrics: Vec<Metric>,
    /// Id of the schedule plugin.
    pub schedule: String,
    /// Options of the schedule, sorted by name; checked by the plugin's declaration, not here.
    pub schedule_opt: Vec<(String, String)>,
    /// Id of the PEFT method plugin; `None` is full fine-tuning.
    pub peft: Option<String>,
    /// Options of the method, sorted by name; empty without a method.
    pub peft_opt: Vec<(String, String)>,
    /// Passes over the training set (T), from 1 to 10000.
    pub epochs: u32,
    /// Examples in a batch, at least 1; without effect beside `batch_tokens`.
    pub batch_size: usize,
    /// Tokens that the examples of a batch have together at most, at least 1; `None` counts examples.
    pub batch_tokens: Option<usize>,
    /// Examples in an evaluation batch, at least 1; without effect beside `eval_batch_tokens`.
    pub eval_batch_size: usize,
    /// As `batch_tokens`, for evaluation.
    pub eval_batch_tokens: Option<usize>,
    /// Batches in an optimizer step, at least 1.
    pub gradient_accumulation_steps: usize,
    /// Peak learning rate, above 0; `None` is the method's suggestion.
    pub lr: Option<f64>,
    /// The learning-rate curve after warm-up.
    pub lr_scheduler: LrScheduler,
    /// AdamW's decay, at least 0; biases and LayerNorm have none.
    pub weight_decay: f64,
    /// How long the learning rate climbs.
    pub warmup: Warmup,
    /// AdamW's β₁, in `[0, 1)`.
    pub adam_beta1: f64,
    /// AdamW's β₂, in `[0, 1)`.
    pub adam_beta2: f64,
    /// AdamW's ε, above 0.
    pub adam_epsilon: f64,
    /// Longest sequence in tokens, special tokens included; at least 3. The model may allow less. `None`: what suits the
    /// task ([`max_length`]).
    pub max_length: Option<usize>,
    /// How questions about texts are read and answered; without effect on other tasks.
    pub answering: Answering,
    /// Norm that gradients are clipped to; 0 is no clipping.
    pub max_grad_norm: f64,
    /// Dropout in `[0, 1)` in place of the model's hidden, attention and classifier dropout; `None` keeps the model's.
    pub dropout: Option<f64>,
    /// How much classes count in the loss.
    pub class_weights: ClassWeights,
    /// The share of a class's target that is spread evenly over all classes, in `[0, 1)`.
    pub label_smoothing: f64,
    /// Whether the result is the model of the best epoch; else that of the last.
    pub load_best_model_at_end: bool,
    /// What the best epoch is told by: a key of the evaluation, with or without `eval_`.
    pub metric_for_best_model: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Whether the training set is read in its own order.
    pub no_shuffle: bool,
    /// Whether a shuffled epoch puts sequences of similar length into a batch.
    pub group_by_length: bool,
    /// Use the first N training rows, at least 1; `None` is all.
    pub max_train_samples: Option<usize>,
    /// Use the first N evaluation rows, at least 1; `None` is all.
    pub max_eval_samples: Option<usize>,
    /// Stop after this many optimizer steps, at least 1; T and the learning-rate horizon stay those of `epochs`.
    pub max_steps: Option<u64>,
    /// Adapter directory to start from.
    pub init_adapter: Option<NamedPath>,
    /// Whether the pooler is trained under LoRA and adapters too.
    pub train_pooler: bool,
    /// Where plugins are looked for, and which builds are meant.
    pub plugins: PluginSources,
    /// Threads, from 1 to 1024; `None` is one for each core.
    pub threads: Option<usize>,
    /// Where the model is computed.
    pub device: Device,
    /// Which form of the operations runs; never `Fused` on CUDA.
    pub kernels: Kernels,
    /// Run directory; `None` is [`RunConfig::default_output`].
    pub output: Option<PathBuf>,
    /// Whether a finished run in the run directory may be replaced.
    pub overwrite_output: bool,
    /// Steps between progress lines where there is no progress bar; at least 1.
    pub logging_steps: usize,
    /// Whether what lies below the lowest trained parameter (blocks and embeddings) has dropout as well.
    pub frozen_dropout: bool,
    /// What is done with tokenised data on disk.
    pub token_cache: TokenCacheUse,
    /// Where the output of frozen blocks is kept from one epoch to the next.
    pub prefix_cache: Mode,
    /// The most it may take there; `None` is a quarter of the available memory, or half of the free disk.
    pub prefix_cache_budget: Option<ByteSize>,
    /// The precision it is kept in.
    pub prefix_cache_dtype: CacheDtype,
    /// Whether blocks keep their input alone and run their forward again in the backward.
    pub recompute: bool,
    /// Memory the run may take; `None` is no limit.
    pub memory_budget: Option<ByteSize>,
}

impl RunConfig {
    /// The configuration of `progtune train`.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown key, a value that its key does not take, own data without its files.
    pub fn resolve_train(args: &TrainArgs, sources: &Sources) -> Result<Self, ConfigError> {
        let config = Self::resolve_plan(args, sources)?;
        if let (Some(own), None) = (&config.own, &config.data) {
            own::check_complete(own)?;
        }
        Ok(config)
    }

    /// The configuration of `progtune plan`, which counts parameters and so needs no data.
    ///
    /// # Errors
    /// As [`RunConfig::resolve_train`], but the data may be missing.
    pub fn resolve_plan(args: &TrainArgs, sources: &Sources) -> Result<Self, ConfigError> {
        let config = Self::read(&layers::merge(args, sources, Scope::Training)?)?;
        Ok(config)
    }

    /// The run directory when none is given: `runs/<task>-<schedule>-<method or "full">-seed<seed>`.
    pub fn default_output(&self) -> PathBuf {
        let method = self.peft.as_deref().unwrap_or("full");
        let name = format!("{}-{}-{method}-seed{}", self.task, self.schedule, self.seed);
        // Names of plugins and tasks are not ours: none of them may lead out of `runs`.
        let name = name.replace(|c: char| !c.is_alphanumeric() && !"-_.".contains(c), "_");
        Path::new("runs").join(name)
    }

    /// The run directory: the one given, else the default one.
    pub fn output_dir(&self) -> PathBuf {
        self.output.clone().unwrap_or_else(|| self.default_output())
    }

    /// What a training batch holds at most.
    pub fn batch_limit(&self) -> BatchLimit {
        limit_of(self.batch_size, self.batch_tokens)
    }

    /// How training batches are made of examples.
    pub fn batch_rule(&self) -> Rule {
        Rule {
            limit: self.batch_limit(),
            shuffle: !self.no_shuffle,
            group_by_length: self.group_by_length,
            seed: self.seed,
            gradient_accumulation_steps: self.gradient_accumulation_steps,
        }
    }

    /// What is asked of the prefix cache.
    pub fn prefix_cache_settings(&self) -> prefix_cache::Settings {
        prefix_cache::Settings {
            mode: self.prefix_cache,
            dtype: self.prefix_cache_dtype,
            budget: self.prefix_cache_budget,
        }
    }

    /// What an evaluation batch holds at most.
    pub fn eval_batch_limit(&self) -> BatchLimit {
        limit_of(self.eval_batch_size, self.eval_batch_tokens)
    }

    fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let (batch_size, batch_tokens) = read_batch(settings, "batch_size", "batch_tokens")?;
        let (eval_batch_size, eval_batch_tokens) = read_eval_batch(settings)?;
        let seed = settings.number("seed", "a whole number from 0 and below 2^64", |_| true)?;
        let (task, mut own) = own::read_own(settings, true)?;
        if let Some(own) = &mut own {
            own::read_validation_split(settings, own, seed)?;
        }
        let config = Self {
            model: read_model(settings)?,
            task,
            data: settings.optional_path("data")?.map(NamedPath::new),
            own,
            hub: HubConfig::read(settings)?,
            metrics: own::read_metrics(settings)?,
            schedule: settings.text("schedule")?,
            schedule_opt: settings.options("schedule_opt")?,
            peft: settings.optional_text("peft")?,
            peft_opt: settings.options("peft_opt")?,
            epochs: settings.number("epochs", "a whole number from 1 to 10000", |n| {
                (1..=10_000).contains(n)
            })?,
            batch_size,
            batch_tokens,
            eval_batch_size,
            eval_batch_tokens,
            gradient_accumulation_steps: read_count(settings, "gradient_accumulation_steps")?,
            lr: settings.optional_number("lr", "a number above 0", |&x| is_positive(x))?,
            lr_scheduler: settings.choice("lr_scheduler", LrScheduler::NAMES)?,
            weight_decay: settings
                .number("weight_decay", "a number from 0", |&x| is_from_zero(x))?,
            warmup: settings.parsed(
                "warmup",
                "a share of all steps from 0 and below 1, or a whole number of steps from 1",
                Warmup::parse,
            )?,
            adam_beta1: read_fraction(settings, "adam_beta1")?,
            adam_beta2: read_fraction(settings, "adam_beta2")?,
            adam_epsilon: settings
                .number("adam_epsilon", "a number above 0", |&x| is_positive(x))?,
            max_length: read_max_length(settings)?,
            answering: answering::read(settings)?,
            max_grad_norm: settings.number(
                "max_grad_norm",
                "a number from 0 (0 is no clipping)",
                |&x| is_from_zero(x),
            )?,
            dropout: settings.optional_number("dropout", "a number from 0 and below 1", |x| {
                (0.0..1.0).contains(x)
            })?,
            class_weights: settings
                .optional_parsed("class_weights", ClassWeights::EXPECTED, ClassWeights::parse)?
                .unwrap_or_default(),
            label_smoothing: read_fraction(settings, "label_smoothing")?,
            load_best_model_at_end: settings.switch("load_best_model_at_end")?
                || settings.is_set("metric_for_best_model"),
            metric_for_best_model: settings
                .optional_text("metric_for_best_model")?
                .unwrap_or_else(|| "loss".into()),
            seed,
            no_shuffle: settings.switch("no_shuffle")?,
            group_by_length: !settings.switch("no_group_by_length")?,
            max_train_samples: read_limit(settings, "max_train_samples")?,
            max_eval_samples: read_limit(settings, "max_eval_samples")?,
            max_steps: settings
                .optional_number("max_steps", "a whole number from 1", |&n| n >= 1)?,
            init_adapter: settings.optional_path("init_adapter")?.map(NamedPath::new),
            train_pooler: settings.switch("train_pooler")?,
            plugins: plugins::read(settings)?,
            threads: read_threads(settings)?,
            device: read_device(settings)?,
            kernels: read_kernels(settings)?,
            output: settings.optional_path("output")?,
            overwrite_output: settings.switch("overwrite_output")?,
            logging_steps: read_count(settings, "logging_steps")?,
            frozen_dropout: settings.switch("frozen_dropout")?,
            token_cache: settings.choice("token_cache", TokenCacheUse::NAMES)?,
            prefix_cache: settings.choice("prefix_cache", Mode::NAMES)?,
            prefix_cache_budget: settings.optional_parsed(
                "prefix_cache_budget",
                ByteSize::EXPECTED,
                ByteSize::parse,
            )?,
            prefix_cache_dtype: settings.choice("prefix_cache_dtype", CacheDtype::NAMES)?,
            recompute: settings.switch("recompute")?,
            memory_budget: settings.optional_parsed(
                "memory_budget",
                ByteSize::EXPECTED,
                ByteSize::parse,
            )?,
        };
        config.check_method_options(settings)?;
        Ok(config)
    }

    /// Options without a method would silently do nothing.
    fn check_method_options(&self, settings: &Settings) -> Result<(), ConfigError> {
        let without = |key: &str, what: String| ConfigError::Conflict {
            first: format!("{key} (from {})", settings.origin(key)),
            second: format!("full fine-tuning (peft, from {})", settings.origin("peft")),
            reason: format!("{what} to a PEFT method"),
            advice: format!("choose a method with --peft, or remove {key}"),
        };
        if self.peft.is_some() {
            return Ok(());
        }
        if let Some((name, _)) = self.peft_opt.first() {
            return Err(without("peft_opt", format!("the option `{name}` belongs")));
        }
        if self.init_adapter.is_some() {
            return Err(without("init_adapter", "an adapter belongs".into()));
        }
        Ok(())
    }
}

impl Default for RunConfig {
    /// The configuration when nothing is set anywhere.
    fn default() -> Self {
        layers::merge(&TrainArgs::default(), &Sources::default(), Scope::Training)
            .and_then(|settings| Self::read(&settings))
            .expect("the defaults in config_keys are valid, as a test checks")
    }
}

fn read_model(settings: &Settings) -> Result<Option<NamedPath>, ConfigError> {
    Ok(settings
        .optional_text("model")?
        .filter(|model| model != EMBEDDED_MODEL)
        .map(NamedPath::new))
}

fn read_count(settings: &Settings, key: &str) -> Result<usize, ConfigError> {
    settings.number(key, "a whole number from 1", |&n| n >= 1)
}

/// The bound of a batch: a count of examples, or of tokens when that is set.
fn read_batch(
    settings: &Settings,
    size: &str,
    tokens: &str,
) -> Result<(usize, Option<usize>), ConfigError> {
    let Some(budget) = read_limit(settings, tokens)? else {
        return Ok((read_count(settings, size)?, None));
    };
    // `none` takes back a size that a lower layer has set.
    if read_limit(settings, size)?.is_some() && settings.is_set(size) {
        return Err(ConfigError::Conflict {
            first: format!("{size} (from {})", settings.origin(size)),
            second: format!("{tokens} (from {})", settings.origin(tokens)),
            reason: "a batch is bounded by its examples or by its tokens".into(),
            advice: "give one of them, and `none` for the other where a file or variable sets it"
                .into(),
        });
    }
    Ok((DEFAULT_BATCH_SIZE, Some(budget)))
}

fn read_eval_batch(settings: &Settings) -> Result<(usize, Option<usize>), ConfigError> {
    read_batch(settings, "eval_batch_size", "eval_batch_tokens")
}

fn limit_of(size: usize, tokens: Option<usize>) -> BatchLimit {
    tokens.map_or(BatchLimit::Examples(size), BatchLimit::Tokens)
}

fn read_limit(settings: &Settings, key: &str) -> Result<Option<usize>, ConfigError> {
    settings.optional_number(key, "a whole number from 1", |&n| n >= 1)
}

fn read_threads(settings: &Settings) -> Result<Option<usize>, ConfigError> {
    settings.optional_number("threads", "a whole number from 1 to 1024", |n| {
        (1..=1024).contains(n)
    })
}

fn read_fraction(settings: &Settings, key: &str) -> Result<f64, ConfigError> {
    settings.number(key, "a number from 0 and below 1", |x| {
        (0.0..1.0).contains(x)
    })
}

fn read_max_length(settings: &Settings) -> Result<Option<usize>, ConfigError> {
    settings.optional_number(
        "max_length",
        "a whole number from 3 (two special tokens and a word)",
        |&n| n >= 3,
    )
}

fn read_device(settings: &Settings) -> Result<Device, ConfigError> {
    settings.parsed(
        "device",
        "`cpu`, `cuda` or `cuda:N` with the number N of a GPU",
        Device::parse,
    )
}

fn read_kernels(settings: &Settings) -> Result<Kernels, ConfigError> {
    let kernels = settings.choice("kernels", Kernels::NAMES)?;
    let device = read_device(settings)?;
    if kernels == Kernels::Fused && device != Device::Cpu {
        return Err(ConfigError::Conflict {
            first: format!("kernels fused (from {})", settings.origin("kernels")),
            second: format!("device {device} (from {})", settings.origin("device")),
            reason: "the fused kernels are CPU code".into(),
            advice: "leave kernels at auto, or use device cpu".into(),
        });
    }
    Ok(kernels)
}

fn is_positive(x: f64) -> bool {
    x.is_finite() && x > 0.0
}

fn is_from_zero(x: f64) -> bool {
    x.is_finite() && x >= 0.0
}
