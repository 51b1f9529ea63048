//! The resolved configuration of each command. Its layers are defaults < `--config` file <
//! `PROGTUNE_*` environment < flags, and every value is checked. `main` resolves the configuration
//! once, right after `cli` has parsed. Everything later reads these structs and never the
//! arguments, so a later error concerns the run.
//!
//! A key is a flag's name in snake case. One file per concern declares its flags, reads and checks
//! their values, and writes them to `config.toml`. [`keys()`] lists all keys, `layers` merges, and
//! `settings` checks single values. A resolved configuration never changes: [`InputsConfig`] holds
//! a run's findings, and [`Decided`] its decisions.

use std::path::{Path, PathBuf};

use crate::flags::{About, Arguments, Declared, Flag, Form, List, Scope};
pub use error::ConfigError;
use progtune_engine::plugin::PluginSources;

mod again;
mod answering;
mod batching;
mod caching;
mod check;
mod data;
mod decided;
mod error;
mod evaluating;
pub(crate) mod export;
mod hub;
mod inference;
mod inputs;
mod inspect;
mod layers;
mod loss;
mod machine;
mod memory;
mod merge;
mod optimizer;
mod origins;
mod output;
mod own;
mod plugins;
mod predict;
mod recorded;
mod saving;
mod schedule_and_method;
mod settings;
pub mod show;
mod split;
#[cfg(test)]
mod tests;
mod training;

pub(crate) use answering::max_length;
pub use batching::BatchingConfig;
pub use caching::{CachingConfig, without_effect};
pub use check::CheckConfig;
pub use data::DataConfig;
pub use decided::Decided;
pub use evaluating::EvaluatingConfig;
pub use hub::HubConfig;
pub use inference::{AdaptedModel, AdapterChoice, EvaluateConfig, InferenceConfig};
pub use inputs::InputsConfig;
pub use inspect::InspectConfig;
pub use layers::Sources;
pub use loss::LossConfig;
pub use machine::MachineConfig;
pub use memory::MemoryConfig;
pub use merge::MergeConfig;
pub use optimizer::OptimizerConfig;
pub use origins::Origins;
pub use output::OutputConfig;
pub(crate) use own::check_complete as check_own_complete;
pub use plugins::resolve_plugins;
pub use predict::{KeepColumns, OutputFormat, PredictConfig, PredictInput, TypedPair};
pub use recorded::RecordedData;
pub(crate) use recorded::recorded_split;
pub use saving::{Beginning, SaveStrategy, SavingConfig};
pub use schedule_and_method::ScheduleAndMethod;
pub(crate) use settings::DEFAULT as DEFAULT_ORIGIN;
pub use show::verbosity;
pub use split::Split;
pub use training::TrainingConfig;

/// The flags that commands refer to one by one.
pub(crate) mod flags {
    pub(crate) use super::{
        batching::{EVAL_BATCH_SIZE, EVAL_BATCH_TOKENS, MAX_LENGTH},
        data::{DATA, MAX_EVAL_SAMPLES, METRICS, SAMPLE, TASK},
        hub::DATA_CONFIG,
        inference::{ADAPTER, ANSWERS},
        inputs::MODEL,
        inspect::FILES,
        layers::CONFIG,
        machine::{DEVICE, KERNELS, PRECISION, THREADS},
        merge::{DTYPE, HEAD_TASK, MERGED},
        predict::{
            CONTEXT, INPUT, KEEP_COLUMNS, OUTPUT_FORMAT, PREDICTIONS, QUESTION, TEXT, TEXT_PAIR,
            TOP_K,
        },
        schedule_and_method::{PEFT_OPT, SCHEDULE_OPT},
        show::{QUIET, VERBOSE},
        split::SPLIT,
        training::SEED,
    };
}

use self::{
    answering::*, batching::*, caching::*, data::*, evaluating::*, hub::*, inference::ADAPTER,
    inputs::*, loss::*, machine::*, memory::*, optimizer::*, output::*, own::*, plugins::*,
    saving::*, schedule_and_method::*, show::*, split::SPLIT, training::*,
};
use export::Written;
use settings::Settings;

