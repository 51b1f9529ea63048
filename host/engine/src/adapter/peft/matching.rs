//! The modules that an adapter's configuration names, by PEFT's own rule
//! (`check_target_module_exists`, `get_pattern_key` and `_maybe_include_all_linear_layers` of peft
//! 0.21). The formats of [`super`] call it.
//!
//! PEFT and this module match the names of the class in Transformers
//! (`bert.encoder.layer.0.attention.self.query`, without `bert.` where the base was a bare
//! `BertModel`).

use super::adapter_config::{Config, MOST_NAMES};
use crate::{
    error::Result,
    model::{config::ModelConfig, per_linear::LinearSite},
};
use fancy_regex::{Regex, RegexBuilder};
use serde_json::Value;
use std::collections::BTreeSet;

/// The kinds of modules that PEFT can adapt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Linear,
    Embedding,
}

/// A module of the base model.
#[derive(Debug, Clone)]
pub(super) struct Module {
    /// Its name here.
    pub name: String,
    /// Its name in Transformers.
    pub path: String,
    pub kind: Kind,
    /// Whether every model has it. Heads and poolers depend on the class.
    pub certain: bool,
}

impl Module {
    /// Whether it is a linear layer inside a block, which the plugins' options can name.
    pub(super) fn is_in_block(&self) -> bool {
        self.name.starts_with("encoder.layer.")
    }
}

const TABLES: [&str; 3] = [
    "word_embeddings",
    "position_embeddings",
    "token_type_embeddings",
];
const HEADS: [&str; 4] = [
    "classifier",
    "classifier.dense",
    "classifier.out_proj",
    "qa_outputs",
];

/// The modules of a model; `is_wrapped` when the base is a class with a head, in which the encoder
/// has a prefix.
pub(super) fn modules(config: &ModelConfig, is_wrapped: bool) -> Vec<Module> {
    let before = if is_wrapped {
        format!("{}.", config.architecture.model_type())
    } else {
        String::new()
    };
    let mut list = Vec::new();
    let mut add = |name: String, kind, certain, before: &str| {
        list.push(Module {
            path: format!("{before}{name}"),
            name,
            kind,
            certain,
        });
    };
    for table in TABLES {
        add(
            format!("embeddings.{table}"),
            Kind::Embedding,
            true,
            &before,
        );
    }
    for block in 0..config.blocks() {
        for layer in LinearSite::ALL {
            add(
                format!("encoder.layer.{block}.{}", layer.module()),
                Kind::Linear,
                true,
                &before,
            );
        }
    }
    add("pooler.dense".into(), Kind::Linear, false, &before);
    for head in HEADS {
        add(head.into(), Kind::Linear, false, "");
    }
    list
}

/// The longest regular expression that is compiled.
const LONGEST_PATTERN: usize = 20_000;

/// A list of names, or a pattern.
#[derive(Debug)]
pub(super) enum Names {
    List(Vec<String>),
    Pattern(Regex),
    AllLinear,
}

impl Names {
    /// The names in a key; `None` when it is empty.
    pub(super) fn read(config: &Config<'_>, key: &str) -> Result<Option<Self>> {
        let is_target = key == "target_modules";
        match config.get(key) {
            Some(Value::String(text)) if is_target && text.to_lowercase() == "all-linear" => {
                Ok(Some(Self::AllLinear))
            }
            Some(Value::String(text)) if text.is_empty() && !is_target => Ok(None),
            Some(Value::String(text)) => {
                let pattern = regex(config, key, &format!(r"\A(?:{text})\z"))?;
                Ok(Some(Self::Pattern(pattern)))
            }
            Some(Value::Array(list)) if list.is_empty() => Ok(None),
            None => Ok(None),
            Some(Value::Array(_)) => Ok(Some(Self::List(config.names(key)?))),
            Some(_) => Err(config.fault(key, "a list of module names or a regular expression")),
        }
    }

    fn names_exactly(&self, path: &str) -> bool {
        matches!(self, Self::List(list) if list.iter().any(|name| name == path))
    }

