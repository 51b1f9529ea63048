//! The differences between the run that made a checkpoint and the one that continues it.

use super::{Identity, State};
use progtune_plain_text::shown_line;
use std::collections::BTreeMap;

/// Keys that change no number of a result: where inputs are (their contents are compared instead),
/// where results go, how the work is done and shown.
const FREE: &[&str] = &[
    "model",
    "revision",
    "offline",
    "data",
    "data_config",
    "train_file",
    "validation_file",
    "test_file",
    "init_adapter",
    "plugin",
    "plugin_dir",
    "lock",
    "locked",
    "plugin_isolation",
    "threads",
    "token_cache",
    "recompute",
    "memory_budget",
    "output",
    "logging_steps",
    "save_strategy",
    "save_steps",
    "save_minutes",
    "save_total_limit",
    "progress",
    "color",
];

/// Keys of the prefix cache, which is exact only in f32 on the fused path.
const CACHE: &[&str] = &["prefix_cache", "prefix_cache_budget", "prefix_cache_dtype"];

/// The longest value in a message.
const LONGEST: usize = 60;

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key of the configuration, or the name of an input.
    pub key: String,
    /// The value in the checkpoint.
    pub before: String,
    /// The value now.
    pub now: String,
}

impl Change {
    /// The change in words.
    pub(crate) fn describe(&self) -> String {
        let short = |value: &str| {
            let value = shown_line(value);
            if value.chars().count() > LONGEST {
                value.chars().take(LONGEST).collect::<String>() + "…"
            } else {
                value
            }
        };
        let [before, now] = [&self.before, &self.now].map(|value| short(value));
        format!("{} was {before} and is {now}", self.key)
    }
}

/// Keys that the identity of the computation includes.
const IN_COMPUTATION: &[&str] = &["device", "kernels", "precision"];

/// The differences that would change a number of the result. `config` is the `config.toml` of the
/// run now, and `has_exact_cache` whether its prefix cache changes no bit.
pub fn changes(
    before: &State,
    identity: &Identity,
    config: &str,
    has_exact_cache: bool,
) -> Vec<Change> {
    let [settings_before, settings_now] = [&before.config, config].map(settings);
    let [inputs_before, inputs_now] = [&before.identity, identity].map(Identity::inputs);
    let mut changes = differences(&settings_before, &settings_now, "unset");
    changes.retain(|Change { key, .. }| {
        let key = key.as_str();
        let is_free = FREE.contains(&key) || (has_exact_cache && CACHE.contains(&key));
        // An input tells more than a setting of the same name: the GPU, not its number.
        !is_free && !inputs_now.contains_key(key)
    });
    changes.extend(differences(&inputs_before, &inputs_now, "absent"));
    // These change the hash of the computation, too, and say why.
    if changes
        .iter()
        .any(|change| IN_COMPUTATION.contains(&change.key.as_str()))
    {
        changes.retain(|change| change.key != "computation");
    }
    changes
}

/// The keys with different values, in order. A key that one side lacks has the value `absent`
/// there.
fn differences<V: AsRef<str>>(
    before: &BTreeMap<String, V>,
    now: &BTreeMap<String, V>,
    absent: &str,
) -> Vec<Change> {
    let mut keys: Vec<&String> = before.keys().chain(now.keys()).collect();
    keys.sort();
    keys.dedup();
    let value = |side: &BTreeMap<String, V>, key: &String| {
        side.get(key).map_or(absent, V::as_ref).to_owned()
    };
    let changes = keys.into_iter().map(|key| Change {
        key: key.clone(),
        before: value(before, key),
        now: value(now, key),
    });
    changes
        .filter(|change| change.before != change.now)
        .collect()
}

/// The values of a `config.toml`. Options of plugins have keys of their own.
fn settings(config: &str) -> BTreeMap<String, String> {
    let table: toml::Table = config.parse().unwrap_or_default();
    let mut settings = BTreeMap::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(options) => settings.extend(
                options
                    .into_iter()
                    .map(|(option, value)| (format!("{key}.{option}"), value.to_string())),
            ),
            value => {
                settings.insert(key, value.to_string());
            }
        }
    }
    settings
}
