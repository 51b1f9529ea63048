//! The formats of Hugging Face PEFT: `adapter_config.json` with `adapter_model.safetensors`, one module a method. Read for
//! `--adapter` and `--init-adapter`; written at the end of a run whose method PEFT has.
//!
//! Keys are a checkpoint's with `base_model.model.` before them, without the name that PEFT gives an adapter; what differs is in
//! the methods' modules.

mod ia3;
mod lora;
mod prefix;
mod vera;

use super::{Adapter, Provenance, kept, option_text, read_json, read_tensors, text_of, write_json};
use crate::{
    config::WeightDtype,
    error::{Error, Result},
    export::{value_of, write_tensors},
    labels::inverse,
    model::{
        config::{Architecture, ModelConfig},
        parameters::Parameters,
        weights::{canonical_name, checkpoint_key},
    },
    provenance::MadeBy,
};
use candle_core::Tensor;
use progtune_datasets::ProblemType;
use progtune_plugin_api::records::Rewrite;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, path::Path};

/// The file that marks a PEFT adapter.
pub const CONFIG: &str = "adapter_config.json";
/// The weights beside it.
pub const WEIGHTS: &str = "adapter_model.safetensors";

/// A method's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `LORA`.
    Lora,
    /// `LORA` with `use_dora`.
    Dora,
    /// `IA3`.
    Ia3,
    /// `VERA`.
    Vera,
    /// `PREFIX_TUNING`.
    Prefix,
}

/// What a configuration says in terms of a method here.
struct Recognised {
    method: &'static str,
    options: Vec<(String, String)>,
}

impl Format {
    /// The format of a method, if PEFT has it and all that the method adds has a place in it.
    pub fn of(method: &str, parameters: &Parameters) -> Option<Self> {
        let (format, ends): (Self, &[&str]) = match method {
            "lora" => (Self::Lora, &[".lora_A.weight", ".lora_B.weight"]),
            "dora" => (
                Self::Dora,
                &[".lora_A.weight", ".lora_B.weight", ".lora_magnitude_vector"],
            ),
            "ia3" => (Self::Ia3, &[".ia3_l"]),
            "vera" => (
                Self::Vera,
                &[".vera_lambda_b", ".vera_lambda_d", "vera_A", "vera_B"],
            ),
            "prefix" => (Self::Prefix, prefix::ENDS),
            _ => return None,
        };
        let added = parameters
            .infos()
            .iter()
            .filter(|info| info.added.is_some());
        let mut names = added.map(|info| info.name.as_str());
        let known = |name: &str| ends.iter().any(|end| name.ends_with(end));
        names.all(known).then_some(format)
    }

    /// Writes an adapter that `PeftModel.from_pretrained` loads.
    pub fn save(
        self,
        directory: &Path,
        parameters: &Parameters,
        trained: &[usize],
        config: &ModelConfig,
        rewrites: &[Rewrite],
        about: Provenance<'_>,
    ) -> Result<()> {
        let order = about.head_order.map(inverse);
        let mut tensors = Vec::new();
        for id in kept(parameters, trained) {
            let info = &parameters.infos()[id];
            if let Some(key) = self.key(info.name.as_str(), info.added.is_some(), config, about) {
                tensors.push((key, value_of(parameters, id, order.as_deref())?));
            }
        }
        if self == Self::Prefix {
            let rows = prefix::rows(parameters, config, rewrites)?;
            tensors.push((prefix::ROWS.to_owned(), rows));
        }
        write_tensors(&directory.join(WEIGHTS), &tensors, WeightDtype::F32)?;
        let mut json = self.config(config, about);
        // PEFT keeps the whole module when it saves one: the classifier always, the pooler when it was trained.
        let pooler = trained
            .iter()
            .any(|&id| parameters.infos()[id].name.starts_with("pooler."));
        let modules = match pooler {
            true => json!(["classifier", "pooler"]),
            false => json!(["classifier", "score"]),
        };
        json.insert("modules_to_save".into(), modules);
        write_json(&directory.join(CONFIG), &Value::Object(json))
    }

    /// The key of a parameter; `None` for one that is not saved under a key of its own.
    fn key(
        self,
        name: &str,
        added: bool,
        config: &ModelConfig,
        about: Provenance<'_>,
    ) -> Option<String> {
        let key = checkpoint_key(name, config.architecture);
        match self {
            Self::Prefix if added => None,
            Self::Prefix => Some(format!("base_model.{key}")),
            Self::Vera if vera::is_projection(name) => vera::projection_key(name, about),
            _ => Some(format!("base_model.model.{key}")),
        }
    }

    fn config(self, config: &ModelConfig, about: Provenance<'_>) -> Map<String, Value> {
        let (peft_type, own) = match self {
            Self::Lora => ("LORA", lora::config(about, false)),
            Self::Dora => ("LORA", lora::config(about, true)),
            Self::Ia3 => ("IA3", ia3::config(about)),
            Self::Vera => ("VERA", vera::config(about)),
            Self::Prefix => ("PREFIX_TUNING", prefix::config(config, about)),
        };
        let mut common = json!({
            "peft_type": peft_type,
            "task_type": task_type(about.problem_type),
            "base_model_name_or_path": about.base_model,
            "inference_mode": true,
        });
        if let Some(revision) = about.base_revision {
            common["revision"] = json!(revision);
        }
        [common, own]
            .into_iter()
            .filter_map(|value| match value {
                Value::Object(map) => Some(map),
                _ => None,
            })
            .flatten()
            .collect()
    }
}