    /// Whether it names the module, as a whole or by the end of its name.
    fn matches(&self, path: &str) -> bool {
        match self {
            Self::List(list) => list.iter().any(|name| is_end(path, name)),
            Self::Pattern(pattern) => found(pattern, path),
            Self::AllLinear => false,
        }
    }

    /// Whether it names the module as IA³ compares `feedforward_modules`, without regard to the
    /// dots.
    pub(super) fn ends(&self, path: &str) -> bool {
        match self {
            Self::List(list) => list.iter().any(|name| path.ends_with(name.as_str())),
            Self::Pattern(pattern) => found(pattern, path),
            Self::AllLinear => false,
        }
    }
}

fn is_end(path: &str, name: &str) -> bool {
    let before = path.strip_suffix(name);
    before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// Whether the pattern matches. One that runs too long matches nothing, so that the adapter's
/// tensors do not fit: an error instead of a wrong number.
fn found(pattern: &Regex, path: &str) -> bool {
    pattern.is_match(path).unwrap_or(false)
}

/// Compiles a pattern of the file. Its length, its compiled size and the steps of a match are
/// bounded, so that a file cannot take minutes.
fn regex(config: &Config<'_>, key: &str, text: &str) -> Result<Regex> {
    if text.len() > LONGEST_PATTERN {
        let expected = format!("regular expressions of at most {LONGEST_PATTERN} bytes");
        return Err(config.fault(key, &expected));
    }
    let mut builder = RegexBuilder::new(text);
    builder
        .delegate_size_limit(1 << 20)
        .backtrack_limit(100_000);
    builder.build().map_err(|error| {
        let expected = format!("a regular expression ({error})");
        config.fault(key, &expected)
    })
}

/// The modules that a configuration targets.
pub(super) struct Targets {
    names: Names,
    exclude: Option<Names>,
    saved: Vec<Regex>,
    layers: Option<Layers>,
    /// Whether the configuration is one whose head `all-linear` leaves out.
    skips_head: bool,
}

/// `layers_to_transform` with `layers_pattern`.
struct Layers {
    indices: BTreeSet<u64>,
    patterns: Vec<Regex>,
}

impl Targets {
    /// Reads them; `default` are the modules of a configuration that names none.
    pub(super) fn read(config: &Config<'_>, default: &[&str]) -> Result<Self> {
        let names = match Names::read(config, "target_modules")? {
            Some(names) => names,
            None if config.get("target_modules").is_some() => {
                return Err(config.fault("target_modules", "at least one module"));
            }
            None => Names::List(default.iter().map(|&name| name.to_owned()).collect()),
        };
        let layers = Layers::read(config)?;
        if layers.is_some() && !matches!(names, Names::List(_)) {
            return Err(config.fault(
                "layers_to_transform",
                "null beside a `target_modules` that is a string, as in PEFT",
            ));
        }
        let saved = config.names("modules_to_save")?;
        let saved = saved.iter().map(|name| {
            regex(
                config,
                "modules_to_save",
                &format!(r"\A(^|.*\.){name}($|\..*)"),
            )
        });
        Ok(Self {
            names,
            exclude: Names::read(config, "exclude_modules")?,
            saved: saved.collect::<Result<_>>()?,
            layers,
            skips_head: config.text("task_type") == Some("SEQ_CLS"),
        })
    }

    /// Whether PEFT would adapt the module.
    pub(super) fn matches(&self, module: &Module) -> bool {
        let path = module.path.as_str();
        if self
            .exclude
            .as_ref()
            .is_some_and(|names| names.matches(path))
            || self.saved.iter().any(|pattern| found(pattern, path))
        {
            return false;
        }
        if matches!(self.names, Names::AllLinear) {
            return module.kind == Kind::Linear && !(self.skips_head && path == "classifier");
        }
        let matched = self.names.matches(path);
        match &self.layers {
            Some(layers) if matched && !self.names.names_exactly(path) => layers.contain(path),
            _ => matched,
        }
    }

    /// The names of the list, if plugins would choose exactly `chosen` by them. Plugins match them
    /// by their ends among the blocks' layers.
    pub(super) fn plain(&self, all: &[Module], chosen: &BTreeSet<String>) -> Option<Vec<String>> {
        let Names::List(list) = &self.names else {
            return None;
        };
        let inside = || all.iter().filter(|module| module.is_in_block());
        let is_used = |name: &String| inside().any(|module| is_end(&module.name, name));
        let same = inside().all(|module| {
            list.iter().any(|name| is_end(&module.name, name)) == chosen.contains(&module.name)
        });
        (same && list.iter().all(is_used)).then(|| list.clone())
    }
}

impl Layers {
    fn read(config: &Config<'_>) -> Result<Option<Self>> {
        let key = "layers_to_transform";
        let expected = "a number or a list of numbers of layers";
        let indices: BTreeSet<u64> = match config.get(key) {
            None => BTreeSet::new(),
            Some(Value::Array(list)) => {
                let indices = list.iter().map(Value::as_u64).collect::<Option<_>>();
                indices.ok_or_else(|| config.fault(key, expected))?
            }
            Some(value) => {
                let index = value.as_u64().ok_or_else(|| config.fault(key, expected))?;
                BTreeSet::from([index])
            }
        };
        let key = "layers_pattern";
        let patterns = match config.get(key) {
            Some(Value::String(text)) if text.is_empty() => Vec::new(),
            Some(Value::String(text)) => vec![text.clone()],
            _ => config.names(key)?,
        };
        if indices.is_empty() {
            return if patterns.is_empty() {
                Ok(None)
            } else {
                Err(config.fault(key, "null without `layers_to_transform`, as in PEFT"))
            };
        }
        let patterns = if patterns.is_empty() {
            vec![r"\A.*?\.[^.]*\.(?P<idx>\d+)\.".to_owned()]
        } else {
            patterns
                .iter()
                .map(|pattern| format!(r"\A(?:^|.*?\.){pattern}\.(?P<idx>\d+)\."))
                .collect()
        };
        let patterns = patterns.iter().map(|text| regex(config, key, text));
        Ok(Some(Self {
            indices,
            patterns: patterns.collect::<Result<_>>()?,
        }))
    }

    fn contain(&self, path: &str) -> bool {
        let first = |pattern: &Regex| pattern.captures(path).ok().flatten();
        let captures = self.patterns.iter().find_map(first);
        let index = captures.and_then(|found| found.name("idx")?.as_str().parse().ok());
        index.is_some_and(|index: u64| self.indices.contains(&index))
    }
}

/// The numbers of `rank_pattern` or `alpha_pattern` by pattern. The first that matches the end of a
/// name counts.
pub(super) struct Pattern(Vec<(Regex, String, Value)>);

impl Pattern {
    /// Reads one.
    pub(super) fn read(config: &Config<'_>, key: &str) -> Result<Self> {
        let map = match config.get(key) {
            None => return Ok(Self(Vec::new())),
            Some(Value::Object(map)) => map,
            Some(_) => return Err(config.fault(key, "an object of numbers by module")),
        };
        if map.len() > MOST_NAMES {
            return Err(config.fault(key, &format!("at most {MOST_NAMES} modules")));
        }
        let entry = |(name, value): (&String, &Value)| {
            if !value.is_number() {
                return Err(config.fault(key, "an object of numbers by module"));
            }
            let pattern = regex(config, key, &format!(r"\A(.*\.)?({name})$"))?;
            Ok((pattern, name.clone(), value.clone()))
        };
        Ok(Self(map.iter().map(entry).collect::<Result<_>>()?))
    }

    /// The number for a module, if there is one.
    pub(super) fn of(&self, path: &str) -> Option<&Value> {
        // A pattern that is the whole name counts if no pattern before it matches, like all others.
        let matching = self.0.iter().find(|(pattern, ..)| found(pattern, path));
        matching.map(|(_, _, value)| value)
    }
}
