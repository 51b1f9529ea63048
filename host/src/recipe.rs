//! A training run, readable from top to bottom: prepare, train, save. Called by `main`.
//!
//! [`prepare`] reads everything that a run needs, `announce` shows its plan, and `save` writes its
//! result. The epochs and the optimizer step between them are in this file. `decide` asks the
//! schedule, `lr_restart` begins learning-rate curves, and `evaluation` measures the model.
//! `step_record` records a step, and `nonfinite_step` handles one that is not finite. Between
//! steps, `saving` saves checkpoints, at which `resumption` continues a run.

mod announce;
mod decide;
mod evaluation;
pub(crate) mod lr_restart;
mod nonfinite_step;
pub(crate) mod prepare;
mod resumption;
mod save;
mod saving;
mod step_record;

use crate::{
    best_model::BestModel,
    checkpoint::Place,
    config::{Beginning, RunConfig},
    early_stopping::Patience,
    evaluations::EvalTimes,
    nonfinite::OnNonfinite,
    prefix_cache::{CachedRun, PrefixCache},
    progress::Progress,
    run_directory::{Claim, EarlierRun, Opening, RunDirectory},
    summary::{EndReason, EpochRecord, Summary},
};
use decide::Point;
use prepare::{Inputs, Prepared};
use progtune_engine::{
    Error, Result,
    model::{Gradients, Model, Step},
    optim::{AdamW, LrCurve, LrShape},
    plan::Stage,
    plugin::LoadedSchedule,
};
use progtune_kernels::timed;
use progtune_pipeline::{
    BatchSource, Batches, batch_order::BatchOrder, token_store::Examples, with_batches,
};
use progtune_plugin_api::records::DecisionRecord;
use progtune_process::{interrupt, terminal::note, timeline::Timeline};
use saving::{Moment, Saving};
use std::time::Instant;
use step_record::Taken;

/// Fine-tunes a model according to `config` and writes the result to its output directory.
/// `started` is the start time of the process.
///
/// # Errors
/// Fails if the run cannot be prepared, training diverges or is interrupted, or the result cannot
/// be saved.
pub fn train(config: &RunConfig, started: Instant) -> Result<()> {
    let earlier_run = match config.saving.beginning {
        Beginning::Auto | Beginning::Resumed => EarlierRun::Continues,
        _ if config.output.overwrite => EarlierRun::IsReplaced,
        _ => EarlierRun::Stays,
    };
    let profile = config.output.profile.as_deref();
    let timeline = profile.map(Timeline::begin).transpose()?;
    let claim = Claim::take(config.output_dir(), earlier_run, &config.inputs)?;
    let trained = prepare_train_save(&claim, config, started);
    if let Some(timeline) = timeline {
        note(&timeline.finish("step")?);
    }
    trained.map_err(|error| claim.explain(error))
}

fn prepare_train_save(claim: &Claim, config: &RunConfig, started: Instant) -> Result<()> {
    let mut checkpoint = resumption::find(config, claim)?;
    let inputs = Inputs::read(config)?;
    let mut prepared = Prepared::new(&inputs)?;

    // All inputs have been read. The output directory changes only from here on.
    let record = config.record(&inputs.local, &prepared.decided);
    let saving = match &checkpoint {
        Some(checkpoint) => resumption::check(&prepared, &record, checkpoint)?,
        None => Saving::new(&config.saving, record.clone(), None),
    };
    if resumption::is_finished(&prepared, checkpoint.as_ref()) {
        return Ok(());
    }
    let opening = match (&checkpoint, &config.saving.beginning) {
        (None, _) => Opening::New,
        (Some(checkpoint), Beginning::Forked { .. }) => Opening::Forked(checkpoint),
        (Some(checkpoint), _) => Opening::Continued(checkpoint),
    };
    let mut directory = claim.begin(&inputs.local, &record, opening)?;
    let plan = prepared.record_plan(&record, &mut directory)?;
    let mut cache = prefix_cache(&prepared, &directory);
    let pace = prepared.pace(cache.cache_forecast());
    let mut progress = Progress::new(config.output.logging_steps, config.training.epochs, pace);
    prepared.announce(&plan, cache.cache_forecast(), &directory, started);

    let mut run = Run::new(
        &mut prepared,
        &mut cache,
        &mut directory,
        &mut progress,
        saving,
    );
    run.summary.startup_secs = started.elapsed().as_secs_f64();
    if let Some(checkpoint) = &mut checkpoint {
        run.restore(checkpoint)?;
    }
    drop(checkpoint);
    let trained = run.train();
    let summary = trained.map_err(|error| prepared.explain(error))?;
    progress.finish();
    prepared.model.release_memory();
    cache.finish();
    prepared.save(summary, directory, started)
}

