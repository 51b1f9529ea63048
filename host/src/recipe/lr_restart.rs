//! New learning-rate curves within a run (`--lr-restart stage`). A curve begins with each stage
//! that trains other parameters than the one before it. It ends where the next one is known to
//! begin, otherwise with the run. Called by the recipe; `plan` shows the beginnings.

use super::Run;
use progtune_engine::{optim::LrRestart, plan::RunPlan};
use progtune_process::short_list;
use serde_json::{Map, Value, json};

impl Run<'_> {
    /// Begins a new curve at a stage of `epoch` that trains other parameters, if the run has one
    /// for each such stage.
    pub(super) fn restart_lr(&mut self, epoch: u32) {
        let optimizer = &self.config.optimizer;
        if optimizer.lr_restart == LrRestart::None {
            return;
        }
        let begin = self.summary.steps;
        let mut known = self.changes.iter().flatten();
        let next = known.find(|&&change| change > epoch);
        let end = next.map_or(self.total_steps, |&next| {
            u64::from(next - 1) * self.order.steps_per_epoch()
        });
        self.curve = self.lr_shape.over(self.curve.peak, begin..end);
        tracing::info!(epoch, step = begin, end, "a new learning-rate curve");
    }
}

/// The beginnings of curves in `plan.json`: the epochs, or `null` if the run decides them. Empty
/// without restarts.
pub(crate) fn to_json(run_plan: &RunPlan, restart: LrRestart) -> Map<String, Value> {
    let mut map = Map::new();
    if restart == LrRestart::Stage {
        map.insert("lr_restart".into(), json!(restart.to_string()));
        map.insert("lr_restart_epochs".into(), json!(run_plan.changes()));
    }
    map
}

/// The beginnings of curves as a note below a plan; empty without restarts.
pub(crate) fn note(run_plan: &RunPlan, restart: LrRestart) -> String {
    if restart == LrRestart::None {
        return String::new();
    }
    let text = match run_plan.changes().as_deref() {
        None => "a new curve whenever the trained parameters change, each to the end of the run"
            .to_owned(),
        Some([] | [_]) => "one curve, because every epoch trains the same parameters".to_owned(),
        Some(changes) if changes.len() == run_plan.epochs().len() => {
            "a new curve in each epoch, because each one trains other parameters".to_owned()
        }
        Some(changes) => {
            let epochs: Vec<String> = changes.iter().map(u32::to_string).collect();
            format!(
                "a new curve from each of the epochs {}",
                short_list(&epochs, ", ")
            )
        }
    };
    format!("learning rate: {text}\n")
}