/// The flag of the run directory.
pub(crate) fn output_flag() -> &'static dyn Declared {
    &OUTPUT
}

/// The flag of a configuration file.
pub(crate) fn config_flag() -> &'static Flag<PathBuf> {
    &layers::CONFIG
}

/// The default task, which generates its own data.
pub(crate) const SAMPLE_TASK: &str = "sample";

/// The name of the model inside the binary.
const EMBEDDED_MODEL: &str = "embedded";

/// A training run or its plan, by concern. Defaults are declared with the flags and agree with
/// those of Hugging Face's Trainer, if it has one.
#[derive(Debug, Clone, PartialEq)]
pub struct RunConfig {
    /// Models, adapters and data.
    pub inputs: InputsConfig,
    /// The lookup of ids.
    pub hub: HubConfig,
    /// The task, and the amount of its data that is used.
    pub data: DataConfig,
    /// Schedule and method.
    pub(crate) schedule_and_method: ScheduleAndMethod,
    /// Epochs, steps, seed, dropout, the best model.
    pub training: TrainingConfig,
    /// Evaluations and early stopping.
    pub evaluating: EvaluatingConfig,
    /// AdamW and its learning rate.
    pub optimizer: OptimizerConfig,
    /// Class weights and label smoothing.
    pub loss: LossConfig,
    /// Batches, and the length of sequences.
    pub(crate) batching: BatchingConfig,
    /// Tokenised data and the output of frozen blocks.
    pub(crate) caching: CachingConfig,
    /// The memory available to training.
    pub memory: MemoryConfig,
    /// Threads, device and kernels.
    pub machine: MachineConfig,
    /// The run directory and the progress lines.
    pub output: OutputConfig,
    /// Checkpoints, and the beginning of the run.
    pub saving: SavingConfig,
    /// The search path for plugins, and the pinned builds.
    pub plugins: PluginSources,
    /// The origins of all these values.
    pub origins: Origins,
}

impl RunConfig {
    /// Resolves the configuration of `progtune train`.
    ///
    /// # Errors
    /// Fails if a file cannot be read, a key is unknown, a value is invalid, or own data has no
    /// files.
    pub fn resolve_train(arguments: &Arguments, sources: &Sources) -> Result<Self, ConfigError> {
        let config = Self::resolve_plan(arguments, sources)?;
        if let (Some(own), None) = (&config.inputs.own, &config.inputs.data) {
            own::check_complete(own)?;
        }
        Ok(config)
    }

    /// Resolves the configuration of `progtune plan`, which only counts parameters and so needs no
    /// data.
    ///
    /// # Errors
    /// Fails like [`RunConfig::resolve_train`], except that the data may be missing.
    pub fn resolve_plan(arguments: &Arguments, sources: &Sources) -> Result<Self, ConfigError> {
        Self::read(&layers::merge(arguments, sources, Scope::Training)?)
    }

    /// The default run directory: `runs/<task>-<schedule>-<method or "full">-seed<seed>`.
    pub(crate) fn default_output(&self) -> PathBuf {
        let ScheduleAndMethod { schedule, peft, .. } = &self.schedule_and_method;
        let method = peft.as_deref().unwrap_or("full");
        let (task, seed) = (&self.data.task, self.training.seed);
        let name = format!("{task}-{schedule}-{method}-seed{seed}");
        // Users choose the names of plugins and tasks, so no name may lead out of `runs`.
        let name = name.replace(|c: char| !c.is_alphanumeric() && !"-_.".contains(c), "_");
        Path::new("runs").join(name)
    }

    /// The given run directory, otherwise the default one.
    pub fn output_dir(&self) -> PathBuf {
        let given = self.output.directory.clone();
        given.unwrap_or_else(|| self.default_output())
    }