/// Builds the cache of the frozen prefix's outputs. Split 0 is the training set; the evaluation
/// splits follow.
fn prefix_cache(prepared: &Prepared<'_>, directory: &RunDirectory) -> PrefixCache {
    let inputs = prepared.inputs;
    let splits: Vec<&Examples> = std::iter::once(&inputs.examples)
        .chain(inputs.eval_splits.iter().map(|split| &split.examples))
        .collect();
    let run_plan = &prepared.run_plan;
    let stages = run_plan.stages.as_slice();
    PrefixCache::new(&CachedRun {
        settings: prepared.decided.prefix_cache(inputs.config),
        model: &prepared.model,
        stages: run_plan.is_by_epoch().then_some(stages),
        epochs: prepared.epochs(),
        splits: &splits,
        directory: directory.path(),
    })
}

/// The state of a run between its first and its last step.
struct Run<'a> {
    config: &'a RunConfig,
    inputs: &'a Inputs<'a>,
    order: &'a BatchOrder<'a>,
    schedule: &'a LoadedSchedule,
    /// The model, whose parameters change.
    model: &'a mut Model,
    cache: &'a mut PrefixCache,
    directory: &'a mut RunDirectory,
    progress: &'a mut Progress,
    best: Option<BestModel>,
    /// The evaluations without improvement.
    patience: Patience,
    /// Whether the run ends early because its evaluations do not improve.
    stops_early: bool,
    /// The times of evaluations.
    eval_times: EvalTimes,
    /// The shape of every learning-rate curve.
    lr_shape: LrShape,
    /// The current curve.
    curve: LrCurve,
    /// The epochs that train another set than the one before, if they are known.
    changes: Option<Vec<u32>>,
    /// The last step of the run.
    last_step: u64,
    /// The number of steps in all epochs.
    total_steps: u64,
    /// The number of steps skipped since the last one that was not.
    skipped_in_a_row: u32,
    optimizer: AdamW,
    gradients: Gradients,
    /// The trainable set.
    stage: Stage,
    /// The next decision point of the schedule. Its history grows in place, so that later decisions
    /// cost no more than earlier ones.
    point: DecisionRecord,
    /// The last decision point, at which the stage was decided.
    decided: Option<Point>,
    /// The place in the run.
    place: Place,
    /// The current epoch.
    epoch: EpochRecord,
    /// The beginning of the current epoch, or of this process.
    epoch_started: Instant,
    /// The steps that a GPU has computed, or is computing, and whose figures nobody has read.
    unread: Vec<Taken>,
    /// The sum of the epoch's losses, and their number.
    epoch_loss: (f64, u64),
    loss_sum: f64,
    summary: Summary,
    saving: Saving,
}

impl<'a> Run<'a> {
    fn new(
        prepared: &'a mut Prepared<'_>,
        cache: &'a mut PrefixCache,
        directory: &'a mut RunDirectory,
        progress: &'a mut Progress,
        saving: Saving,
    ) -> Self {
        let total_steps = prepared.total_steps();
        let last_step = prepared.last_step();
        let config = prepared.inputs.config;
        let lr_shape = prepared.lr_shape;
        Self {
            config,
            inputs: prepared.inputs,
            order: &prepared.order,
            schedule: &prepared.schedule,
            model: &mut prepared.model,
            cache,
            directory,
            progress,
            best: prepared.best.take(),
            patience: Patience::default(),
            stops_early: false,
            eval_times: prepared.eval_times,
            lr_shape,
            curve: lr_shape.over(prepared.decided.lr, 0..total_steps),
            changes: prepared.run_plan.changes(),
            last_step,
            total_steps,
            skipped_in_a_row: 0,
            optimizer: AdamW::new(config.optimizer.adamw),
            gradients: Gradients::default(),
            stage: Stage::default(),
            point: DecisionRecord::epoch(1),
            decided: None,
            place: Place::START,
            epoch: EpochRecord::default(),
            epoch_started: Instant::now(),
            unread: Vec::new(),
            epoch_loss: (0.0, 0),
            loss_sum: 0.0,
            summary: Summary::default(),
            saving,
        }
    }

