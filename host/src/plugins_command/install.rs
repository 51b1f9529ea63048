//! `progtune plugins install FILE` and `plugins remove ID`: the user's plugin directory.

use super::flag;
use crate::{
    error::Result,
    plugin::{
        Library, Plugins,
        install::{self, Installed},
    },
    terminal::print,
};
use std::path::Path;

/// Installs a library once it has been tried, and says what it offers.
pub(super) fn install(plugins: &Plugins, file: &Path, force: bool) -> Result<()> {
    let Installed {
        library,
        replaced,
        removed,
        rivals,
    } = install::install(plugins, file, force)?;
    let manifest = &library.manifest;
    let mut text = format!(
        "{} {} in {}\n",
        match replaced {
            Some(_) => "replaced",
            None => "installed",
        },
        name(&library),
        library.file.display()
    );
    for path in removed {
        text.push_str(&format!("removed {}\n", path.display()));
    }
    for entry in &manifest.entries {
        text.push_str(&format!(
            "  {:<8}  {}  {}\n",
            entry.kind, entry.id, entry.summary
        ));
    }
    for path in &rivals {
        text.push_str(&format!(
            "{} offers the same ids: name the one you mean with --plugin FILE, or pin it with `progtune plugins lock ID --plugin \
             FILE`\n",
            path.display()
        ));
    }
    if let Some(entry) = manifest.entries.first() {
        text.push_str(&format!(
            "next: progtune {} {}\n",
            flag(entry.kind),
            entry.id
        ));
    }
    print(&text)
}

/// Removes the library that offers an id.
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
    print(&text)
}

fn name(library: &Library) -> String {
    format!("{} {}", library.manifest.name, library.manifest.version)
}
