//! `progtune plugins list`: every schedule and method. The list is read from the files, and no
//! plugin runs.

use progtune_engine::{
    Result,
    made_by::option_json,
    plugin::{Entry, EntryKind, Plugins, no_plugins},
};
use progtune_process::terminal::{print, print_json};
use serde_json::{Value, json};

/// Prints every schedule and method as a table, or as JSON.
pub(super) fn run(plugins: &Plugins, as_json: bool) -> Result<()> {
    if as_json {
        let entries: Vec<Value> = plugins.entries().iter().map(entry_json).collect();
        return Ok(print_json(&format!("{:#}\n", Value::Array(entries)))?);
    }
    if plugins.entries().is_empty() {
        return Ok(print(format!("{}\n", no_plugins(plugins.searched())))?);
    }
    Ok(print(table(plugins.entries()))?)
}

fn table(entries: &[Entry]) -> String {
    let origin = |entry: &Entry| match (entry.library.named, entry.library.shipped) {
        (true, _) => "named",
        (false, true) => "shipped",
        (false, false) => "third party",
    };
    let version = |entry: &Entry| {
        let manifest = &entry.library.manifest;
        format!("{} {}", manifest.name, manifest.version)
    };
    let width =
        |least: usize, texts: &mut dyn Iterator<Item = usize>| texts.fold(least, usize::max);
    let ids = width(2, &mut entries.iter().map(|entry| entry.id.len()));
    let versions = width(6, &mut entries.iter().map(|entry| version(entry).len()));
    let mut text = String::new();
    for (title, kind) in [
        ("Schedules (--schedule)", EntryKind::Schedule),
        ("Methods (--peft)", EntryKind::Method),
    ] {
        text.push_str(&format!("{title}\n"));
        for entry in entries.iter().filter(|entry| entry.kind == kind) {
            text.push_str(&format!(
                "  {:<ids$}  {:<versions$}  {:<11}  {}\n",
                entry.id,
                version(entry),
                origin(entry),
                entry.summary
            ));
        }
    }
    text
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
        "kind": entry.kind.to_string(),
        "id": entry.id,
        "summary": entry.summary,
        "options": options,
        "plugin": manifest.name,
        "version": manifest.version,
        "license": manifest.license,
        "file": entry.library.file,
        "shipped": entry.library.shipped,
    })
}
