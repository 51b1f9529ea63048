//! Adapters on disk: the formats of Hugging Face PEFT ([`peft`]), and the method-neutral one of
//! this program.
//!
//! They are read for `--init-adapter` and `--adapter`, and written at the end of a run with a
//! method that adds parameters.

mod head;
pub mod peft;

use crate::{
    error::{Error, Result},
    export::{WeightDtype, write_safetensors},
    labels::is_last_layer,
    made_by::MadeBy,
    model::{
        config::ModelConfig,
        description::{HeadKind, model_record, parameters},
        graph::distinct,
        parameters::Parameters,
        safetensors_file::SafetensorsFile,
        weights,
    },
    plan::ModelPlan,
    plugin::{Entry, OFFER, Plugins},
};
use candle_core::Tensor;
use progtune_datasets::ProblemType;
use progtune_plugin_api::validate;
use progtune_process::{
    files::{
        bounded::{LARGEST_TEXT, read_text},
        near_path, write_atomically,
    },
    short_list,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::Path};

/// The file that marks a method-neutral adapter.
pub const NEUTRAL_CONFIG: &str = "progtune_adapter.json";
/// The weights beside it.
pub const NEUTRAL_WEIGHTS: &str = "adapter.safetensors";
/// The version of the format that this program writes and reads.
const FORMAT_VERSION: u64 = 1;

/// An adapter in memory.
#[derive(Debug)]
pub struct Adapter {
    /// The method's id.
    pub method: String,
    /// The options that make the same parameters.
    pub options: Vec<(String, String)>,
    /// The adapter's own plan for the model, if options cannot express it. Only PEFT's formats have
    /// such adapters.
    pub carried: Option<peft::Carried>,
    /// The changes to the base model's own parameters, by name.
    pub(crate) folds: BTreeMap<String, peft::Fold>,
    /// The properties that options cannot express, in words. Training cannot continue from such an
    /// adapter.
    pub unsaid: Vec<String>,
    /// PEFT's name for its kind of task.
    pub task_type: Option<String>,
    /// Values by canonical name.
    pub tensors: BTreeMap<String, Tensor>,
    /// The task of its head, if the directory states it. For a PEFT adapter, this is a run's plan
    /// beside it.
    pub task: Option<String>,
    /// Whether it is in PEFT's format, in which a head has its base model's order of labels.
    pub is_peft: bool,
    /// The source, for messages.
    pub origin: String,
    /// The build of the plugin that made it, if it is known.
    pub(crate) made_by: Option<MadeBy>,
}

impl Adapter {
    /// Reads an adapter directory of either format, for a base model of this configuration.
    ///
    /// ```no_run
    /// use progtune_engine::{ModelSource, adapter::Adapter};
    ///
    /// let base = ModelSource::Embedded.config()?;
    /// let adapter = Adapter::read("output/adapter".as_ref(), &base)?;
    /// println!("{} with {} tensors", adapter.method, adapter.tensors.len());
    /// # Ok::<(), progtune_engine::Error>(())
    /// ```
    ///
    /// # Errors
    /// When neither format is there, a file is damaged, or its kind has no plugin in this program.
    pub fn read(directory: &Path, base: &ModelConfig) -> Result<Self> {
        let neutral = directory.join(NEUTRAL_CONFIG);
        let config = directory.join(peft::CONFIG);
        if neutral.exists() {
            read_neutral(directory, &neutral)
        } else {
            refuse_without_adapter(directory)?;
            peft::read(directory, &config, base)
        }
    }

    /// Warns if `loaded` is not the build of the method that made the adapter.
    pub fn warn_if_made_by_another(&self, loaded: &Entry) {
        let made_by = self.made_by.as_ref();
        if let Some(text) = made_by.and_then(|made_by| made_by.difference(loaded)) {
            tracing::warn!("{}: {text}", self.origin);
        }
    }

    /// Puts the adapter's values into the model; `head_order` is the order of the head's rows, if
    /// it differs.
    ///
    /// # Errors
    /// One error that lists the first of the tensors without a place, the added parameters without
    /// a value and the shapes that differ, with their number.
    pub fn apply(&self, parameters: &Parameters, head_order: Option<&[u32]>) -> Result<()> {
        let mut faults = Vec::new();
        for (name, value) in &self.tensors {
            match parameters.id(name) {
                Ok(id) if parameters.infos()[id].shape == value.dims() => {
                    let moved = match head_order {
                        Some(order) => self.reordered(name, value, order)?,
                        None => None,
                    };
                    parameters.set(id, moved.as_ref().unwrap_or(value))?;
                }
                Ok(id) => faults.push(format!(
                    "wrong shape: {name}: expected {:?}, found {:?}",
                    parameters.infos()[id].shape,
                    value.dims()
                )),
                Err(_) => faults.push(format!("unexpected: {name} {:?}", value.dims())),
            }
        }
        for info in parameters.infos() {
            if info.added.as_ref().is_some_and(|added| added.trainable)
                && !self.tensors.contains_key(&info.name)
            {
                faults.push(format!("missing: {} {:?}", info.name, info.shape));
            }
        }
        if faults.is_empty() {
            return self.fold(parameters);
        }
        Err(Error::Model(format!(
            "{}: the adapter does not fit the model with method {}:\n  {}\nCheck that --model is the base it was \
             trained on and that the --peft-opt options are those of the adapter",
            self.origin,
            self.method,
            short_list(&faults, "\n  ")
        )))
    }
}

