//! The training loop: epochs, decision points, steps, evaluation. Called by the recipe.

mod summary;

use crate::{
    batch_order::BatchOrder,
    best_model::BestModel,
    class_report,
    config::RunConfig,
    error::{Error, Result},
    eval_split::EvalSplit,
    evaluate::{Evaluation, evaluate_from},
    interrupt,
    model::{Model, gradients::Gradients, step::Step},
    optim::{AdamW, LrCurve, Norms, Settings},
    plan::{Blueprint, Stage},
    plugin::LoadedSchedule,
    prefetch::{BatchSource, Batches, with_batches},
    prefix_cache::PrefixCache,
    progress::Progress,
    question_answering::prediction_files,
    run_directory::RunDirectory,
    terminal::note_for_people,
    token_store::Examples,
};
use progtune_datasets::Task;
use progtune_plugin_api::records::{DecisionRecord, SignalRecord};
use serde_json::{Map, Value, json};
use std::time::Instant;

pub use summary::{EpochRecord, Summary};

/// What training needs.
pub struct Trainer<'a> {
    /// The run's configuration.
    pub config: &'a RunConfig,
    /// The task.
    pub task: &'a Task,
    /// The model; its parameters change.
    pub model: &'a mut Model,
    /// Which parameters may be trained.
    pub blueprint: &'a Blueprint,
    /// Which are.
    pub schedule: &'a LoadedSchedule,
    /// The training set.
    pub examples: &'a Examples,
    /// The batches of each epoch.
    pub order: &'a BatchOrder<'a>,
    /// What to evaluate on after each epoch.
    pub eval_splits: &'a [EvalSplit],
    /// What frozen blocks made of the examples: split 0 is the training set, then those of `eval_splits`.
    pub cache: &'a mut PrefixCache,
    /// The learning rate at its peak.
    pub lr: f64,
    /// When the process began.
    pub started: Instant,
    /// What keeps the best epoch's parameters, if that is asked for.
    pub best: Option<BestModel>,
    /// Where records go.
    pub directory: &'a mut RunDirectory,
    /// What the person sees.
    pub progress: &'a mut Progress,
}

/// The state of a run between steps.
struct State {
    optimizer: AdamW,
    gradients: Gradients,
    stage: Stage,
    /// What the schedule is told next: its history grows in place, so that a decision costs no more the later it comes.
    point: DecisionRecord,
    epoch_loss: (f64, u64),
    /// The epoch that runs.
    epoch: EpochRecord,
    summary: Summary,
    loss_sum: f64,
}

