//! `adapter_config.json`: its content for an adapter of ours, typed access to the keys of one that
//! is read, and the refusal of keys that would change the numbers. The formats of [`super`] and
//! [`super::matching`] call it.

use super::Provenance;
use crate::{
    error::{Error, Result},
    model::{
        config::ModelConfig,
        description::{HeadKind, head_layers},
    },
    task_kind::kind_of,
};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Keys of every kind of adapter that describe its origin or its training.
const COMMON: [&str; 12] = [
    "peft_type",
    "task_type",
    "auto_mapping",
    "base_model_name_or_path",
    "peft_version",
    "revision",
    "inference_mode",
    "modules_to_save",
    "target_modules",
    "exclude_modules",
    "runtime_config",
    "ensure_weight_tying",
];

/// The most names in a list. Each is compared with every module, and some are regular expressions.
pub(super) const MOST_NAMES: usize = 2000;

/// The file that marks a PEFT adapter.
pub const CONFIG: &str = "adapter_config.json";

/// An `adapter_config.json`.
pub(super) struct Config<'a> {
    /// The file's content.
    pub json: Value,
    /// The path, for messages.
    pub path: &'a Path,
}

/// The content of the file for an adapter: `own` has the keys of its `peft_type`. PEFT saves whole
/// modules: the classifier always, and the pooler if it was trained.
pub(super) fn written(
    (peft_type, own): (&str, Value),
    config: &ModelConfig,
    about: Provenance<'_>,
    pooler_trained: bool,
) -> Map<String, Value> {
    let mut common = json!({
        "peft_type": peft_type,
        "task_type": kind_of(about.problem_type).peft_task_type(),
        "base_model_name_or_path": about.base_model,
        "inference_mode": true,
    });
    if let Some(revision) = about.base_revision {
        common["revision"] = json!(revision);
    }
    let mut all: Map<String, Value> = [common, own]
        .into_iter()
        .filter_map(|value| match value {
            Value::Object(map) => Some(map),
            _ => None,
        })
        .flatten()
        .collect();
    let layers = head_layers(config, HeadKind::Sequence(1));
    let has_pooler = layers.iter().any(|layer| layer.module == "pooler.dense");
    if has_pooler && kind_of(about.problem_type).peft_task_type() == "SEQ_CLS" {
        leave_out_pooler(&mut all);
    }
    let modules = kind_of(about.problem_type).saved_modules(pooler_trained);
    all.insert("modules_to_save".into(), json!(modules));
    all
}

/// Names the layers that `dense` means inside the blocks. Otherwise PEFT would take the pooler's
/// for one of them.
fn leave_out_pooler(config: &mut Map<String, Value>) {
    for key in ["target_modules", "feedforward_modules"] {
        if let Some(Value::Array(names)) = config.get_mut(key)
            && names.contains(&json!("dense"))
        {
            names.retain(|name| name != "dense");
            for layer in ["intermediate.dense", "output.dense"] {
                if !names.contains(&json!(layer)) {
                    names.push(json!(layer));
                }
            }
        }
    }
}

/// Whether a value is empty: null, false, or without entries.
pub(super) fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

