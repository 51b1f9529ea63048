//! A base model opened for `evaluate` and `predict`: everything but its weights, which are read once, when the data is known to
//! be good, and shared by the models that its adapters make.

use crate::{
    adapter::Adapter,
    assemble::Assembly,
    batch::EncodedExample,
    config::{AdapterChoice, InferenceConfig},
    error::{Error, Result},
    examples::{ExampleSource, Origin},
    model::{Model, config::ModelConfig, description::HeadKind, weights::HeadPolicy},
    model_source::ModelSource,
    plan::Blueprint,
    plugin,
    recipe::open_tokenizer,
    token_cache::TokenCache,
    tokenizer::Tokenizer,
    train::EvalSplit,
};
use progtune_datasets::{SplitName, Task};
use std::path::Path;

/// The base model, and what is to be put on it.
pub struct Opened<'a> {
    config: &'a InferenceConfig,
    task: &'a Task,
    source: ModelSource,
    model_config: ModelConfig,
    layers: Vec<Layer<'a>>,
    tokenizer: Tokenizer,
    cache: TokenCache,
}

/// An adapter, or nothing, over the base model.
struct Layer<'a> {
    name: &'a str,
    adapter: Option<Adapter>,
    blueprint: Blueprint,
}

impl<'a> Opened<'a> {
    /// Opens the model and every adapter.
    pub fn new(config: &'a InferenceConfig, task: &'a Task) -> Result<Self> {
        let source = ModelSource::new(config.model.as_deref())?;
        let model_config = source.config()?;
        let plugins = match config.adapters.iter().any(|a| a.directory.is_some()) {
            true => Some(plugin::find(&config.plugins)?),
            false => None,
        };
        let head = HeadKind::Sequence(task.num_labels());
        let open = |choice: &'a AdapterChoice| {
            let (mut adapter, mut method) = (None, None);
            if let (Some(directory), Some(plugins)) = (&choice.directory, &plugins) {
                let read = Adapter::read(directory, model_config.architecture)?;
                let loaded = plugins.method(&read.method, &read.options)?;
                read.warn_if_made_by_another(loaded.source());
                method = Some(loaded);
                adapter = Some(read);
            }
            Ok(Layer {
                name: &choice.name,
                adapter,
                blueprint: Blueprint::new(&model_config, head, method.as_ref(), false)?,
            })
        };
        let several = config.adapters.len() > 1;
        let layers = config.adapters.iter();
        let layers = layers
            .map(|choice| open(choice).map_err(|e| named(e, &choice.name, several)))
            .collect::<Result<_>>()?;
        let tokenizer = open_tokenizer(&source, &model_config, config.max_length)?;
        Ok(Self {
            config,
            task,
            source,
            model_config,
            layers,
            tokenizer,
            cache: TokenCache::new(config.token_cache),
        })
    }

    /// Tokenised examples.
    pub fn load(&self, origin: Origin<'_>) -> Result<Vec<EncodedExample>> {
        let source = ExampleSource {
            task: self.task,
            tokenizer: &self.tokenizer,
            cache: &self.cache,
        };
        source.load(origin, self.config.max_eval_samples)
    }

    /// The tokenised examples of these splits.
    pub fn load_splits(&self, directory: &Path, names: &[SplitName]) -> Result<Vec<EvalSplit>> {
        let load = |&name: &SplitName| {
            let examples = self.load(Origin::Split { directory, name })?;
            Ok(EvalSplit { name, examples })
        };
        names.iter().map(load).collect()
    }

    /// What `f` makes of the model with each adapter, by the adapter's name. The base model is read once; one model at a
    /// time has what an adapter adds.
    pub fn with_each_model<T>(&self, f: impl Fn(&Model) -> Result<T>) -> Result<Vec<(String, T)>> {
        // An adapter brings its head along; the model alone must have one.
        let alone = self.layers.iter().any(|layer| layer.adapter.is_none());
        let policy = match alone {
            true => HeadPolicy::Require,
            false => HeadPolicy::MakeNew,
        };
        let mut base = None;
        let mut results = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let mut run = || {
                let assembly = self.assembly(layer);
                let base = match &base {
                    Some(base) => base,
                    None => &*base.insert(assembly.read_base(policy)?),
                };
                f(&assembly.build_on(base)?)
            };
            let result = run().map_err(|e| named(e, layer.name, self.layers.len() > 1))?;
            results.push((layer.name.to_owned(), result));
        }
        Ok(results)
    }

    fn assembly<'b>(&'b self, layer: &'b Layer<'a>) -> Assembly<'b> {
        Assembly {
            source: &self.source,
            config: self.model_config.clone(),
            head: HeadKind::Sequence(self.task.num_labels()),
            labels: self.task.labels,
            blueprint: &layer.blueprint,
            adapter: layer.adapter.as_ref(),
            policy: HeadPolicy::Require,
            seed: 0,
            device: self.config.device,
            kernels: self.config.kernels,
        }
    }
}

/// Says which of several adapters an error is about.
fn named(error: Error, name: &str, several: bool) -> Error {
    match several {
        true => Error::Adapter {
            name: name.to_owned(),
            source: Box::new(error),
        },
        false => error,
    }
}
