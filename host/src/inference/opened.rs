//! A base model opened for `evaluate` and `predict`, without its weights. These are read once,
//! after the data has been checked, and shared by the models of all adapters.

use crate::{
    config::{AdaptedModel, AdapterChoice, InferenceConfig, SAMPLE_TASK, max_length},
    recipe::prepare::open_tokenizer,
    task_data::{OwnRead, read_own, trainable_task, with_metrics},
};
use progtune_datasets::{
    AnswerRule, DataFile, Format, Header, OnBadRow, OwnRequest, ProblemType, Question, SplitName,
    TaggedSentence, Task, TextEncoding, load_questions, read_questions,
};
use progtune_engine::{
    adapter::Adapter,
    assemble::Assembly,
    error::{Error, Result},
    model::{Model, config::ModelConfig, description::HeadKind, weights::HeadPolicy},
    model_source::ModelSource,
    plan::ModelPlan,
    plugin,
};
use progtune_pipeline::{
    eval_split::EvalSplit,
    examples::{ExampleSource, Origin},
    question_answering::load::QuestionSource,
    token_cache::TokenCache,
    token_classification::{
        align::{AlignedSentence, align},
        data::warn_of_gaps,
    },
    tokenizer::Tokenizer,
};
use std::{borrow::Cow, path::Path};

/// The base model and the adapters to be applied to it.
pub struct Opened<'a> {
    config: &'a InferenceConfig,
    own: Option<OwnRead>,
    source: ModelSource,
    model_config: ModelConfig,
    layers: Vec<Layer<'a>>,
    tokenizer: Tokenizer,
    cache: TokenCache,
}

/// An adapter, or nothing, on top of the base model.
struct Layer<'a> {
    name: &'a str,
    adapter: Option<Adapter>,
    task: Task,
    model_plan: ModelPlan,
}

