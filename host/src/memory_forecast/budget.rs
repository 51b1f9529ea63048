//! `--memory-budget`: makes a run fit, or refuses it before it begins. Called by the recipe.

use super::{Footprint, MemoryForecast, mib};
use crate::{config::RunConfig, prefix_cache::Mode};
use progtune_engine::{
    Error, HeadKind, Result,
    model::{ComputePath, ModelConfig},
    plan::{ModelPlan, Stage},
};
use progtune_pipeline::{EvalSplit, token_store::Examples};
use progtune_process::ByteSize;

/// The decisions that follow from `--memory-budget`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settled {
    /// Whether the run recomputes activations, because it was requested or is needed to fit.
    pub recompute: bool,
    /// The text for the user, or `None` without a budget.
    pub note: Option<String>,
    /// The memory limit of the prefix cache: its own budget, or less if the run leaves less of the
    /// memory budget.
    pub prefix_cache_budget: Option<ByteSize>,
}

/// Decides whether and how the run fits its memory budget.
///
/// # Errors
/// Fails in the cases of [`settle`].
pub(crate) fn settle_memory(
    config: &RunConfig,
    model_config: &ModelConfig,
    head: HeadKind,
    model_plan: &ModelPlan,
    stages: &[Stage],
    (examples, eval_splits): (&Examples, &[EvalSplit]),
) -> Result<Settled> {
    let memory_forecast = MemoryForecast::new(model_config, head, model_plan, &config.machine)?;
    let memory_forecast = match config.memory.budget {
        // Without a budget there is no forecast.
        None => memory_forecast,
        Some(_) => {
            let (batching, training) = (&config.batching, &config.training);
            memory_forecast.with_data(batching, training, examples, eval_splits)?
        }
    };
    settle(config, &memory_forecast, stages)
}

/// An error of a run, with the forecast if the GPU has no memory left.
pub(crate) fn explained(
    error: Error,
    config: &RunConfig,
    (model_config, head): (&ModelConfig, HeadKind),
    model_plan: &ModelPlan,
    stages: &[Stage],
    (examples, eval_splits): (&Examples, &[EvalSplit]),
) -> Error {
    if !matches!(error, Error::GpuMemory) {
        return error;
    }
    let recompute = config.memory.recompute;
    let forecast = MemoryForecast::new(model_config, head, model_plan, &config.machine)
        .and_then(|new| new.with_data(&config.batching, &config.training, examples, eval_splits))
        .map(|forecast| forecast.peak(stages, recompute).describe());
    match forecast {
        Ok(note) => Error::Noted {
            source: Box::new(error),
            note,
        },
        Err(_) => error,
    }
}

/// Makes the run fit its budget, or refuses it. Without a budget all settings stay as requested.
///
/// # Errors
/// Fails if the run does not fit even with recomputation, or candle's primitives compute it.
pub(crate) fn settle(
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
    if config.machine.path() == ComputePath::Composed {
        return Err(Error::Usage(format!(
            "--memory-budget {budget}: memory is forecast only for the fused kernels, but this run has --kernels {}; remove \
             the budget, or use --kernels auto",
            config.machine.kernels
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
            "--memory-budget {budget}: activations are recomputed, because the run would otherwise need {}; {}",
            mib(asked.total()),
            least.describe()
        );
        return Ok(Settled {
            recompute: true,
            note: Some(note),
            prefix_cache_budget: left(&least),
        });
    }
    Err(refusal(
        budget,
        &least,
        config.schedule_and_method.peft.is_some(),
    ))
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
        "--memory-budget {budget} ({}) is not enough, even with --recompute; {}; {advice}, or raise the budget",
        mib(budget.0),
        least.describe()
    ))
}
