//! The decision points of a run. The schedule receives the signals it subscribed to and decides,
//! and its decision becomes the trainable set. Called by the recipe.

use super::Run;
use progtune_engine::Result;
use progtune_plugin_api::records::SignalRecord;

/// A decision point, and the number of observations that the schedule had been told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub epoch: u32,
    pub step_in_epoch: u64,
    pub step: u64,
    pub signals: usize,
}

impl Run<'_> {
    /// Asks the schedule for a decision, and makes exactly the decided parameters trainable.
    ///
    /// # Errors
    /// Fails if the schedule fails or decides something invalid, or if the prefix cache fails.
    pub(super) fn decide(&mut self, epoch: u32, step_in_epoch: u64) -> Result<()> {
        self.read_steps()?;
        let done = self.summary.steps;
        if step_in_epoch > 0 {
            self.signal_loss();
        }
        self.point.epoch = epoch;
        self.point.step_in_epoch = step_in_epoch;
        self.point.global_step = done;
        let stage = self.inputs.model_plan.decide(self.schedule, &self.point)?;
        self.decided = Some(Point {
            epoch,
            step_in_epoch,
            step: done,
            signals: self.point.history.len(),
        });
        let changed = stage.trainable != self.stage.trainable;
        self.stage = stage;
        if changed {
            self.model.parameters.set_trainable(&self.stage.trainable);
            self.optimizer.retain_trainable(&self.model.parameters);
            self.gradients = self.model.gradients()?;
            self.restart_lr(epoch);
        }
        if changed || step_in_epoch == 0 {
            self.cache.begin_stage(self.model, epoch)?;
        }
        tracing::info!(
            epoch,
            step = done,
            blocks = self.stage.block_ranges(),
            embeddings = self.stage.embeddings,
            trainable_parameters = self.stage.trainable_parameters,
            note = self.stage.note,
            "stage"
        );
        self.epoch.add_stage(&self.stage);
        // A stage decided by signals is shown. A schedule that decides every few steps without
        // signals only appears in the log.
        if step_in_epoch == 0 || (changed && !self.schedule.traits().signals.is_empty()) {
            self.progress.stage(&self.stage, done);
        }
        Ok(())
    }

    /// Records the mean loss of the epoch so far, if the schedule subscribed to it.
    pub(super) fn signal_loss(&mut self) {
        let (sum, n) = self.epoch_loss;
        if n > 0 {
            self.signal("train_loss", || vec![sum / n as f64]);
        }
    }

    /// Records an observation, if the schedule subscribed to it.
    pub(super) fn signal(&mut self, name: &str, values: impl FnOnce() -> Vec<f64>) {
        self.signal_at(self.summary.steps, name, values);
    }

    /// Records an observation after a step, if the schedule subscribed to it.
    pub(super) fn signal_at(&mut self, step: u64, name: &str, values: impl FnOnce() -> Vec<f64>) {
        let mut signals = self.schedule.traits().signals.iter();
        if signals.any(|signal| signal.as_str() == name) {
            self.point.history.push(SignalRecord {
                name: name.into(),
                epoch: self.epoch.epoch,
                step,
                values: values().into(),
                ext: Default::default(),
            });
        }
    }
}
