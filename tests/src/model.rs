//! Builds models through the host's library for tests that look inside: gradients, parameters,
//! logits.

use crate::{fixture, profile_dir};
use candle_core::Tensor;
use progtune::open_tokenizer;
use progtune_datasets::{SplitName, Task, load_split};
use progtune_engine::{
    Assembly, EncodedExample, HeadKind, ModelSource,
    adapter::Adapter,
    model::{Device, Kernels, Model, Precision, weights::HeadPolicy},
    plan::{ModelPlan, RunPlan, Stage},
    plugin::{self, LoadedMethod, LoadedSchedule, Plugins},
};
use std::path::Path;

/// A model with its method, as a run would build it.
pub struct Setup {
    /// The model.
    pub model: Model,
    /// The method's plan.
    pub model_plan: ModelPlan,
    /// The plugins that it came from.
    pub plugins: Plugins,
    method: String,
}

/// The settings that a test asks for.
pub struct Wanted<'a> {
    /// The model's directory.
    pub model: &'a Path,
    /// The method's id; empty means full fine-tuning.
    pub method: &'a str,
    /// The method's options.
    pub options: &'a [(&'a str, &'a str)],
    /// An adapter to start from.
    pub adapter: Option<&'a Path>,
    /// The head.
    pub head: HeadKind,
    /// Fused or composed.
    pub kernels: Kernels,
    /// Dropout everywhere; `None` means the model's own rates.
    pub dropout: Option<f64>,
}

impl Wanted<'_> {
    /// Builds the model and its method.
    pub fn build(&self) -> Setup {
        let plugins = plugin::discover(&[profile_dir()]).expect("the built plugins");
        let source = ModelSource::Directory(self.model.to_owned().into());
        let mut config = source.config().expect("config.json");
        if let Some(p) = self.dropout {
            config.override_dropout(p);
        }
        let adapter = self
            .adapter
            .map(|path| Adapter::read(path, &config).expect("the adapter"));
        let mut options: Vec<(String, String)> = self
            .options
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        for (key, value) in adapter.iter().flat_map(|adapter| &adapter.options) {
            if !options.iter().any(|(given, _)| given == key) {
                options.push((key.clone(), value.clone()));
            }
        }
        let method: Option<LoadedMethod> = (!self.method.is_empty())
            .then(|| plugins.method(self.method, &options).expect("the method"));
        let head = self.head;
        let model_plan = ModelPlan::new(&config, head, method.as_ref(), false).expect("the plan");
        let model = Assembly {
            source: &source,
            config,
            head,
            labels: &[],
            model_plan: &model_plan,
            adapter: adapter.as_ref(),
            policy: HeadPolicy::MakeNew,
            head_bias: None,
            seed: 1,
            device: Device::Cpu,
            kernels: self.kernels,
            precision: Precision::F32,
        }
        .build()
        .expect("the model");
        Setup {
            model,
            model_plan,
            plugins,
            method: self.method.to_owned(),
        }
    }
}

impl Setup {
    /// A schedule for this model.
    pub fn schedule(&self, id: &str, epochs: u32) -> LoadedSchedule {
        let run = self.model_plan.run_record(epochs, 10, 1, &self.method);
        self.plugins.schedule(id, &[], run).expect("the schedule")
    }

    /// The stages of a schedule.
    pub fn stages(&self, id: &str, epochs: u32) -> Vec<Stage> {
        RunPlan::new(&self.model_plan, &self.schedule(id, epochs), epochs, 10)
            .expect("stages")
            .stages
    }

    /// Makes every candidate trainable.
    pub fn train_all(&mut self) {
        self.model
            .parameters
            .set_trainable(&self.model_plan.candidates);
    }

    /// A copy of every parameter's values.
    pub fn snapshot(&self) -> Vec<Tensor> {
        let p = &self.model.parameters;
        (0..p.len())
            .map(|id| p.variable(id).copy().expect("a copy"))
            .collect()
    }
}

/// A split of a task, tokenised for a model.
pub fn examples(
    model: &Path,
    task: &str,
    data: &Path,
    split: SplitName,
    limit: Option<usize>,
    max_length: usize,
) -> Vec<EncodedExample> {
    let task = Task::by_name(task).expect("the task");
    let source = ModelSource::Directory(model.to_owned().into());
    let config = source.config().expect("config.json");
    let tokenizer = open_tokenizer(&source, &config, max_length).expect("the tokenizer");
    let split = load_split(task, data, split, limit).expect("the split");
    tokenizer.encode(&split.examples).expect("encodings")
}

/// The first `limit` training examples of the parity fixture.
pub fn parity_examples(model: &str, limit: usize) -> Vec<EncodedExample> {
    let (task, data) = if model == "bert_regression" {
        ("stsb", "data_stsb")
    } else {
        ("mrpc", "data")
    };
    let parity = fixture("parity");
    examples(
        &parity.join(model),
        task,
        &parity.join(data),
        SplitName::Train,
        Some(limit),
        64,
    )
}
