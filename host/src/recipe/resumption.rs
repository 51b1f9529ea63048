//! Continues a run at a checkpoint: checks that nothing has changed, and restores its state. Called
//! by the recipe before the first step.

use super::{
    Run,
    prepare::Prepared,
    saving::{Saving, identity},
};
use crate::{
    checkpoint::{Change, Checkpoint, Decision, Place, Shelf, State, changes},
    config::{Beginning, RunConfig},
    run_directory::{Claim, RESULTS, place_of_unfinished},
};
use progtune_engine::{Error, Result, optim::LrRestart};
use progtune_plugin_api::records::DecisionRecord;
use progtune_process::{grouped, terminal::note};
use std::path::Path;

/// Keys that a person may change on purpose when a run is extended.
const EXTENDING: [&str; 2] = ["epochs", "max_steps"];

/// The longest list of changes in a message.
const MOST_CHANGES: usize = 6;

/// Finds the checkpoint at which a run begins; `None` for the first step.
///
/// # Errors
/// Fails if a checkpoint was asked for and there is none that is whole.
pub(super) fn find(config: &RunConfig, claim: &Claim) -> Result<Option<Checkpoint>> {
    let output = config.output_dir();
    let place = place_of_unfinished(&output);
    match &config.saving.beginning {
        Beginning::New => {
            let is_finished = place.join(RESULTS).exists();
            let step = Shelf::of(&place).steps().last().copied();
            claim.refuse_unfinished(step.filter(|_| !is_finished))?;
            Ok(None)
        }
        Beginning::Auto => match Shelf::of(&place).newest()? {
            None => claim.refuse_finished().map(|()| None),
            found => Ok(found),
        },
        Beginning::Resumed => match Shelf::of(&place).newest()? {
            Some(found) => Ok(Some(found)),
            None => Err(Error::Usage(format!(
                "{}: no checkpoint is here; a run saves the first one after its first epoch (--save-steps N saves more): start \
                 it again",
                output.display()
            ))),
        },
        Beginning::Forked {
            from,
            at: Some(epoch),
        } => Shelf::of(&place_of_unfinished(from))
            .at_end_of(*epoch)
            .map(Some),
        Beginning::Forked { from, at: None } => {
            match Shelf::of(&place_of_unfinished(from)).newest()? {
                Some(found) => Ok(Some(found)),
                None => Err(Error::Usage(format!(
                    "{}: no checkpoint is here; choose the directory of a run that has one",
                    from.display()
                ))),
            }
        }
    }
}

/// Checks that a prepared run is the one that made the checkpoint, and returns how it saves its
/// own. `record` is its `config.toml`.
///
/// # Errors
/// Fails if something has changed that was not to change.
pub(super) fn check(
    prepared: &Prepared<'_>,
    record: &str,
    checkpoint: &Checkpoint,
) -> Result<Saving> {
    let config = prepared.inputs.config;
    let found = identity(prepared.inputs, &prepared.schedule, &prepared.model)?;
    let cache = &config.caching.prefix_cache;
    let is_exact = prepared.model.is_fused() && cache.is_exact();
    let changes = changes(&checkpoint.state, &found, record, is_exact);
    let inputs = found.inputs();
    let is_fork = matches!(config.saving.beginning, Beginning::Forked { .. });
    let (allowed, refused): (Vec<Change>, Vec<Change>) = changes.into_iter().partition(|change| {
        let key = change.key.as_str();
        // A fork changes settings on purpose, and with them the plugins.
        let is_of_fork =
            !inputs.contains_key(key) || key.starts_with("plugin_") || key == "computation";
        EXTENDING.contains(&key)
            || (is_fork && is_of_fork)
            || config.saving.allow_changed.iter().any(|given| given == key)
    });
    if !refused.is_empty() {
        return Err(refusal(&checkpoint.path, checkpoint.state.place, &refused));
    }
    let step = grouped(checkpoint.state.place.step);
    for change in &allowed {
        note(&format!("since step {step}, {}", change.describe()));
    }
    if !allowed.is_empty() && !is_fork {
        note("the result will differ from that of a run without this change");
    }
    let mut saving = Saving::new(&config.saving, record.to_owned(), Some(found));
    let State { place, spent, .. } = checkpoint.state;
    let keys = allowed.into_iter().map(|change| change.key);
    saving.continue_at(place, spent, keys.collect());
    Ok(saving)
}

/// Whether a run that is to continue is finished and has its result. A note says so.
pub(super) fn is_finished(prepared: &Prepared<'_>, checkpoint: Option<&Checkpoint>) -> bool {
    let config = prepared.inputs.config;
    let Some(checkpoint) = checkpoint else {
        return false;
    };
    let State {
        place, stops_early, ..
    } = &checkpoint.state;
    let is_between_epochs = place.step_in_epoch == 0 || place.is_closed;
    let has_no_more_steps = *stops_early || place.step >= prepared.last_step();
    let is_over = is_between_epochs && has_no_more_steps;
    let is_fork = matches!(config.saving.beginning, Beginning::Forked { .. });
    let has_result = checkpoint.run().join(RESULTS).exists();
    if is_over && has_result && !is_fork {
        note(&format!(
            "{}: this run is finished; `progtune resume {0} --epochs N` with more epochs extends it",
            config.output_dir().display()
        ));
    }
    is_over && has_result && !is_fork
}

