//! The resolved configuration of each command: defaults < `--config` file < `PROGTUNE_*` environment < flags, every
//! value checked. `main` resolves once, right after `cli` has parsed; everything later reads these structs and never
//! the arguments, so that a later error is about the run.
//!
//! A key is a flag's name in snake case. [`crate::config_keys`] lists them with their defaults, `layers` merges, `settings`
//! checks single values, and a file for each concern reads and checks its own. A resolved configuration never changes: what
//! a run finds out is in [`InputsConfig`], what it decides in [`Decided`].

use std::path::{Path, PathBuf};

pub use crate::error::ConfigError;
use crate::{cli::TrainArgs, config_keys::Scope, plugin::PluginSources};

mod answering;
mod batching;
mod caching;
mod choices;
mod data;
mod decided;
pub(crate) mod export;
mod hub;
mod inference;
mod inputs;
mod inspect;
mod layers;
mod loss;
mod machine;
mod memory;
mod optimizer;
mod output;
mod own;
mod plugins;
mod settings;
mod show;
mod split;
#[cfg(test)]
mod tests;
mod trainables;
mod training;

pub use answering::max_length;
pub use batching::BatchingConfig;
pub use caching::CachingConfig;
pub(crate) use choices::choices;
pub use data::DataConfig;
pub use decided::Decided;
pub use hub::HubConfig;
pub use inference::{
    AdaptedModel, AdapterChoice, EvaluateConfig, InferenceConfig, MergeConfig, PredictConfig,
    PredictInput,
};
pub use inputs::InputsConfig;
pub use inspect::InspectConfig;
pub use layers::Sources;
pub use loss::LossConfig;
pub use machine::MachineConfig;
pub use memory::MemoryConfig;
pub use optimizer::OptimizerConfig;
pub use output::OutputConfig;
pub use own::check_complete as check_own_complete;
pub use plugins::resolve_plugins;
pub use split::Split;
pub use trainables::TrainablesConfig;
pub use training::TrainingConfig;

use settings::Settings;

/// The task where none is named: one that generates its own data.
pub const SAMPLE_TASK: &str = "sample";

/// The word for the model inside the binary.
const EMBEDDED_MODEL: &str = "embedded";

/// A training run, or the plan of one, by concern. Defaults are in [`KEYS`](crate::config_keys::KEYS); where Hugging Face's
/// Trainer has one it is the same.
#[derive(Debug, Clone, PartialEq)]
pub struct RunConfig {
    /// Models, adapters and data.
    pub inputs: InputsConfig,
    /// How ids are looked up.
    pub hub: HubConfig,
    /// The task, and how much of its data is used.
    pub data: DataConfig,
    /// Schedule and method.
    pub trainables: TrainablesConfig,
    /// Epochs, steps, seed, dropout, the best epoch.
    pub training: TrainingConfig,
    /// AdamW and its learning rate.
    pub optimizer: OptimizerConfig,
    /// Class weights and label smoothing.
    pub loss: LossConfig,
    /// Batches, and the length of sequences.
    pub batching: BatchingConfig,
    /// Tokenised data and the output of frozen blocks.
    pub caching: CachingConfig,
    /// The memory that training may take.
    pub memory: MemoryConfig,
    /// Threads, device and kernels.
    pub machine: MachineConfig,
    /// The run directory and the progress lines.
    pub output: OutputConfig,
    /// Where plugins are looked for, and which builds are meant.
    pub plugins: PluginSources,
}

impl RunConfig {
    /// The configuration of `progtune train`.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown key, a value that its key does not take, own data without its files.
    pub fn resolve_train(args: &TrainArgs, sources: &Sources) -> Result<Self, ConfigError> {
        let config = Self::resolve_plan(args, sources)?;
        if let (Some(own), None) = (&config.inputs.own, &config.inputs.data) {
            own::check_complete(own)?;
        }
        Ok(config)
    }

    /// The configuration of `progtune plan`, which counts parameters and so needs no data.
    ///
    /// # Errors
    /// As [`RunConfig::resolve_train`], but the data may be missing.
    pub fn resolve_plan(args: &TrainArgs, sources: &Sources) -> Result<Self, ConfigError> {
        Self::read(&layers::merge(args, sources, Scope::Training)?)
    }

    /// The run directory when none is given: `runs/<task>-<schedule>-<method or "full">-seed<seed>`.
    pub fn default_output(&self) -> PathBuf {
        let TrainablesConfig { schedule, peft, .. } = &self.trainables;
        let method = peft.as_deref().unwrap_or("full");
        let (task, seed) = (&self.data.task, self.training.seed);
        let name = format!("{task}-{schedule}-{method}-seed{seed}");
        // Names of plugins and tasks are not ours: none of them may lead out of `runs`.
        let name = name.replace(|c: char| !c.is_alphanumeric() && !"-_.".contains(c), "_");
        Path::new("runs").join(name)
    }

    /// The run directory: the one given, else the default one.
    pub fn output_dir(&self) -> PathBuf {
        let given = self.output.directory.clone();
        given.unwrap_or_else(|| self.default_output())
    }

    fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let seed = training::read_seed(settings)?;
        let (task, own) = own::read_own(settings, true)?;
        let own = own
            .map(|own| own::with_validation_split(settings, own, seed))
            .transpose()?;
        let config = Self {
            inputs: InputsConfig::read(settings, own)?,
            hub: HubConfig::read(settings)?,
            data: DataConfig::read(settings, task)?,
            trainables: TrainablesConfig::read(settings)?,
            training: TrainingConfig::read(settings, seed)?,
            optimizer: OptimizerConfig::read(settings)?,
            loss: LossConfig::read(settings)?,
            batching: BatchingConfig::read(settings)?,
            caching: CachingConfig::read(settings)?,
            memory: MemoryConfig::read(settings)?,
            machine: MachineConfig::read(settings)?,
            output: OutputConfig::read(settings)?,
            plugins: plugins::read(settings)?,
        };
        let has_init_adapter = config.inputs.init_adapter.is_some();
        config.trainables.check(settings, has_init_adapter)?;
        Ok(config)
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

fn read_count(settings: &Settings, key: &str) -> Result<usize, ConfigError> {
    settings.number(key, "a whole number from 1", |&n| n >= 1)
}

fn read_limit(settings: &Settings, key: &str) -> Result<Option<usize>, ConfigError> {
    settings.optional_number(key, "a whole number from 1", |&n| n >= 1)
}

fn read_fraction(settings: &Settings, key: &str) -> Result<f64, ConfigError> {
    settings.number(key, "a number from 0 and below 1", is_fraction)
}

fn is_fraction(x: &f64) -> bool {
    (0.0..1.0).contains(x)
}
