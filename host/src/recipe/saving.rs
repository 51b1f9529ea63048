//! Checkpoints of a run: decides when one is due, and saves it. Called between two steps.

use super::{Run, prepare::Inputs};
use crate::{
    checkpoint::{Decision, Identity, Place, Shelf, Spent, State, tensors_of},
    config::{SaveStrategy, SavingConfig},
};
use progtune_engine::{Error, Result, made_by::plugins_json, model::Model, plugin::LoadedSchedule};
use progtune_pipeline::EvalSplit;
use progtune_process::interrupt;
use std::{collections::BTreeMap, time::Instant};

/// The saving of checkpoints in a run.
pub(super) struct Saving {
    settings: SavingConfig,
    /// The run's `config.toml`.
    record: String,
    /// The identity of the run's inputs, once it is known.
    identity: Option<Identity>,
    /// The place of the last checkpoint.
    last: Place,
    /// The time of the last checkpoint, or the beginning of training.
    last_at: Instant,
    /// The seconds of training before this process.
    before: Spent,
    started: Instant,
    /// The keys that have changed since the checkpoint at which the run began.
    changed: Vec<String>,
}

/// A moment at which a checkpoint may be due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Between two steps of an epoch.
    BetweenSteps,
    /// Between two epochs, or after the last one.
    BetweenEpochs,
    /// The user asked to stop.
    Interrupted,
}

impl Saving {
    pub(super) fn new(settings: &SavingConfig, record: String, identity: Option<Identity>) -> Self {
        Self {
            settings: settings.clone(),
            record,
            identity,
            last: Place::START,
            last_at: Instant::now(),
            before: Spent::default(),
            started: Instant::now(),
            changed: Vec::new(),
        }
    }

    /// Notes that the run continues at a checkpoint, and the keys that have changed since.
    pub(super) fn continue_at(&mut self, place: Place, spent: Spent, changed: Vec<String>) {
        self.last = place;
        self.before = spent;
        self.changed = changed;
    }

    /// Whether something has changed since the checkpoint at which the run began.
    pub(super) fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Whether this key has changed since the checkpoint at which the run began.
    pub(super) fn has_changed(&self, key: &str) -> bool {
        self.changed.iter().any(|changed| changed == key)
    }

    /// The place of the last checkpoint; that of the first step if there is none.
    pub(super) fn last(&self) -> Place {
        self.last
    }

    /// The seconds of training in all processes of the run.
    pub(super) fn training_secs(&self) -> f64 {
        self.before.training + self.started.elapsed().as_secs_f64()
    }

    /// The seconds that earlier processes spent in the epoch in progress. Later epochs have none.
    pub(super) fn take_epoch_secs(&mut self) -> f64 {
        std::mem::take(&mut self.before.epoch)
    }

    fn is_due(&self, place: Place, moment: Moment) -> bool {
        let SavingConfig {
            strategy,
            steps,
            minutes,
            ..
        } = self.settings;
        if strategy == SaveStrategy::No || place == self.last {
            return false;
        }
        let minutes_since = self.last_at.elapsed().as_secs_f64() / 60.0;
        match moment {
            Moment::Interrupted => true,
            Moment::BetweenEpochs if strategy == SaveStrategy::Epoch => true,
            _ => {
                steps.is_some_and(|n| place.step > 0 && place.step.is_multiple_of(n))
                    || minutes.is_some_and(|limit| minutes_since >= limit)
            }
        }
    }
}