impl Config<'_> {
    /// A key's value, unless it is null.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.json.get(key).filter(|value| !value.is_null())
    }

    /// A key's text.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }

    /// A key's value, unless it is null, false or empty.
    pub(super) fn set(&self, key: &str) -> Option<&Value> {
        self.json.get(key).filter(|value| !is_unset(value))
    }

    /// A flag, which is false when the key is absent.
    ///
    /// # Errors
    /// When the value is no boolean. Python would take the text "no" for true.
    pub(super) fn flag(&self, key: &str) -> Result<bool> {
        match self.get(key) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(*value),
            Some(_) => Err(self.fault(key, "true or false")),
        }
    }

    /// The number in a key; `default` when the key is absent.
    pub(super) fn real(&self, key: &str, default: f64) -> Result<f64> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => match value.as_f64().filter(|number| number.is_finite()) {
                Some(number) => Ok(number),
                None => Err(self.fault(key, "a number")),
            },
        }
    }

    /// A whole number of at least 1; `default` when the key is absent.
    pub(super) fn size(&self, key: &str, default: usize) -> Result<usize> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => match value.as_u64().filter(|&number| number > 0) {
                Some(number) => Ok(number as usize),
                None => Err(self.fault(key, "a whole number of at least 1")),
            },
        }
    }

    /// The names in a list of texts; none when the key is absent.
    pub(super) fn names(&self, key: &str) -> Result<Vec<String>> {
        let names = match self.get(key) {
            None => return Ok(Vec::new()),
            Some(Value::Array(list)) if list.len() > MOST_NAMES => {
                return Err(self.fault(key, &format!("at most {MOST_NAMES} names")));
            }
            Some(Value::Array(list)) => list.iter().map(Value::as_str),
            Some(_) => return Err(self.fault(key, "a list of names")),
        };
        let names: Option<Vec<String>> = names.map(|name| name.map(str::to_owned)).collect();
        names.ok_or_else(|| self.fault(key, "a list of names"))
    }

    /// The error about a key.
    pub(super) fn fault(&self, key: &str, expected: &str) -> Error {
        self.advised(
            key,
            expected,
            "correct it, or save the adapter again with PEFT",
        )
    }

    /// The error about a key, with the advice at its end.
    pub(super) fn advised(&self, key: &str, expected: &str, advice: &str) -> Error {
        Error::Model(format!("{}; {advice}", self.difference(key, expected)))
    }

    fn difference(&self, key: &str, expected: &str) -> String {
        let found = self.json.get(key);
        let mut found = found.map_or("nothing".to_owned(), Value::to_string);
        if found.chars().count() > 200 {
            found = found.chars().take(200).chain(['…']).collect();
        }
        format!(
            "{}: key `{key}`: expected {expected}, found {found}",
            self.path.display()
        )
    }

    /// Refuses a setting that changes the computation.
    pub(super) fn expect(&self, key: &str, harmless: &Value) -> Result<()> {
        match self.get(key) {
            Some(value) if value != harmless => Err(self.fault(key, &harmless.to_string())),
            _ => Ok(()),
        }
    }

    /// Refuses settings that are not supported, by name.
    pub(super) fn refuse(&self, keys: &[&str]) -> Result<()> {
        for &key in keys {
            if self.set(key).is_some() {
                let advice = "progtune does not support this setting: train the adapter without it";
                return Err(self.advised(key, "null", advice));
            }
        }
        Ok(())
    }

    /// Refuses every unknown key that is not empty, because PEFT may have given it a meaning that
    /// changes the numbers.
    pub(super) fn refuse_unknown(&self, known: &[&[&str]]) -> Result<()> {
        let Value::Object(map) = &self.json else {
            return Err(Error::Model(format!(
                "{}: expected a JSON object; copy the adapter again",
                self.path.display()
            )));
        };
        let is_known =
            |key: &str| COMMON.contains(&key) || known.iter().any(|keys| keys.contains(&key));
        match map
            .iter()
            .find(|(key, value)| !is_known(key) && !is_unset(value))
        {
            Some((key, _)) => Err(self.advised(
                key,
                "null or no such key",
                "this version of progtune does not know the key: if it changes nothing, save the adapter without it",
            )),
            None => Ok(()),
        }
    }

    /// A number as an option.
    pub(super) fn number(&self, key: &str, default: Option<&str>) -> Result<(String, String)> {
        let text = match self.get(key) {
            Some(value) if value.is_number() => value.to_string(),
            Some(_) => return Err(self.fault(key, "a number")),
            None => default
                .map(String::from)
                .ok_or_else(|| self.fault(key, "a number"))?,
        };
        Ok((key.to_owned(), text))
    }
}

impl Config<'_> {
    /// Checks `bias`. Its values are in the file, whatever it says; `only` is its third value.
    pub(super) fn bias(&self, only: &str) -> Result<()> {
        match self.get("bias") {
            None => Ok(()),
            Some(value) if ["none", "all", only].iter().any(|known| value == known) => Ok(()),
            Some(_) => Err(self.fault("bias", &format!("\"none\", \"all\" or \"{only}\""))),
        }
    }
}