    /// Trains to the end of the last epoch or to `--max-steps`, while a thread assembles the
    /// batches.
    fn train(mut self) -> Result<Summary> {
        let weighting = self.model.loss_weighting.clone();
        let source = BatchSource {
            examples: &self.inputs.examples,
            order: self.order,
            first_position: self.model.config.first_position(),
            weighting: &weighting,
        };
        let Place {
            epoch,
            step_in_epoch,
            ..
        } = self.place;
        let epochs = epoch..=self.config.training.epochs;
        with_batches(source, epochs, step_in_epoch, |batches| {
            self.train_on(&batches)
        })
    }

    fn train_on(&mut self, batches: &Batches) -> Result<Summary> {
        self.progress.begin();
        while !self.is_over() {
            self.train_epoch(batches)?;
            self.save_if_due(self.place, Moment::BetweenEpochs)?;
        }
        let mut summary = std::mem::take(&mut self.summary);
        let updated = summary.history.iter().map(|epoch| epoch.updated_parameters);
        summary.updated_parameters = updated.sum();
        if let Some(best) = self.best.take() {
            summary.best = best.restore(self.model, summary.steps)?;
        }
        if let Some(best) = &summary.best {
            summary.evaluation = best.evaluation.clone();
        }
        summary.end_reason = EndReason::of(summary.steps, self.last_step, self.total_steps);
        tracing::info!(
            end_reason = summary.end_reason.as_str(),
            steps = summary.steps,
            skipped_steps = summary.skipped_steps,
            "training ended"
        );
        summary.train_loss = self.loss_sum / (summary.steps - summary.skipped_steps) as f64;
        summary.train_secs = self.saving.training_secs();
        Ok(summary)
    }

    /// Whether the run is over: its last epoch is done and evaluated.
    fn is_over(&self) -> bool {
        let is_between_epochs = self.place.step_in_epoch == 0 || self.place.is_closed;
        self.place.epoch > self.config.training.epochs
            || (is_between_epochs && self.has_no_more_steps())
    }

    /// Whether there is no further step, even if the epoch has some.
    fn has_no_more_steps(&self) -> bool {
        self.stops_early || self.place.step >= self.last_step
    }

    /// Runs one epoch, or the rest of it. The schedule decides at its start and, if it asks for it,
    /// at regular intervals. Usually an evaluation ends the epoch; others may lie inside it.
    fn train_epoch(&mut self, batches: &Batches) -> Result<()> {
        let Place {
            epoch,
            step_in_epoch: first,
            ..
        } = self.place;
        let steps_per_epoch = self.order.steps_per_epoch();
        let interval = self.schedule.traits().interval_steps;
        self.epoch_started = Instant::now();
        if first == 0 {
            self.epoch_loss = (0.0, 0);
            self.epoch = EpochRecord {
                epoch,
                ..EpochRecord::default()
            };
        }
        for step_in_epoch in first..steps_per_epoch {
            if !self.place.is_evaluated && self.eval_times.is_inside_epoch(self.place.step) {
                self.evaluate_inside_epoch()?;
                self.place.is_evaluated = true;
            }
            if self.has_no_more_steps() {
                break;
            }
            if interrupt::requested() {
                return Err(self.interrupted());
            }
            if step_in_epoch > first {
                self.save_if_due(self.place, Moment::BetweenSteps)?;
            }
            if step_in_epoch == 0 || (interval > 0 && step_in_epoch.is_multiple_of(interval)) {
                self.decide(epoch, step_in_epoch)?;
            }
            self.step(batches)?;
            self.epoch.updated_parameters +=
                self.stage.trainable_parameters as f64 / steps_per_epoch as f64;
            self.place.step_in_epoch += 1;
            self.place.step = self.summary.steps;
            self.place.is_evaluated = false;
        }
        self.end_epoch()
    }