    /// The keys of the configuration with their values.
    fn written(&self) -> Written {
        let mut written = Written::default();
        let model = self.inputs.model.as_ref();
        let is_pinned = model.is_some_and(|model| model.pin().is_some());
        self.inputs.write(&mut written);
        self.hub.write(is_pinned, &mut written);
        self.data.write(&mut written);
        self.schedule_and_method.write(&mut written);
        self.training.write(&mut written);
        self.evaluating.write(&mut written);
        self.optimizer.write(&mut written);
        self.loss.write(&mut written);
        self.batching.write(&mut written);
        self.caching.write(&mut written);
        self.memory.write(&mut written);
        self.machine.write(&mut written);
        self.output.write(&mut written);
        self.saving.write(&mut written);
        plugins::write(&self.plugins, &mut written);
        written
    }

    fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let training = TrainingConfig::read(settings)?;
        let (task, own) = own::read_own(settings, true)?;
        let own = own
            .map(|own| own::with_validation_split(settings, own, training.seed))
            .transpose()?;
        let config = Self {
            inputs: InputsConfig::read(settings, own)?,
            hub: HubConfig::read(settings)?,
            data: DataConfig::read(settings, task)?,
            schedule_and_method: ScheduleAndMethod::read(settings)?,
            training,
            evaluating: EvaluatingConfig::read(settings)?,
            optimizer: OptimizerConfig::read(settings)?,
            loss: LossConfig::read(settings)?,
            batching: BatchingConfig::read(settings)?,
            caching: CachingConfig::read(settings)?,
            memory: MemoryConfig::read(settings)?,
            machine: MachineConfig::read(settings)?,
            output: OutputConfig::read(settings)?,
            saving: SavingConfig::read(settings)?,
            plugins: plugins::read(settings)?,
            origins: Origins::of(settings),
        };
        let adapter = config.inputs.init_adapter.as_ref();
        let adapter = adapter.map(|_| &inputs::INIT_ADAPTER as &dyn Declared);
        config.schedule_and_method.check(settings, adapter)?;
        Ok(config)
    }
}

impl Default for RunConfig {
    /// The configuration if nothing is set anywhere.
    fn default() -> Self {
        layers::merge(&Arguments::default(), &Sources::default(), Scope::Training)
            .and_then(|settings| Self::read(&settings))
            .expect("the declared defaults are valid, as a test checks")
    }
}