impl Adapter {
    /// The value that a parameter has once [`Adapter::apply`] has replaced or changed `base`.
    ///
    /// # Errors
    /// When the adapter's value or change does not fit.
    pub fn applied(&self, name: &str, base: Tensor, head_order: Option<&[u32]>) -> Result<Tensor> {
        if let Some(value) = self.tensors.get(name) {
            let moved = match head_order {
                Some(order) => self.reordered(name, value, order)?,
                None => None,
            };
            return Ok(moved.unwrap_or_else(|| value.clone()));
        }
        match self.folds.get(name) {
            Some(fold) => {
                let folded = fold.apply(name, &base.detach());
                folded.map_err(|e| Error::Model(format!("{}: {e}", self.origin)))
            }
            None => Ok(base),
        }
    }

    /// A value with one row per output of the head, in another order; `None` for other values.
    fn reordered(&self, name: &str, value: &Tensor, order: &[u32]) -> Result<Option<Tensor>> {
        let added = [
            "lora_B.weight",
            "lora_B.bias",
            "lora_magnitude_vector",
            "ia3_l",
            "vera_lambda_b",
        ];
        let module = added.iter().find_map(|end| name.strip_suffix(end));
        let of_last = module.is_some_and(|module| is_last_layer(&format!("{module}weight")));
        if !(is_last_layer(name) || of_last && value.dims()[0] == order.len()) {
            return Ok(None);
        }
        if name.ends_with("vera_lambda_b") {
            return Err(Error::Model(format!(
                "{}: VeRA of the head ({name}) has the base model's order of labels, which the task's is not; name the labels \
                 in the order of config.json",
                self.origin
            )));
        }
        let order = Tensor::new(order, value.device())?;
        Ok(Some(value.index_select(&order, 0)?))
    }

    fn fold(&self, parameters: &Parameters) -> Result<()> {
        for (name, fold) in &self.folds {
            let id = parameters.id(name)?;
            let value = parameters.variable(id).as_detached_tensor();
            let folded = fold.apply(name, &value);
            let folded = folded.map_err(|e| Error::Model(format!("{}: {e}", self.origin)))?;
            parameters.set(id, &folded)?;
        }
        Ok(())
    }

    /// The model with this adapter, by the method's plugin or by the adapter's own plan.
    ///
    /// # Errors
    /// When there is no such plugin, or it refuses. When the adapter's own plan does not fit the
    /// model.
    pub fn model_plan(
        &self,
        plugins: &Plugins,
        config: &ModelConfig,
        head: HeadKind,
    ) -> Result<ModelPlan> {
        if let Some(carried) = &self.carried {
            let plan = carried.plan(config, head);
            let record = model_record(config, &parameters(config, head), head);
            validate::method_plan(&plan, &record, &OFFER.record()).map_err(|reason| {
                Error::Model(format!(
                    "{}: {reason}; check that --model is the base the adapter was trained on",
                    self.origin
                ))
            })?;
            return ModelPlan::of_plan(config, head, &plan);
        }
        let method = plugins.method(&self.method, &self.options)?;
        self.warn_if_made_by_another(method.source());
        ModelPlan::new(config, head, Some(&method), false)
    }
}

/// Refuses a directory without an adapter of either format.
///
/// # Errors
/// When there is none; the message says what is there instead.
pub(crate) fn refuse_without_adapter(directory: &Path) -> Result<()> {
    let has = |name: &str| directory.join(name).exists();
    if has(NEUTRAL_CONFIG) || has(peft::CONFIG) {
        return Ok(());
    }
    let path = directory.display();
    if has("config.json") && weights::FILES.into_iter().any(has) {
        return Err(Error::Model(format!(
            "--adapter {path}: this directory holds a whole model, not an adapter; use --model {path}"
        )));
    }
    let near = if directory.exists() {
        String::new()
    } else {
        near_path(directory)
    };
    Err(Error::Model(format!(
        "{path}: no adapter here: expected {} (Hugging Face PEFT) or {NEUTRAL_CONFIG}{}",
        peft::CONFIG,
        if near.is_empty() {
            "; check the path"
        } else {
            near.as_str()
        }
    )))
}

