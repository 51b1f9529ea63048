//! The four layers of the configuration (defaults, file, environment, flags), merged by the
//! `config` crate. Called by the `resolve` functions of `config`. Every value keeps its origin, so
//! that a later message can name it.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ::config::{Config, FileFormat, Format, Map, Source, Value, ValueKind};

use super::data::{MAX_EVAL_SAMPLES, MAX_TRAIN_SAMPLES, SAMPLE};
use super::export::FIRST_LINE;
use super::settings::{Settings, scalar_text};
use super::{ConfigError, find_key, keys};
use crate::flags::hugging_face::{self, Meaning};
use crate::flags::{
    About, Arguments, Declared, Flag, FlagDefault, OTHER_VARIABLES, Scope, Takes, VARIABLE_PREFIX,
    advice, flag_of,
};
use clap::value_parser;
use progtune_process::files::bounded::{LARGEST_TEXT, read_named_text};
use progtune_process::files::near_path;

pub(crate) static CONFIG: Flag<PathBuf> = Flag::argument(
    "config",
    "FILE",
    "Read settings from this TOML file; its keys are the flags' names with _ for -",
)
.computed("none")
.usual()
.adjust(|arg| arg.global(true).value_parser(value_parser!(PathBuf)));

/// The layers below the flags: a configuration file and environment variables. They are passed in
/// instead of being read from the process, so tests need not change their own environment.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The TOML file of `--config` or `PROGTUNE_CONFIG`.
    pub file: Option<PathBuf>,
    /// Environment variables. Those without the prefix `PROGTUNE_` are ignored, and an empty one
    /// sets nothing.
    pub variables: Vec<(OsString, OsString)>,
}

impl Sources {
    /// The environment of the process, and the file named by `--config` or otherwise by
    /// `PROGTUNE_CONFIG`.
    pub fn of_process(arguments: &Arguments) -> Self {
        let variables: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        let from_variable = variables
            .iter()
            .find(|(name, value)| name == "PROGTUNE_CONFIG" && !value.is_empty())
            .map(|(_, value)| PathBuf::from(value));
        Self {
            file: arguments.one(&CONFIG).or(from_variable),
            variables,
        }
    }
}

/// Merges the layers for a command that reads the keys of `scope`.
///
/// # Errors
/// Fails if a file cannot be read, a key does not exist, or an option is not `NAME=VALUE`.
pub(super) fn merge(
    arguments: &Arguments,
    sources: &Sources,
    scope: Scope,
) -> Result<Settings, ConfigError> {
    let mut builder = Config::builder().add_source(defaults());
    if let Some(path) = &sources.file {
        builder = builder.add_source(read_file(path, scope)?);
    }
    let merged = builder
        .add_source(read_variables(&sources.variables)?)
        .add_source(read_flags(arguments)?)
        .build()
        .and_then(|merged| merged.collect());
    // The layers hold only known keys and plain values, so merging them cannot fail.
    merged
        .map(Settings::new)
        .map_err(|error| ConfigError::File {
            path: sources.file.clone().unwrap_or_default(),
            reason: error.to_string(),
            advice: "check the configuration".into(),
        })
}

/// One layer: keys with their values.
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
    for key in keys() {
        if let Some(FlagDefault::Value(text)) = key.default {
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
    let text = read_named_text(path, LARGEST_TEXT).map_err(|error| {
        let near = if error.kind() == ErrorKind::NotFound {
            near_path(path)
        } else {
            String::new()
        };
        fail(
            format!("cannot read the configuration file: {error}{near}"),
            "check the path given by --config or PROGTUNE_CONFIG",
        )
    })?;
    let place = path.display().to_string();
    let values = FileFormat::Toml
        .parse(Some(&place), &text)
        .map_err(|error| {
            fail(
                format!("not TOML: {}", error.to_string().trim_end()),
                "write one `key = value` per line, with texts in quotes",
            )
        })?;
    let mut layer = Layer::default();
    let mut names: HashMap<&str, String> = HashMap::new();
    // Alphabetical order makes sure that the same one of several errors is reported each time.
    let mut values: Vec<(String, Value)> = values.into_iter().collect();
    values.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, value) in values {
        let Some((key, value)) = key_and_value(&place, &name, value)? else {
            continue;
        };
        // A run's config.toml also serves `evaluate` and `predict`, so they ignore the keys of
        // training.
        if key.scope == Scope::Inference && scope == Scope::Training {
            return Err(ConfigError::ForeignKey {
                place,
                key: name,
                owners: "evaluate and predict",
            });
        }
        layer.values.insert(key.name.into(), value);
        if let Some(other) = names.insert(key.name, name.clone()) {
            return Err(ConfigError::Conflict {
                first: format!("{other} (from file {place})"),
                second: format!("{name} in the same file"),
                reason: "they are two names of one key".into(),
                advice: "remove one of them".into(),
            });
        }
    }
    if is_of_0_1(&text, &layer) {
        layer.set(SAMPLE.about.name, &place, "first");
    }
    Ok(layer)
}