/// Reads the adapter of a directory; `path` is its configuration.
///
/// # Errors
/// When a file is damaged, or of a kind this program has no method for.
pub fn read(directory: &Path, path: &Path, architecture: Architecture) -> Result<Adapter> {
    let config = Config {
        json: read_json(path)?,
        path,
    };
    let Recognised { method, options } = match config.text("peft_type") {
        Some("LORA") => lora::recognise(&config)?,
        Some("IA3") => ia3::recognise(&config)?,
        Some("VERA") => vera::recognise(&config)?,
        Some("PREFIX_TUNING") => prefix::recognise(&config)?,
        _ => {
            let known = "\"LORA\", \"IA3\", \"VERA\" or \"PREFIX_TUNING\" (other PEFT methods cannot be read)";
            return Err(config.fault("peft_type", known));
        }
    };
    let is_prefix = method == "prefix";
    let before = match is_prefix {
        true => "base_model.",
        false => "base_model.model.",
    };
    let name = |key: &str| -> Result<String> {
        if let Some(name) = vera::projection_of(key) {
            return Ok(name.to_owned());
        }
        if is_prefix && key == prefix::ROWS {
            return Ok(key.to_owned());
        }
        let name = key.strip_prefix(before);
        name.map(|key| canonical_name(key, architecture))
            .ok_or_else(|| {
                Error::Model(format!(
                    "{}: unexpected key {key}: PEFT's begin with {before}",
                    directory.display()
                ))
            })
    };
    let mut tensors = read_tensors(&directory.join(WEIGHTS), name)?;
    if is_prefix {
        tensors = prefix::cut(tensors, &config)?;
    }
    Ok(Adapter {
        method: method.into(),
        options,
        tensors,
        task: read_json(&directory.join("plan.json"))
            .ok()
            .and_then(|plan| text_of(&plan, "task")),
        is_peft: true,
        origin: directory.display().to_string(),
        made_by: MadeBy::read(directory, method),
    })
}

/// An `adapter_config.json`.
struct Config<'a> {
    json: Value,
    path: &'a Path,
}

impl Config<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.json.get(key).filter(|value| !value.is_null())
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }

    fn is_true(&self, key: &str) -> bool {
        self.get(key).and_then(Value::as_bool) == Some(true)
    }

    fn fault(&self, key: &str, expected: &str) -> Error {
        let found = self.json.get(key);
        Error::Model(format!(
            "{}: key `{key}`: expected {expected}, found {}",
            self.path.display(),
            found.map_or("nothing".to_owned(), Value::to_string)
        ))
    }

    /// Refuses a setting that changes what is computed.
    fn expect(&self, key: &str, harmless: &Value) -> Result<()> {
        match self.get(key) {
            Some(value) if value != harmless => Err(self.fault(key, &harmless.to_string())),
            _ => Ok(()),
        }
    }

    /// A number as an option.
    fn number(&self, key: &str, default: Option<&str>) -> Result<(String, String)> {
        let found = self.get(key).filter(|value| value.is_number());
        let text = found.map(Value::to_string).or(default.map(String::from));
        let text = text.ok_or_else(|| self.fault(key, "a number"))?;
        Ok((key.to_owned(), text))
    }

    /// A list of modules as an option.
    fn modules(&self, key: &str) -> Result<(String, String)> {
        match self.get(key) {
            Some(value @ Value::Array(_)) => Ok((key.to_owned(), option_text(value))),
            _ => Err(self.fault(key, "a list of module names (patterns cannot be read)")),
        }
    }
}

impl Provenance<'_> {
    /// An option of the run as PEFT's files have it: a whole number without its `.0`.
    fn option(&self, key: &str) -> Value {
        let found = self.options.iter().find(|(name, _)| name == key);
        match found.map(|(_, value)| value) {
            None => Value::Null,
            Some(value) => match value.as_f64() {
                Some(number) if value.is_f64() && number.fract() == 0.0 => json!(number as i64),
                _ => value.clone(),
            },
        }
    }

    /// Options under their own names.
    fn options<const N: usize>(&self, keys: [&str; N]) -> Map<String, Value> {
        let entries = keys.map(|key| (key.to_owned(), self.option(key)));
        entries.into_iter().collect()
    }
}

/// An object with more entries.
fn with(mut map: Map<String, Value>, more: Value) -> Value {
    if let Value::Object(more) = more {
        map.extend(more);
    }
    Value::Object(map)
}

type Tensors = BTreeMap<String, Tensor>;

/// PEFT's name of a kind of task.
fn task_type(problem: ProblemType) -> &'static str {
    match problem {
        ProblemType::TokenClassification => "TOKEN_CLS",
        ProblemType::QuestionAnswering => "QUESTION_ANS",
        ProblemType::SingleLabelClassification
        | ProblemType::MultiLabelClassification
        | ProblemType::Regression => "SEQ_CLS",
    }
}