pub(crate) fn read_json(path: &Path) -> Result<Value> {
    let text = read_text(path, LARGEST_TEXT).map_err(Error::io(path, "read"))?;
    serde_json::from_str(&text).map_err(|e| {
        Error::Model(format!(
            "{}: not valid JSON: {e}; copy the adapter again",
            path.display()
        ))
    })
}

fn read_tensors(
    path: &Path,
    name: impl Fn(&str) -> Result<String>,
) -> Result<BTreeMap<String, Tensor>> {
    let mut file = SafetensorsFile::open(path)?;
    let keys: Vec<String> = file.shapes().map(|(key, _)| key.to_owned()).collect();
    keys.iter()
        .map(|key| Ok((name(key)?, file.read(key)?)))
        .collect()
}

fn read_neutral(directory: &Path, path: &Path) -> Result<Adapter> {
    let config = read_json(path)?;
    let fault = |what: &str| Error::Model(format!("{}: {what}", path.display()));
    let version = config.get("format_version");
    if version.and_then(Value::as_u64) != Some(FORMAT_VERSION) {
        let found = version.map_or("nothing".to_owned(), Value::to_string);
        return Err(fault(&format!(
            "key `format_version`: expected {FORMAT_VERSION}, found {found}; use the progtune that wrote it"
        )));
    }
    let method = config
        .get("method")
        .and_then(Value::as_str)
        .ok_or_else(|| fault("key `method`: expected a name"))?;
    let options = match config.get("method_options") {
        None => Vec::new(),
        Some(Value::Object(map)) => map
            .iter()
            .map(|(key, value)| (key.clone(), option_text(value)))
            .collect(),
        Some(_) => return Err(fault("key `method_options`: expected an object")),
    };
    Ok(Adapter {
        method: method.to_owned(),
        options,
        carried: None,
        folds: BTreeMap::new(),
        unsaid: Vec::new(),
        task_type: None,
        tensors: read_tensors(&directory.join(NEUTRAL_WEIGHTS), |key| Ok(key.to_owned()))?,
        task: text_of(&config, "task"),
        is_peft: false,
        origin: directory.display().to_string(),
        made_by: MadeBy::read(directory, method).or_else(|| {
            Some(MadeBy {
                plugin: config.get("plugin")?.as_str()?.to_owned(),
                sha256: None,
            })
        }),
    })
}

fn text_of(config: &Value, key: &str) -> Option<String> {
    config.get(key).and_then(Value::as_str).map(str::to_owned)
}

/// A JSON value as the text that a user would type for the option.
fn option_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(option_text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// The description, in a saved adapter, of the run that made it.
#[derive(Debug, Clone, Copy)]
pub struct Provenance<'a> {
    /// The `--model` of the run, or the id of a model from the hub.
    pub base_model: &'a str,
    /// The commit of a base model from the hub.
    pub base_revision: Option<&'a str>,
    /// The task.
    pub task: &'a str,
    /// The type of its head's predictions.
    pub problem_type: ProblemType,
    /// The method's id.
    pub method: &'a str,
    /// Its options, with all values resolved.
    pub options: &'a [(String, Value)],
    /// The plugin's name and version.
    pub plugin: &'a str,
    /// The base model's order of the head's outputs, which a PEFT adapter keeps; `None` when it is
    /// the task's.
    pub head_order: Option<&'a [u32]>,
}

/// Writes the method-neutral format, with everything that the method trains or adds, under
/// canonical names.
pub fn save_neutral(
    directory: &Path,
    parameters: &Parameters,
    trained: &[usize],
    about: Provenance<'_>,
) -> Result<()> {
    let options: serde_json::Map<String, Value> = about.options.iter().cloned().collect();
    let mut config = json!({
        "format_version": FORMAT_VERSION,
        "method": about.method,
        "method_options": options,
        "plugin": about.plugin,
        "base_model": about.base_model,
        "task": about.task,
    });
    if let Some(revision) = about.base_revision {
        config["base_model_revision"] = json!(revision);
    }
    write_safetensors(
        &directory.join(NEUTRAL_WEIGHTS),
        parameters,
        &kept(parameters, trained),
        |name| name.to_owned(),
        None,
        WeightDtype::F32,
    )?;
    write_json(&directory.join(NEUTRAL_CONFIG), &config)
}

/// The content of an adapter: the trained parameters, and everything that the method adds.
fn kept(parameters: &Parameters, trained: &[usize]) -> Vec<usize> {
    let added = (0..parameters.len()).filter(|id| parameters.infos()[*id].added.is_some());
    distinct(trained.iter().copied().chain(added))
}

pub(crate) fn write_json(path: &Path, value: &Value) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value).map_err(|e| Error::Model(e.to_string()))?;
    text.push('\n');
    Ok(write_atomically(path, text.as_bytes())?)
}
