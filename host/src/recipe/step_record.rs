//! The records of steps, and the signals that schedules get from them. On the CPU a step is
//! recorded at once. A GPU computes many steps before it is asked for their losses and norms, so
//! these are recorded together. Called by the recipe.

use super::Run;
use crate::engaged::count_step;
use progtune_engine::{
    Batch, Result,
    optim::{AdamW, StepFigures},
};
use serde_json::json;
use std::time::Instant;

/// A step that was computed, or is being computed.
pub(super) struct Taken {
    /// Its number, counted from 1.
    pub step: u64,
    pub lr: f64,
    pub tokens: usize,
    pub examples: usize,
    pub batches: Vec<Batch>,
    pub started: Instant,
}

impl Run<'_> {
    /// Counts a step, whose figures may be unknown.
    pub(super) fn count(&mut self, taken: &Taken) {
        let summary = &mut self.summary;
        summary.steps += 1;
        let model_plan = &self.inputs.model_plan;
        count_step(&mut summary.trained_steps, &self.stage, model_plan);
        summary.samples += taken.examples as u64;
        summary.tokens += taken.tokens as u64;
    }

    /// The most steps that are computed before their figures are read.
    fn most_unread(&self) -> usize {
        let logging_steps = self.config.output.logging_steps.max(1);
        logging_steps.min(self.gradients.most_unread_steps())
    }

    /// Records a step whose figures are not known yet as soon as enough others wait.
    ///
    /// # Errors
    /// As [`Run::read_steps`].
    pub(super) fn record_later(&mut self, taken: Taken) -> Result<()> {
        self.unread.push(taken);
        if self.unread.len() < self.most_unread() {
            return Ok(());
        }
        self.read_steps()
    }

    /// Records the steps whose figures were not known, once they are done. Everything that depends
    /// on them comes after it: decisions, evaluations, checkpoints, the end of an epoch.
    ///
    /// # Errors
    /// Fails if a step was not finite, or the device fails.
    pub(super) fn read_steps(&mut self) -> Result<()> {
        let unread = std::mem::take(&mut self.unread);
        let Some(first) = unread.first().map(|taken| taken.started) else {
            return Ok(());
        };
        let figures = AdamW::read(&self.model.parameters, &mut self.gradients)?;
        let secs = first.elapsed().as_secs_f64() / unread.len() as f64;
        for (taken, figures) in unread.iter().zip(&figures) {
            if !figures.are_finite() {
                // No step since this one has updated anything.
                self.skip_or_stop(taken, figures)?;
            }
            self.record_step(taken, figures, secs, false)?;
        }
        Ok(())
    }

    /// Records a step, which may have been skipped. The losses of skipped steps have no mean, and
    /// their gradients are no signals.
    pub(super) fn record_step(
        &mut self,
        taken: &Taken,
        figures: &StepFigures,
        secs: f64,
        is_skipped: bool,
    ) -> Result<()> {
        let StepFigures { loss, norms } = figures;
        self.summary.step_secs += secs;
        if !is_skipped {
            self.loss_sum += loss;
            self.epoch_loss = (self.epoch_loss.0 + loss, self.epoch_loss.1 + 1);
        }
        let mut record = json!({
            "step": taken.step,
            "epoch": self.epoch.epoch,
            "loss": loss,
            "lr": taken.lr,
            "grad_norm": norms.global,
            "tokens": taken.tokens,
            "secs": secs,
        });
        if is_skipped {
            record["skipped"] = json!(true);
        }
        if taken.step == self.last_step {
            self.directory.begin_saving();
        }
        self.directory.record(&record)?;
        if !is_skipped {
            self.signal_at(taken.step, "block_grad_norm", || norms.blocks.clone());
        }
        self.progress.step(&record);
        Ok(())
    }
}