impl Trainer<'_> {
    /// Epochs that run, the last one perhaps in part.
    pub fn epochs(config: &RunConfig, steps_per_epoch: u64) -> u32 {
        let steps = config.max_steps.unwrap_or(u64::MAX);
        let epochs = steps.div_ceil(steps_per_epoch.max(1));
        epochs.min(config.epochs.into()) as u32
    }

    /// The step that the run ends with.
    pub fn last_step(config: &RunConfig, steps_per_epoch: u64) -> u64 {
        let total = steps_per_epoch * u64::from(config.epochs);
        config.max_steps.unwrap_or(total).min(total)
    }

    /// Trains to the end of the last epoch or to `--max-steps`.
    pub fn run(mut self) -> Result<Summary> {
        let weighting = self.model.loss_weighting.clone();
        let source = BatchSource {
            examples: self.examples,
            order: self.order,
            first_position: self.model.config.first_position(),
            weighting: &weighting,
        };
        with_batches(source, 1..=self.config.epochs, |batches| {
            self.train(&batches)
        })
    }

    fn train(&mut self, batches: &Batches) -> Result<Summary> {
        let start = Instant::now();
        let c = self.config;
        let steps_per_epoch = self.order.steps_per_epoch();
        let total_steps = steps_per_epoch * u64::from(c.epochs);
        let curve = LrCurve {
            peak: self.lr,
            warmup_steps: c.warmup.steps(total_steps),
            total_steps,
            kind: c.lr_scheduler,
        };
        let last_step = Self::last_step(c, steps_per_epoch);
        let interval = self.schedule.traits().interval_steps;
        let mut state = self.initial_state();
        state.summary.startup_secs = self.started.elapsed().as_secs_f64();
        self.progress.begin(last_step);
        for epoch in 1..=c.epochs {
            let epoch_start = Instant::now();
            state.epoch_loss = (0.0, 0);
            state.epoch = EpochRecord {
                epoch,
                ..EpochRecord::default()
            };
            for step_in_epoch in 0..steps_per_epoch {
                if state.summary.steps == last_step {
                    break;
                }
                if interrupt::requested() {
                    return Err(self.interrupted(&state));
                }
                if step_in_epoch == 0 || (interval > 0 && step_in_epoch.is_multiple_of(interval)) {
                    self.decide(&mut state, epoch, step_in_epoch)?;
                }
                self.step(&mut state, epoch, batches, &curve, last_step)?;
                state.epoch.updated_parameters +=
                    state.stage.trainable_parameters as f64 / steps_per_epoch as f64;
            }
            if state.epoch_loss.1 > 0 {
                state.summary.epochs = state.summary.steps as f64 / steps_per_epoch as f64;
                self.signal_loss(&mut state, epoch);
                self.evaluate(&mut state, epoch)
                    .map_err(|error| match error {
                        Error::Stopped { .. } => self.interrupted(&state),
                        other => other,
                    })?;
                state.epoch.secs = epoch_start.elapsed().as_secs_f64();
                state.summary.history.push(std::mem::take(&mut state.epoch));
            }
            if state.summary.steps == last_step {
                break;
            }
        }
        let mut summary = state.summary;
        let updated = summary.history.iter().map(|epoch| epoch.updated_parameters);
        summary.updated_parameters = updated.sum();
        if let Some(best) = self.best.take() {
            summary.best = best.restore(self.model, summary.epochs.ceil() as u32)?;
        }
        if let Some(best) = &summary.best {
            summary.evaluation = best.evaluation.clone();
        }
        summary.train_loss = state.loss_sum / summary.steps.max(1) as f64;
        summary.train_secs = start.elapsed().as_secs_f64();
        Ok(summary)
    }

    fn interrupted(&self, state: &State) -> Error {
        Error::Interrupted {
            steps: state.summary.steps,
            directory: self.directory.path().to_owned(),
        }
    }

    fn initial_state(&self) -> State {
        let c = self.config;
        let settings = Settings {
            beta1: c.adam_beta1,
            beta2: c.adam_beta2,
            eps: c.adam_epsilon,
            weight_decay: c.weight_decay,
            max_grad_norm: c.max_grad_norm,
        };
        State {
            optimizer: AdamW::new(settings),
            gradients: Gradients::default(),
            stage: Stage::default(),
            point: DecisionRecord::epoch(1),
            epoch_loss: (0.0, 0),
            epoch: EpochRecord::default(),
            summary: Summary::default(),
            loss_sum: 0.0,
        }
    }

    /// Asks the schedule, and makes exactly its answer trainable.
    fn decide(&mut self, state: &mut State, epoch: u32, step_in_epoch: u64) -> Result<()> {
        let done = state.summary.steps;
        if step_in_epoch > 0 {
            self.signal_loss(state, epoch);
        }
        state.point.epoch = epoch;
        state.point.step_in_epoch = step_in_epoch;
        state.point.global_step = done;
        let stage = self.blueprint.decide(self.schedule, &state.point)?;
        let changed = stage.trainable != state.stage.trainable;
        state.stage = stage;
        if changed {
            self.model.parameters.set_trainable(&state.stage.trainable);
            state.optimizer.retain_trainable(&self.model.parameters);
            state.gradients = Gradients::new(&self.model.parameters);
        }
        if changed || step_in_epoch == 0 {
            self.cache.begin_stage(self.model, epoch)?;
        }
        tracing::info!(
            epoch,
            step = done,
            blocks = state.stage.block_ranges(),
            embeddings = state.stage.embeddings,
            trainable_parameters = state.stage.trainable_parameters,
            note = state.stage.note,
            "stage"
        );
        state.epoch.add_stage(&state.stage);
        // What signals decided is news; what a schedule does every few steps is in the log.
        if step_in_epoch == 0 || (changed && !self.schedule.traits().signals.is_empty()) {
            self.progress.stage(&state.stage, done);
        }
        Ok(())
    }

    /// One optimizer step over the next batches, those of one effective batch.
    fn step(
        &mut self,
        state: &mut State,
        epoch: u32,
        batches: &Batches,
        curve: &LrCurve,
        last_step: u64,
    ) -> Result<()> {
        let start = Instant::now();
        let number = state.summary.steps;
        let step = Step {
            seed: self.config.seed,
            number,
        };
        let (mut loss, mut tokens, mut examples) = (0f64, 0usize, 0usize);
        loop {
            let next = batches.next_batch()?;
            // Tokens without a tag weigh nothing, and a step may have no others.
            let denominator = match next.step_weight {
                0.0 => 1.0,
                weight => weight,
            };
            let start = self
                .cache
                .start(self.model, 0, self.examples, &next.batch)?;
            let gradients = &mut state.gradients;
            loss += self
                .model
                .train_from(&next.batch, start, step, denominator, gradients)?;
            tokens += next.batch.tokens();
            examples += next.batch.sequences();
            if next.ends_step {
                break;
            }
        }
        let parameters = &self.model.parameters;
        state.gradients.check_reached(parameters)?;
        let norms = AdamW::norms(parameters, &mut state.gradients, self.model.config.blocks())?;
        check_finite(loss, &norms, number + 1)?;
        let lr = curve.at(number);
        let stage = &state.stage;
        let scale = |id: usize| stage.lr_scales.factor(&parameters.infos()[id]);
        state
            .optimizer
            .step(parameters, &mut state.gradients, &norms, lr, &scale)?;

        let secs = start.elapsed().as_secs_f64();
        let s = &mut state.summary;
        s.steps += 1;
        s.samples += examples as u64;
        s.tokens += tokens as u64;
        s.step_secs += secs;
        state.loss_sum += loss;
        state.epoch_loss = (state.epoch_loss.0 + loss, state.epoch_loss.1 + 1);
        let steps = s.steps;
        let record = json!({
            "step": steps,
            "epoch": epoch,
            "loss": loss,
            "lr": lr,
            "grad_norm": norms.global,
            "tokens": tokens,
            "secs": secs,
        });
        if steps == last_step {
            self.directory.begin_saving();
        }
        self.directory.record(&record)?;
        self.signal(state, epoch, "block_grad_norm", |_| norms.blocks.clone());
        self.progress.step(&record, last_step);
        Ok(())
    }

    /// The mean loss of the epoch so far.
    fn signal_loss(&self, state: &mut State, epoch: u32) {
        self.signal(state, epoch, "train_loss", |s| {
            vec![s.epoch_loss.0 / s.epoch_loss.1.max(1) as f64]
        });
    }

    /// Notes an observation, if the schedule subscribed to it.
    fn signal(
        &self,
        state: &mut State,
        epoch: u32,
        name: &str,
        values: impl FnOnce(&State) -> Vec<f64>,
    ) {
        if self
            .schedule
            .traits()
            .signals
            .iter()
            .any(|signal| signal.as_str() == name)
        {
            let values = values(state).into();
            let step = state.summary.steps;
            state.point.history.push(SignalRecord {
                name: name.into(),
                epoch,
                step,
                values,
                ext: Default::default(),
            });
        }
    }

    fn evaluate(&mut self, state: &mut State, epoch: u32) -> Result<()> {
        // Training's buffers do not add to what evaluating needs, nor the reverse.
        self.model.release_buffers();
        let mut line = Map::new();
        line.insert("step".into(), json!(state.summary.steps));
        line.insert("epoch".into(), json!(epoch));
        let mut all = Map::new();
        let (mut first_metric, mut answers, mut only_answer) = (None, None, None);
        for (number, split) in (1..).zip(self.eval_splits) {
            let (model, examples) = (&*self.model, &split.examples);
            let result = evaluate_from(
                model,
                self.task,
                split,
                self.config.eval_batch_limit(),
                &mut |batch| self.cache.start(model, number, examples, batch),
            )
            .map_err(diverged)?;
            if number == 1 {
                only_answer = result.only_answer.clone();
            }
            if let (Some(asked), Some(given)) = (&split.asked, &result.answers) {
                answers = Some((asked, given.clone()));
            }
            first_metric = first_metric.or(result.metrics.first().map(|&(_, value)| value));
            all.extend(eval_keys(self.task, &result, split.suffix()));
        }
        line.extend(all.clone());
        let cached = self.cache.end_epoch();
        if let Some(usage) = &cached {
            line.insert("prefix_cache".into(), usage.to_json());
        }
        let line = Value::Object(line);
        self.directory.record(&line)?;
        let result = serde_json::Value::Object(all.clone());
        tracing::info!(epoch, %result, "evaluation");
        self.progress.evaluation(epoch, &line, &all);
        if let Some(usage) = &cached {
            tracing::info!(epoch, usage = %usage.to_json(), "prefix cache");
            if usage.saved > 0 {
                note_for_people(&usage.line());
            }
        }
        let mut is_result = true;
        if let Some(best) = &mut self.best {
            best.keep_in(self.directory.path());
            let trained = &self.blueprint.candidates;
            is_result = best.offer(self.model, trained, epoch, &all)?;
            if is_result {
                tracing::info!(epoch, "the best model so far");
            }
        }
        if is_result {
            state.summary.only_answer = only_answer;
        }
        if let (true, Some((asked, answers))) = (is_result, answers) {
            prediction_files::write(self.directory.path(), asked, &answers)?;
        }
        if let Some(value) = first_metric {
            self.signal(state, epoch, "eval_metric", |_| vec![value]);
        }
        state.epoch.evaluation.clone_from(&all);
        state.summary.evaluation = all;
        Ok(())
    }
}

