//! A base model opened for `evaluate` and `predict`, without its weights. These are read once,
//! after the data has been checked, and shared by the models of all adapters. `load` reads the
//! data.

use crate::{
    config::{AdaptedModel, AdapterChoice, InferenceConfig, SAMPLE_TASK, max_length},
    fetch::warn_of_another_base,
    model_tokenizer::open_tokenizer,
    result_record::{ResultRecord, learned_task},
    task_data::{trainable_task, with_metrics},
};
use progtune_datasets::{OWN_TASK, OwnRequest, ProblemType, Task};
use progtune_engine::{
    Assembly, Error, HeadKind, LearnedTask, ModelSource, Result,
    adapter::Adapter,
    model::{Model, ModelConfig, weights::HeadPolicy},
    plan::ModelPlan,
    plugin,
};
use progtune_hub::NamedPath;
use progtune_pipeline::{
    question_answering::Answering, token_cache::TokenCache, tokenizer::Tokenizer,
};

/// The base model and the adapters to be applied to it.
pub(crate) struct Opened<'a> {
    pub(super) config: &'a InferenceConfig,
    source: ModelSource,
    model_config: ModelConfig,
    pub(super) layers: Vec<Layer<'a>>,
    pub(super) tokenizer: Tokenizer,
    pub(super) cache: TokenCache,
    /// The reading and answering of questions, with the overlap of the result's training.
    pub(super) answering: Answering,
}

/// An adapter, or nothing, on top of the base model.
pub(crate) struct Layer<'a> {
    /// The adapter's name.
    pub name: &'a str,
    /// The task of its head.
    pub task: Task,
    /// The description of that task, for reading the user's own files.
    pub learned: LearnedTask,
    adapter: Option<Adapter>,
    model_plan: ModelPlan,
}

/// The examples for which a model is opened, as far as they decide its task.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose<'a> {
    /// The user's own files. The request shows whether they hold questions.
    OwnFiles(Option<&'a OwnRequest>),
    /// Input of the user's, without labels.
    Input,
    /// The data of the task.
    TaskData,
}

impl<'a> Opened<'a> {
    /// Opens the model and every adapter; `models` are local. `records` are those of the adapters,
    /// or of the model without one.
    ///
    /// # Errors
    /// Fails if a file is absent or damaged, or nothing says which task a head is for.
    pub(crate) fn new(
        config: &'a InferenceConfig,
        models: &'a AdaptedModel,
        records: &[Option<ResultRecord>],
        purpose: Purpose<'_>,
    ) -> Result<Self> {
        let source = ModelSource::new(models.model.as_ref())?;
        let mut model_config = source.config()?;
        let several = models.adapters.len() > 1;
        let adapters = read_adapters(models, &model_config, several)?;
        let directories = models.adapters.iter();
        let directories = directories.filter_map(|choice| choice.directory.as_deref());
        warn_of_another_base(directories, &source)?;
        let plugins = if adapters.iter().any(Option::is_some) {
            Some(plugin::find(&config.plugins)?)
        } else {
            None
        };
        let base_name = source.name();
        let open = |name: &'a str, adapter: Option<Adapter>, record: Option<&ResultRecord>| {
            let known = Known {
                record,
                adapter: adapter.as_ref(),
                base: (&model_config, &base_name),
            };
            let (task, learned) = task_of(config, models, known, purpose)?;
            let head = HeadKind::of(&task);
            let model_plan = match (&adapter, &plugins) {
                (Some(adapter), Some(plugins)) => {
                    adapter.model_plan(plugins, &model_config, head)?
                }
                _ => ModelPlan::new(&model_config, head, None, false)?,
            };
            Ok(Layer {
                name,
                task,
                learned,
                adapter,
                model_plan,
            })
        };
        let names = models.adapters.iter().map(|choice| choice.name.as_str());
        let layers = names
            .zip(adapters)
            .zip(records)
            .map(|((name, adapter), record)| {
                open(name, adapter, record.as_ref()).map_err(|e| self::named(e, name, several))
            })
            .collect::<Result<Vec<Layer<'a>>>>()?;
        // The inputs are the same for all adapters: they use the positions that remain for every
        // one.
        let shifts = layers.iter().map(|layer| layer.model_plan.position_shift);
        model_config.position_shift = shifts.max().unwrap_or(0);
        // The length is also the same for all: the one that the first adapter was trained with.
        let recorded = records
            .iter()
            .flatten()
            .find_map(|record| record.max_length);
        let asked = config.max_length.or(recorded);
        let problem = layers[0].task.problem_type;
        let longest = max_length(asked, problem);
        let tokenizer = open_tokenizer(&source, &model_config, longest)?.for_task(problem);
        let answering = answering_of(config, records);
        Ok(Self {
            config,
            source,
            model_config,
            layers,
            tokenizer,
            cache: TokenCache::new(config.token_cache),
            answering,
        })
    }

    /// The layers with different tasks, each the first one with its task. The same data is read for
    /// all layers with a task.
    pub(crate) fn distinct(&self) -> Vec<&Layer<'a>> {
        let mut distinct: Vec<&Layer<'a>> = Vec::new();
        for layer in &self.layers {
            if !distinct.iter().any(|other| other.reads_like(layer)) {
                distinct.push(layer);
            }
        }
        distinct
    }

    /// Adds the adapter's name to an error if there are several adapters.
    pub(crate) fn named(&self, error: Error, name: &str) -> Error {
        named(error, name, self.layers.len() > 1)
    }

    /// Applies `f` to the model with each adapter and its layer; the results carry the adapters'
    /// names. The base model is read once, and only one adapter is applied at a time.
    pub(crate) fn with_each_model<T>(
        &self,
        f: impl Fn(&Model, &Layer<'a>) -> Result<T>,
    ) -> Result<Vec<(String, T)>> {
        // An adapter includes its head. Without an adapter, the model must have one.
        let mut layers = self.layers.iter();
        let (reader, policy) = match layers.find(|layer| layer.adapter.is_none()) {
            Some(alone) => (alone, HeadPolicy::Require),
            None => (&self.layers[0], HeadPolicy::MakeNew),
        };
        let base = self.assembly(reader).read_base(policy);
        let base = base.map_err(|e| self.named(e, reader.name))?;
        let run = |layer: &Layer<'a>| {
            let model = self.assembly(layer).build_on(&base)?;
            f(&model, layer)
        };
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
            precision: self.config.machine.precision,
        }
    }
}

