//! A run's decisions: values that its configuration leaves open. The recipe creates them and writes
//! them to the run's `config.toml`, in place of the requested values.

use super::{
    BatchingConfig, CachingConfig, InputsConfig, MemoryConfig, OptimizerConfig, RunConfig,
    ScheduleAndMethod,
};
use crate::prefix_cache;
use progtune_process::ByteSize;

/// The decisions of a run before its first step.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// The maximum input length in tokens: the requested one, otherwise the default for the kind of
    /// task.
    pub max_length: usize,
    /// The peak learning rate: the requested one, otherwise the method's suggestion.
    pub lr: f64,
    /// The options of the method: the user's, then those of the initial adapter.
    pub peft_opt: Vec<(String, String)>,
    /// Whether activations are recomputed, either on request or to fit the memory budget.
    pub recompute: bool,
    /// The maximum size of the prefix cache.
    pub prefix_cache_budget: Option<ByteSize>,
}

impl Decided {
    /// The requested prefix cache, within its budget.
    pub fn prefix_cache(&self, config: &RunConfig) -> prefix_cache::Settings {
        prefix_cache::Settings {
            budget: self.prefix_cache_budget,
            ..config.caching.prefix_cache
        }
    }
}

impl RunConfig {
    /// The `config.toml` of a run: the configuration that repeats it, with the local `inputs` and
    /// the decisions.
    pub fn record(&self, inputs: &InputsConfig, decided: &Decided) -> String {
        self.decided(inputs, decided).to_toml()
    }

    /// The configuration that repeats a run.
    pub(super) fn decided(&self, inputs: &InputsConfig, decided: &Decided) -> Self {
        Self {
            inputs: inputs.clone(),
            schedule_and_method: ScheduleAndMethod {
                peft_opt: decided.peft_opt.clone(),
                ..self.schedule_and_method.clone()
            },
            optimizer: OptimizerConfig {
                lr: Some(decided.lr),
                ..self.optimizer
            },
            batching: BatchingConfig {
                max_length: Some(decided.max_length),
                ..self.batching
            },
            caching: CachingConfig {
                prefix_cache: decided.prefix_cache(self),
                ..self.caching
            },
            memory: MemoryConfig {
                recompute: decided.recompute,
                ..self.memory
            },
            ..self.clone()
        }
    }
}
