//! `progtune evaluate` and `progtune predict`: a saved model, or a base model with an adapter, over data.
//! Called by `main`.

use crate::{
    adapter::Adapter,
    assemble::Assembly,
    batch::EncodedExample,
    config::{EvaluateConfig, InferenceConfig, PredictConfig, PredictInput, Split as SplitChoice},
    error::{Error, Result},
    evaluate::{arg_max, evaluate, logits},
    examples::{ExampleSource, Origin},
    files::write_atomically,
    model::{Model, config::ModelConfig, description::HeadKind, weights::HeadPolicy},
    model_source::ModelSource,
    plan::{Blueprint, trainable_task},
    plugin,
    recipe::open_tokenizer,
    terminal,
    token_cache::TokenCache,
    tokenizer::Tokenizer,
    train::{EvalSplit, eval_keys},
};
use progtune_datasets::{ProblemType, SplitName, Task};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Prints the metrics of a split as JSON.
pub fn run_evaluate(config: &EvaluateConfig) -> Result<()> {
    let task = trainable_task(&config.inference.task)?;
    let opened = Opened::new(&config.inference, task)?;
    let directory = config.data.as_deref().unwrap_or(Path::new("."));
    let splits = opened.load_splits(directory, config.split)?;
    let model = opened.build_model()?;
    let mut results = Map::new();
    for split in &splits {
        let name = split.name;
        let result = evaluate(&model, task, &split.examples, config.inference.eval_batch)?;
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
    let opened = Opened::new(&config.inference, task)?;
    let examples = examples(config, &opened)?;
    let model = opened.build_model()?;
    let rows = logits(&model, &examples, config.inference.eval_batch)?;
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

fn examples(config: &PredictConfig, opened: &Opened<'_>) -> Result<Vec<EncodedExample>> {
    match &config.input {
        PredictInput::File(path) => opened.load(Origin::Jsonl(path)),
        PredictInput::Data { data, split } => {
            let directory = data.as_deref().unwrap_or(Path::new("."));
            let splits = opened.load_splits(directory, *split)?;
            Ok(splits.into_iter().flat_map(|s| s.examples).collect())
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

/// Everything about a model but its weights, which are read when the data is known to be good.
struct Opened<'a> {
    config: &'a InferenceConfig,
    task: &'a Task,
    source: ModelSource,
    model_config: ModelConfig,
    adapter: Option<Adapter>,
    blueprint: Blueprint,
    tokenizer: Tokenizer,
    cache: TokenCache,
}

impl<'a> Opened<'a> {
    fn new(config: &'a InferenceConfig, task: &'a Task) -> Result<Self> {
        let source = ModelSource::new(config.model.as_deref())?;
        let model_config = source.config()?;
        let adapter = config
            .adapter
            .as_deref()
            .map(|directory| Adapter::read(directory, model_config.architecture))
            .transpose()?;
        let method = match &adapter {
            Some(adapter) => {
                Some(plugin::find(&config.plugins)?.method(&adapter.method, &adapter.options)?)
            }
            None => None,
        };
        if let (Some(method), Some(adapter)) = (&method, &adapter) {
            adapter.warn_if_made_by_another(method.source());
        }
        let head = HeadKind::Sequence(task.num_labels());
        let blueprint = Blueprint::new(&model_config, head, method.as_ref(), false)?;
        let tokenizer = open_tokenizer(&source, &model_config, config.max_length)?;
        Ok(Self {
            config,
            task,
            source,
            model_config,
            adapter,
            blueprint,
            tokenizer,
            cache: TokenCache::new(config.token_cache),
        })
    }

    fn load(&self, origin: Origin<'_>) -> Result<Vec<EncodedExample>> {
        let source = ExampleSource {
            task: self.task,
            tokenizer: &self.tokenizer,
            cache: &self.cache,
        };
        source.load(origin, self.config.max_eval_samples)
    }

    fn load_splits(&self, directory: &Path, choice: SplitChoice) -> Result<Vec<EvalSplit>> {
        let load = |name| {
            let examples = self.load(Origin::Split { directory, name })?;
            Ok(EvalSplit { name, examples })
        };
        split_names(self.task, choice)
            .into_iter()
            .map(load)
            .collect()
    }

    /// The model with its adapter.
    fn build_model(self) -> Result<Model> {
        Assembly {
            source: &self.source,
            config: self.model_config,
            head: HeadKind::Sequence(self.task.num_labels()),
            labels: self.task.labels,
            blueprint: &self.blueprint,
            adapter: self.adapter.as_ref(),
            policy: HeadPolicy::Require,
            seed: 0,
            device: self.config.device,
            kernels: self.config.kernels,
        }
        .build()
    }
}
