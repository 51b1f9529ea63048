//! The four layers of the configuration (defaults, file, environment, flags), merged by the `config` crate. Called by
//! the `resolve` functions of `config`. Every value keeps its origin, so that a later message can name it.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use ::config::{Config, FileFormat, Format, Map, Source, Value, ValueKind};
use serde::Serialize;

use super::ConfigError;
use super::settings::Settings;
use crate::config_keys::{
    KEYS, Key, KeyDefault, OTHER_VARIABLES, Scope, VARIABLE_PREFIX, advice, find_key, flag_of,
};
use progtune_process::files::near_path;

/// What lies below the flags: a configuration file and the environment's variables. Given, not read from the process,
/// so that tests need not change their own environment.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The TOML file of `--config` or `PROGTUNE_CONFIG`.
    pub file: Option<PathBuf>,
    /// Environment variables; those that do not begin with `PROGTUNE_` are left alone, and an empty one sets nothing.
    pub variables: Vec<(OsString, OsString)>,
}

impl Sources {
    /// The process' environment, and the file named by `--config` or else by `PROGTUNE_CONFIG`.
    pub fn from_process(config_flag: Option<&Path>) -> Self {
        let variables: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        let from_variable = variables
            .iter()
            .find(|(name, value)| name == "PROGTUNE_CONFIG" && !value.is_empty())
            .map(|(_, value)| PathBuf::from(value));
        Self {
            file: config_flag.map(Path::to_path_buf).or(from_variable),
            variables,
        }
    }
}

/// Keys whose value is a table of plugin options.
const OPTION_KEYS: &[&str] = &["schedule_opt", "peft_opt"];

/// Keys whose value is a list of paths.
const PATH_KEYS: &[&str] = &[
    "plugin",
    "plugin_dir",
    "train_file",
    "validation_file",
    "test_file",
];

/// Merges the layers for a command that reads the keys of `scope`. `flags` is a parsed argument struct whose field
/// names are keys; unset fields serialise to nothing.
///
/// # Errors
/// A file that cannot be read, a key that does not exist, an option that is not `NAME=VALUE`.
pub(super) fn merge(
    flags: &impl Serialize,
    sources: &Sources,
    scope: Scope,
) -> Result<Settings, ConfigError> {
    let mut builder = Config::builder().add_source(defaults());
    if let Some(path) = &sources.file {
        builder = builder.add_source(read_file(path, scope)?);
    }
    let merged = builder
        .add_source(read_variables(&sources.variables)?)
        .add_source(read_flags(flags)?)
        .build()
        .and_then(|merged| merged.collect());
    // The layers hold known keys and plain values only, so merging has nothing left to refuse.
    merged
        .map(Settings::new)
        .map_err(|error| ConfigError::File {
            path: sources.file.clone().unwrap_or_default(),
            reason: error.to_string(),
            advice: "check the configuration".into(),
        })
}

/// One layer: keys with their values, in the order found.
#[derive(Debug, Clone, Default)]
struct Layer {
    values: Map<String, Value>,
}

impl Layer {
    fn set(&mut self, key: &str, origin: &str, kind: impl Into<ValueKind>) {
        self.values
            .insert(key.into(), Value::new(Some(&origin.to_string()), kind));
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ::config::ConfigError> {
        Ok(self.values.clone())
    }
}

fn defaults() -> Layer {
    let mut layer = Layer::default();
    for key in KEYS {
        if let KeyDefault::Value(text) = key.default {
            layer.set(key.name, "its default", text);
        }
    }
    layer
}

fn read_file(path: &Path, scope: Scope) -> Result<Layer, ConfigError> {
    let fail = |reason: String, advice: &str| ConfigError::File {
        path: path.to_path_buf(),
        reason,
        advice: advice.into(),
    };
    let text = fs::read_to_string(path).map_err(|error| {
        fail(
            format!(
                "cannot read the configuration file: {error}{}",
                near_path(path)
            ),
            "check the path given by --config or PROGTUNE_CONFIG",
        )
    })?;
    let place = path.display().to_string();
    let values = FileFormat::Toml
        .parse(Some(&place), &text)
        .map_err(|error| {
            fail(
                format!("not TOML: {}", error.to_string().trim_end()),
                "write one `key = value` a line, texts in quotes",
            )
        })?;
    let mut layer = Layer::default();
    // In the order of the alphabet, so that of several errors the same one is reported each time.
    let mut values: Vec<(String, Value)> = values.into_iter().collect();
    values.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, value) in values {
        let Some(key) = find_key(&name) else {
            return Err(unknown_in_file(&place, &name));
        };
        // A run's config.toml serves `evaluate` and `predict` as well, so they pass over the keys of training.
        if key.scope == Scope::Inference && scope == Scope::Training {
            return Err(ConfigError::ForeignKey {
                place,
                key: name,
                owners: "evaluate and predict",
            });
        }
        layer.values.insert(name, value);
    }
    Ok(layer)
}

fn unknown_in_file(place: &str, name: &str) -> ConfigError {
    let advice = advice(
        &name.replace('-', "_"),
        KEYS.iter().map(|key| key.name),
        "the keys are the flags of `progtune --help` with `_` for `-`",
    );
    ConfigError::UnknownKey {
        place: place.into(),
        key: name.into(),
        advice,
    }
}

