//! A training run, readable from top to bottom: prepare, train, save. Called by `main`.
//!
//! [`prepare`] reads everything that a run needs, `announce` shows its plan, and `save` writes its
//! result. The epochs and the optimizer step between them are in this file. `decide` asks the
//! schedule, and `evaluation` measures the model after each epoch.

mod announce;
mod decide;
mod evaluation;
pub mod prepare;
mod save;

use crate::{
    best_model::BestModel,
    config::RunConfig,
    engaged::count_step,
    prefix_cache::{CachedRun, PrefixCache},
    progress::Progress,
    run_directory::{Claim, RunDirectory},
    summary::{EpochRecord, Summary},
};
use prepare::{Inputs, Prepared};
use progtune_engine::{
    error::{Error, Result},
    model::{Model, gradients::Gradients, step::Step},
    optim::{AdamW, LrCurve, Norms},
    plan::Stage,
    plugin::LoadedSchedule,
};
use progtune_pipeline::{
    batch_order::BatchOrder,
    prefetch::{BatchSource, Batches, with_batches},
    token_store::Examples,
};
use progtune_plugin_api::records::DecisionRecord;
use progtune_process::error::Error::Stopped;
use progtune_process::interrupt;
use serde_json::json;
use std::time::Instant;

/// Fine-tunes a model according to `config` and writes the result to its output directory.
/// `started` is the start time of the process.
///
/// # Errors
/// Fails if the run cannot be prepared, training diverges or is interrupted, or the result cannot
/// be saved.
pub fn train(config: &RunConfig, started: Instant) -> Result<()> {
    let (output, overwrites) = (config.output_dir(), config.output.overwrite);
    let claim = Claim::take(output, overwrites, &config.inputs)?;
    prepare_train_save(&claim, config, started).map_err(|error| claim.explain(error))
}

fn prepare_train_save(claim: &Claim, config: &RunConfig, started: Instant) -> Result<()> {
    let inputs = Inputs::read(config)?;
    let mut prepared = Prepared::new(&inputs)?;

    // All inputs have been read. The output directory changes only from here on.
    let record = config.record(&inputs.local, &prepared.decided);
    let mut directory = claim.begin(&inputs.local, &record)?;
    let plan = prepared.record_plan(&record, &mut directory)?;
    let mut cache = prefix_cache(&prepared, &directory);
    let pace = prepared.pace(cache.cache_forecast());
    let mut progress = Progress::new(config.output.logging_steps, config.training.epochs, pace);
    prepared.announce(&plan, cache.cache_forecast(), &directory, started);

    let mut run = Run::new(&mut prepared, &mut cache, &mut directory, &mut progress);
    run.summary.startup_secs = started.elapsed().as_secs_f64();
    let summary = run.train()?;
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
    curve: LrCurve,
    /// The last step of the run.
    last_step: u64,
    optimizer: AdamW,
    gradients: Gradients,
    /// The trainable set.
    stage: Stage,
    /// The next decision point of the schedule. Its history grows in place, so that later decisions
    /// cost no more than earlier ones.
    point: DecisionRecord,
    /// The current epoch.
    epoch: EpochRecord,
    /// The sum of the epoch's losses, and their number.
    epoch_loss: (f64, u64),
    loss_sum: f64,
    summary: Summary,
}

impl<'a> Run<'a> {
    fn new(
        prepared: &'a mut Prepared<'_>,
        cache: &'a mut PrefixCache,
        directory: &'a mut RunDirectory,
        progress: &'a mut Progress,
    ) -> Self {
        let total_steps = prepared.total_steps();
        let last_step = prepared.last_step();
        let config = prepared.inputs.config;
        let optimizer = &config.optimizer;
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
            curve: LrCurve {
                peak: prepared.decided.lr,
                warmup_steps: optimizer.warmup.steps(total_steps),
                total_steps,
                kind: optimizer.lr_scheduler,
            },
            last_step,
            optimizer: AdamW::new(optimizer.adamw),
            gradients: Gradients::default(),
            stage: Stage::default(),
            point: DecisionRecord::epoch(1),
            epoch: EpochRecord::default(),
            epoch_loss: (0.0, 0),
            loss_sum: 0.0,
            summary: Summary::default(),
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
        with_batches(source, 1..=self.config.training.epochs, |batches| {
            self.train_on(&batches)
        })
    }

    fn train_on(&mut self, batches: &Batches) -> Result<Summary> {
        let start = Instant::now();
        self.progress.begin();
        for epoch in 1..=self.config.training.epochs {
            self.train_epoch(epoch, batches)?;
            if self.summary.steps == self.last_step {
                break;
            }
        }
        let mut summary = std::mem::take(&mut self.summary);
        let updated = summary.history.iter().map(|epoch| epoch.updated_parameters);
        summary.updated_parameters = updated.sum();
        if let Some(best) = self.best.take() {
            summary.best = best.restore(self.model, summary.epochs.ceil() as u32)?;
        }
        if let Some(best) = &summary.best {
            summary.evaluation = best.evaluation.clone();
        }
        summary.train_loss = self.loss_sum / summary.steps.max(1) as f64;
        summary.train_secs = start.elapsed().as_secs_f64();
        Ok(summary)
    }