    /// Evaluates the model after the last step of an epoch, and completes its record.
    fn end_epoch(&mut self) -> Result<()> {
        self.read_steps()?;
        let steps_per_epoch = self.order.steps_per_epoch();
        let (loss, n_losses) = self.epoch_loss;
        self.epoch.train_loss = loss / n_losses as f64;
        self.epoch.share = self.place.step_in_epoch as f64 / steps_per_epoch as f64;
        self.summary.epochs = self.summary.steps as f64 / steps_per_epoch as f64;
        self.evaluate_at_end()?;
        self.epoch.secs =
            self.epoch_started.elapsed().as_secs_f64() + self.saving.take_epoch_secs();
        let epoch = std::mem::take(&mut self.epoch);
        self.summary.history.push(epoch);
        if self.place.step_in_epoch == steps_per_epoch {
            self.place.epoch += 1;
            self.place.step_in_epoch = 0;
        } else {
            self.place.is_closed = true;
        }
        Ok(())
    }

    /// Performs one optimizer step over the batches of an effective batch. The forward begins where
    /// the prefix cache ends, and the backward stops at the lowest trained block. Clipping and
    /// AdamW follow.
    fn step(&mut self, batches: &Batches) -> Result<()> {
        timed!("step");
        let start = Instant::now();
        let number = self.summary.steps;
        let step = Step {
            seed: self.config.training.seed,
            number,
        };
        let mut taken = Taken {
            step: number + 1,
            lr: self.curve.at(number),
            tokens: 0,
            examples: 0,
            batches: Vec::new(),
            started: start,
        };
        loop {
            let next = {
                timed!("wait for a batch");
                batches.next_batch()?
            };
            let (batch, ends_step) = (&next.batch, next.ends_step);
            // Tokens without a tag have no weight, and a step may consist of such tokens only.
            let denominator = if next.step_weight == 0.0 {
                1.0
            } else {
                next.step_weight
            };
            let rows = {
                timed!("rows of the prefix cache");
                let examples = &self.inputs.examples;
                self.cache.start(self.model, 0, examples, batch)?
            };
            let gradients = &mut self.gradients;
            self.model
                .accumulate(batch, rows, step, denominator, gradients)?;
            taken.tokens += batch.tokens();
            taken.examples += batch.sequences();
            taken.batches.push(next.batch);
            if ends_step {
                break;
            }
        }
        let (parameters, gradients) = (&self.model.parameters, &mut self.gradients);
        gradients.check_reached(parameters)?;
        timed!("norms and update");
        let blocks = self.model.config.blocks();
        let mut figures = self.optimizer.measure(parameters, gradients, blocks)?;
        // A GPU leaves out by itself what is not finite, but only the host can continue after it.
        if figures.is_none() && self.config.training.on_nonfinite != OnNonfinite::Stop {
            figures = AdamW::read(parameters, gradients)?.pop();
        }
        if let Some(figures) = figures.as_ref().filter(|figures| !figures.are_finite()) {
            self.skip_or_stop(&taken, figures)?;
            self.count(&taken);
            return self.record_step(&taken, figures, start.elapsed().as_secs_f64(), true);
        }
        self.skipped_in_a_row = 0;
        let global_norm = figures.as_ref().map(|figures| figures.norms.global);
        let scales = &self.stage.lr_scales;
        let scale = |id: usize| scales.factor(&parameters.infos()[id]);
        self.optimizer
            .step(parameters, gradients, global_norm, taken.lr, &scale)?;
        self.count(&taken);
        match figures {
            Some(figures) => {
                self.record_step(&taken, &figures, start.elapsed().as_secs_f64(), false)
            }
            None => self.record_later(taken),
        }
    }

    /// Saves a checkpoint because the user asked to stop, and returns the error that says so.
    fn interrupted(&mut self) -> Error {
        let read = self.read_steps();
        if let Err(error) = read.and_then(|()| self.save_if_due(self.place, Moment::Interrupted)) {
            return error;
        }
        Error::Interrupted {
            steps: self.summary.steps,
            saved: self.saving.last().step,
            directory: self.directory.output().to_owned(),
            signal: interrupt::received(),
        }
    }
}
