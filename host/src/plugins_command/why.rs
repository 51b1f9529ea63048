//! `progtune plugins why ID`: explains which library an id resolves to and why. No plugin runs.

use super::entries_of;
use progtune_engine::{
    Result,
    plugin::{
        Entry, EntryKind, Plugins,
        probe::{Trial, Tried},
    },
};
use progtune_process::terminal::print;

/// Prints the libraries that offer an id, the searched directories, and the files that were not
/// used.
///
/// # Errors
/// Fails if the id is unknown. Fails after printing if the id is ambiguous, or if a pin refuses the
/// library that was found.
pub(super) fn run(plugins: &Plugins, id: &str) -> Result<()> {
    let entries = entries_of(plugins, id)?;
    let mut text = String::new();
    let mut refusal = None;
    for kind in [EntryKind::Schedule, EntryKind::Method] {
        let offering: Vec<&&Entry> = entries.iter().filter(|entry| entry.kind == kind).collect();
        if offering.is_empty() {
            continue;
        }
        let chosen = plugins.entry(kind, id);
        text.push_str(&format!("{kind} {id}\n"));
        for entry in offering {
            let library = &entry.library;
            let is_used = chosen
                .as_ref()
                .is_ok_and(|chosen| chosen.library.file == library.file);
            let verb = match (is_used, &chosen) {
                (true, _) => "used     ",
                (false, Ok(_)) => "shadowed ",
                (false, Err(_)) => "found    ",
            };
            text.push_str(&format!("  {verb}  {}\n", library.file.display()));
            let manifest = &library.manifest;
            let reason = match (library.named, library.shipped) {
                (true, _) => "named with --plugin",
                (false, true) => "shipped with the program",
                (false, false) => "a third party's",
            };
            text.push_str(&format!(
                "    plugin   {} {}, {reason}\n",
                manifest.name, manifest.version
            ));
            text.push_str(&format!("    sha256   {}\n", library.sha256()?));
            text.push_str(&format!("    lock     {}\n", lock_state(plugins, entry)?));
            text.push_str(&format!("    tried    {}\n", trial_state(plugins, entry)?));
        }
        refusal = refusal.or(chosen.err());
    }
    text.push_str("searched, in this order\n");
    for file in &plugins.settings().files {
        text.push_str(&format!("  {} (--plugin)\n", file.display()));
    }
    for directory in plugins.searched() {
        let state = if directory.is_dir() {
            ""
        } else {
            " (does not exist)"
        };
        text.push_str(&format!("  {}{state}\n", directory.display()));
    }
    for note in plugins.passed_over() {
        text.push_str(&format!("not used: {note}\n"));
    }
    print(&text)?;
    refusal.map_or(Ok(()), |fault| Err(fault.into()))
}

fn lock_state(plugins: &Plugins, entry: &Entry) -> Result<String> {
    let settings = plugins.settings();
    let Some(lock) = &settings.lock else {
        return Ok("there is no progtune.lock here".into());
    };
    let pins = lock.pins_of(entry.kind, &entry.id);
    let hash = entry.library.sha256()?;
    let path = lock.path.display();
    Ok(if pins.iter().any(|pin| pin.sha256 == hash) {
        format!("pinned in {path}")
    } else if pins.is_empty() {
        format!("not pinned in {path}")
    } else {
        format!("{path} pins another build: sha256 {}", pins[0].sha256)
    })
}

fn trial_state(plugins: &Plugins, entry: &Entry) -> Result<String> {
    let verdict = plugins
        .settings()
        .cache
        .verdict(entry.library.sha256()?, &Trial::Library);
    Ok(match verdict {
        None => "not yet: a child process tries it before it is first loaded".into(),
        Some(Tried::Passed) => "in a child process, passed".into(),
        Some(Tried::Failed(reason)) => format!("failed, and will be tried again: {reason}"),
    })
}