    /// Runs one epoch. The schedule decides at its start and, if it asks for it, at regular
    /// intervals; an evaluation ends the epoch.
    fn train_epoch(&mut self, epoch: u32, batches: &Batches) -> Result<()> {
        let start = Instant::now();
        let steps_per_epoch = self.order.steps_per_epoch();
        let interval = self.schedule.traits().interval_steps;
        self.epoch_loss = (0.0, 0);
        self.epoch = EpochRecord {
            epoch,
            ..EpochRecord::default()
        };
        for step_in_epoch in 0..steps_per_epoch {
            if self.summary.steps == self.last_step {
                break;
            }
            if interrupt::requested() {
                return Err(self.interrupted());
            }
            if step_in_epoch == 0 || (interval > 0 && step_in_epoch.is_multiple_of(interval)) {
                self.decide(epoch, step_in_epoch)?;
            }
            self.step(batches)?;
            self.epoch.updated_parameters +=
                self.stage.trainable_parameters as f64 / steps_per_epoch as f64;
        }
        if self.epoch_loss.1 > 0 {
            let (loss, steps) = self.epoch_loss;
            self.epoch.train_loss = loss / steps as f64;
            self.epoch.share = steps as f64 / steps_per_epoch as f64;
            self.summary.epochs = self.summary.steps as f64 / steps_per_epoch as f64;
            self.signal_loss();
            let trained = Instant::now();
            self.evaluate().map_err(|error| match error {
                Error::Process(Stopped { .. }) => self.interrupted(),
                other => other,
            })?;
            self.summary.eval_secs += trained.elapsed().as_secs_f64();
            self.epoch.secs = start.elapsed().as_secs_f64();
            let epoch = std::mem::take(&mut self.epoch);
            self.summary.history.push(epoch);
        }
        Ok(())
    }

    /// Performs one optimizer step over the batches of an effective batch. The forward begins where
    /// the prefix cache ends, and the backward stops at the lowest trained block. Clipping and
    /// AdamW follow.
    fn step(&mut self, batches: &Batches) -> Result<()> {
        let start = Instant::now();
        let number = self.summary.steps;
        let step = Step {
            seed: self.config.training.seed,
            number,
        };
        let mut seen = Seen::default();
        loop {
            let next = batches.next_batch()?;
            let batch = &next.batch;
            // Tokens without a tag have no weight, and a step may consist of such tokens only.
            let denominator = if next.step_weight == 0.0 {
                1.0
            } else {
                next.step_weight
            };
            let rows = self
                .cache
                .start(self.model, 0, &self.inputs.examples, batch)?;
            let gradients = &mut self.gradients;
            seen.loss += self
                .model
                .train_from(batch, rows, step, denominator, gradients)?;
            seen.tokens += batch.tokens();
            seen.examples += batch.sequences();
            if next.ends_step {
                break;
            }
        }
        let (parameters, gradients) = (&self.model.parameters, &mut self.gradients);
        gradients.check_reached(parameters)?;
        let norms = AdamW::norms(parameters, gradients, self.model.config.blocks())?;
        check_finite(seen.loss, &norms, number + 1)?;
        let lr = self.curve.at(number);
        let scales = &self.stage.lr_scales;
        let scale = |id: usize| scales.factor(&parameters.infos()[id]);
        self.optimizer
            .step(parameters, gradients, &norms, lr, &scale)?;
        self.record_step(&seen, lr, norms, start)
    }

    fn record_step(&mut self, seen: &Seen, lr: f64, norms: Norms, start: Instant) -> Result<()> {
        let secs = start.elapsed().as_secs_f64();
        let summary = &mut self.summary;
        summary.steps += 1;
        let model_plan = &self.inputs.model_plan;
        count_step(&mut summary.trained_steps, &self.stage, model_plan);
        summary.samples += seen.examples as u64;
        summary.tokens += seen.tokens as u64;
        summary.step_secs += secs;
        self.loss_sum += seen.loss;
        self.epoch_loss = (self.epoch_loss.0 + seen.loss, self.epoch_loss.1 + 1);
        let record = json!({
            "step": summary.steps,
            "epoch": self.epoch.epoch,
            "loss": seen.loss,
            "lr": lr,
            "grad_norm": norms.global,
            "tokens": seen.tokens,
            "secs": secs,
        });
        if summary.steps == self.last_step {
            self.directory.begin_saving();
        }
        self.directory.record(&record)?;
        self.signal("block_grad_norm", || norms.blocks);
        self.progress.step(&record);
        Ok(())
    }

    fn interrupted(&self) -> Error {
        Error::Interrupted {
            steps: self.summary.steps,
            directory: self.directory.path().to_owned(),
        }
    }
}

/// The running totals of a step.
#[derive(Default)]
struct Seen {
    /// The share of the step's loss from these batches.
    loss: f64,
    tokens: usize,
    examples: usize,
}

fn check_finite(loss: f64, norms: &Norms, step: u64) -> Result<()> {
    if loss.is_finite() && norms.global.is_finite() {
        return Ok(());
    }
    Err(Error::Training(format!(
        "step {step}: training diverged: expected a finite loss and gradient norm, found {loss} and {}; try a lower --lr, \
         a longer --warmup or a smaller --max-grad-norm",
        norms.global
    )))
}