/// An evaluation under Hugging Face's keys.
pub fn eval_keys(task: &Task, result: &Evaluation, suffix: &str) -> Map<String, Value> {
    let mut map = Map::new();
    let mut put = |key: &str, value: f64| {
        let value = if value.is_finite() {
            json!(value)
        } else {
            Value::Null
        };
        map.insert(format!("eval_{key}{suffix}"), value);
    };
    for &(name, value) in &result.metrics {
        put(name, value);
    }
    if let Some(loss) = result.loss {
        put("loss", loss);
    }
    put("runtime", result.secs);
    put(
        "samples_per_second",
        result.samples as f64 / result.secs.max(1e-9),
    );
    put(
        "steps_per_second",
        result.steps as f64 / result.secs.max(1e-9),
    );
    map.insert(format!("eval_samples{suffix}"), json!(result.samples));
    for (key, value) in class_report::report(task, result) {
        map.insert(format!("eval_{key}{suffix}"), value);
    }
    map
}

/// In a run, logits that are not finite are a failure of the training.
fn diverged(error: Error) -> Error {
    match error {
        Error::NotFinite(fault) => Error::Training(format!(
            "{}: the logits are not finite ({}): training diverged; try a lower --lr, a longer --warmup or a smaller \
             --max-grad-norm",
            fault.example(),
            fault.found
        )),
        error => error,
    }
}

fn check_finite(loss: f64, norms: &Norms, step: u64) -> Result<()> {
    if loss.is_finite() && norms.global.is_finite() {
        return Ok(());
    }
    Err(Error::Training(format!(
        "step {step}: the loss is {loss} and the gradient norm {}: training diverged; try a lower --lr, a longer \
         --warmup or a smaller --max-grad-norm",
        norms.global
    )))
}
