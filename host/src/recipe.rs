//! The whole run, readable from top to bottom: set up, train, save. Called by `main`.

use crate::{
    adapter::{Adapter, Provenance, peft, save_neutral},
    assemble::{Assembly, open_device},
    baseline::{self, Baseline},
    batch_order::BatchOrder,
    best_model::BestModel,
    class_weights::{self, loss_weighting},
    config::{RunConfig, max_length},
    error::{Error, Result},
    eval_split::EvalSplit,
    evaluate::evaluate,
    examples::{ExampleSource, Origin},
    export::{WeightDtype, save_checkpoint},
    fetch::{self, Fetcher, ModelFiles},
    labels::LabelMatch,
    learned_task::LearnedTask,
    memory::budget::settle_memory,
    model::{Model, config::ModelConfig, description::HeadKind, weights::HeadPolicy},
    model_source::ModelSource,
    phase::Phase,
    plan::{Blueprint, Foresight, PlanNames, View, to_json},
    plugin::{self, LoadedMethod, LoadedSchedule, Plugins},
    prefix_cache::{CachedRun, PrefixCache},
    progress::Progress,
    provenance::{self, option_json, plugin_name, plugins_json},
    question_answering::load::QuestionSource,
    report::Report,
    run_directory::{Claim, RunDirectory},
    run_examples::load_data,
    task_data::TaskData,
    terminal::{self, events, note, note_for_people},
    thousands::grouped,
    token_cache::TokenCache,
    token_classification,
    token_store::Examples,
    tokenizer::Tokenizer,
    train::{Trainer, eval_keys},
};
use progtune_datasets::{SplitName, Task, TaskSource};
use serde_json::{Value, json};
use std::time::Instant;

/// Learning rate of full fine-tuning when none is given: Hugging Face's default.
const FULL_LR: f64 = 5e-5;

/// Epochs whose plan is shown row by row at the start of a run; of more, those that are alike share one.
const MOST_ROWS: usize = 12;

/// Positions that a pair of texts needs: RoBERTa's four special tokens and a word.
const SHORTEST_MODEL: usize = 5;

/// Fine-tunes a model as `config` says and leaves the result in its output directory. `started` is when the process
/// began.
pub fn train(config: &RunConfig, started: Instant) -> Result<()> {
    let claim = Claim::take(config)?;
    train_in(&claim, config, started).map_err(|error| claim.explain(error))
}

