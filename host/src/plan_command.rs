//! `progtune plan`: what a run would train, without weights, tokenizer or data; with `--predict` also how long each epoch
//! takes on this machine and how much memory, for the data if it is given. Called by `main`.

use crate::{
    config::{RunConfig, max_length},
    fetch::{Fetcher, ModelFiles},
    forecast::{DataSize, forecast},
    memory::{MemoryForecast, budget::settle},
    prefix_cache::{self, CacheForecast, Place, Sizes},
    recipe::prepare::{ModelSide, open_tokenizer},
    run_examples::load_data,
    task_data::{TaskData, trainable_task},
};
use progtune_engine::{
    error::Result,
    model::{config::ModelConfig, description::HeadKind},
    plan::{EpochForecast, ModelPlan, PlanNames, RunPlan, Stage, View, to_json, to_svg},
    plugin::{self, LoadedMethod},
};
use progtune_pipeline::{batch_order::BatchOrder, eval_split::EvalSplit, token_store::Examples};
use progtune_process::{files::write_named, phase::Phase, terminal};
use serde_json::{Value, json};
use std::path::Path;

/// Prints the plan as a table or as JSON, with forecasts if they are wanted; draws it in a file, too.
pub fn run_plan(config: &RunConfig, json: bool, predict: bool, svg: Option<&Path>) -> Result<()> {
    let plugins = plugin::find(&config.plugins)?;
    let reads_data = config.inputs.own.is_some() || predict && config.inputs.data.is_some();
    let files = match predict {
        true => ModelFiles::Tokenizer,
        false => ModelFiles::Config,
    };
    let fetcher = Fetcher::new(&config.hub);
    let inputs = fetcher.run(&config.inputs, &config.data.task, files, reads_data)?;
    let ModelSide {
        source,
        config: model_config,
        adapter: _,
        method,
    } = ModelSide::read(config, &inputs, &plugins)?;
    // Only reading them tells how many labels own files have.
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
    let RunConfig {
        trainables,
        training,
        ..
    } = config;
    let (method, train_pooler) = (method.as_ref(), trainables.train_pooler);
    let model_plan = ModelPlan::new(&model_config, head, method, train_pooler)?;
    let has_data = own.is_some() || inputs.data.is_some() || task.is_generated();
    let data = match predict && has_data {
        true => {
            let tokenizer = open_tokenizer(&source, &model_config, longest)?;
            let data = match own {
                Some(data) => data,
                None => read()?,
            };
            let tokenizer = tokenizer.for_task(data.task().problem_type);
            Some(load_data(&config.data, &data, &tokenizer, token_cache)?)
        }
        false => None,
    };
    // 0: not known.
    let steps_per_epoch = match &data {
        None => 0,
        Some((examples, _)) => {
            BatchOrder::new(config.batching.rule(training.seed), examples)?.steps_per_epoch()
        }
    };
    let run = model_plan.run_record(
        training.epochs,
        steps_per_epoch,
        training.seed,
        trainables.peft.as_deref().unwrap_or_default(),
    );
    let schedule = plugins.schedule(&trainables.schedule, &trainables.schedule_opt, run)?;
    let run_plan = RunPlan::new(&model_plan, &schedule, training.epochs, steps_per_epoch)?;
    let predicted = match predict {
        true => Some(predict_run(
            config,
            longest,
            (&model_config, head, method),
            &model_plan,
            &run_plan,
            data.as_ref(),
        )?),
        false => None,
    };
    let name = source.name();
    let names = PlanNames {
        model: &name,
        task: &config.data.task,
        schedule: &trainables.schedule,
        peft: trainables.peft.as_deref(),
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
    match json {
        true => {
            let mut plan = to_json(&model_plan, &run_plan, &names);
            if let Some(predicted) = &predicted {
                predicted.add_to(&mut plan);
            }
            Ok(terminal::print_json(&format!("{plan:#}\n"))?)
        }
        false => {
            let note = predicted.as_ref().map_or(String::new(), Predicted::note);
            let table = view.to_table(None) + &note;
            Ok(terminal::print(
                terminal::show().colour.stdout().squares(&table),
            )?)
        }
    }
}

/// What `--predict` adds to a plan.
struct Predicted {
    epochs: Vec<EpochForecast>,
    /// The peak of the whole run, loading and saving included.
    peak_bytes: Option<u64>,
    /// What the sequences are taken for.
    basis: String,
    /// `None`: there is none, or the data is unknown.
    cache: Option<CacheForecast>,
    /// What `--memory-budget` decides.
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
                },
                "bytes": cache.bytes,
                "training_share": cache.training_share,
                "spared_secs": self.spared(),
            });
        }
    }

    /// Seconds that the prefix cache takes off the run.
    fn spared(&self) -> f64 {
        self.epochs.iter().map(|p| p.secs.spared).sum()
    }

    fn note(&self) -> String {
        let peak = self.peak_bytes.map_or_else(String::new, |bytes| {
            format!(
                "; loading and saving included, at most {}",
                crate::memory::mib(bytes)
            )
        });
        let mut note = format!("predicted for this machine and {}{peak}\n", self.basis);
        if let Some(cache) = &self.cache {
            let starts = (1..).zip(&cache.starts).filter(|(_, start)| **start > 0);
            let starts: Vec<String> = starts
                .map(|(epoch, start)| format!("epoch {epoch} at block {start}"))
                .collect();
            note += &format!(
                "prefix cache: {}, included; {:.2} s less: {}\n",
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

/// The first and the last of a long list.
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
    loaded: Option<&(Examples, Vec<EvalSplit>)>,
) -> Result<Predicted> {
    let stages = &run_plan.first_stages();
    let memory_forecast =
        MemoryForecast::new(model.0, model.1, model_plan, config.machine.threads)?;
    let longest = longest.min(model.0.max_tokens());
    let (batching, training) = (&config.batching, &config.training);
    let mut cached = None;
    let (data, memory_forecast, basis) = if let Some((examples, eval_splits)) = loaded {
        let splits: Vec<&Examples> = std::iter::once(examples)
            .chain(eval_splits.iter().map(|split| &split.examples))
            .collect();
        let tokens_of = |split: &&Examples| split.summary().tokens;
        let tokens = examples.summary().tokens;
        let data = DataSize {
            mean_length: tokens as f64 / examples.len() as f64,
            examples: Some(examples.len()),
            eval_tokens: splits[1..].iter().map(tokens_of).sum::<u64>() as f64,
        };
        let basis = format!(
            "the data's {} tokens",
            progtune_process::thousands::grouped(tokens)
        );
        cached = Some(splits);
        (
            data,
            memory_forecast.with_data(batching, training, examples, eval_splits)?,
            basis,
        )
    } else {
        let data = DataSize {
            mean_length: longest as f64,
            examples: None,
            eval_tokens: 0.0,
        };
        let basis =
            format!("batches of sequences of {longest} tokens, the most there can be (no --data)");
        (
            data,
            memory_forecast.with_length(batching, training, longest),
            basis,
        )
    };
    let settled = settle(config, &memory_forecast, &run_plan.stages)?;
    // What a schedule decides on the way decides what is cached.
    let cached = cached.filter(|_| run_plan.is_by_epoch());
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
    let fused = config.machine.is_fused();
    Ok(Predicted {
        epochs: stages
            .iter()
            .zip(secs)
            .map(|(stage, secs)| EpochForecast {
                secs,
                peak_bytes: fused.then(|| memory_forecast.stage_peak(stage, settled.recompute)),
            })
            .collect(),
        peak_bytes: fused.then(|| {
            let peak = memory_forecast.peak(&run_plan.stages, settled.recompute);
            peak.total()
        }),
        basis,
        cache,
        note: settled.note,
    })
}

/// The prefix cache of the run; `splits` are the training set and the evaluated splits.
fn expected_cache(
    config: &RunConfig,
    settings: prefix_cache::Settings,
    (model, head): (&ModelConfig, HeadKind),
    stages: &[Stage],
    splits: &[&Examples],
) -> Result<Option<CacheForecast>> {
    // Dropout in what is frozen makes other rows in every epoch.
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
