//! The formats of Hugging Face PEFT: `adapter_config.json` with `adapter_model.safetensors`, or
//! `adapter_model.bin` before PEFT 0.7, one module per method. They are read for `--adapter` and
//! `--init-adapter`, and written at the end of a run whose method PEFT has.
//!
//! Keys are a checkpoint's with the prefix `base_model.model.`, without the name that PEFT gives an
//! adapter. The modules of the methods contain the exceptions.

mod adapter_config;
mod carried;
mod content;
mod folds;
mod graphs;
mod ia3;
mod keys;
mod lora;
mod matching;
mod prefix;
mod vera;

pub use adapter_config::CONFIG;
pub use carried::Carried;
pub(crate) use folds::Fold;

use super::{Adapter, Provenance, kept, read_json, text_of, write_json};
use crate::{
    error::Result,
    export::{WeightDtype, value_of, write_tensors},
    labels::inverse,
    made_by::MadeBy,
    model::{
        config::ModelConfig,
        description::{self, HeadKind},
        parameters::Parameters,
        tensor_file::TensorFile,
        weights::checkpoint_key,
    },
};
use adapter_config::Config;
use candle_core::Tensor;
use content::{Content, some};
use keys::Keys;
use progtune_plugin_api::records::Rewrite;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, path::Path};

/// The weights beside it.
pub const WEIGHTS: &str = "adapter_model.safetensors";
/// The weights of PEFT before 0.7, which are read where there are no others.
pub const PICKLED_WEIGHTS: &str = "adapter_model.bin";

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

/// A configuration in terms of a method here.
struct Recognised {
    method: &'static str,
    /// The options of the method's plugin, if they express all of it.
    options: Vec<(String, String)>,
    /// The adapter's own plan, if they do not.
    carried: Option<Carried>,
    /// The changes to parameters of the base, by their names.
    folds: BTreeMap<String, Fold>,
    /// The properties that the options cannot express, in words.
    unsaid: Vec<String>,
}

impl Format {
    /// The format of a method, if PEFT has it with a place for everything that the method adds.
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
        write_tensors(&directory.join(WEIGHTS), tensors, WeightDtype::F32)?;
        let pooler = trained
            .iter()
            .any(|&id| parameters.infos()[id].name.starts_with("pooler."));
        let own = self.own_config(config, about);
        let json = adapter_config::written(own, config, about, pooler);
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
            Self::Vera if keys::is_projection(name) => keys::projection_key(name, about),
            _ => Some(format!("base_model.model.{key}")),
        }
    }

    /// The `peft_type` and the keys that only it has.
    fn own_config(self, config: &ModelConfig, about: Provenance<'_>) -> (&'static str, Value) {
        match self {
            Self::Lora => ("LORA", lora::config(about, false)),
            Self::Dora => ("LORA", lora::config(about, true)),
            Self::Ia3 => ("IA3", ia3::config(about)),
            Self::Vera => ("VERA", vera::config(about)),
            Self::Prefix => ("PREFIX_TUNING", prefix::config(config, about)),
        }
    }
}

/// Reads the adapter of a directory; `path` is its configuration, `base` that of the model it is
/// for.
///
/// # Errors
/// When a file is damaged, the two do not agree, or the adapter computes something that this
/// program does not.
pub(crate) fn read(directory: &Path, path: &Path, base: &ModelConfig) -> Result<Adapter> {
    let config = &Config {
        json: read_json(path)?,
        path,
    };
    let mut file = open(directory)?;
    let is_prefix = config.text("peft_type") == Some("PREFIX_TUNING");
    let (mut content, recognised);
    if is_prefix {
        recognised = prefix::recognise(config)?;
        let tensors = prefix::cut(prefix::read(&mut file, base.architecture)?, config)?;
        content = Content::of(tensors, base, true);
    } else {
        let keys = Keys::of(
            file.shapes().map(|(key, _)| key),
            base.architecture,
            &directory.display().to_string(),
        )?;
        let read = |(name, key): (&String, &String)| Ok((name.clone(), file.read(key)?));
        let tensors = keys.by_name.iter().map(read).collect::<Result<Tensors>>()?;
        content = Content::of(tensors, base, keys.is_wrapped);
        recognised = recognise(config, &mut content)?;
    }
    content.has_saved(config)?;
    let mut unsaid = recognised.unsaid;
    let replaced = content.replaced();
    if !replaced.is_empty() {
        unsaid.push(format!(
            "trained parameters of the base model ({})",
            some(&replaced)
        ));
    }
    Ok(Adapter {
        method: recognised.method.into(),
        options: recognised.options,
        carried: recognised.carried,
        folds: recognised.folds,
        unsaid,
        task_type: config.text("task_type").map(str::to_owned),
        tensors: content.tensors,
        task: read_json(&directory.join("plan.json"))
            .ok()
            .and_then(|plan| text_of(&plan, "task")),
        is_peft: true,
        origin: directory.display().to_string(),
        made_by: MadeBy::read(directory, recognised.method),
    })
}

fn recognise(config: &Config<'_>, content: &mut Content) -> Result<Recognised> {
    match config.text("peft_type") {
        Some("LORA") => lora::recognise(config, content),
        Some("IA3") => ia3::recognise(config, content),
        Some("VERA") => vera::recognise(config, content),
        _ => {
            let known = "\"LORA\", \"IA3\", \"VERA\" or \"PREFIX_TUNING\"";
            let advice = "other PEFT methods cannot be read: train an adapter of one of these";
            Err(config.advised("peft_type", known, advice))
        }
    }
}

fn open(directory: &Path) -> Result<TensorFile> {
    let pickled = directory.join(PICKLED_WEIGHTS);
    let path = directory.join(WEIGHTS);
    TensorFile::open(if !path.exists() && pickled.exists() {
        &pickled
    } else {
        &path
    })
}

impl Content {
    fn of(tensors: Tensors, base: &ModelConfig, is_wrapped: bool) -> Self {
        let before = if is_wrapped {
            format!("{}.", base.architecture.model_type())
        } else {
            String::new()
        };
        // LayerNorms are the same under any head.
        let parameters = description::parameters(base, HeadKind::QuestionAnswering);
        Self {
            tensors,
            modules: matching::modules(base, is_wrapped),
            norms: content::norms(&parameters, &before),
        }
    }
}

/// A list as an option.
fn option_list(key: &str, names: &[String]) -> (String, String) {
    (key.to_owned(), names.join(","))
}

impl Provenance<'_> {
    /// An option of the run in the form of PEFT's files: a whole number has no `.0`.
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
