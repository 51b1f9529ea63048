//! What a run decides: the values that its configuration leaves open. Made by the recipe, written to the run's
//! `config.toml` in place of what was asked for.

use super::{
    BatchingConfig, CachingConfig, InputsConfig, MemoryConfig, OptimizerConfig, RunConfig,
    TrainablesConfig,
};
use crate::prefix_cache;
use progtune_process::byte_size::ByteSize;

/// What a run decides before its first step.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// The longest input in tokens: what was asked for, else what suits the task.
    pub max_length: usize,
    /// The learning rate at its peak: what was asked for, else the method's suggestion.
    pub lr: f64,
    /// Options of the method: the user's, then those of the adapter that training starts from.
    pub peft_opt: Vec<(String, String)>,
    /// Whether activations are recomputed: asked for, or needed to fit the memory budget.
    pub recompute: bool,
    /// The most that the prefix cache may take.
    pub prefix_cache_budget: Option<ByteSize>,
}

impl Decided {
    /// The prefix cache as it was asked for, within its budget.
    pub fn prefix_cache(&self, config: &RunConfig) -> prefix_cache::Settings {
        prefix_cache::Settings {
            budget: self.prefix_cache_budget,
            ..config.caching.prefix_cache
        }
    }
}

impl RunConfig {
    /// The `config.toml` of a run: the configuration that makes it again, with the local `inputs` and what was decided.
    pub fn record(&self, inputs: &InputsConfig, decided: &Decided) -> String {
        let again = Self {
            inputs: inputs.clone(),
            trainables: TrainablesConfig {
                peft_opt: decided.peft_opt.clone(),
                ..self.trainables.clone()
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
        };
        again.to_toml()
    }
}
