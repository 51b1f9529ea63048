//! The end of a training run: test results, the model or adapter, records and the report. Called by
//! the recipe.

use super::prepare::{Inputs, ModelSide, Prepared};
use crate::{
    baseline::{self, Baseline, Verdict},
    best_model,
    checkpoint::Shelf,
    engaged::Engaged,
    evaluate::evaluate,
    evaluation_keys::eval_keys,
    fetch,
    report::{Planned, Report, StageNotReached, commands::Trained},
    result_files,
    run_directory::{RunDirectory, of_result},
    summary::Summary,
    task_data::TaskData,
    verify::{self, Expected, Loading},
};
use progtune_datasets::{ProblemType, TaskSource};
use progtune_engine::{
    Error, HeadKind, LabelMatch, LearnedTask, Result,
    adapter::{Provenance, peft, save_neutral},
    base_model::BaseModel,
    export::{WeightDtype, save_checkpoint},
    made_by::{self, option_json, plugin_name, plugins_json},
    merge::is_possible,
    model::Model,
};
use progtune_pipeline::token_classification::raw_text;
use progtune_process::{
    Phase,
    terminal::{self, events, note_for_people},
};
use serde_json::{Map, Value};
use std::{path::Path, time::Instant};

impl Prepared<'_> {
    /// Evaluates the model on the test data, saves the result, and reports. `started` is the start
    /// time of the process.
    ///
    /// # Errors
    /// Fails if the directory no longer exists, a file cannot be written, or the saved result is
    /// not the model in memory.
    pub(super) fn save(
        self,
        mut summary: Summary,
        mut directory: RunDirectory,
        started: Instant,
    ) -> Result<()> {
        let trained = Instant::now();
        summary.evaluation.extend(test_results(&self)?);
        if !self.inputs.test_splits.is_empty() {
            summary.test_secs = trained.elapsed().as_secs_f64();
        }
        directory.stay()?;
        let saving = Phase::begin("save", "saving the result", "", None);
        let (inputs, task) = (self.inputs, self.inputs.task());
        learned_task(&self).save(directory.path())?;
        let base_model = BaseModel::of(&inputs.model.source)?;
        save_result(&self, &base_model, directory.path())?;
        let used = plugins_json(&self.schedule, inputs.model.method.as_ref());
        made_by::save(directory.path(), &used)?;
        let engaged = engaged(&self, &summary)?;
        let (planned, weighting) = (self.planned(&summary), self.model.loss_weighting.clone());
        let (head, rewrites) = (HeadKind::of(task), &inputs.model_plan.rewrites);
        let is_mergeable = is_possible(&self.model, head, rewrites);
        let verification = verified(self.model, inputs, directory.path())?;
        // The result has these parameters, too. A checkpoint needs the file if the run is extended.
        if Shelf::of(directory.path()).steps().is_empty() {
            best_model::remove_files(directory.path());
        }
        saving.finish();
        let guessing = Baseline::new(task, &inputs.examples, &inputs.eval_splits[0])?;
        let verdict = baseline::judge(&summary, guessing, &weighting);
        let destination = directory.destination().to_owned();
        let report = Report {
            summary: &summary,
            trained: Trained {
                config: inputs.config,
                inputs: &inputs.local,
                task,
                directory: &destination,
                is_mergeable,
            },
            planned,
            engaged: &engaged,
            train_samples: inputs.examples.len(),
            total_secs: started.elapsed().as_secs_f64(),
        };
        let mut results = report.results(used);
        if let Some(results) = results.as_object_mut() {
            results.extend(verdict.to_json());
        }
        if let Some(fetched) = fetch::record(&inputs.local) {
            results["hub"] = fetched;
        }
        results["base_model"] = base_model.to_json();
        results["verification"] = verification;
        results["files"] = result_files::record(directory.path(), of_result())?;
        directory.finish(&results)?;
        if let Some(warning) = engaged.warning() {
            tracing::warn!("{warning}");
        }
        show(&report, &results, &verdict)
    }

    /// The plan of the run in figures, with the stages that it did not reach.
    fn planned(&self, summary: &Summary) -> Planned {
        let epochs = self.run_plan.epochs();
        let begun = summary.history.len();
        let rest = epochs.iter().skip(begun);
        Planned {
            steps: self.total_steps(),
            updated_parameters: epochs.iter().map(|epoch| epoch.updated).sum(),
            candidate_size: self.inputs.model_plan.candidate_size(),
            epochs: epochs.len(),
            is_upper_bound: !self.run_plan.signals.is_empty(),
            not_reached: rest
                .map(|epoch| StageNotReached::new(epoch.stage, &self.run_plan))
                .collect(),
        }
    }
}

/// Measures the effect of training on each part of the model.
fn engaged(prepared: &Prepared<'_>, summary: &Summary) -> Result<Engaged> {
    let best = summary.best.as_ref();
    // The run has said at its start what there is to say about these files.
    verify::quietly(|| {
        Engaged::measure(
            &prepared.inputs.model_plan,
            &prepared.model.parameters,
            &prepared.initial_values()?,
            &summary.trained_steps,
            best.is_some_and(|best| best.moment.step < summary.steps),
        )
    })
}

