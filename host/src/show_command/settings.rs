//! The settings of a run with their origins, in the order of the help. Called by the report of
//! `show`.

use super::records::Records;
use crate::config::{DEFAULT_ORIGIN, keys};
use progtune_plain_text::shown_line;
use progtune_process::terminal::{NO_BREAK, wrapped};
use serde_json::{Value, json};

/// The origin of a setting of a run that did not record origins.
const RECORDED: &str = "recorded";
/// The width of the lines.
const WIDTH: usize = 80;
/// The largest width of a setting before the column of origins.
const MOST_COLUMNS: usize = 50;

/// A setting of a run.
#[derive(Debug, PartialEq)]
pub(super) struct Setting {
    key: String,
    /// The value as in `config.toml`.
    value: String,
    origin: String,
}

/// All settings of a run. A table has an entry for each of its keys.
pub(super) fn settings(records: &Records) -> Vec<Setting> {
    let origins = records
        .run
        .as_ref()
        .and_then(|run| run["origins"].as_object());
    let origin = |key: &str| match origins {
        None => RECORDED.to_owned(),
        Some(origins) => {
            let origin = origins.get(key).and_then(Value::as_str);
            origin.unwrap_or(DEFAULT_ORIGIN).to_owned()
        }
    };
    let mut names: Vec<&str> = keys().map(|key| key.name).collect();
    // Keys of another version come last.
    let others = records.config.keys().map(String::as_str);
    let others: Vec<&str> = others.filter(|key| !names.contains(key)).collect();
    names.extend(others);
    let mut settings = Vec::new();
    let mut add = |key: String, value: &toml::Value| {
        settings.push(Setting {
            origin: origin(&key),
            value: value.to_string(),
            key,
        });
    };
    for name in names {
        match records.config.get(name) {
            None => {}
            Some(toml::Value::Table(table)) => {
                let entries = table.iter();
                entries.for_each(|(entry, value)| add(format!("{name}.{entry}"), value));
            }
            Some(value) => add(name.to_owned(), value),
        }
    }
    settings
}

/// The settings as JSON.
pub(super) fn to_json(settings: &[Setting]) -> Value {
    let entry = |setting: &Setting| json!({ "key": setting.key, "value": setting.value, "origin": setting.origin });
    Value::Array(settings.iter().map(entry).collect())
}

/// The settings for people: those that were set, one a line with its origin, then the defaults.
pub(super) fn text(settings: &[Setting]) -> String {
    let line = |setting: &Setting| {
        let (key, value) = (shown_line(&setting.key), shown_line(&setting.value));
        format!("{key} = {value}")
    };
    let (defaults, set): (Vec<&Setting>, Vec<&Setting>) = settings
        .iter()
        .partition(|setting| setting.origin == DEFAULT_ORIGIN);
    let widths = set.iter().map(|setting| line(setting).chars().count());
    let width = widths.max().unwrap_or(0).min(MOST_COLUMNS);
    let mut text = String::from("settings\n");
    for setting in set {
        let (line, origin) = (line(setting), shown_line(&setting.origin));
        text += &format!("  {line:<width$}  {origin}\n");
    }
    if !defaults.is_empty() {
        // A line is not broken between a key and its value.
        let whole = |setting| line(setting).replacen(" = ", &format!("{NO_BREAK}={NO_BREAK}"), 1);
        let defaults: Vec<String> = defaults.into_iter().map(whole).collect();
        let defaults = format!("  defaults: {}", defaults.join(", "));
        text += &format!("{}\n", wrapped(&defaults, WIDTH));
    }
    text
}
