//! The evaluations of a run, at the ends of epochs and inside them: measured, recorded, shown,
//! offered as the best so far, and a reason to stop early. Called by the recipe.

use super::Run;
use crate::{
    best_model::Moment, class_report::without_classes, evaluate::evaluate_from,
    evaluation_keys::eval_keys, prefix_cache::Usage,
};
use progtune_engine::{Error, Result};
use progtune_pipeline::question_answering::{Decoded, answers::Asked, prediction_files};
use progtune_process::{
    Error::Stopped,
    terminal::{note, note_for_people},
};
use serde_json::{Map, Value, json};
use std::time::Instant;

/// The evaluations of all splits.
#[derive(Default)]
struct Measured<'a> {
    /// The results under their `eval_…` keys.
    all: Map<String, Value>,
    /// The first metric of the first split, which schedules may follow.
    first_metric: Option<f64>,
    /// The answers to the last split that has questions.
    answers: Option<(&'a Asked, Vec<Decoded>)>,
    /// The only answer, as in [`crate::summary::Summary::only_answer`].
    only_answer: Option<String>,
    /// The only label, as in [`crate::summary::Summary::only_label`].
    only_label: Option<String>,
}

impl<'a> Run<'a> {
    /// Evaluates the model after a step inside an epoch.
    pub(super) fn evaluate_inside_epoch(&mut self) -> Result<()> {
        self.read_steps()?;
        let steps_per_epoch = self.eval_times.steps_per_epoch as f64;
        self.evaluate(Some(self.summary.steps as f64 / steps_per_epoch))
    }

    /// Evaluates the model at the end of an epoch, which may be that of the run, unless the run
    /// evaluates only at its own end.
    pub(super) fn evaluate_at_end(&mut self) -> Result<()> {
        if self.stops_early {
            // The evaluation after this step was the reason.
            self.epoch.evaluation.clone_from(&self.summary.evaluation);
        } else if self.eval_times.is_at_end(self.summary.steps) {
            return self.evaluate(None);
        }
        self.signal_loss();
        self.cache.end_epoch();
        Ok(())
    }

    /// Evaluates the model on every split. `inside` is the number of epochs so far if the current
    /// one goes on.
    fn evaluate(&mut self, inside: Option<f64>) -> Result<()> {
        let start = Instant::now();
        let moment = Moment {
            step: self.summary.steps,
            epoch: self.epoch.epoch,
            inside,
        };
        self.evaluate_at(moment).map_err(|error| match error {
            Error::Process(Stopped { .. }) => self.interrupted(),
            other => other,
        })?;
        self.summary.eval_secs += start.elapsed().as_secs_f64();
        Ok(())
    }

    fn evaluate_at(&mut self, moment: Moment) -> Result<()> {
        self.check_parameters()?;
        // The buffers of training and evaluation are never held at the same time.
        self.model.release_buffers();
        let measured = self.measure()?;
        let is_end = moment.inside.is_none();
        // The cache counts its use by epochs.
        let cached = if is_end { self.cache.end_epoch() } else { None };
        self.record_evaluation(moment, &measured.all, cached.as_ref())?;
        let is_result = self.offer_as_best(moment, &measured.all)?;
        if is_result {
            self.summary.only_answer = measured.only_answer;
            self.summary.only_label = measured.only_label;
        }
        if let (true, Some((asked, answers))) = (is_result, measured.answers) {
            prediction_files::write(self.directory.path(), asked, &answers)?;
        }
        // An evaluation that is interrupted is made again, so the signals come after it.
        if is_end {
            self.signal_loss();
        }
        if let Some(value) = measured.first_metric {
            self.signal("eval_metric", || vec![value]);
        }
        if is_end {
            self.epoch.evaluation.clone_from(&measured.all);
        }
        self.summary.evaluation = measured.all;
        Ok(())
    }

    fn measure(&mut self) -> Result<Measured<'a>> {
        let inputs = self.inputs;
        let mut measured = Measured::default();
        for (number, split) in (1..).zip(&inputs.eval_splits) {
            let (model, examples) = (&*self.model, &split.examples);
            let result = evaluate_from(
                model,
                inputs.task(),
                split,
                self.config.batching.eval,
                &mut |batch| self.cache.start(model, number, examples, batch),
            )
            .map_err(diverged)?;
            if number == 1 {
                measured.only_answer = result.only_answer.clone();
                measured.only_label = result.only_label.clone();
            }
            if let (Some(asked), Some(given)) = (&split.asked, &result.answers) {
                measured.answers = Some((asked, given.clone()));
            }
            let first = result.metrics.first().map(|&(_, value)| value);
            measured.first_metric = measured.first_metric.or(first);
            let keys = eval_keys(inputs.task(), &result, split.suffix());
            measured.all.extend(keys);
        }
        Ok(measured)
    }

    fn record_evaluation(
        &mut self,
        moment: Moment,
        all: &Map<String, Value>,
        cached: Option<&Usage>,
    ) -> Result<()> {
        let epoch = moment.epoch_json();
        let mut line = Map::new();
        line.insert("step".into(), json!(moment.step));
        line.insert("epoch".into(), epoch.clone());
        line.extend(all.clone());
        if let Some(usage) = cached {
            line.insert("prefix_cache".into(), usage.to_json());
        }
        let line = Value::Object(line);
        self.directory.record(&line)?;
        let result = Value::Object(without_classes(all));
        tracing::info!(%epoch, %result, "evaluation");
        self.progress.evaluation(&moment.epoch_text(), &line, all);
        if let Some(usage) = cached {
            tracing::info!(%epoch, usage = %usage.to_json(), "prefix cache");
            if usage.saved > 0 {
                note_for_people(&usage.line());
            }
        }
        Ok(())
    }

    /// Offers the model as the best so far and returns whether it is the run's result for now.
    /// Without best-model selection this is always true. Ends the run if the evaluations have not
    /// improved for long.
    fn offer_as_best(&mut self, moment: Moment, all: &Map<String, Value>) -> Result<bool> {
        let Some(best) = &mut self.best else {
            return Ok(true);
        };
        best.keep_in(self.directory.path());
        let (value, before, lower) = (best.value_in(all), best.value(), best.is_lower_better());
        let trained = &self.inputs.model_plan.candidates;
        let is_best = best.offer(self.model, trained, moment, all)?;
        if is_best {
            tracing::info!(epoch = %moment.epoch_json(), step = moment.step, "the best model so far");
        }
        if let Some(early) = self.config.evaluating.early_stopping
            && early.ends(&mut self.patience, value, before, lower)
            && moment.step < self.last_step
        {
            note(&format!(
                "early stopping after step {}: {} has not improved in {} evaluations",
                moment.step,
                best.key(),
                self.patience.without_improvement
            ));
            self.stops_early = true;
            self.directory.begin_saving();
        }
        Ok(is_best)
    }
}

/// Turns logits that are not finite into a training error.
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