/// Loads the saved result again, after `model` has been released, and compares their logits.
/// Returns the entry for `all_results.json`.
///
/// # Errors
/// Fails if the saved result is not the model.
fn verified(model: Model, inputs: &Inputs<'_>, directory: &Path) -> Result<Value> {
    let start = Instant::now();
    let (config, split) = (inputs.config, &inputs.eval_splits[0]);
    let batch = verify::first_batch(split, config.batching.eval, &model)?;
    let expected = Expected::of(&model, Some(batch))?;
    drop(model);
    let loading = Loading {
        base: inputs.local.model.as_ref(),
        plugins: &config.plugins,
        machine: config.machine,
    };
    let verification = verify::verify(directory, &expected, &loading).map_err(|what| {
        Error::Training(format!(
            "{what}; the run is not marked as finished: check the disk and the memory of this machine, and run it again"
        ))
    })?;
    verification.recorded.save(directory)?;
    Ok(verification.to_json(start.elapsed().as_secs_f64()))
}

/// Shows the report and its warning to the user, and sends the event `end` to programs.
fn show(report: &Report<'_>, results: &Value, verdict: &Verdict) -> Result<()> {
    let show = terminal::show();
    if !show.quiet && !events::are_on() {
        note_for_people("");
        terminal::print(report.text(show.colour.stdout()))?;
    }
    // The warning is the last line that the user reads. Programs receive it before `end`.
    if let Some(warning) = verdict.warning() {
        tracing::warn!("{warning}");
    }
    events::emit("end", results);
    if !show.quiet && events::are_on() {
        return Ok(terminal::print(report.text(show.colour.stdout()))?);
    }
    Ok(())
}

/// Evaluates the trained model on the test splits. The keys begin with `test_`; without labelled
/// test data the result is empty.
fn test_results(prepared: &Prepared<'_>) -> Result<Map<String, Value>> {
    let (inputs, model) = (prepared.inputs, &prepared.model);
    let mut results = Map::new();
    for split in &inputs.test_splits {
        let limit = inputs.config.batching.eval;
        let result = evaluate(model, inputs.task(), split, limit)?;
        let keys = eval_keys(inputs.task(), &result, split.suffix());
        let keys = keys.into_iter();
        results.extend(keys.map(|(key, value)| (key.replacen("eval_", "test_", 1), value)));
    }
    Ok(results)
}

/// The description of the run's task, by which later commands read their inputs as this run did.
fn learned_task(prepared: &Prepared<'_>) -> LearnedTask {
    let (inputs, task) = (prepared.inputs, prepared.inputs.task());
    let mut learned = match (&task.source, &inputs.local.own) {
        (TaskSource::Own, Some(own)) => LearnedTask::new(task, &own.reading),
        _ => LearnedTask::of_task(task),
    };
    learned.max_length = Some(prepared.decided.max_length);
    if task.problem_type == ProblemType::QuestionAnswering {
        learned.doc_stride = Some(inputs.config.data.answering.doc_stride);
    }
    if let TaskData::Tagged { data, .. } = &inputs.data {
        let words = data.train.iter().flat_map(|sentence| &sentence.words);
        let is_apart = raw_text::is_punctuation_apart(words.map(String::as_str));
        learned.punctuation_is_apart = Some(is_apart);
    }
    learned
}

/// Saves a full checkpoint if the method adds nothing, a PEFT adapter if PEFT supports the method,
/// and the neutral format otherwise.
fn save_result(prepared: &Prepared<'_>, base: &BaseModel, path: &Path) -> Result<()> {
    let Inputs {
        model_plan,
        tokenizer,
        model: ModelSide { source, method, .. },
        ..
    } = prepared.inputs;
    let (model, task) = (&prepared.model, prepared.inputs.task());
    let adds = model
        .parameters
        .infos()
        .iter()
        .any(|info| info.added.is_some());
    let Some(method) = method
        .as_ref()
        .filter(|_| adds || !model_plan.rewrites.is_empty())
    else {
        save_checkpoint(path, model, task, WeightDtype::F32)?;
        return tokenizer.save(path);
    };
    let options: Vec<(String, Value)> = method
        .options()
        .iter()
        .map(|(key, value)| (key.clone(), option_json(value)))
        .collect();
    let plugin = plugin_name(method.source());
    let id = method.source().id.as_str();
    let head_order = LabelMatch::of(&model.config.labels, &task.labels).order();
    let (base_model, base_revision) = (source.name(), source.revision());
    let about = Provenance {
        base_model: &base_model,
        base_revision: base_revision.as_deref(),
        task: &task.name,
        problem_type: task.problem_type,
        method: id,
        options: &options,
        plugin: &plugin,
        head_order: head_order.as_deref(),
    };
    let trained: Vec<usize> = model_plan
        .candidates
        .iter()
        .chain(&model.not_in_base)
        .copied()
        .collect();
    match peft::Format::of(id, &model.parameters) {
        Some(format) => {
            let (parameters, rewrites) = (&model.parameters, &model_plan.rewrites);
            format.save(path, parameters, &trained, &model.config, rewrites, about)?;
        }
        None => save_neutral(path, &model.parameters, &trained, about)?,
    }
    base.save(path)
}