impl Run<'_> {
    /// Saves a checkpoint if one is due. If the file system refuses, the run goes on with the last
    /// one, unless it was asked to stop.
    ///
    /// # Errors
    /// Fails if the state of the run cannot be read from its device.
    pub(super) fn save_if_due(&mut self, place: Place, moment: Moment) -> Result<()> {
        if !self.saving.is_due(place, moment) {
            return Ok(());
        }
        match self.save_checkpoint(place) {
            Err(error @ (Error::Process(_) | Error::OutputLost { .. })) => {
                tracing::warn!(
                    "the checkpoint after step {} cannot be saved: {error}; {}",
                    place.step,
                    self.last_checkpoint()
                );
                // A disk that is full now is not tried again in every step.
                self.saving.last_at = Instant::now();
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// The last checkpoint in words.
    fn last_checkpoint(&self) -> String {
        match self.saving.last.step {
            0 => "there is no earlier one".into(),
            step => format!("that after step {step} is intact"),
        }
    }

    fn save_checkpoint(&mut self, place: Place) -> Result<()> {
        self.read_steps()?;
        let start = Instant::now();
        if self.has_broken_parameters()? {
            // The next step shows it, and the run reacts to that.
            tracing::warn!(
                "no checkpoint after step {}: a parameter is not finite",
                place.step
            );
            return Ok(());
        }
        let identity = match self.saving.identity.clone() {
            Some(known) => known,
            // Hashing the base model takes a moment, which a run without checkpoints does not need.
            None => identity(self.inputs, self.schedule, self.model)?,
        };
        self.saving.identity = Some(identity.clone());
        let (metrics, log) = self.directory.marks()?;
        let directory = std::env::current_dir().unwrap_or_default();
        let mut state = State {
            place,
            decision: self.decision(),
            optimizer_steps: BTreeMap::new(),
            epoch: self.epoch.clone(),
            epoch_loss: self.epoch_loss,
            loss_sum: self.loss_sum,
            summary: self.summary.clone(),
            patience: self.patience,
            stops_early: self.stops_early,
            skipped_in_a_row: self.skipped_in_a_row,
            lr_curve: (self.curve.first_step, self.curve.total_steps),
            best: self.best.as_ref().and_then(|best| best.kept()),
            spent: Spent {
                epoch: self.epoch_started.elapsed().as_secs_f64() + self.saving.before.epoch,
                training: self.saving.training_secs(),
            },
            metrics,
            log,
            identity,
            config: self.saving.record.clone(),
            working_directory: directory.to_string_lossy().into_owned(),
            files: BTreeMap::new(),
        };
        let (tensors, steps) = tensors_of(
            self.model,
            &self.inputs.model_plan.candidates,
            &self.optimizer,
            &self.point.history,
            self.cache,
        )?;
        state.optimizer_steps = steps;
        let shelf = Shelf::of(self.directory.path());
        shelf.save(state, tensors)?;
        shelf.keep(self.saving.settings.total_limit);
        self.saving.last = place;
        self.saving.last_at = Instant::now();
        self.promise(place);
        let secs = start.elapsed().as_secs_f64();
        tracing::debug!(step = place.step, secs, "checkpoint");
        Ok(())
    }

    /// Sets the last message of a process that is ended at once: the checkpoint at a place.
    pub(super) fn promise(&self, place: Place) {
        interrupt::set_last_words(format!(
            "`progtune resume {}` continues after step {}",
            self.directory.output().display(),
            place.step
        ));
    }

    fn decision(&self) -> Option<Decision> {
        let point = self.decided.as_ref()?;
        let infos = self.model.parameters.infos();
        let trainable = self.stage.trainable.iter();
        Some(Decision {
            epoch: point.epoch,
            step_in_epoch: point.step_in_epoch,
            step: point.step,
            signals: point.signals,
            trainable: trainable.map(|&id| infos[id].name.clone()).collect(),
        })
    }
}

/// The identity of what a run was given.
///
/// # Errors
/// Fails if a parameter cannot be copied from its device.
pub(super) fn identity(
    inputs: &Inputs<'_>,
    schedule: &LoadedSchedule,
    model: &Model,
) -> Result<Identity> {
    let train = ("train".to_owned(), &inputs.examples);
    let named = |kind: &str, split: &'_ EvalSplit| format!("{kind}{}", split.suffix());
    let evaluated = inputs.eval_splits.iter();
    let evaluated = evaluated.map(|split| (named("validation", split), &split.examples));
    let tested = inputs.test_splits.iter();
    let tested = tested.map(|split| (named("test", split), &split.examples));
    let splits = std::iter::once(train).chain(evaluated).chain(tested);
    let plugins = plugins_json(schedule, inputs.model.method.as_ref());
    let machine = &inputs.config.machine;
    let candidates = &inputs.model_plan.candidates;
    Identity::new(model, candidates, splits, &plugins, machine)
}
