//! The schedule `auto-freeze` trains everything at first, and freezes from the bottom the blocks
//! that have stopped changing, judged by the norms of their gradients.
//!
//! Liu, Agarwal & Venkataraman 2021, arXiv:2102.01386. The run is divided into evaluation
//! intervals. After each one, every block still trained has a ratio of change, η = |Δ(T−1) − Δ(T)|
//! / Δ(T−1), between its gradient norms in the last two intervals. The new lowest trained block is
//! the first whose η reaches the N-th percentile of all ratios. Blocks are thus frozen if they and
//! everything below them lie under it. Frozen blocks stay frozen. The largest η is never below the
//! percentile, so one block is always left. The defaults are the authors': the median, and five
//! intervals per epoch (their 20 over 4).
//!
//! There is one difference: the authors take the norm of the summed gradients of an interval. Here
//! it is the mean of each step's norm, the signal `block_grad_norm`. The embeddings are frozen with
//! the lowest block, as in the authors' code. Loaded by the host; see `progtune-plugin-api` for the
//! interface.

use progtune_plugin_api::{
    manifest::{DefaultSpec, OptionSpec},
    prelude::*,
    records::SignalRecord,
    stage,
};

/// If the embeddings were always trained, freezing the blocks above them would save nothing.
const EMBEDDINGS: OptionSpec = OptionSpec {
    default: DefaultSpec::Str("first-part"),
    ..EMBEDDINGS_OPTION
};
const SIGNAL: &str = "block_grad_norm";

struct AutoFreeze {
    run: RunRecord,
    percentile: f64,
    /// The number of steps in an evaluation interval; the last one of an epoch may be shorter. 0
    /// while the number of steps is unknown.
    interval: u64,
    embeddings: Embeddings,
}

impl AutoFreeze {
    fn create(options: &Options, host: &HostRecord, run: &RunRecord) -> Result<Self, PluginError> {
        if !host.signals.iter().any(|signal| signal.as_str() == SIGNAL) {
            return Err(PluginError::unsupported(format!(
                "this host has no signal {SIGNAL}"
            )));
        }
        let intervals = options.size("intervals")?.max(1);
        Ok(Self {
            run: run.clone(),
            percentile: options.float("percentile")?,
            interval: run.steps_per_epoch.div_ceil(intervals),
            embeddings: Embeddings::from_options(options, run)?,
        })
    }

    /// The decision point before the one at `step` (in steps of the run); `None` at the first.
    fn previous(&self, step: u64) -> Option<u64> {
        let before = step.checked_sub(1)?;
        let in_epoch = before % self.run.steps_per_epoch.max(1);
        Some(before - in_epoch % self.interval.max(1))
    }

    /// The lowest block trained from the decision point at `step` on.
    fn lowest(&self, step: u64, history: &[SignalRecord]) -> u32 {
        let Some(middle) = self.previous(step) else {
            return 0;
        };
        let last = self.mean_norms(history, middle, step);
        let trained = last.iter().position(Option::is_some).unwrap_or(0) as u32;
        let Some(first) = self.previous(middle) else {
            return trained;
        };
        let before = self.mean_norms(history, first, middle);
        let ratios: Vec<(u32, f64)> = (0..)
            .zip(before.iter().zip(&last))
            .filter_map(|(block, (&before, &last))| Some((block, change(before?, last?))))
            .collect();
        let threshold = percentile(ratios.iter().map(|&(_, ratio)| ratio), self.percentile);
        let first_above = ratios.iter().find(|&&(_, ratio)| ratio >= threshold);
        first_above.map_or(trained, |&(block, _)| block)
    }

    /// The mean gradient norm of each block over the steps `after + 1` to `to`; `None` for a block
    /// that was frozen.
    fn mean_norms(&self, history: &[SignalRecord], after: u64, to: u64) -> Vec<Option<f64>> {
        let end = history.partition_point(|signal| signal.step <= to);
        let start = history[..end].partition_point(|signal| signal.step <= after);
        let records = &history[start..end];
        let mean = |block: usize| {
            let values = records.iter().filter_map(|signal| signal.values.get(block));
            let norms: Vec<f64> = values.copied().filter(|norm| norm.is_finite()).collect();
            (!norms.is_empty()).then(|| norms.iter().sum::<f64>() / norms.len() as f64)
        };
        (0..self.run.blocks as usize).map(mean).collect()
    }
}

/// The ratio η of one block.
fn change(before: f64, last: f64) -> f64 {
    match (before - last).abs() {
        0.0 => 0.0,
        // A change from zero counts as larger than any other.
        _ if before == 0.0 => f64::MAX,
        difference => difference / before,
    }
}

/// The percentile of some numbers, interpolated between neighbours as in numpy; 0 if there are
/// none.
fn percentile(numbers: impl Iterator<Item = f64>, percent: f64) -> f64 {
    let mut sorted: Vec<f64> = numbers.collect();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let position = last as f64 * percent / 100.0;
    let (low, high) = (position.floor() as usize, position.ceil() as usize);
    let share = position - position.floor();
    sorted[low] * (1.0 - share) + sorted[high] * share
}

impl Schedule for AutoFreeze {
    fn traits(&self) -> ScheduleTraits {
        ScheduleTraits {
            signals: vec![SIGNAL.into()].into(),
            interval_steps: self.interval,
            ..ScheduleTraits::default()
        }
    }

    fn plan(&self, decision: &DecisionRecord) -> Result<SchedulePlan, PluginError> {
        stage::epoch(&self.run, decision)?;
        let lowest = self.lowest(decision.global_step, &decision.history);
        Stage::blocks(lowest..self.run.blocks, self.embeddings).plan(&self.run)
    }
}

export_plugin! {
    schedules: [
        {
            id: "auto-freeze",
            summary: "freezes blocks from the bottom once their gradients stop changing (AutoFreeze)",
            options: [
                {
                    name: "percentile", kind: Float, default: 50, min: 0, max: 100,
                    help: "percentile of change below which blocks may be frozen; 0: none"
                },
                { name: "intervals", kind: Int, default: 5, min: 1, help: "number of comparisons of the changes per epoch" },
                EMBEDDINGS,
            ],
            create: AutoFreeze::create,
        },
    ],
}

#[cfg(test)]
mod tests;