fn read_variables(variables: &[(OsString, OsString)]) -> Result<Layer, ConfigError> {
    let mut layer = Layer::default();
    let mut variables: Vec<&(OsString, OsString)> = variables.iter().collect();
    variables.sort();
    for (name, value) in variables {
        let name = name.to_string_lossy();
        let Some(suffix) = name.strip_prefix(VARIABLE_PREFIX) else {
            continue;
        };
        if OTHER_VARIABLES.contains(&name.as_ref()) {
            continue;
        }
        let Some(key) = KEYS.iter().find(|key| key.variable() == name) else {
            return Err(unknown_variable(&name, suffix));
        };
        if value.is_empty() {
            continue;
        }
        let origin = format!("environment variable {name}");
        layer
            .values
            .insert(key.name.into(), read_variable(key, value, &origin)?);
    }
    Ok(layer)
}

fn unknown_variable(name: &str, suffix: &str) -> ConfigError {
    let names = KEYS
        .iter()
        .map(Key::variable)
        .chain(OTHER_VARIABLES.iter().map(|&name| name.into()));
    let names: Vec<String> = names.collect();
    // The prefix, which all have, makes none of them more like it.
    let suffixes = names
        .iter()
        .filter_map(|name| name.strip_prefix(VARIABLE_PREFIX));
    let advice = advice(
        suffix,
        suffixes,
        "unset it: PROGTUNE_ is followed by a flag's name in capitals with `_` for `-`",
    );
    let advice = advice.replace(" '", &format!(" '{VARIABLE_PREFIX}"));
    ConfigError::UnknownKey {
        place: format!("environment variable {name}"),
        key: suffix.to_lowercase(),
        advice,
    }
}

/// The value of a variable. Options are `K=V;K=V`, directories and files are separated as in `PATH`.
fn read_variable(key: &Key, value: &OsStr, origin: &str) -> Result<Value, ConfigError> {
    let text = value.to_str().ok_or_else(|| ConfigError::BadValue {
        key: key.name.into(),
        origin: origin.into(),
        expected: "UTF-8 text".into(),
        found: format!("{value:?}"),
        advice: format!(
            "set it to something like {}={}",
            key.variable(),
            key.example
        ),
    })?;
    if OPTION_KEYS.contains(&key.name) {
        let pairs = text
            .split(';')
            .map(str::trim)
            .filter(|pair| !pair.is_empty());
        let advice = format!("write {}='NAME=VALUE;NAME=VALUE'", key.variable());
        return read_options(key.name, pairs, origin, &advice);
    }
    let origin = origin.to_string();
    if PATH_KEYS.contains(&key.name) {
        let folders: Vec<Value> = std::env::split_paths(value)
            .map(|folder| Value::new(Some(&origin), folder.to_string_lossy().into_owned()))
            .collect();
        return Ok(Value::new(Some(&origin), folders));
    }
    Ok(Value::new(Some(&origin), text))
}

fn read_flags(flags: &impl Serialize) -> Result<Layer, ConfigError> {
    // The argument structs hold texts and switches only, which always serialise.
    let fields = serde_json::to_value(flags).unwrap_or_default();
    let mut layer = Layer::default();
    let serde_json::Value::Object(fields) = fields else {
        return Ok(layer);
    };
    for (name, value) in fields {
        let flag = flag_of(&name);
        let origin = format!("flag {flag}");
        match value {
            serde_json::Value::Bool(value) => layer.set(&name, &origin, value),
            serde_json::Value::String(value) => layer.set(&name, &origin, value),
            serde_json::Value::Array(items) if !items.is_empty() => {
                let items: Vec<&str> = items.iter().filter_map(|item| item.as_str()).collect();
                let value = if OPTION_KEYS.contains(&name.as_str()) {
                    let advice = format!("write {flag} NAME=VALUE once for each option");
                    read_options(&name, items.into_iter(), &origin, &advice)?
                } else {
                    let items: Vec<Value> = items
                        .into_iter()
                        .map(|item| Value::new(Some(&origin), item))
                        .collect();
                    Value::new(Some(&origin), items)
                };
                layer.values.insert(name, value);
            }
            _ => {}
        }
    }
    Ok(layer)
}

/// A table of plugin options from `NAME=VALUE` pairs.
fn read_options<'a>(
    key: &str,
    pairs: impl Iterator<Item = &'a str>,
    origin: &str,
    advice: &str,
) -> Result<Value, ConfigError> {
    let bad = |expected: &str, found: &str| ConfigError::BadValue {
        key: key.into(),
        origin: origin.into(),
        expected: expected.into(),
        found: format!("`{found}`"),
        advice: advice.into(),
    };
    let origin_text = origin.to_string();
    let mut options: HashMap<String, Value> = HashMap::new();
    for pair in pairs {
        let (name, value) = pair
            .split_once('=')
            .map(|(name, value)| (name.trim(), value.trim()))
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| bad("NAME=VALUE", pair))?;
        let value = Value::new(Some(&origin_text), value);
        if options.insert(name.into(), value).is_some() {
            return Err(bad(&format!("the option `{name}` once"), pair));
        }
    }
    Ok(Value::new(Some(&origin_text), options))
}
