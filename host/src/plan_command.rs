//! `progtune plan`: shows what a run would train, without weights, tokenizer or data. `--predict`
//! adds the time and memory of each epoch on this machine, for the data if it is given. Called by
//! `main`.

use crate::{
    config::{RunConfig, max_length},
    fetch::{Fetcher, ModelFiles},
    json_text::to_text,
    memory_forecast::{MemoryForecast, budget::settle},
    model_tokenizer::open_tokenizer,
    prefix_cache::{self, CacheForecast, Place, Sizes},
    recipe::{lr_restart, prepare::ModelSide},
    run_examples::load_data,
    task_data::{TaskData, trainable_task},
    time_forecast::{DataSize, forecast},
};
use progtune_engine::{
    HeadKind, Result,
    model::{ComputePath, ModelConfig},
    optim::LrRestart,
    plan::{EpochForecast, ModelPlan, PlanNames, RunPlan, Stage, View, to_json, to_svg},
    plugin::{self, LoadedMethod, Plugins},
};
use progtune_pipeline::{EvalSplit, batch_order::BatchOrder, token_store::Examples};
use progtune_process::{
    Phase,
    files::write_named,
    terminal::{self, wrapped},
};
use serde_json::{Value, json};
use std::path::Path;

/// The width of the notes below a plan.
const WIDTH: usize = 80;

/// Prints the plan as a table or as JSON, with forecasts if requested, and optionally draws it.
pub fn run_plan(config: &RunConfig, json: bool, predict: bool, svg: Option<&Path>) -> Result<()> {
    let plugins = plugin::find(&config.plugins)?;
    let reads_data = config.inputs.own.is_some() || predict && config.inputs.data.is_some();
    let files = if predict {
        ModelFiles::Tokenizer
    } else {
        ModelFiles::Config
    };
    let fetcher = Fetcher::new(&config.hub);
    let inputs = fetcher.run(&config.inputs, &config.data.task, files, reads_data)?;
    let ModelSide {
        source,
        config: model_config,
        adapter: _,
        method,
    } = ModelSide::read(config, &inputs, &plugins)?;
    // The number of labels in own files is known only after reading them.
    let token_cache = config.caching.token_cache;
    let read = || TaskData::of_run(&config.data, &inputs, token_cache);
    let own = match &inputs.own {
        Some(_) => Some(read()?),
        None => None,
    };
    let task = match &own {
        Some(data) => data.task().clone(),
        None => trainable_task(&config.data.task)?.clone(),
    };
    let head = HeadKind::of(&task);
    let longest = max_length(config.batching.max_length, task.problem_type);
    let schedule_and_method = &config.schedule_and_method;
    let (method, train_pooler) = (method.as_ref(), schedule_and_method.train_pooler);
    let model_plan = ModelPlan::new(&model_config, head, method, train_pooler)?;
    let has_data = own.is_some() || inputs.data.is_some() || task.is_generated();
    let data = if predict && has_data {
        let tokenizer = open_tokenizer(&source, &model_config, longest)?;
        let data = match own {
            Some(data) => data,
            None => read()?,
        };
        let tokenizer = tokenizer.for_task(data.task().problem_type);
        Some(load_data(&config.data, &data, &tokenizer, token_cache)?)
    } else {
        None
    };
    let run_plan = plan_epochs(config, &plugins, &model_plan, data.as_ref())?;
    let predicted = if predict {
        Some(predict_run(
            config,
            longest,
            (&model_config, head, method),
            &model_plan,
            &run_plan,
            data.as_ref(),
        )?)
    } else {
        None
    };
    let name = source.name();
    let names = PlanNames {
        model: &name,
        task: &config.data.task,
        schedule: &schedule_and_method.schedule,
        peft: schedule_and_method.peft.as_deref(),
    };
    let forecasts = predicted.as_ref().map_or(&[][..], |p| &p.epochs);
    let cache = predicted.as_ref().and_then(|p| p.cache.as_ref());
    let starts = cache.map_or(&[][..], |cache| &cache.starts);
    let view = View {
        model_plan: &model_plan,
        run_plan: &run_plan,
        names: &names,
        forecasts,
        starts,
    };
    if let Some(path) = svg {
        let drawing = to_svg(&view);
        write_named(path, drawing.as_bytes())?;
    }
    print_plan(&view, predicted.as_ref(), config.optimizer.lr_restart, json)
}

/// The training examples and the evaluated splits.
type Loaded = (Examples, Vec<EvalSplit>);