fn train_in(claim: &Claim, config: &RunConfig, started: Instant) -> Result<()> {
    open_device(config.device)?;
    let plugins = plugin::find(&config.plugins)?;
    let fetcher = Fetcher::new(&config.hub);
    let config = &fetcher.run(config, ModelFiles::All, true)?;
    let data = TaskData::of_run(config)?;
    let task = data.task();
    let config = &data.settle(config);
    let head = HeadKind::of(task);
    let source = ModelSource::new(config.model.as_ref())?;
    let mut model_config = source.config()?;
    if let Some(p) = config.dropout {
        model_config.override_dropout(p);
    }
    let adapter = config
        .init_adapter
        .as_ref()
        .map(|directory| Adapter::read(directory.path(), &model_config))
        .transpose()?;
    let method = load_method(&plugins, config, adapter.as_ref())?;
    let blueprint = Blueprint::new(&model_config, head, method.as_ref(), config.train_pooler)?;
    model_config.position_shift = blueprint.position_shift;

    let longest = max_length(config.max_length, task.problem_type);
    let tokenizer = open_tokenizer(&source, &model_config, longest)?;
    let tokenizer = tokenizer.for_task(task.problem_type);
    let (examples, eval_splits) = load_data(config, &data, &tokenizer)?;
    let order = BatchOrder::new(config.batch_rule(), &examples)?;
    let steps_per_epoch = order.steps_per_epoch();
    let schedule = load_schedule(&plugins, config, &blueprint, steps_per_epoch)?;
    let weighting = loss_weighting(
        &config.class_weights,
        config.label_smoothing,
        task,
        &examples,
    )?;
    let foresight = Foresight::new(&blueprint, &schedule, config.epochs, steps_per_epoch)?;

    // What is written down is what was used: the method's own learning rate, an adapter's options.
    let lr = config.lr.or(blueprint.suggested_lr).unwrap_or(FULL_LR);
    let settled = settle_memory(
        config,
        &model_config,
        head,
        &blueprint,
        &foresight.stages,
        (&examples, &eval_splits),
    )?;
    let config = &RunConfig {
        lr: Some(lr),
        recompute: settled.recompute,
        prefix_cache_budget: settled.prefix_cache_budget,
        peft_opt: merged_options(config, adapter.as_ref()),
        ..config.clone()
    };
    let best = config
        .load_best_model_at_end
        .then(|| BestModel::told_by(&config.metric_for_best_model, task))
        .transpose()?;
    let mut model = Assembly {
        source: &source,
        config: model_config,
        head,
        labels: &task.labels,
        blueprint: &blueprint,
        adapter: adapter.as_ref(),
        policy: HeadPolicy::MakeNew,
        seed: config.seed,
        device: config.device,
        kernels: config.kernels,
    }
    .build()?;
    model.frozen_dropout = config.frozen_dropout;
    model.recompute = config.recompute;
    model.loss_weighting = weighting;

    // Everything has been read. From here on the output directory changes.
    let mut directory = claim.begin(config)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), config = %config.to_toml().replace('\n', "; "), "run");
    data.log_skipped();
    let name = source.name();
    let names = PlanNames {
        model: &name,
        task: &task.name,
        schedule: &config.schedule,
        peft: config.peft.as_deref(),
    };
    let used = plugins_json(&schedule, method.as_ref());
    let mut plan = to_json(&blueprint, &foresight, &names);
    plan["plugins"] = used.clone();
    let fetched = fetch::record(config);
    if let Some(fetched) = &fetched {
        plan["hub"] = fetched.clone();
    }
    directory.write_plan(&plan)?;

    let splits: Vec<&Examples> = std::iter::once(&examples)
        .chain(eval_splits.iter().map(|split| &split.examples))
        .collect();
    let mut cache = PrefixCache::new(&CachedRun {
        settings: config.prefix_cache_settings(),
        model: &model,
        stages: foresight
            .is_by_epoch()
            .then_some(foresight.stages.as_slice()),
        epochs: Trainer::epochs(config, steps_per_epoch),
        splits: &splits,
        directory: directory.path(),
    });
    let mut progress = Progress::new(config.logging_steps, config.epochs);
    data.announce();
    let cached = cache.outlook();
    let view = View {
        blueprint: &blueprint,
        foresight: &foresight,
        names: &names,
        predictions: &[],
        starts: cached.map_or(&[][..], |cached| &cached.starts),
    };
    let last_step = Trainer::last_step(config, steps_per_epoch);
    let secs = started.elapsed().as_secs_f64();
    let rows = (config.epochs > MOST_ROWS as u32).then_some(MOST_ROWS);
    note_for_people(&format!("{}\n", view.to_table(rows).trim_end()));
    if let Some(cached) = cached.filter(|cached| cached.starts.iter().any(|&start| start > 0)) {
        note_for_people(&format!("prefix cache: {}", cached.describe()));
    }
    note_for_people(&format!(
        "{} steps over {} examples, learning rate {lr:e}; ready after {secs:.1} s",
        grouped(last_step),
        grouped(examples.len() as u64),
    ));
    let sizes = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "command": "train",
        "output": directory.output(),
        "train_samples": examples.len(),
        "steps_per_epoch": steps_per_epoch,
        "last_step": last_step,
        "lr": lr,
        "startup_secs": secs,
        "prefix_cache_bytes": cached.map_or(0, |cached| cached.bytes),
        "prefix_cache_starts": cached.map_or(&[][..], |cached| &cached.starts),
        "plan": plan,
    });
    events::emit("start", &sizes);
    if let Some(weights) = class_weights::describe(&model.loss_weighting, task) {
        note(&weights);
    }
    if let Some(settled) = &settled.note {
        tracing::debug!("{settled}");
        note(settled);
    }

    let mut summary = Trainer {
        config,
        task,
        model: &mut model,
        blueprint: &blueprint,
        schedule: &schedule,
        examples: &examples,
        order: &order,
        eval_splits: &eval_splits,
        cache: &mut cache,
        lr,
        started,
        best,
        directory: &mut directory,
        progress: &mut progress,
    }
    .run()?;
    progress.finish();
    model.release_memory();
    cache.finish();
    summary
        .evaluation
        .extend(test_results(config, &data, &tokenizer, &model)?);
    directory.stay()?;
    let saving = Phase::begin("save", "saving the result", "", None);
    if let (TaskSource::Own, Some(own)) = (&task.source, &config.own) {
        LearnedTask::new(task, &own.reading).save(directory.path())?;
    }
    save_result(
        &directory,
        &model,
        &tokenizer,
        task,
        &blueprint,
        method.as_ref(),
        &source,
    )?;
    provenance::save(directory.path(), &used)?;
    directory.take_the_place()?;
    saving.finish();
    let report = Report {
        summary: &summary,
        config,
        task,
        directory: directory.path(),
        candidate_size: blueprint.candidate_size(),
        train_samples: examples.len(),
    };
    let guessing = Baseline::new(task, &examples, &eval_splits[0])?;
    let verdict = baseline::judge(&summary, guessing, &model.loss_weighting);
    let mut results = report.results(used);
    if let Some(results) = results.as_object_mut() {
        results.extend(verdict.to_json());
    }
    if let Some(fetched) = fetched {
        results["hub"] = fetched;
    }
    directory.finish(&results)?;
    let show = terminal::show();
    if !show.quiet && !events::are_on() {
        note_for_people("");
        terminal::print(report.text(show.colour.stdout()))?;
    }
    // The last line that a person reads; programs hear of it before the end.
    if let Some(warning) = verdict.warning() {
        tracing::warn!("{warning}");
    }
    events::emit("end", &results);
    match !show.quiet && events::are_on() {
        true => terminal::print(report.text(show.colour.stdout())),
        false => Ok(()),
    }
}

