//! `progtune evaluate` and `progtune predict`: a saved model, or a base model with an adapter, over data.
//! Called by `main`.

use crate::{
    adapter::Adapter,
    assemble::Assembly,
    config::{EvaluateConfig, InferenceConfig, PredictConfig, PredictInput, Split as SplitChoice},
    error::{Error, Result},
    evaluate::{arg_max, evaluate, logits},
    files::write_atomically,
    model::{Model, description::HeadKind, weights::HeadPolicy},
    model_source::ModelSource,
    plan::{Blueprint, trainable_task},
    plugin::Plugins,
    recipe::open_tokenizer,
    terminal,
    tokenizer::Tokenizer,
    train::{EvalSplit, eval_keys},
};
use progtune_datasets::{Example, ProblemType, SplitName, Task, load_split, read_jsonl};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Prints the metrics of a split as JSON.
pub fn run_evaluate(config: &EvaluateConfig) -> Result<()> {
    let task = trainable_task(&config.inference.task)?;
    let (model, tokenizer) = open(&config.inference, task)?;
    let directory = config.data.as_deref().unwrap_or(Path::new("."));
    let mut results = Map::new();
    for name in split_names(task, config.split) {
        let split = load_split(task, directory, name, config.inference.max_eval_samples)?;
        let split = EvalSplit {
            name,
            examples: tokenizer.encode(&split.examples)?,
        };
        let result = evaluate(
            &model,
            task,
            &split.examples,
            config.inference.eval_batch_size,
        )?;
        if result.loss.is_none() {
            return Err(Error::Usage(format!(
                "{}: the {name} split has no labels, so there is nothing to measure; use `progtune predict`",
                directory.display()
            )));
        }
        results.extend(eval_keys(&result, split.suffix()));
    }
    let text = serde_json::to_string_pretty(&Value::Object(results))
        .map_err(|e| Error::Model(e.to_string()))?;
    terminal::print(&format!("{text}\n"))
}

/// Writes one JSON line an example: `logits` and `label`.
pub fn run_predict(config: &PredictConfig) -> Result<()> {
    let task = trainable_task(&config.inference.task)?;
    if let Some(path) = &config.output {
        check_output(path)?;
    }
    let (model, tokenizer) = open(&config.inference, task)?;
    let examples = examples(config, task)?;
    let encoded = tokenizer.encode(&examples)?;
    let rows = logits(&model, &encoded, config.inference.eval_batch_size)?;
    let mut text = String::new();
    for row in &rows {
        let label = match task.problem_type {
            ProblemType::SingleLabelClassification => {
                json!(
                    task.labels
                        .get(arg_max(row) as usize)
                        .copied()
                        .unwrap_or_default()
                )
            }
            ProblemType::Regression => json!(row[0]),
        };
        text.push_str(&json!({ "logits": row, "label": label }).to_string());
        text.push('\n');
    }
    match &config.output {
        Some(path) => write_atomically(path, text.as_bytes()),
        None => terminal::print(&text),
    }
}

/// Predictions can take long: better to hear now that their file cannot be written.
fn check_output(path: &Path) -> Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    let directory = parent.unwrap_or(Path::new("."));
    if !directory.is_dir() || path.is_dir() {
        return Err(Error::Usage(format!(
            "--output {}: expected a file in a directory that exists; choose another path, or make the directory",
            path.display()
        )));
    }
    Ok(())
}

fn examples(config: &PredictConfig, task: &Task) -> Result<Vec<Example>> {
    let limit = config.inference.max_eval_samples;
    match &config.input {
        PredictInput::File(path) => {
            let mut examples = read_jsonl(task, path)?;
            examples.truncate(limit.unwrap_or(usize::MAX));
            Ok(examples)
        }
        PredictInput::Data { data, split } => {
            let directory = data.as_deref().unwrap_or(Path::new("."));
            let mut examples = Vec::new();
            for name in split_names(task, *split) {
                examples.extend(load_split(task, directory, name, limit)?.examples);
            }
            Ok(examples)
        }
    }
}

fn split_names(task: &Task, choice: SplitChoice) -> Vec<SplitName> {
    match choice {
        SplitChoice::Train => vec![SplitName::Train],
        SplitChoice::Validation => task.eval_splits.to_vec(),
        SplitChoice::Test if task.test_splits.is_empty() => vec![SplitName::Test],
        SplitChoice::Test => task.test_splits.to_vec(),
    }
}

/// The model with its adapter, and its tokenizer.
fn open(config: &InferenceConfig, task: &Task) -> Result<(Model, Tokenizer)> {
    let source = ModelSource::new(config.model.as_deref())?;
    let model_config = source.config()?;
    let head = HeadKind::Sequence(task.num_labels());
    let adapter = config
        .adapter
        .as_deref()
        .map(|directory| Adapter::read(directory, model_config.architecture))
        .transpose()?;
    let method = match &adapter {
        Some(adapter) => {
            Some(Plugins::discover(&config.plugin_dir)?.method(&adapter.method, &adapter.options)?)
        }
        None => None,
    };
    let blueprint = Blueprint::new(&model_config, head, method.as_ref(), false)?;
    let tokenizer = open_tokenizer(&source, &model_config, config.max_length)?;
    let model = Assembly {
        source: &source,
        config: model_config,
        head,
        labels: task.labels,
        blueprint: &blueprint,
        adapter: adapter.as_ref(),
        policy: HeadPolicy::Require,
        seed: 0,
        device: config.device,
        kernels: config.kernels,
    }
    .build()?;
    Ok((model, tokenizer))
}
