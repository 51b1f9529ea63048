//! `progtune plan`: what a run would train, without weights, tokenizer or data; with `--predict` also how long each epoch
//! takes on this machine and how much memory, for the data if it is given. Called by `main`.

use crate::{
    adapter::Adapter,
    config::{RunConfig, SAMPLE_TASK},
    error::Result,
    forecast::{DataSize, forecast},
    memory::Estimator,
    model::{config::ModelConfig, description::HeadKind},
    model_source::ModelSource,
    plan::{
        Blueprint, PlanNames, Prediction, Stage, head_of_task, to_json, to_table, trainable_task,
    },
    plugin::{self, LoadedMethod},
    recipe::{load_data, load_method, open_tokenizer},
    terminal,
};
use serde_json::{Value, json};

/// Prints the plan as a table or as JSON, with predictions if they are wanted.
pub fn run_plan(config: &RunConfig, json: bool, predict: bool) -> Result<()> {
    let plugins = plugin::find(&config.plugins)?;
    let source = ModelSource::new(config.model.as_deref())?;
    let mut model_config = source.config()?;
    if let Some(p) = config.dropout {
        model_config.override_dropout(p);
    }
    let adapter = config
        .init_adapter
        .as_deref()
        .map(|directory| Adapter::read(directory, model_config.architecture))
        .transpose()?;
    let method = load_method(&plugins, config, adapter.as_ref())?;
    let head = head_of_task(&config.task)?;
    let blueprint = Blueprint::new(&model_config, head, method.as_ref(), config.train_pooler)?;
    let run = blueprint.run_record(
        config.epochs,
        0,
        config.seed,
        config.peft.as_deref().unwrap_or_default(),
    );
    let schedule = plugins.schedule(&config.schedule, &config.schedule_opt, run)?;
    let stages = blueprint.stages(&schedule, config.epochs, 0)?;
    let predicted = match predict {
        true => Some(predict_run(
            config,
            &source,
            (&model_config, head, method.as_ref()),
            &blueprint,
            &stages,
        )?),
        false => None,
    };
    let name = source.name();
    let names = PlanNames {
        model: &name,
        task: &config.task,
        schedule: &config.schedule,
        peft: config.peft.as_deref(),
    };
    let text = match json {
        true => {
            let mut plan = to_json(&blueprint, &stages, &names);
            if let Some(predicted) = &predicted {
                predicted.add_to(&mut plan);
            }
            format!("{plan:#}\n")
        }
        false => {
            let (epochs, note) = match &predicted {
                Some(predicted) => (predicted.epochs.as_slice(), predicted.note()),
                None => (&[][..], String::new()),
            };
            to_table(&blueprint, &stages, &names, epochs) + &note
        }
    };
    terminal::print(&text)
}

/// What `--predict` adds to a plan.
struct Predicted {
    epochs: Vec<Prediction>,
    /// The peak of the whole run, loading and saving included.
    peak_bytes: Option<u64>,
    /// What the sequences are taken for.
    basis: String,
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
        }
    }

    fn note(&self) -> String {
        let peak = self.peak_bytes.map_or_else(String::new, |bytes| {
            format!(
                "; loading and saving included, at most {}",
                crate::memory::mib(bytes)
            )
        });
        format!("predicted for this machine and {}{peak}\n", self.basis)
    }
}

fn predict_run(
    config: &RunConfig,
    source: &ModelSource,
    model: (&ModelConfig, HeadKind, Option<&LoadedMethod>),
    blueprint: &Blueprint,
    stages: &[Stage],
) -> Result<Predicted> {
    let task = trainable_task(&config.task)?;
    let estimator = Estimator::new(model.0, model.1, blueprint, config.threads)?;
    let longest = config.max_length.min(model.0.max_tokens());
    let (data, estimator, basis) = if config.data.is_some() || config.task == SAMPLE_TASK {
        let tokenizer = open_tokenizer(source, model.0, config.max_length)?;
        let (examples, eval_splits) = load_data(config, task, &tokenizer)?;
        let tokens: usize = examples.iter().map(|e| e.input_ids.len()).sum();
        let evaluated = eval_splits.iter().flat_map(|split| &split.examples);
        let data = DataSize {
            mean_length: tokens as f64 / examples.len() as f64,
            examples: Some(examples.len()),
            eval_tokens: evaluated.map(|e| e.input_ids.len()).sum::<usize>() as f64,
        };
        let basis = format!("the data's {} tokens", crate::plan::grouped(tokens as u64));
        (
            data,
            estimator.with_data(config, &examples, &eval_splits),
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
        (data, estimator.with_length(config, longest), basis)
    };
    let secs = forecast(config, model, stages, &data)?;
    let fused = config.kernels.fused_on(config.device);
    Ok(Predicted {
        epochs: stages
            .iter()
            .zip(secs)
            .map(|(stage, secs)| Prediction {
                secs,
                peak_bytes: fused.then(|| estimator.stage_peak(stage, config.recompute)),
            })
            .collect(),
        peak_bytes: fused.then(|| estimator.peak(stages, config.recompute).total()),
        basis,
    })
}