/// Plans the epochs by the schedule of the run.
fn plan_epochs(
    config: &RunConfig,
    plugins: &Plugins,
    model_plan: &ModelPlan,
    data: Option<&Loaded>,
) -> Result<RunPlan> {
    let (schedule_and_method, training) = (&config.schedule_and_method, &config.training);
    // 0 means unknown.
    let steps_per_epoch = match data {
        None => 0,
        Some((examples, _)) => {
            BatchOrder::new(config.batching.rule(training.seed), examples)?.steps_per_epoch()
        }
    };
    let run = model_plan.run_record(
        training.epochs,
        steps_per_epoch,
        training.seed,
        schedule_and_method.peft.as_deref().unwrap_or_default(),
    );
    let schedule = plugins.schedule(
        &schedule_and_method.schedule,
        &schedule_and_method.schedule_opt,
        run,
    )?;
    RunPlan::new(model_plan, &schedule, training.epochs, steps_per_epoch)
}

/// Prints the plan as a table or as JSON, with the predictions if there are any.
fn print_plan(
    view: &View<'_>,
    predicted: Option<&Predicted>,
    restart: LrRestart,
    json: bool,
) -> Result<()> {
    if json {
        let mut plan = to_json(view.model_plan, view.run_plan, view.names);
        if let Value::Object(plan) = &mut plan {
            plan.extend(lr_restart::to_json(view.run_plan, restart));
        }
        if let Some(predicted) = predicted {
            predicted.add_to(&mut plan);
        }
        Ok(terminal::print_json(&(to_text(&plan) + "\n"))?)
    } else {
        let note = lr_restart::note(view.run_plan, restart)
            + &predicted.map_or(String::new(), Predicted::note);
        let table = view.to_table(None) + &wrapped(&note, WIDTH);
        let table = table.trim_end().to_owned() + "\n";
        Ok(terminal::print(
            terminal::show().colour.stdout().squares(&table),
        )?)
    }
}

/// The predictions that `--predict` adds to a plan.
struct Predicted {
    epochs: Vec<EpochForecast>,
    /// The peak of the whole run, including loading and saving.
    peak_bytes: Option<u64>,
    /// Whether it is that of a GPU.
    is_on_gpu: bool,
    /// The description of the assumed sequences.
    basis: String,
    /// `None` if there is no cache, or the data is unknown.
    cache: Option<CacheForecast>,
    /// The decision for `--memory-budget`.
    note: Option<String>,
}

impl Predicted {
    fn add_to(&self, plan: &mut Value) {
        let secs: Option<f64> = self.epochs.iter().map(|p| p.secs.epoch).sum();
        plan["predicted_secs"] = json!(secs);
        plan["predicted_peak_bytes"] = json!(self.peak_bytes);
        plan["predicted_for"] = json!(self.basis);
        for (number, epoch) in self.epochs.iter().enumerate() {
            let entry = &mut plan["epochs"][number];
            entry["predicted_secs"] = json!(epoch.secs.epoch);
            entry["predicted_eval_secs"] = json!(epoch.secs.evaluation);
            entry["predicted_step_secs"] = json!(epoch.secs.step);
            entry["predicted_peak_bytes"] = json!(epoch.peak_bytes);
            if let Some(cache) = &self.cache {
                entry["prefix_cache_start"] = json!(cache.starts[number]);
                entry["prefix_cache_spared_secs"] = json!(epoch.secs.spared);
            }
        }
        if let Some(cache) = &self.cache {
            plan["prefix_cache"] = json!({
                "place": match cache.place {
                    Place::Ram => "ram",
                    Place::Disk => "disk",
                    Place::Gpu => "gpu",
                },
                "bytes": cache.bytes,
                "training_share": cache.training_share,
                "spared_secs": self.spared(),
            });
        }
    }

    /// The seconds that the prefix cache saves in the whole run.
    fn spared(&self) -> f64 {
        self.epochs.iter().map(|p| p.secs.spared).sum()
    }

    fn note(&self) -> String {
        let peak = self.peak_bytes.map_or_else(String::new, |bytes| {
            format!(
                "; at most {}{}",
                crate::memory_forecast::mib(bytes),
                if self.is_on_gpu {
                    " on the GPU"
                } else {
                    ", including loading and saving"
                }
            )
        });
        let mut note = format!("predicted for this machine and {}{peak}\n", self.basis);
        if let Some(cache) = &self.cache {
            let starts = (1..).zip(&cache.starts).filter(|(_, start)| **start > 0);
            let starts: Vec<String> = starts
                .map(|(epoch, start)| format!("epoch {epoch} at block {start}"))
                .collect();
            note += &format!(
                "prefix cache: {}, included; saves {:.2} s: {}\n",
                cache.describe(),
                self.spared(),
                shortened(&starts)
            );
        }
        if let Some(settled) = &self.note {
            note += &format!("{settled}\n");
        }
        note
    }
}

/// The items separated by commas; only the first and the last of a long list.
fn shortened(list: &[String]) -> String {
    match list {
        [first, .., last] if list.len() > 3 => format!("{first} … {last}"),
        _ => list.join(", "),
    }
}