impl<'a> Opened<'a> {
    /// Opens the model and every adapter. The user's own files, if given, are read with the labels
    /// known to the model.
    pub fn new(
        config: &'a InferenceConfig,
        models: &'a AdaptedModel,
        own: Option<&OwnRequest>,
    ) -> Result<Self> {
        let own = own
            .map(|request| read_own(config, models, request))
            .transpose()?;
        let source = ModelSource::new(models.model.as_ref())?;
        let mut model_config = source.config()?;
        let several = models.adapters.len() > 1;
        let read = |choice: &AdapterChoice| {
            let directory = choice.directory.as_ref();
            directory
                .map(|directory| Adapter::read(directory, &model_config))
                .transpose()
                .map_err(|e| named(e, &choice.name, several))
        };
        let adapters: Vec<Option<Adapter>> =
            models.adapters.iter().map(read).collect::<Result<_>>()?;
        let plugins = if adapters.iter().any(Option::is_some) {
            Some(plugin::find(&config.plugins)?)
        } else {
            None
        };
        // Without an adapter, the base model uses the other adapters' task.
        let said = |adapter: &Option<Adapter>| adapter.as_ref()?.task.clone();
        let fallback = adapters.iter().find_map(said);
        let fallback = fallback.unwrap_or_else(|| SAMPLE_TASK.into());
        let open = |name: &'a str, adapter: Option<Adapter>| {
            let head = said(&adapter);
            let task = config.task.as_ref().or(head.as_ref()).unwrap_or(&fallback);
            let task = match &own {
                Some(own) => own.task().clone(),
                None => with_metrics(trainable_task(task)?, &config.metrics)?,
            };
            let head = HeadKind::of(&task);
            let model_plan = match (&adapter, &plugins) {
                (Some(adapter), Some(plugins)) => {
                    adapter.model_plan(plugins, &model_config, head)?
                }
                _ => ModelPlan::new(&model_config, head, None, false)?,
            };
            Ok(Layer {
                name,
                adapter,
                task,
                model_plan,
            })
        };
        let names = models.adapters.iter().map(|choice| choice.name.as_str());
        let layers = names
            .zip(adapters)
            .map(|(name, adapter)| open(name, adapter).map_err(|e| named(e, name, several)))
            .collect::<Result<Vec<Layer<'a>>>>()?;
        // The inputs are the same for all adapters: they use the positions that remain for every
        // one.
        let shifts = layers.iter().map(|layer| layer.model_plan.position_shift);
        model_config.position_shift = shifts.max().unwrap_or(0);
        // The length is also the same for all: the one that suits the first adapter's task.
        let longest = max_length(config.max_length, layers[0].task.problem_type);
        let mut tokenizer = open_tokenizer(&source, &model_config, longest)?;
        if let Some(own) = &own {
            tokenizer = tokenizer.for_task(own.task().problem_type);
        }
        Ok(Self {
            config,
            own,
            source,
            model_config,
            layers,
            tokenizer,
            cache: TokenCache::new(config.token_cache),
        })
    }

    /// The distinct tasks of the adapters, each with the name of the first adapter for it.
    pub fn tasks(&self) -> Vec<(&Task, &str)> {
        let mut tasks: Vec<(&Task, &str)> = Vec::new();
        for layer in &self.layers {
            if !tasks.iter().any(|(task, _)| task.name == layer.task.name) {
                tasks.push((&layer.task, layer.name));
            }
        }
        tasks
    }

    /// Adds the adapter's name to an error if there are several adapters.
    pub fn named(&self, error: Error, name: &str) -> Error {
        named(error, name, self.layers.len() > 1)
    }

    /// Reads the examples of a JSONL file. Questions about texts may have other layouts.
    pub fn load_file(&self, task: &Task, path: &Path) -> Result<EvalSplit> {
        let name = SplitName::Test;
        if task.problem_type != ProblemType::QuestionAnswering {
            return self.load(task, name, Origin::Jsonl(path));
        }
        let file = DataFile {
            path: path.to_path_buf(),
            format: Format::of_name(path).unwrap_or(Format::Jsonl),
            encoding: TextEncoding::default(),
            header: Header::default(),
            part: None,
        };
        let limit = self.config.sample.map(|sample| sample.n_rows);
        let read = read_questions(&[file], AnswerRule::Optional, OnBadRow::Error, limit)?;
        self.load_questions(task, name, &read.questions)
    }

    fn load(&self, task: &Task, name: SplitName, origin: Origin<'_>) -> Result<EvalSplit> {
        let source = ExampleSource {
            task,
            tokenizer: &self.tokenizer,
            cache: &self.cache,
        };
        Ok(EvalSplit::of_examples(
            name,
            source.load(origin, self.config.sample)?,
        ))
    }

    fn load_questions(
        &self,
        task: &Task,
        name: SplitName,
        questions: &[Question],
    ) -> Result<EvalSplit> {
        let source = QuestionSource {
            task,
            tokenizer: &self.tokenizer,
            cache: &self.cache,
            answering: self.config.answering,
        };
        let split = source.split(questions, self.config.sample)?;
        Ok(EvalSplit::of_questions(name, split))
    }

    /// The tagged sentences of the only split in the user's own files, or `None` for other data.
    pub fn sentences(&self) -> Option<Cow<'_, [TaggedSentence]>> {
        let Some(OwnRead::Sentences(data)) = &self.own else {
            return None;
        };
        let splits = [&data.train, &data.validation, &data.test];
        let sentences = splits.into_iter().find(|split| !split.is_empty());
        let sentences = sentences.map_or(&[][..], Vec::as_slice);
        Some(data.sampled(sentences, self.config.sample))
    }

    /// Tokenises these sentences and assigns the tokens to their words.
    pub fn aligned(
        &self,
        sentences: &[TaggedSentence],
        name: SplitName,
    ) -> Result<Vec<AlignedSentence>> {
        let aligned = align(&self.tokenizer, sentences)?;
        warn_of_gaps(&aligned, name, self.tokenizer.max_length());
        Ok(aligned)
    }

    /// Loads the tokenised examples of these splits.
    pub fn load_splits(
        &self,
        task: &Task,
        directory: &Path,
        names: &[SplitName],
    ) -> Result<Vec<EvalSplit>> {
        let load = |&name: &SplitName| {
            if let Some(sentences) = self.sentences() {
                let aligned = self.aligned(&sentences, name)?.into_iter();
                let examples = aligned.map(|sentence| sentence.example).collect();
                return Ok(EvalSplit {
                    name,
                    examples,
                    asked: None,
                });
            }
            match &self.own {
                // The files were opened for a single split, whatever its name is here.
                Some(OwnRead::Examples(files)) => {
                    let only = files.only_split();
                    self.load(task, name, Origin::Own { files, name: only })
                }
                Some(OwnRead::Questions(own)) => {
                    let read = [&own.train, &own.validation, &own.test];
                    let questions = read.into_iter().find(|questions| !questions.is_empty());
                    self.load_questions(task, name, questions.map_or(&[], Vec::as_slice))
                }
                _ if task.problem_type == ProblemType::QuestionAnswering => {
                    let read = load_questions(task, directory, name, self.config.sample)?;
                    self.load_questions(task, name, &read.questions)
                }
                _ => self.load(task, name, Origin::Split { directory, name }),
            }
        };
        names.iter().map(load).collect()
    }

    /// Applies `f` to the model with each adapter and its task; the results carry the adapters'
    /// names. The base model is read once, and only one adapter is applied at a time.
    pub fn with_each_model<T>(
        &self,
        f: impl Fn(&Model, &Task) -> Result<T>,
    ) -> Result<Vec<(String, T)>> {
        // An adapter includes its head. Without an adapter, the model must have one.
        let mut layers = self.layers.iter();
        let (reader, policy) = match layers.find(|layer| layer.adapter.is_none()) {
            Some(alone) => (alone, HeadPolicy::Require),
            None => (&self.layers[0], HeadPolicy::MakeNew),
        };
        let base = self.assembly(reader).read_base(policy);
        let base = base.map_err(|e| self.named(e, reader.name))?;
        let run = |layer: &Layer<'_>| f(&self.assembly(layer).build_on(&base)?, &layer.task);
        let layers = self.layers.iter();
        layers
            .map(|layer| {
                let result = run(layer).map_err(|e| self.named(e, layer.name))?;
                Ok((layer.name.to_owned(), result))
            })
            .collect()
    }

    fn assembly<'b>(&'b self, layer: &'b Layer<'a>) -> Assembly<'b> {
        Assembly {
            source: &self.source,
            config: self.model_config.clone(),
            head: HeadKind::of(&layer.task),
            labels: &layer.task.labels,
            model_plan: &layer.model_plan,
            adapter: layer.adapter.as_ref(),
            policy: HeadPolicy::Require,
            head_bias: None,
            seed: 0,
            device: self.config.machine.device,
            kernels: self.config.machine.kernels,
        }
    }
}

/// Adds the adapter's name to an error if there are several adapters.
fn named(error: Error, name: &str, several: bool) -> Error {
    if several {
        Error::Adapter {
            name: name.to_owned(),
            source: Box::new(error),
        }
    } else {
        error
    }
}
