//! A step whose loss or gradient is not finite: described in a file, and then skipped or the end of
//! the run. Called by the recipe.

use super::{Run, step_record::Taken};
use crate::{
    checkpoint::Shelf,
    json_text::to_text,
    nonfinite::{MOST_FILES, MOST_IN_A_ROW, NonfiniteStep, OnNonfinite, file_name},
    run_examples::training_texts,
};
use progtune_engine::{
    Error, Result,
    optim::{AdamW, StepFigures},
};
use progtune_process::files::write_atomically;

/// The advice about a run that diverges.
const ADVICE: &str = "try a lower --lr, a longer --warmup or a smaller --max-grad-norm";

impl Run<'_> {
    /// Skips the step that has just been computed, so that parameters and optimizer stay as they
    /// are.
    ///
    /// # Errors
    /// Fails if the run does not skip such steps, if too many in a row were skipped, or if
    /// parameters are not finite, since no later step could be.
    pub(super) fn skip_or_stop(&mut self, taken: &Taken, figures: &StepFigures) -> Result<()> {
        let parameters = self.broken_parameters()?;
        let is_last = self.skipped_in_a_row + 1 >= MOST_IN_A_ROW;
        let (is_skipped, reaction) = match self.config.training.on_nonfinite {
            _ if is_last => (false, String::new()),
            OnNonfinite::Stop => (false, String::new()),
            OnNonfinite::Skip => (parameters.is_empty(), "skipped".to_owned()),
            OnNonfinite::Rollback => match self.roll_back()? {
                Some(to) => (
                    true,
                    format!("skipped, and parameters taken back to step {to}"),
                ),
                None => (false, String::new()),
            },
        };
        let indices = taken.batches.iter().flat_map(|batch| &batch.examples);
        let indices = indices.copied().collect();
        let texts = training_texts(&self.config.data, &self.inputs.data, &indices);
        let step = NonfiniteStep {
            step: taken.step,
            epoch: self.epoch.epoch,
            lr: taken.lr,
            loss: figures.loss,
            norms: &figures.norms,
            blocks: &self.stage.blocks,
            parameters: &parameters,
            batches: &taken.batches,
            texts: &texts,
        };
        let is_described =
            (!is_skipped || self.summary.skipped_steps < MOST_FILES) && self.write_about(&step);
        if !is_skipped {
            return Err(self.diverged(&step, is_described));
        }
        let place = if is_described {
            format!("; the {} in {}", step.batch(), file_name(step.step))
        } else {
            String::new()
        };
        let text = format!("step {}: {reaction}: {}{place}", step.step, step.fault());
        // More than one warning would hide others; the log has all of them.
        if self.summary.skipped_steps == 0 {
            tracing::warn!("{text}");
        } else {
            tracing::info!("{text}");
        }
        self.gradients.clear()?;
        self.skipped_in_a_row += 1;
        self.summary.skipped_steps += 1;
        Ok(())
    }

    /// Gives the trained parameters and the optimizer the values of the last checkpoint. Returns
    /// its step, or `None` if there is no checkpoint.
    fn roll_back(&mut self) -> Result<Option<u64>> {
        let shelf = Shelf::of(self.directory.path());
        let Some(mut checkpoint) = shelf.newest()? else {
            return Ok(None);
        };
        let trained: Vec<usize> = self.model.parameters.trainable().collect();
        checkpoint.restore_parameters(self.model, &trained)?;
        self.optimizer = AdamW::new(self.config.optimizer.adamw);
        checkpoint.restore_optimizer(self.model, &mut self.gradients, &mut self.optimizer)?;
        Ok(Some(checkpoint.state.place.step))
    }

    /// Whether a trained parameter has a value that is not finite.
    ///
    /// # Errors
    /// Fails if a parameter cannot be read from its device.
    pub(super) fn has_broken_parameters(&self) -> Result<bool> {
        Ok(!self.broken_parameters()?.is_empty())
    }

    /// Checks the trained parameters. An update may overflow although the gradient was finite, and
    /// the loss shows it only if an example reaches the parameter.
    ///
    /// # Errors
    /// Fails if a value is NaN or infinite.
    pub(super) fn check_parameters(&self) -> Result<()> {
        match self.broken_parameters()?.as_slice() {
            [] => Ok(()),
            [first, others @ ..] => Err(Error::Training(format!(
                "step {}: training diverged: expected finite parameters, found NaN or infinity in {first}{}; {ADVICE}",
                self.summary.steps,
                match others.len() {
                    0 => String::new(),
                    n => format!(" and {n} more"),
                }
            ))),
        }
    }

    /// The names of trained parameters with values that are not finite.
    fn broken_parameters(&self) -> Result<Vec<String>> {
        let parameters = &self.model.parameters;
        let broken = parameters.trainable_not_finite()?.into_iter();
        Ok(broken
            .map(|id| parameters.infos()[id].name.clone())
            .collect())
    }

    /// The error that ends the run. Its batch is in a file if it `is_described`.
    fn diverged(&self, step: &NonfiniteStep<'_>, is_described: bool) -> Error {
        let mut text = format!("step {}: training diverged: {}", step.step, step.fault());
        if self.skipped_in_a_row > 0 {
            text += &format!(
                "; the {} steps before it were skipped",
                self.skipped_in_a_row
            );
        }
        if is_described {
            let file = self.directory.path().join(file_name(step.step));
            text += &format!("; the {} in {}", step.batch(), file.display());
        }
        text += &format!("; {ADVICE}");
        let policy = self.config.training.on_nonfinite;
        if policy == OnNonfinite::Stop && step.parameters.is_empty() {
            text += ", or leave such steps out with --on-nonfinite skip";
        }
        if policy == OnNonfinite::Rollback && self.saving.last().step == 0 {
            text += "; there is no checkpoint to go back to (--save-steps N saves more)";
        }
        Error::Training(text)
    }

    /// Writes the file about a step. A file that cannot be written is only logged, since the step
    /// matters more.
    fn write_about(&self, step: &NonfiniteStep<'_>) -> bool {
        let path = self.directory.path().join(file_name(step.step));
        let text = to_text(&step.to_json()) + "\n";
        let written = write_atomically(&path, text.as_bytes());
        if let Err(error) = &written {
            tracing::info!("{}: cannot be written: {error}", path.display());
        }
        written.is_ok()
    }
}
