//! `progtune plugins lock [ID…]`: pins plugins to the builds that are found now. No plugin runs.

use super::entries_of;
use progtune_engine::{
    Error, Result,
    plugin::{self, Entry, Lock, PluginSources, lock::FILE_NAME},
};
use progtune_process::terminal::print;
use std::path::PathBuf;

/// Pins everything that is found in a new lock file, or adds `ids` to the existing one.
///
/// # Errors
/// Fails if an id is unknown or ambiguous, there is nothing to pin, or a file cannot be read or
/// written.
pub(super) fn run(places: &PluginSources, ids: &[String]) -> Result<()> {
    let path = places
        .lock
        .clone()
        .unwrap_or_else(|| PathBuf::from(FILE_NAME));
    let mut lock = if ids.is_empty() || !path.exists() {
        Lock { path, pins: vec![] }
    } else {
        Lock::read(&path)?
    };
    // The search ignores the old pins: those of these ids are replaced, and the others concern
    // other ids.
    let plugins = plugin::find_unlocked(places)?;
    let mut wanted: Vec<&Entry> = Vec::new();
    if ids.is_empty() {
        wanted.extend(plugins.entries());
    }
    for id in ids {
        wanted.extend(entries_of(&plugins, id)?);
    }
    if wanted.is_empty() {
        return Err(Error::Usage(
            "there are no plugins to pin; `progtune plugins list` shows the searched directories"
                .into(),
        ));
    }
    wanted.dedup_by(|a, b| (a.kind, &a.id) == (b.kind, &b.id));
    let mut text = String::new();
    let mut pinned = Vec::new();
    for entry in wanted {
        let entry = plugins.entry(entry.kind, &entry.id)?;
        let hash = entry.library.sha256()?;
        if pinned.contains(&hash) {
            continue;
        }
        pinned.push(hash);
        lock.pin(&entry.library)?;
        let manifest = &entry.library.manifest;
        text.push_str(&format!(
            "  {} {}  {hash}\n",
            manifest.name, manifest.version
        ));
    }
    lock.write()?;
    Ok(print(format!(
        "pinned in {}\n{text}From now on, a plugin that differs from its pin is refused; --locked also refuses plugins \
         without a pin.\n",
        lock.path.display()
    ))?)
}