/// Whether a run of version 0.1 wrote a file and used a part of its data. That version had no
/// `sample`, and took the first rows.
fn is_of_0_1(text: &str, layer: &Layer) -> bool {
    let has = |flag: &dyn Declared| layer.values.contains_key(flag.about().name);
    let is_limited = has(&MAX_TRAIN_SAMPLES) || has(&MAX_EVAL_SAMPLES);
    text.starts_with(FIRST_LINE) && is_limited && !has(&SAMPLE)
}

/// The key that a name stands for, with its value; `None` if the setting holds anyway. The name may
/// be that of Hugging Face's tools.
///
/// # Errors
/// Fails if there is no such key. If Hugging Face's tools have it, the message is the answer to it.
fn key_and_value(
    place: &str,
    name: &str,
    value: Value,
) -> Result<Option<(&'static About, Value)>, ConfigError> {
    if let Some(key) = find_key(name) {
        return Ok(Some((key, value)));
    }
    let Some(word) = hugging_face::flags().find(|word| word.name == name) else {
        return Err(unknown_in_file(place, name));
    };
    let text = scalar_text(&value).unwrap_or_default();
    match word.meaning {
        Meaning::Same(flags) => {
            let key = flags.iter().find_map(|flag| find_key(flag));
            key.map(|key| Some((key, value)))
                .ok_or_else(|| unknown_in_file(place, name))
        }
        Meaning::Sets(key, set) => {
            let value = Value::new(value.origin().map(String::from).as_ref(), set);
            let key = find_key(key).filter(|_| text == "true");
            Ok(key.map(|key| (key, value)))
        }
        Meaning::Beside(..) => Ok(None),
        meaning => match meaning.answer(&text) {
            None => Ok(None),
            Some(answer) => Err(ConfigError::UnknownKey {
                place: place.into(),
                key: name.into(),
                advice: answer,
            }),
        },
    }
}

fn unknown_in_file(place: &str, name: &str) -> ConfigError {
    let advice = advice(
        &name.replace('-', "_"),
        keys().map(|key| key.name),
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
        let key = keys().find(|key| key.variable() == name);
        let key = key.or_else(|| key_of_variable(suffix));
        let Some(key) = key else {
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

/// The key that a variable in Hugging Face's words sets: `PROGTUNE_LEARNING_RATE`.
fn key_of_variable(suffix: &str) -> Option<&'static About> {
    match hugging_face::find(suffix)?.meaning {
        Meaning::Same(flags) => flags.iter().find_map(|flag| find_key(flag)),
        _ => None,
    }
}

fn unknown_variable(name: &str, suffix: &str) -> ConfigError {
    let names = keys()
        .map(About::variable)
        .chain(OTHER_VARIABLES.iter().map(|&name| name.into()));
    let names: Vec<String> = names.collect();
    // The prefix, which all names share, would make them look more similar.
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

/// Reads the value of a variable. Options are written as `K=V;K=V`, and directories and files are
/// separated as in `PATH`.
fn read_variable(key: &About, value: &OsStr, origin: &str) -> Result<Value, ConfigError> {
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
    if key.takes == Takes::Options {
        let pairs = text
            .split(';')
            .map(str::trim)
            .filter(|pair| !pair.is_empty());
        let advice = format!("write {}='NAME=VALUE;NAME=VALUE'", key.variable());
        return read_options(key.name, pairs, origin, &advice);
    }
    let origin = origin.to_string();
    if key.takes == Takes::Values && key.scope != Scope::Inference {
        let folders: Vec<Value> = std::env::split_paths(value)
            .map(|folder| Value::new(Some(&origin), folder.to_string_lossy().into_owned()))
            .collect();
        return Ok(Value::new(Some(&origin), folders));
    }
    Ok(Value::new(Some(&origin), text))
}

fn read_flags(arguments: &Arguments) -> Result<Layer, ConfigError> {
    let mut layer = Layer::default();
    for (flag, key, texts) in arguments.keys() {
        let typed = flag_of(key);
        let origin = format!("flag {typed}");
        match flag.about().takes {
            Takes::Options => {
                let advice = format!("write {typed} NAME=VALUE once for each option");
                let texts = texts.iter().map(String::as_str);
                let options = read_options(key, texts, &origin, &advice)?;
                layer.values.insert(key.into(), options);
            }
            Takes::Values => {
                let item = |text| Value::new(Some(&origin), text);
                let items: Vec<Value> = texts.into_iter().map(item).collect();
                layer.set(key, &origin, items);
            }
            Takes::Value | Takes::Switch | Takes::Nothing => {
                if let Some(text) = texts.into_iter().next() {
                    layer.set(key, &origin, text);
                }
            }
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
