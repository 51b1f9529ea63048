//! `progtune plugins install FILE…` and `progtune plugins remove ID`: the user's plugin directory.

use super::flag;
use progtune_engine::{
    Result,
    plugin::{
        self, Library, PluginSources, Plugins,
        install::{self, Installed},
    },
};
use progtune_process::terminal::print;
use std::path::PathBuf;

/// Tries, installs and describes each library.
///
/// # Errors
/// Fails at the first library that cannot be installed. Those before it have been installed and
/// reported.
pub(super) fn install(places: &PluginSources, files: &[PathBuf], force: bool) -> Result<()> {
    let mut next = String::new();
    for file in files {
        // Searches again, so that each library is compared with those installed before it.
        let installed = install::install(&plugin::find(places)?, file, force)?;
        print(describe(&installed))?;
        if let ([_], Some(entry)) = (files, installed.library.manifest.entries.first()) {
            next = format!("next: progtune {} {}\n", flag(entry.kind), entry.id);
        }
    }
    if files.len() > 1 {
        next = format!(
            "{} libraries installed; next: progtune plugins list\n",
            files.len()
        );
    }
    Ok(print(&next)?)
}

fn describe(installed: &Installed) -> String {
    let Installed {
        library,
        replaced,
        removed,
        rivals,
    } = installed;
    let mut text = format!(
        "{} {} in {}\n",
        match replaced {
            Some(_) => "replaced",
            None => "installed",
        },
        name(library),
        library.file.display()
    );
    for path in removed {
        text.push_str(&format!("removed {}\n", path.display()));
    }
    for entry in &library.manifest.entries {
        text.push_str(&format!(
            "  {:<8}  {}  {}\n",
            entry.kind, entry.id, entry.summary
        ));
    }
    for path in rivals {
        text.push_str(&format!(
            "{} offers the same ids; name the one you mean with --plugin FILE, or pin it with `progtune plugins lock ID --plugin \
             FILE`\n",
            path.display()
        ));
    }
    text
}

/// Removes the library that offers an id.
///
/// # Errors
/// Fails if no installed library offers it, or the file cannot be removed.
pub(super) fn remove(plugins: &Plugins, id: &str) -> Result<()> {
    let mut text = String::new();
    for library in install::remove(plugins, id)? {
        let ids: Vec<&str> = library
            .manifest
            .entries
            .iter()
            .map(|e| e.id.as_str())
            .collect();
        text.push_str(&format!(
            "removed {} with {}: {}\n",
            name(&library),
            ids.join(", "),
            library.file.display()
        ));
    }
    Ok(print(&text)?)
}

fn name(library: &Library) -> String {
    format!("{} {}", library.manifest.name, library.manifest.version)
}
