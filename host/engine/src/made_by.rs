//! The plugins that made a result. They are written into `plan.json`, `all_results.json` and beside
//! every saved model or adapter (`progtune_plugins.json`), and compared when the result is used.
//! The recipe, `adapter` and `inference` call it.

use crate::{
    error::{Error, Result},
    plugin::{Entry, LoadedMethod, LoadedSchedule},
};
use progtune_plugin_api::open::Value as OptionValue;
use progtune_process::files::{
    bounded::{LARGEST_TEXT, read_text},
    write_atomically,
};
use serde_json::{Map, Value, json};
use std::path::Path;

/// The file beside a result.
pub const FILE: &str = "progtune_plugins.json";

/// The plugins in a run's records: kind, id, plugin, version, hash, file and the options of the
/// run.
pub fn plugins_json(schedule: &LoadedSchedule, method: Option<&LoadedMethod>) -> Value {
    let mut plugins = vec![plugin_json(
        "schedule",
        schedule.source(),
        schedule.options(),
    )];
    if let Some(method) = method {
        plugins.push(plugin_json("peft", method.source(), method.options()));
    }
    Value::Array(plugins)
}

fn plugin_json(kind: &str, entry: &Entry, options: &[(String, OptionValue)]) -> Value {
    let options: Map<String, Value> = options
        .iter()
        .map(|(key, value)| (key.clone(), option_json(value)))
        .collect();
    let library = &entry.library;
    json!({
        "kind": kind,
        "id": entry.id,
        "plugin": plugin_name(entry),
        "version": library.manifest.version,
        "sha256": library.sha256().ok(),
        "file": library.file,
        "options": options,
    })
}

/// Name and version, as in messages and adapters.
pub fn plugin_name(entry: &Entry) -> String {
    let manifest = &entry.library.manifest;
    format!("{} {}", manifest.name, manifest.version)
}

/// An option's value as JSON.
///
/// ```
/// use progtune_engine::made_by::option_json;
/// use progtune_plugin_api::open::Value;
///
/// assert_eq!(option_json(&Value::Int(8)).to_string(), "8");
/// ```
pub fn option_json(value: &OptionValue) -> Value {
    match value {
        OptionValue::Bool(v) => json!(v),
        OptionValue::Int(v) => json!(v),
        OptionValue::Float(v) => json!(v),
        OptionValue::Str(v) => json!(v.as_str()),
        OptionValue::Ints(v) => json!(v.as_slice()),
        OptionValue::Floats(v) => json!(v.as_slice()),
        OptionValue::Strs(v) => json!(v.iter().map(|s| s.as_str()).collect::<Vec<_>>()),
        other => json!(other.to_string()),
    }
}

/// Writes the file beside a result. It contains no path, because a result may be given to others.
///
/// # Errors
/// When the file system refuses.
pub fn save(directory: &Path, plugins: &Value) -> Result<()> {
    let mut plugins = plugins.clone();
    for plugin in plugins.as_array_mut().into_iter().flatten() {
        if let Some(plugin) = plugin.as_object_mut() {
            plugin.shift_remove("file");
        }
    }
    let mut text =
        serde_json::to_string_pretty(&plugins).map_err(|e| Error::Model(e.to_string()))?;
    text.push('\n');
    Ok(write_atomically(&directory.join(FILE), text.as_bytes())?)
}

/// The build of a plugin that made an adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MadeBy {
    /// Name and version.
    pub plugin: String,
    /// The SHA-256 of its file, if it is known.
    pub sha256: Option<String>,
}

impl MadeBy {
    /// The build of the method, from the file beside an adapter. It is `None` without such a file,
    /// as for an adapter of PEFT's, or if the file does not mention it.
    pub(crate) fn read(directory: &Path, method: &str) -> Option<Self> {
        let text = read_text(&directory.join(FILE), LARGEST_TEXT).ok()?;
        let plugins: Value = serde_json::from_str(&text).ok()?;
        let is_method = |plugin: &&Value| plugin["kind"] == "peft" && plugin["id"] == method;
        let made_by = plugins.as_array()?.iter().find(is_method)?;
        Some(Self {
            plugin: made_by["plugin"].as_str()?.to_owned(),
            sha256: made_by["sha256"].as_str().map(str::to_owned),
        })
    }

    /// The warning when `loaded` is not the build that made the adapter.
    pub(crate) fn difference(&self, loaded: &Entry) -> Option<String> {
        let name = plugin_name(loaded);
        let hash = loaded.library.sha256().ok();
        if self.plugin == name && (self.sha256.is_none() || self.sha256.as_deref() == hash) {
            return None;
        }
        let short = |hash: Option<&str>| match hash {
            Some(hash) => format!(" (sha256 {}…)", &hash[..hash.len().min(12)]),
            None => String::new(),
        };
        Some(format!(
            "the method '{}' of this adapter was made by plugin {}{}, but the loaded plugin is {name}{}: the results may differ",
            loaded.id,
            self.plugin,
            short(self.sha256.as_deref()),
            short(hash),
        ))
    }
}