impl Layer<'_> {
    /// Whether both layers read the same inputs and have the same answers to them.
    pub(crate) fn reads_like(&self, other: &Self) -> bool {
        self.task == other.task && self.learned == other.learned
    }

    /// Whether its task is a named one, with its own columns and data.
    pub(crate) fn is_named(&self) -> bool {
        self.task.name != OWN_TASK
    }

    /// Whether its examples are pairs of texts; `None` if nothing says so.
    pub(crate) fn takes_pairs(&self) -> Option<bool> {
        let is_known = self.is_named() || self.learned.has_columns();
        is_known.then_some(self.task.columns.second.is_some())
    }
}

/// Reads every adapter; `None` for the model without one.
fn read_adapters(
    models: &AdaptedModel,
    base: &ModelConfig,
    several: bool,
) -> Result<Vec<Option<Adapter>>> {
    let read = |choice: &AdapterChoice| {
        let directory = choice.directory.as_ref();
        directory
            .map(|directory| Adapter::read(directory, base))
            .transpose()
            .map_err(|e| named(e, &choice.name, several))
    };
    models.adapters.iter().map(read).collect()
}

/// The reading and answering of questions, with the overlap of windows that was given or recorded.
fn answering_of(config: &InferenceConfig, records: &[Option<ResultRecord>]) -> Answering {
    let mut recorded = records.iter().flatten();
    let stride = recorded.find_map(|record| record.doc_stride);
    Answering {
        doc_stride: match stride {
            Some(stride) if !config.is_doc_stride_given => stride,
            _ => config.answering.doc_stride,
        },
        ..config.answering
    }
}

/// The records of an adapter or model: of the adapter in each place, or of the model for `none`. A
/// base model without records has the task of the other adapters, and so has an adapter if that is
/// a named task.
///
/// # Errors
/// Fails if a record is damaged.
pub(crate) fn records(models: &AdaptedModel) -> Result<Vec<Option<ResultRecord>>> {
    let base = models.model.as_ref().map(NamedPath::path);
    let base = base.map(ResultRecord::read).transpose()?;
    let base = base.filter(|record| record.task_name().is_some());
    let read = |choice: &AdapterChoice| {
        let directory = choice.directory.as_deref();
        directory.map(ResultRecord::read).transpose()
    };
    let records: Vec<Option<ResultRecord>> =
        models.adapters.iter().map(read).collect::<Result<_>>()?;
    let mut stated = records.iter().flatten();
    let first = stated.find(|record| record.task_name().is_some()).cloned();
    let fallback = base.or(first);
    // The labels of one adapter's own data are no other adapter's.
    let named = fallback.as_ref().filter(|record| record.named().is_some());
    let known = |record: Option<ResultRecord>| match record {
        None => fallback.clone(),
        Some(record) if record.task_name().is_none() => Some(named.cloned().unwrap_or(record)),
        known => known,
    };
    Ok(records.into_iter().map(known).collect())
}

/// Everything that may say which task a head is for.
#[derive(Clone, Copy)]
struct Known<'a> {
    record: Option<&'a ResultRecord>,
    adapter: Option<&'a Adapter>,
    base: (&'a ModelConfig, &'a str),
}

/// The task of a head: the requested one, or the one that is recorded with the result. For the
/// user's own files and input it may also be the one that the head's own configuration implies.
fn task_of(
    config: &InferenceConfig,
    models: &AdaptedModel,
    known: Known<'_>,
    purpose: Purpose<'_>,
) -> Result<(Task, LearnedTask)> {
    let named = |name: &str| {
        let task = with_metrics(trainable_task(name)?, &config.metrics)?;
        let learned = LearnedTask::of_task(&task);
        Ok((task, learned))
    };
    let own = |request: Option<&OwnRequest>| {
        let learned = learned_task(known.record, known.adapter, known.base, request)?;
        let task = match learned.labels.problem_type {
            // The metrics of questions are fixed; the files may refuse others.
            ProblemType::QuestionAnswering => learned.own_task(),
            _ => with_metrics(&learned.own_task(), &config.metrics)?,
        };
        Ok((task, learned))
    };
    let asked = config.task.as_deref();
    let recorded = known.record.and_then(ResultRecord::task_name);
    match (purpose, asked.or(recorded)) {
        (Purpose::OwnFiles(request), _) => own(request),
        (_, Some(OWN_TASK)) => own(None),
        (_, Some(name)) => named(name),
        (Purpose::Input, None) => own(None),
        (Purpose::TaskData, None) => {
            let is_bare = models.model.is_none() && known.adapter.is_none();
            if is_bare {
                return named(SAMPLE_TASK);
            }
            let origin = match known.adapter {
                Some(adapter) => &adapter.origin,
                None => known.base.1,
            };
            Err(Error::Usage(format!(
                "{origin}: neither the task of the model nor the data of its training is recorded there; give --test-file FILE \
                 with rows of your own, or --task with --data"
            )))
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