fn predict_run(
    config: &RunConfig,
    longest: usize,
    model: (&ModelConfig, HeadKind, Option<&LoadedMethod>),
    model_plan: &ModelPlan,
    run_plan: &RunPlan,
    loaded: Option<&Loaded>,
) -> Result<Predicted> {
    let stages = &run_plan.first_stages();
    let memory_forecast = MemoryForecast::new(model.0, model.1, model_plan, &config.machine)?;
    let longest = longest.min(model.0.max_tokens());
    let (data, memory_forecast, basis) = with_batches(config, longest, memory_forecast, loaded)?;
    let settled = settle(config, &memory_forecast, &run_plan.stages)?;
    // A schedule that decides during the run also decides what is cached, so no forecast is
    // possible.
    let cached = loaded.filter(|_| run_plan.is_by_epoch()).map(all_splits);
    let cache = match cached {
        Some(splits) => {
            let settings = prefix_cache::Settings {
                budget: settled.prefix_cache_budget,
                ..config.caching.prefix_cache
            };
            expected_cache(config, settings, (model.0, model.1), stages, &splits)?
        }
        None => None,
    };
    let memory_forecast = match &cache {
        Some(cache) => {
            let epochs = 0..stages.len();
            memory_forecast.with_cached(epochs.map(|epoch| cache.memory_after(epoch)).collect())
        }
        None => memory_forecast,
    };
    let phase = Phase::begin("calibrate", "calibrating: steps on this machine", "", None);
    let secs = forecast(
        config,
        settled.recompute,
        model,
        stages,
        &data,
        cache.as_ref(),
    )?;
    phase.finish();
    let is_forecast = config.machine.path() != ComputePath::Composed;
    Ok(Predicted {
        epochs: stages
            .iter()
            .zip(secs)
            .map(|(stage, secs)| EpochForecast {
                secs,
                peak_bytes: is_forecast
                    .then(|| memory_forecast.stage_peak(stage, settled.recompute)),
            })
            .collect(),
        peak_bytes: is_forecast.then(|| {
            let peak = memory_forecast.peak(&run_plan.stages, settled.recompute);
            peak.total()
        }),
        is_on_gpu: config.machine.path() == ComputePath::Gpu,
        basis,
        cache,
        note: settled.note,
    })
}

/// The size of the data and the memory of its batches, and a description of the assumed sequences.
fn with_batches<'a>(
    config: &RunConfig,
    longest: usize,
    memory_forecast: MemoryForecast<'a>,
    loaded: Option<&Loaded>,
) -> Result<(DataSize, MemoryForecast<'a>, String)> {
    let (batching, training) = (&config.batching, &config.training);
    let Some((examples, eval_splits)) = loaded else {
        let data = DataSize {
            mean_length: longest as f64,
            examples: None,
            eval_tokens: 0.0,
        };
        let basis = format!("batches of sequences of {longest} tokens, the maximum (no --data)");
        let memory_forecast = memory_forecast.with_length(batching, training, longest);
        return Ok((data, memory_forecast, basis));
    };
    let tokens_of = |split: &EvalSplit| split.examples.summary().tokens;
    let tokens = examples.summary().tokens;
    let data = DataSize {
        mean_length: tokens as f64 / examples.len() as f64,
        examples: Some(examples.len()),
        eval_tokens: eval_splits.iter().map(tokens_of).sum::<u64>() as f64,
    };
    let basis = format!("the data's {} tokens", progtune_process::grouped(tokens));
    let memory_forecast = memory_forecast.with_data(batching, training, examples, eval_splits)?;
    Ok((data, memory_forecast, basis))
}

/// The training set and the evaluated splits, in this order.
fn all_splits((examples, eval_splits): &Loaded) -> Vec<&Examples> {
    std::iter::once(examples)
        .chain(eval_splits.iter().map(|split| &split.examples))
        .collect()
}

/// The forecast for the run's prefix cache; `splits` are the training set and the evaluated splits.
fn expected_cache(
    config: &RunConfig,
    settings: prefix_cache::Settings,
    (model, head): (&ModelConfig, HeadKind),
    stages: &[Stage],
    splits: &[&Examples],
) -> Result<Option<CacheForecast>> {
    // Dropout in frozen blocks changes their output in every epoch, so nothing can be cached.
    if config.training.frozen_dropout {
        return Ok(None);
    }
    let blocks = model.blocks();
    let frozen: Vec<usize> = stages.iter().map(|s| s.frozen_blocks(blocks)).collect();
    let sizes = Sizes {
        blocks,
        every_token: head.reads_every_token(),
        hidden_size: model.encoder.hidden_size,
        splits,
    };
    CacheForecast::new(settings, &config.output_dir(), sizes, &frozen)
}
