//! Copies a library into the user's plugin directory, and removes it. Called by `plugins install`
//! and `plugins remove`.

use crate::{
    cache::write_atomically,
    discover::{Entry, Library, user_directory},
    fault::PluginFault,
    plugins::Plugins,
};
use progtune_plugin_api::names::did_you_mean;
use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The result of an installation.
#[derive(Debug)]
pub struct Installed {
    /// The library in its new place.
    pub library: Library,
    /// The file that it replaced: another build of the same plugin.
    pub replaced: Option<PathBuf>,
    /// The libraries in the user's directory that were removed because they offer the same ids.
    pub removed: Vec<PathBuf>,
    /// The libraries elsewhere that offer the same ids.
    pub rivals: Vec<PathBuf>,
}

/// Copies a library into the user's plugin directory, after trying it.
///
/// # Errors
/// If it is not a plugin or fails its trial; if another plugin offers one of its ids and `force` is
/// not given; if the file system refuses.
pub fn install(plugins: &Plugins, file: &Path, force: bool) -> Result<Installed, PluginFault> {
    let file = file
        .canonicalize()
        .map_err(|error| PluginFault::load(file, error.to_string()))?;
    let library = plugins.try_file(&file)?;
    let directory = directory()?;
    let target = directory.join(file_name(&library));
    let others: Vec<&Entry> = plugins
        .entries()
        .iter()
        .filter(|entry| entry.library.file != target && entry.library.file != file)
        .filter(|entry| offers(&library, entry))
        .collect();
    if let (Some(other), false) = (others.first(), force) {
        return Err(offered_already(&file, other, &directory));
    }
    let replaced = replaced(&library, &target, force)?;
    let refused = |error: std::io::Error| refused(&target, &error);
    let bytes = fs::read(&file).map_err(refused)?;
    if crate::digest::sha256_hex(&bytes) != library.sha256()? {
        return Err(PluginFault::load(
            &file,
            "the file has changed since it was tried; start again",
        ));
    }
    create_directory(&directory).map_err(refused)?;
    write_atomically(&target, &bytes, 0o644).map_err(refused)?;
    let mut paths: Vec<PathBuf> = Vec::new();
    for other in others {
        if !paths.contains(&other.library.file) {
            paths.push(other.library.file.clone());
        }
    }
    let (removed, rivals): (Vec<PathBuf>, Vec<PathBuf>) = paths
        .into_iter()
        .partition(|path| path.parent() == Some(&directory));
    for path in &removed {
        fs::remove_file(path).map_err(refused)?;
    }
    let library =
        Library::examine(&target).map_err(|why| PluginFault::load(&target, why.to_string()))?;
    Ok(Installed {
        library,
        replaced,
        removed,
        rivals,
    })
}

/// The refusal of a library because another one offers one of its ids.
fn offered_already(file: &Path, other: &Entry, directory: &Path) -> PluginFault {
    let advice = if other.library.file.parent() == Some(directory) {
        " and removes that one"
    } else {
        "; then choose one with --plugin FILE, or pin it"
    };
    PluginFault::Install(format!(
        "{}: the {} '{}' is offered by {} already; --force installs this one anyway{advice}",
        file.display(),
        other.kind,
        other.id,
        other.library,
    ))
}

/// The refusal of the file system.
fn refused(file: &Path, error: &std::io::Error) -> PluginFault {
    PluginFault::Install(format!(
        "{}: {error}; check the permissions",
        file.display()
    ))
}

/// Removes the library in the user's plugin directory that offers an id, with all its entries.
///
/// # Errors
/// If there is none, or the file system refuses.
pub fn remove(plugins: &Plugins, id: &str) -> Result<Vec<Arc<Library>>, PluginFault> {
    let directory = directory()?;
    let offering = || plugins.entries().iter().filter(|entry| entry.id == id);
    let mut libraries: Vec<Arc<Library>> = offering()
        .map(|entry| Arc::clone(&entry.library))
        .filter(|library| library.file.parent() == Some(&directory))
        .collect();
    libraries.dedup_by(|a, b| a.file == b.file);
    if libraries.is_empty() {
        let elsewhere = offering().next().map_or_else(
            || "`progtune plugins list` shows what there is".to_owned(),
            |entry| format!("{} offers it: remove that file by hand", entry.library),
        );
        let entries = plugins.entries().iter();
        let near = entries.filter(|entry| entry.library.file.parent() == Some(&directory));
        let near = match offering().next() {
            Some(_) => String::new(),
            None => did_you_mean(id, near.map(|entry| entry.id.as_str())),
        };
        return Err(PluginFault::Install(format!(
            "no plugin in {} offers '{id}'{near}{} {elsewhere}",
            directory.display(),
            if near.is_empty() { ";" } else { "" }
        )));
    }
    for library in &libraries {
        fs::remove_file(&library.file).map_err(|error| refused(&library.file, &error))?;
    }
    Ok(libraries)
}

/// The user's plugin directory, with links resolved if it exists.
fn directory() -> Result<PathBuf, PluginFault> {
    let directory = user_directory().ok_or_else(|| {
        PluginFault::Install(
            "neither XDG_DATA_HOME nor HOME is set; set one of them to choose the directory of plugins".into(),
        )
    })?;
    Ok(directory.canonicalize().unwrap_or(directory))
}

#[cfg(unix)]
fn create_directory(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(directory)
}

#[cfg(not(unix))]
fn create_directory(directory: &Path) -> std::io::Result<()> {
    fs::create_dir_all(directory)
}

fn file_name(library: &Library) -> String {
    let name = library.manifest.name.replace('-', "_");
    // A manifest's name may be any line of text; that of a file may not.
    let name: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '_' {
                c
            } else {
                '_'
            }
        })
        .collect();
    format!(
        "{}{name}{}",
        env::consts::DLL_PREFIX,
        env::consts::DLL_SUFFIX
    )
}

fn offers(library: &Library, entry: &Entry) -> bool {
    let mut ours = library.manifest.entries.iter();
    ours.any(|ours| (ours.kind, &ours.id) == (entry.kind, &entry.id))
}

/// The existing file in the library's place, if it may be replaced.
fn replaced(library: &Library, target: &Path, force: bool) -> Result<Option<PathBuf>, PluginFault> {
    if !target.exists() {
        return Ok(None);
    }
    let lost = match Library::examine(target) {
        Err(_) => vec![],
        Ok(old) => {
            let kept = |id: &str| library.manifest.entries.iter().any(|entry| entry.id == id);
            let ids = old.manifest.entries.into_iter().map(|entry| entry.id);
            ids.filter(|id| !kept(id)).collect()
        }
    };
    if lost.is_empty() || force {
        Ok(Some(target.into()))
    } else {
        Err(PluginFault::Install(format!(
            "{} would be replaced, but it offers {}, which this plugin does not; --force replaces it",
            target.display(),
            lost.join(", ")
        )))
    }
}
