//! The files of a run's directory without what differs between two equal runs: times, memory,
//! paths. Called by `compare-builds` and `crash-test`.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Files of a result that describe the run and not its numbers.
const NOT_COMPARED: &[&str] = &[
    "log.txt",
    "config.toml",
    "run.json",
    "progtune_plugins.json",
    "README.md",
];

/// Parts of keys whose values are times, memory, paths, the build, or sentences for people.
const VOLATILE: &[&str] = &[
    "sec",
    "runtime",
    "memory",
    "rss",
    "peak",
    "path",
    "output",
    "version",
    "plugin",
    "build",
    "command",
    "sha256",
    "file",
    "reasons",
    "prefix_cache",
];

/// The contents of a file of a result.
pub(crate) enum Contents {
    /// JSON values without the parts that differ between runs.
    Records(Vec<Value>),
    /// Anything else.
    Bytes(Vec<u8>),
}

impl Contents {
    /// The contents as bytes.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Records(values) => json!(values).to_string().into_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// Whether these contents are `before`, perhaps with further keys.
    pub(crate) fn extends(&self, before: &Self) -> bool {
        match (self, before) {
            (Self::Bytes(after), Self::Bytes(before)) => after == before,
            (Self::Records(after), Self::Records(before)) => {
                after.len() == before.len()
                    && after
                        .iter()
                        .zip(before)
                        .all(|(after, before)| extends(after, before))
            }
            _ => false,
        }
    }
}

/// Whether a value is `before`, perhaps with further keys in its objects.
fn extends(after: &Value, before: &Value) -> bool {
    match (after, before) {
        (Value::Object(after), Value::Object(before)) => before
            .iter()
            .all(|(key, before)| after.get(key).is_some_and(|after| extends(after, before))),
        (Value::Array(after), Value::Array(before)) => {
            after.len() == before.len()
                && after
                    .iter()
                    .zip(before)
                    .all(|(after, before)| extends(after, before))
        }
        _ => after == before,
    }
}

/// Every file of a result that contains numbers, by its path in the result.
///
/// # Errors
/// If one cannot be read.
pub(crate) fn contents(output: &Path) -> Result<BTreeMap<String, Contents>, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![output.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for entry in entries.flatten() {
            let (path, name) = (
                entry.path(),
                entry.file_name().to_string_lossy().into_owned(),
            );
            if path.is_dir() {
                folders.push(path);
            } else if !NOT_COMPARED.contains(&name.as_str()) {
                let bytes =
                    fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                let below = path
                    .strip_prefix(output)
                    .unwrap_or(&path)
                    .display()
                    .to_string();
                found.insert(below, stable(&name, bytes));
            }
        }
    }
    Ok(found)
}

/// The contents of a file without the parts that differ between runs.
fn stable(name: &str, bytes: Vec<u8>) -> Contents {
    if !name.ends_with(".json") && !name.ends_with(".jsonl") {
        return Contents::Bytes(bytes);
    }
    let text = String::from_utf8_lossy(&bytes);
    let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(&text)
        .into_iter()
        .collect();
    match values {
        Ok(mut values) => {
            values.iter_mut().for_each(forget_volatile);
            Contents::Records(values)
        }
        Err(_) => Contents::Bytes(bytes),
    }
}

/// Removes what differs between two equal runs.
pub(crate) fn forget_volatile(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            entries.retain(|key, _| !VOLATILE.iter().any(|part| key.contains(part)));
            entries.values_mut().for_each(forget_volatile);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_volatile),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_may_record_more_but_nothing_else() {
        let before = json!({"a": [1, {"b": 2}]});
        assert!(extends(
            &json!({"a": [1, {"b": 2, "c": 3}], "d": 4}),
            &before
        ));
        assert!(!extends(&json!({"a": [1, {"b": 3}]}), &before));
        assert!(!extends(&json!({"a": [1, {"b": 2}, 3]}), &before));
        assert!(!extends(&json!({"d": 4}), &before));
    }
}