pub(crate) const MODELS: List = &[&MODEL];
pub(crate) const HUB: List = &[&REVISION, &OFFLINE];
const INFERENCE: List = &[&ADAPTER, &SPLIT];
pub(crate) const TASKS: List = &[
    &TASK,
    &DATA,
    &DATA_CONFIG,
    &METRICS,
    &MAX_TRAIN_SAMPLES,
    &MAX_EVAL_SAMPLES,
    &MAX_TEST_SAMPLES,
    &SAMPLE,
];
pub(crate) const OWN_DATA: List = &[
    &TRAIN_FILE,
    &VALIDATION_FILE,
    &TEST_FILE,
    &FILE_FORMAT,
    &ENCODING,
    &NO_HEADER,
    &COLUMNS,
    &TEXT_COLUMN,
    &PAIR_COLUMN,
    &LABEL_COLUMN,
    &LABEL_SEPARATOR,
    &REPAIR_TAGS,
    &PROBLEM_TYPE,
    &ON_BAD_ROW,
];
pub(crate) const OWN_TRAINING: List = &[&VALIDATION_SPLIT];
pub(crate) const SCHEDULE_AND_METHOD: List = &[
    &SCHEDULE,
    &SCHEDULE_OPT,
    &PEFT,
    &PEFT_OPT,
    &INIT_ADAPTER,
    &TRAIN_POOLER,
];
pub(crate) const PLUGINS: List = &[&PLUGIN, &PLUGIN_DIR, &LOCK, &LOCKED, &PLUGIN_ISOLATION];
pub(crate) const OPTIMISATION: List = &[
    &EPOCHS,
    &MAX_STEPS,
    &LR,
    &LR_SCHEDULER,
    &LR_END,
    &LR_POWER,
    &LR_RESTART,
    &WARMUP,
    &WEIGHT_DECAY,
    &ADAM_BETA1,
    &ADAM_BETA2,
    &ADAM_EPSILON,
    &MAX_GRAD_NORM,
    &DROPOUT,
    &FROZEN_DROPOUT,
    &HEAD_INIT,
    &CLASS_WEIGHTS,
    &LABEL_SMOOTHING,
    &SEED,
];
pub(crate) const COURSE: List = &[
    &EVAL_STRATEGY,
    &EVAL_STEPS,
    &LOAD_BEST_MODEL_AT_END,
    &METRIC_FOR_BEST_MODEL,
    &EARLY_STOPPING_PATIENCE,
    &EARLY_STOPPING_THRESHOLD,
    &ON_NONFINITE,
];
pub(crate) const BATCHES: List = &[
    &BATCH_SIZE,
    &BATCH_TOKENS,
    &EVAL_BATCH_SIZE,
    &EVAL_BATCH_TOKENS,
    &GRADIENT_ACCUMULATION_STEPS,
    &MAX_LENGTH,
];
pub(crate) const QUESTIONS: List = &[
    &DOC_STRIDE,
    &N_BEST_SIZE,
    &MAX_ANSWER_LENGTH,
    &NULL_THRESHOLD,
];
pub(crate) const ORDER: List = &[&NO_SHUFFLE, &NO_GROUP_BY_LENGTH];
pub(crate) const MEMORY: List = &[&RECOMPUTE, &MEMORY_BUDGET];
pub(crate) const OUTPUTS: List = &[&OUTPUT, &OVERWRITE_OUTPUT, &LOGGING_STEPS, &PROFILE];
pub(crate) const CHECKPOINTS: List = &[
    &SAVE_STRATEGY,
    &SAVE_STEPS,
    &SAVE_MINUTES,
    &SAVE_TOTAL_LIMIT,
    &RESUME,
    &ALLOW_CHANGED,
];
pub(crate) const MACHINE: List = &[
    &PREFIX_CACHE,
    &PREFIX_CACHE_BUDGET,
    &PREFIX_CACHE_DTYPE,
    &THREADS,
    &DEVICE,
    &PRECISION,
    &KERNELS,
    &TOKEN_CACHE,
];
pub(crate) const DISPLAY: List = &[&PROGRESS, &COLOR];

/// The keys in the order of the help and of a run's `config.toml`. Each is declared beside the
/// struct that reads it.
const ALL: &[List] = &[
    MODELS,
    HUB,
    INFERENCE,
    TASKS,
    OWN_DATA,
    OWN_TRAINING,
    SCHEDULE_AND_METHOD,
    PLUGINS,
    OPTIMISATION,
    COURSE,
    BATCHES,
    QUESTIONS,
    ORDER,
    MEMORY,
    OUTPUTS,
    CHECKPOINTS,
    MACHINE,
    DISPLAY,
];

/// All keys.
pub fn keys() -> impl Iterator<Item = &'static About> {
    key_flags().map(|flag| flag.about())
}

/// The flags that set a key.
pub(crate) fn key_flags() -> impl Iterator<Item = &'static dyn Declared> {
    ALL.iter().flat_map(|list| list.iter().copied())
}

/// The key with this name.
pub(crate) fn find_key(name: &str) -> Option<&'static About> {
    keys().find(|key| key.name == name)
}

/// A count of at least 1.
const fn limit() -> Form<usize> {
    Form::Parsed("a whole number of at least 1", |text| {
        text.parse().ok().filter(|&n| n >= 1)
    })
}

/// A share in `[0, 1)`.
const fn fraction() -> Form<f64> {
    Form::Parsed("a number of at least 0 and below 1", |text| {
        text.parse().ok().filter(|x| (0.0..1.0).contains(x))
    })
}
