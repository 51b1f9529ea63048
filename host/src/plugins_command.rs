//! `progtune plugins …`: manages installed plugins and pinned builds. Called by `main`. Each
//! command has its own file.

mod check;
mod install;
mod list;
mod lock;
mod new;
mod show;
mod why;

use crate::{
    cli::{
        PluginsCommand,
        arguments::{FORCE, ID, IDS, JSON, LIBRARIES},
    },
    config::flags::MODEL,
    flags::Arguments,
};
use check::CheckArgs;
use new::NewArgs;
use progtune_engine::{
    Error, Result,
    plugin::{self, Entry, EntryKind, PluginSources, Plugins, no_plugins},
};
use progtune_plugin_api::names::did_you_mean;

/// Runs one of the commands, searching `places`.
pub fn run_plugins(
    command: PluginsCommand,
    arguments: &Arguments,
    places: &PluginSources,
) -> Result<()> {
    let id = || arguments.required(&ID);
    match command {
        PluginsCommand::List => list::run(&plugin::find(places)?, arguments.is_on(&JSON)),
        PluginsCommand::Show => {
            let model = arguments.one(&MODEL);
            show::run(&plugin::find(places)?, &id(), model.as_deref())
        }
        PluginsCommand::Why => why::run(&plugin::find(places)?, &id()),
        PluginsCommand::Lock => lock::run(places, &arguments.all(&IDS)),
        PluginsCommand::Install => {
            let files = arguments.all(&LIBRARIES);
            install::install(places, &files, arguments.is_on(&FORCE))
        }
        PluginsCommand::New => new::run(&NewArgs::of(arguments), &plugin::find_unlocked(places)?),
        PluginsCommand::Check => check::run(&CheckArgs::of(arguments), places),
        PluginsCommand::Remove => install::remove(&plugin::find(places)?, &id()),
    }
}

/// The entries with this id, of both kinds and from all libraries, in search order.
fn entries_of<'a>(plugins: &'a Plugins, id: &str) -> Result<Vec<&'a Entry>> {
    let entries = plugins.entries();
    let of_id: Vec<&Entry> = entries.iter().filter(|entry| entry.id == id).collect();
    if !of_id.is_empty() {
        return Ok(of_id);
    }
    if entries.is_empty() {
        let none = no_plugins(plugins.searched());
        return Err(Error::Usage(not_used(
            plugins,
            format!("there is no schedule or method '{id}': {none}"),
        )));
    }
    let ids = entries.iter().map(|entry| entry.id.as_str());
    let near = did_you_mean(id, ids);
    let near = if near.is_empty() { ";" } else { near.as_str() };
    let text = format!(
        "there is no schedule or method '{id}'{near} `progtune plugins list` shows all of them"
    );
    Err(Error::Usage(not_used(plugins, text)))
}

/// Adds to a message the libraries that were found but not used.
fn not_used(plugins: &Plugins, mut text: String) -> String {
    for note in plugins.passed_over() {
        text.push_str(&format!("\nnot used: {note}"));
    }
    text
}

/// The flag that takes an id of this kind.
fn flag(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Schedule => "--schedule",
        EntryKind::Method => "--peft",
    }
}