/// The method of the run; its options are the user's, then those of the adapter it starts from.
///
/// # Errors
/// When the adapter is of another method, or the method refuses its options.
pub fn load_method(
    plugins: &Plugins,
    config: &RunConfig,
    adapter: Option<&Adapter>,
) -> Result<Option<LoadedMethod>> {
    let Some(id) = config.peft.as_deref() else {
        return Ok(None);
    };
    if let Some(adapter) = adapter.filter(|adapter| adapter.method != id) {
        return Err(Error::Usage(format!(
            "--init-adapter {}: the adapter is of method {}, the run uses --peft {id}; use the same for both",
            adapter.origin, adapter.method
        )));
    }
    if let Some(adapter) = adapter.filter(|adapter| !adapter.unsaid.is_empty()) {
        return Err(Error::Usage(format!(
            "--init-adapter {}: the adapter has what the method {id} has no option for: {}; merge it into the model \
             (progtune merge), and train the merged model",
            adapter.origin,
            adapter.unsaid.join("; ")
        )));
    }
    let phase = Phase::begin("plugin", format!("loading the method {id}"), "", None);
    let method = plugins.method(id, &merged_options(config, adapter))?;
    phase.finish();
    if let Some(adapter) = adapter {
        adapter.warn_if_made_by_another(method.source());
    }
    Ok(Some(method))
}

fn merged_options(config: &RunConfig, adapter: Option<&Adapter>) -> Vec<(String, String)> {
    let mut options = config.peft_opt.clone();
    for (key, value) in adapter.iter().flat_map(|adapter| &adapter.options) {
        if !options.iter().any(|(given, _)| given == key) {
            options.push((key.clone(), value.clone()));
        }
    }
    options
}

