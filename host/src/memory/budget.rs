//! `--memory-budget`: makes a run fit, or refuses it before it begins. Called by the recipe.

use super::{Footprint, MemoryForecast, mib};
use crate::{config::RunConfig, prefix_cache::Mode};
use progtune_engine::{
    error::{Error, Result},
    model::{config::ModelConfig, description::HeadKind},
    plan::{ModelPlan, Stage},
};
use progtune_pipeline::{eval_split::EvalSplit, token_store::Examples};
use progtune_process::byte_size::ByteSize;

/// What `--memory-budget` decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Whether the run recomputes activations: asked for, or needed to fit.
    pub recompute: bool,
    /// What to tell the person; `None` without a budget.
    pub note: Option<String>,
    /// What the prefix cache may take: what it was given, at most what the run leaves of its budget.
    pub prefix_cache_budget: Option<ByteSize>,
}

/// Whether the run fits its memory budget, and how.
///
/// # Errors
/// As [`settle`].
pub fn settle_memory(
    config: &RunConfig,
    model_config: &ModelConfig,
    head: HeadKind,
    model_plan: &ModelPlan,
    stages: &[Stage],
    (examples, eval_splits): (&Examples, &[EvalSplit]),
) -> Result<Settled> {
    let memory_forecast =
        MemoryForecast::new(model_config, head, model_plan, config.machine.threads)?;
    let memory_forecast = match config.memory.budget {
        // Nothing is predicted.
        None => memory_forecast,
        Some(_) => {
            let (batching, training) = (&config.batching, &config.training);
            memory_forecast.with_data(batching, training, examples, eval_splits)?
        }
    };
    settle(config, &memory_forecast, stages)
}

/// Makes the run fit its budget, or refuses it. Without a budget everything stays as it was asked for.
///
/// # Errors
/// Fails if it does not fit even with recomputation; when the run is not on the fused path.
pub fn settle(
    config: &RunConfig,
    memory_forecast: &MemoryForecast<'_>,
    stages: &[Stage],
) -> Result<Settled> {
    let cache = &config.caching.prefix_cache;
    let as_asked = Settled {
        recompute: config.memory.recompute,
        note: None,
        prefix_cache_budget: cache.budget,
    };
    let Some(budget) = config.memory.budget else {
        return Ok(as_asked);
    };
    if !config.machine.is_fused() {
        return Err(Error::Usage(format!(
            "--memory-budget {budget}: the memory of the fused kernels on the CPU is predicted, and this run has --device \
             {} and --kernels {}; leave the budget out, or use --device cpu with --kernels auto",
            config.machine.device, config.machine.kernels
        )));
    }
    let left = |peak: &Footprint| {
        let left = ByteSize((budget.0 - peak.total()).max(1));
        let given = cache.budget.unwrap_or(left);
        match cache.mode {
            Mode::Auto | Mode::Ram => Some(given.min(left)),
            Mode::Off | Mode::Disk => cache.budget,
        }
    };
    let asked = memory_forecast.peak(stages, config.memory.recompute);
    if asked.total() <= budget.0 {
        let note = format!("--memory-budget {budget}: {}", asked.describe());
        return Ok(Settled {
            recompute: config.memory.recompute,
            note: Some(note),
            prefix_cache_budget: left(&asked),
        });
    }
    let least = memory_forecast.peak(stages, true);
    if least.total() <= budget.0 {
        let note = format!(
            "--memory-budget {budget}: activations are recomputed, without that {} would be needed; {}",
            mib(asked.total()),
            least.describe()
        );
        return Ok(Settled {
            recompute: true,
            note: Some(note),
            prefix_cache_budget: left(&least),
        });
    }
    Err(refusal(budget, &least, config.trainables.peft.is_some()))
}

fn refusal(budget: ByteSize, least: &Footprint, has_method: bool) -> Error {
    let largest = least.parts.iter().max_by_key(|(_, bytes)| *bytes);
    let advice = match largest.map(|(name, _)| *name) {
        Some("activations") => {
            "use a smaller --batch-size (with --gradient-accumulation-steps) or --max-length"
        }
        Some("gradients" | "optimizer") if !has_method => {
            "train fewer parameters with a PEFT method (--peft lora)"
        }
        _ => "use a smaller model",
    };
    Error::Usage(format!(
        "--memory-budget {budget} is {}, which is not enough even with --recompute; {}; {advice}, or allow more",
        mib(budget.0),
        least.describe()
    ))
}
