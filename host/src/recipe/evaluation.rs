//! The evaluation after each epoch of a run: measured, recorded, shown, and offered as the best so
//! far. Called by the recipe.

use super::Run;
use crate::{
    class_report::without_classes, evaluate::evaluate_from, evaluation_keys::eval_keys,
    prefix_cache::Usage,
};
use progtune_engine::error::{Error, Result};
use progtune_pipeline::question_answering::{answers::Asked, decode::Decoded, prediction_files};
use progtune_process::terminal::note_for_people;
use serde_json::{Map, Value, json};

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
    /// Evaluates the model on every split.
    pub(super) fn evaluate(&mut self) -> Result<()> {
        // The buffers of training and evaluation are never held at the same time.
        self.model.release_buffers();
        let measured = self.measure()?;
        let cached = self.cache.end_epoch();
        self.record_evaluation(&measured.all, cached.as_ref())?;
        let is_result = self.offer_as_best(&measured.all)?;
        if is_result {
            self.summary.only_answer = measured.only_answer;
            self.summary.only_label = measured.only_label;
        }
        if let (true, Some((asked, answers))) = (is_result, measured.answers) {
            prediction_files::write(self.directory.path(), asked, &answers)?;
        }
        // An evaluation that is interrupted is made again, so the signals come after it.
        self.signal_loss();
        if let Some(value) = measured.first_metric {
            self.signal("eval_metric", || vec![value]);
        }
        self.epoch.evaluation.clone_from(&measured.all);
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
        all: &Map<String, Value>,
        cached: Option<&Usage>,
    ) -> Result<()> {
        let epoch = self.epoch.epoch;
        let mut line = Map::new();
        line.insert("step".into(), json!(self.summary.steps));
        line.insert("epoch".into(), json!(epoch));
        line.extend(all.clone());
        if let Some(usage) = cached {
            line.insert("prefix_cache".into(), usage.to_json());
        }
        let line = Value::Object(line);
        self.directory.record(&line)?;
        let result = Value::Object(without_classes(all));
        tracing::info!(epoch, %result, "evaluation");
        self.progress.evaluation(epoch, &line, all);
        if let Some(usage) = cached {
            tracing::info!(epoch, usage = %usage.to_json(), "prefix cache");
            if usage.saved > 0 {
                note_for_people(&usage.line());
            }
        }
        Ok(())
    }

    /// Offers the model as the best so far and returns whether it is the run's result for now.
    /// Without best-model selection this is always true.
    fn offer_as_best(&mut self, all: &Map<String, Value>) -> Result<bool> {
        let Some(best) = &mut self.best else {
            return Ok(true);
        };
        let epoch = self.epoch.epoch;
        best.keep_in(self.directory.path());
        let trained = &self.inputs.model_plan.candidates;
        let is_best = best.offer(self.model, trained, epoch, all)?;
        if is_best {
            tracing::info!(epoch, "the best model so far");
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