fn refusal(path: &Path, place: Place, changes: &[Change]) -> Error {
    let mut words: Vec<String> = changes.iter().map(Change::describe).collect();
    if words.len() > MOST_CHANGES {
        let more = words.len() - MOST_CHANGES;
        words.truncate(MOST_CHANGES);
        words.push(format!("and {more} more changes"));
    }
    let keys: Vec<&str> = changes.iter().map(|change| change.key.as_str()).collect();
    Error::Usage(format!(
        "{}: the run cannot continue after step {}, because {}; undo this, or pass --allow-changed {} (the result will then \
         differ from that of an uninterrupted run)",
        path.display(),
        place.step,
        words.join("; "),
        keys.join(",")
    ))
}

impl Run<'_> {
    /// Restores the state of a checkpoint.
    ///
    /// # Errors
    /// Fails if the checkpoint does not fit the model, or the schedule now decides otherwise.
    pub(super) fn restore(&mut self, checkpoint: &mut Checkpoint) -> Result<()> {
        let candidates = &self.inputs.model_plan.candidates;
        checkpoint.restore_parameters(self.model, candidates)?;
        self.point.history = checkpoint.history()?.into();
        if let Some(decision) = checkpoint.state.decision.clone() {
            self.restore_stage(&decision, &checkpoint.path)?;
        }
        let (gradients, optimizer) = (&mut self.gradients, &mut self.optimizer);
        checkpoint.restore_optimizer(self.model, gradients, optimizer)?;
        let state = checkpoint.state.clone();
        self.place = state.place;
        self.epoch = state.epoch;
        self.epoch_loss = state.epoch_loss;
        self.loss_sum = state.loss_sum;
        self.summary = state.summary;
        self.patience = state.patience;
        // Other settings of early stopping may let the run go on.
        self.stops_early = state.stops_early && !self.saving.has_changes();
        self.skipped_in_a_row = state.skipped_in_a_row;
        if self.config.optimizer.lr_restart != LrRestart::None {
            let (first, steps) = state.lr_curve;
            self.curve = self.lr_shape.over(self.curve.peak, first..first + steps);
        }
        if let (Some(best), Some((kept, _))) = (&mut self.best, state.best) {
            best.keep_in(self.directory.path());
            best.continue_with(kept);
        }
        self.reopen_epoch();
        if self.place.step_in_epoch > 0 {
            self.cache.begin_stage(self.model, self.place.epoch)?;
        }
        checkpoint.restore_cache(self.model, self.cache)?;
        if !matches!(self.config.saving.beginning, Beginning::Forked { .. }) {
            self.promise(self.place);
        }
        let epochs = self.config.training.epochs;
        if self.saving.has_changed("epochs") {
            note(&format!(
                "the schedule plans for {epochs} epochs from now on, and the learning rate continues at {:.2e}, where the longer \
                 curve has it",
                self.curve.at(self.place.step)
            ));
        }
        let Place {
            epoch,
            step_in_epoch,
            step,
            ..
        } = self.place;
        tracing::info!(epoch, step_in_epoch, step, "continuing after a checkpoint");
        let evaluations = (0..u64::from(epoch) - 1).map(|epoch| self.eval_times.in_epoch(epoch));
        self.progress.continue_at(step, evaluations.sum());
        // The plan was made for the present settings, as if all epochs had them.
        let plan = if self.saving.has_changes() && epoch > 1 {
            "; the plan above holds from here on"
        } else {
            ""
        };
        note(&format!(
            "continuing after step {} (epoch {epoch}), from {}{plan}",
            grouped(step),
            checkpoint.path.display()
        ));
        Ok(())
    }

    /// Makes the stage of the last decision current. The schedule is asked again, with the record
    /// that it had then.
    fn restore_stage(&mut self, decision: &Decision, path: &Path) -> Result<()> {
        let history = self.point.history.iter().take(decision.signals).cloned();
        let point = DecisionRecord {
            step_in_epoch: decision.step_in_epoch,
            global_step: decision.step,
            history: history.collect(),
            ..DecisionRecord::epoch(decision.epoch)
        };
        let model_plan = &self.inputs.model_plan;
        self.stage = model_plan.decide(self.schedule, &point)?;
        let infos = self.model.parameters.infos();
        let trainable = self.stage.trainable.iter().map(|&id| &infos[id].name);
        let is_same = trainable.eq(&decision.trainable);
        if !is_same && self.saving.has_changes() {
            // The stage of the earlier schedule holds until the next decision, and so does the
            // optimizer's state for it.
            let trained = |&id: &usize| decision.trainable.contains(&infos[id].name);
            let trainable = model_plan
                .candidates
                .iter()
                .copied()
                .filter(trained)
                .collect();
            self.stage = model_plan.stage_of(decision.epoch, decision.step_in_epoch, trainable);
        } else if !is_same {
            return Err(Error::Training(format!(
                "{}: the schedule {} decides otherwise for epoch {} than it did in this run, given the same record; a \
                 schedule must be a function of what it is told: report this to its author",
                path.display(),
                self.config.schedule_and_method.schedule,
                decision.epoch
            )));
        }
        self.decided = Some(super::decide::Point {
            epoch: decision.epoch,
            step_in_epoch: decision.step_in_epoch,
            step: decision.step,
            signals: decision.signals,
        });
        self.model.parameters.set_trainable(&self.stage.trainable);
        self.gradients = self.model.gradients()?;
        Ok(())
    }

    /// Takes up an epoch inside which the run had ended, if there are more steps now.
    fn reopen_epoch(&mut self) {
        if self.place.is_closed && !self.has_no_more_steps() {
            self.place.is_closed = false;
            self.epoch = self.summary.history.pop().unwrap_or_default();
        }
    }
}
