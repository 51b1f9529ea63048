//! `progtune plugins list` and `plugins show`: what is installed, read without running any of it; in files of their own the
//! commands for authors. Called by `main`.

mod check;
mod new;

pub use check::run_check;
pub use new::run_new;

use crate::{
    error::{Error, Result},
    plugin::{self, Entry, EntryKind, PluginFault},
    recipe::option_json,
    terminal::print,
};
use progtune_plugin_api::{names::did_you_mean, options::OptionSchema};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Prints every schedule and method.
pub fn run_list(directories: &[PathBuf], as_json: bool) -> Result<()> {
    let plugins = plugin::discover(directories)?;
    if as_json {
        let entries: Vec<Value> = plugins.entries().iter().map(entry_json).collect();
        return print(&format!("{:#}\n", Value::Array(entries)));
    }
    let mut text = String::new();
    for (title, kind) in [
        ("Schedules (--schedule)", EntryKind::Schedule),
        ("Methods (--peft)", EntryKind::Method),
    ] {
        text.push_str(&format!("{title}\n"));
        for entry in plugins.entries().iter().filter(|entry| entry.kind == kind) {
            text.push_str(&format!("  {:<14} {}\n", entry.id, entry.summary));
        }
    }
    if plugins.entries().is_empty() {
        let searched: Vec<String> = plugins
            .searched()
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        text = format!(
            "No plugins found. Searched: {}.\nBuild them with `cargo build --release`, or pass --plugin-dir DIR.\n",
            searched.join(", ")
        );
    }
    print(&text)
}

/// Describes one schedule or method.
pub fn run_show(directories: &[PathBuf], id: &str) -> Result<()> {
    let plugins = plugin::discover(directories)?;
    let entries: Vec<&Entry> = plugins
        .entries()
        .iter()
        .filter(|entry| entry.id == id)
        .collect();
    if entries.is_empty() && !plugins.entries().is_empty() {
        let ids: Vec<&str> = plugins.entries().iter().map(|e| e.id.as_str()).collect();
        return Err(Error::Usage(format!(
            "there is no schedule or method '{id}'{}; `progtune plugins list` shows all of them",
            did_you_mean(id, ids.iter().copied())
        )));
    }
    if entries.is_empty() {
        let fault = plugins
            .entry(EntryKind::Schedule, id)
            .err()
            .or(plugins.entry(EntryKind::Method, id).err());
        return Err(fault.map_or_else(
            || Error::Usage(format!("no plugin {id}")),
            |fault: PluginFault| fault.into(),
        ));
    }
    let mut text = String::new();
    for entry in entries {
        let manifest = &entry.library.manifest;
        text.push_str(&format!(
            "{} ({}): {}\n",
            entry.id,
            kind_name(entry.kind),
            entry.summary
        ));
        text.push_str(&format!(
            "  plugin   {} {}, {}\n",
            manifest.name, manifest.version, manifest.license
        ));
        text.push_str(&format!("  file     {}\n", entry.library.file.display()));
        text.push_str(&format!("  sha256   {}\n", entry.library.sha256()?));
        let flag = if entry.kind == EntryKind::Schedule {
            "--schedule-opt"
        } else {
            "--peft-opt"
        };
        if entry.options.is_empty() {
            text.push_str("  no options\n");
        }
        for option in &entry.options {
            text.push_str(&option_text(flag, option));
        }
    }
    print(&text)
}

fn kind_name(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Schedule => "schedule",
        EntryKind::Method => "method",
    }
}

fn option_text(flag: &str, option: &OptionSchema) -> String {
    let default = option
        .default
        .as_ref()
        .map_or("required".to_owned(), |value| format!("default {value}"));
    let limited = option.min.is_some() || option.max.is_some() || !option.choices.is_empty();
    let range = if limited {
        format!(", {}", option.range())
    } else {
        String::new()
    };
    format!(
        "  {flag} {}=…  {} ({}{range}, {default})\n",
        option.name, option.help, option.kind
    )
}

fn entry_json(entry: &Entry) -> Value {
    let manifest = &entry.library.manifest;
    let options: Vec<Value> = entry
        .options
        .iter()
        .map(|option| {
            json!({
                "name": option.name,
                "type": option.kind.to_string(),
                "default": option.default.as_ref().map(option_json),
                "min": option.min,
                "max": option.max,
                "choices": option.choices,
                "help": option.help,
            })
        })
        .collect();
    json!({
        "kind": kind_name(entry.kind),
        "id": entry.id,
        "summary": entry.summary,
        "options": options,
        "plugin": manifest.name,
        "version": manifest.version,
        "license": manifest.license,
        "file": entry.library.file,
    })
}