fn load_schedule(
    plugins: &Plugins,
    config: &RunConfig,
    blueprint: &Blueprint,
    steps_per_epoch: u64,
) -> Result<LoadedSchedule> {
    let method = config.peft.as_deref().unwrap_or_default();
    let run = blueprint.run_record(config.epochs, steps_per_epoch, config.seed, method);
    let what = format!("loading the schedule {}", config.schedule);
    let phase = Phase::begin("plugin", what, "", None);
    let schedule = plugins.schedule(&config.schedule, &config.schedule_opt, run)?;
    phase.finish();
    Ok(schedule)
}

/// The tokenizer of a model, for inputs of at most `max_length` tokens and no more than the model takes.
pub fn open_tokenizer(
    source: &ModelSource,
    config: &ModelConfig,
    max_length: usize,
) -> Result<Tokenizer> {
    let longest = config.max_tokens();
    if longest < SHORTEST_MODEL {
        return Err(Error::Model(format!(
            "{}/config.json: keys `max_position_embeddings` {} and `pad_token_id` {}{} leave inputs of {longest} tokens; \
             expected {SHORTEST_MODEL} at least: correct them",
            source.name(),
            config.encoder.max_position_embeddings,
            config.encoder.pad_token_id,
            match config.position_shift {
                0 => String::new(),
                shift => format!(" and the {shift} positions that the method takes"),
            }
        )));
    }
    let length = max_length.min(longest);
    if max_length > longest {
        tracing::info!(
            "--max-length {max_length} is more than the model takes: inputs are cut at {longest} tokens"
        );
    }
    Tokenizer::of_model(source, config, length)
}

/// What the trained model makes of own test files, under keys that begin with `test_`; nothing without them.
fn test_results(
    config: &RunConfig,
    data: &TaskData,
    tokenizer: &Tokenizer,
    model: &Model,
) -> Result<serde_json::Map<String, Value>> {
    let (task, cache) = (data.task(), &TokenCache::new(config.token_cache));
    let (name, answering) = (SplitName::Test, config.answering);
    let split = match data {
        TaskData::Own(files) if files.has_test_labels() => {
            let source = ExampleSource {
                task,
                tokenizer,
                cache,
            };
            EvalSplit::of_examples(name, source.load(Origin::Own { files, name }, None)?)
        }
        TaskData::Tagged { data, .. } if data.test.iter().any(|s| s.tags.is_some()) => {
            let (test, length) = (&data.test, tokenizer.max_length());
            let examples = token_classification::data::examples(tokenizer, name, test, length)?;
            EvalSplit::of_examples(name, examples)
        }
        TaskData::Questions(own) if own.test.iter().any(|question| question.answers.is_some()) => {
            let source = QuestionSource {
                task,
                tokenizer,
                cache,
                answering,
            };
            EvalSplit::of_questions(name, source.split(&own.test, None)?)
        }
        _ => return Ok(serde_json::Map::new()),
    };
    let result = evaluate(model, task, &split, config.eval_batch_limit())?;
    let keys = eval_keys(task, &result, "").into_iter();
    Ok(keys
        .map(|(key, value)| (key.replacen("eval_", "test_", 1), value))
        .collect())
}

/// A full checkpoint when the method adds nothing, a PEFT adapter where PEFT has the method, the neutral format otherwise.
fn save_result(
    directory: &RunDirectory,
    model: &Model,
    tokenizer: &Tokenizer,
    task: &Task,
    blueprint: &Blueprint,
    method: Option<&LoadedMethod>,
    source: &ModelSource,
) -> Result<()> {
    let path = directory.path();
    let adds = model
        .parameters
        .infos()
        .iter()
        .any(|info| info.added.is_some());
    let Some(method) = method.filter(|_| adds || !blueprint.rewrites.is_empty()) else {
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
    let trained: Vec<usize> = blueprint
        .candidates
        .iter()
        .chain(&model.not_in_base)
        .copied()
        .collect();
    match peft::Format::of(id, &model.parameters) {
        Some(format) => {
            let (parameters, rewrites) = (&model.parameters, &blueprint.rewrites);
            format.save(path, parameters, &trained, &model.config, rewrites, about)
        }
        None => save_neutral(path, &model.parameters, &trained, about),
    }
}
