//! Which plugins there are: the directories that are searched, and the files in them that carry a manifest.
//!
//! Called by [`crate::Plugins::discover`]. Nothing found here has been executed.
//!
//! Search order: the directories the caller names (`--plugin-dir`), `PROGTUNE_PLUGIN_PATH`, `$XDG_DATA_HOME/progtune/plugins`
//! (`~/.local/share` when unset), the directory of the executable, its `plugins/`. Never the current directory. The
//! order is for the list only: the same id in two different libraries is an error wherever they lie.

use crate::{
    fault::PluginFault,
    load::sha256_hex,
    manifest::{self, EntryKind, Manifest, ManifestEntry, NoManifest},
};
use object::read::ReadCache;
use progtune_plugin_api::options::OptionSchema;
use std::{
    collections::BTreeSet,
    env, fmt,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

/// The variable with further directories, separated as in `PATH`.
pub const PATH_VARIABLE: &str = "PROGTUNE_PLUGIN_PATH";

/// A plugin library.
#[derive(Debug)]
pub struct Library {
    /// The file, as an absolute path without links.
    pub file: PathBuf,
    /// What it says about itself.
    pub manifest: Manifest,
    sha256: OnceLock<String>,
}

impl Library {
    /// The plugin library in a file, wherever it lies.
    ///
    /// # Errors
    /// When it is none, or everyone may write to it.
    pub fn open(file: &Path) -> Result<Arc<Self>, PluginFault> {
        let fault = |reason: String| PluginFault::load(file, reason);
        let file = file
            .canonicalize()
            .map_err(|error| fault(format!("cannot be read: {error}")))?;
        let manifest = examine(&file).map_err(|why| fault(why.to_string()))?;
        match world_writable(&file) {
            true => Err(PluginFault::Untrusted { path: file }),
            false => Ok(Arc::new(Self {
                file,
                manifest,
                sha256: OnceLock::new(),
            })),
        }
    }

    /// Its schedules and methods.
    pub fn entries(self: &Arc<Self>) -> Vec<Entry> {
        let entry = |entry: &ManifestEntry| Entry {
            id: entry.id.clone(),
            kind: entry.kind,
            summary: entry.summary.clone(),
            options: entry.options.clone(),
            library: Arc::clone(self),
        };
        self.manifest.entries.iter().map(entry).collect()
    }

    /// The SHA-256 of the file in hexadecimal digits. Computed when first asked for.
    ///
    /// # Errors
    /// When the file cannot be read any more.
    pub fn sha256(&self) -> Result<&str, PluginFault> {
        if let Some(known) = self.sha256.get() {
            return Ok(known);
        }
        let bytes = fs::read(&self.file)
            .map_err(|error| PluginFault::load(&self.file, format!("cannot be read: {error}")))?;
        Ok(self.sha256_or(&sha256_hex(&bytes)))
    }

    /// The SHA-256 if it was asked for before; else `hash`, which is the file's, from now on.
    pub fn sha256_or(&self, hash: &str) -> &str {
        self.sha256.get_or_init(|| hash.to_owned())
    }
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "plugin {} {} ({})",
            self.manifest.name,
            self.manifest.version,
            self.file.display()
        )
    }
}

/// One schedule or method of a plugin library.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The id.
    pub id: String,
    /// Schedule or method.
    pub kind: EntryKind,
    /// One line.
    pub summary: String,
    /// Its options.
    pub options: Vec<OptionSchema>,
    /// The library that offers it: file, name, version, licence, hash, panic flag.
    pub library: Arc<Library>,
}

/// What a search found.
#[derive(Debug, Default)]
pub struct Found {
    /// Every entry of every library, sorted by kind and id.
    pub entries: Vec<Entry>,
    /// The directories that were searched.
    pub searched: Vec<PathBuf>,
    /// What was not used, and why: for the user.
    pub passed_over: Vec<String>,
}

struct SearchDir {
    path: PathBuf,
    /// Named by the user: it must be there, and what in it is no plugin is worth a word.
    named: bool,
}

/// Searches the directories of the user (`extra`), then the usual ones.
///
/// # Errors
/// When a directory of `extra` cannot be read or everyone may write to it.
pub fn discover(extra: &[PathBuf]) -> Result<Found, PluginFault> {
    search(&search_path(
        extra,
        &|name| env::var_os(name),
        env::current_exe().ok(),
    ))
}

fn search_path(
    extra: &[PathBuf],
    variable: &dyn Fn(&str) -> Option<std::ffi::OsString>,
    executable: Option<PathBuf>,
) -> Vec<SearchDir> {
    let usual = |path: PathBuf| SearchDir { path, named: false };
    let mut path: Vec<SearchDir> = extra
        .iter()
        .map(|path| SearchDir {
            path: path.clone(),
            named: true,
        })
        .collect();
    if let Some(list) = variable(PATH_VARIABLE) {
        // An empty part would be the current directory.
        path.extend(
            env::split_paths(&list)
                .filter(|part| !part.as_os_str().is_empty())
                .map(usual),
        );
    }
    let absolute = |name: &str| {
        variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let data = absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
    path.extend(data.map(|data| usual(data.join("progtune/plugins"))));
    let executable = executable.map(|file| file.canonicalize().unwrap_or(file));
    if let Some(beside) = executable.as_deref().and_then(Path::parent) {
        path.extend([usual(beside.into()), usual(beside.join("plugins"))]);
    }
    path
}

fn search(path: &[SearchDir]) -> Result<Found, PluginFault> {
    let (mut found, mut directories, mut files) =
        (Found::default(), BTreeSet::new(), BTreeSet::new());
    for directory in path {
        found.searched.push(directory.path.clone());
        let listed = match list(&directory.path) {
            Ok(listed) => listed,
            Err(error) if directory.named => {
                return Err(PluginFault::Directory {
                    path: directory.path.clone(),
                    reason: error.to_string(),
                });
            }
            Err(_) => continue,
        };
        if !directories.insert(listed.path.clone()) {
            continue;
        }
        if listed.world_writable {
            match directory.named {
                true => return Err(PluginFault::Untrusted { path: listed.path }),
                false if listed.files.is_empty() => continue,
                false => found.pass_over(&PluginFault::Untrusted { path: listed.path }.to_string()),
            }
            continue;
        }
        for file in listed.files {
            if files.insert(file.clone()) {
                found.add(&file, directory.named);
            }
        }
    }
    found
        .entries
        .sort_by(|a, b| (a.kind, &a.id, &a.library.file).cmp(&(b.kind, &b.id, &b.library.file)));
    Ok(found)
}

impl Found {
    fn pass_over(&mut self, why: &str) {
        tracing::warn!("{why}");
        self.passed_over.push(why.into());
    }

    fn add(&mut self, file: &Path, named: bool) {
        match examine(file) {
            Ok(manifest) => {
                if world_writable(file) {
                    return self
                        .pass_over(&PluginFault::Untrusted { path: file.into() }.to_string());
                }
                let library = Arc::new(Library {
                    file: file.into(),
                    manifest,
                    sha256: OnceLock::new(),
                });
                self.entries.extend(library.entries());
            }
            // Other libraries may lie beside the executable; in a directory the user named they deserve a word.
            Err(NoManifest::NotALibrary(_) | NoManifest::NotAPlugin) if !named => {
                tracing::debug!("{}: not a plugin", file.display());
            }
            Err(why) => self.pass_over(&format!("{}: {why}", file.display())),
        }
    }
}

/// Reads the manifest of a file: only the parts of the file that lead to the section.
fn examine(file: &Path) -> Result<Manifest, NoManifest> {
    let opened = File::open(file)
        .map_err(|error| NoManifest::Broken(format!("it cannot be read: {error}")))?;
    manifest::read(&ReadCache::new(opened))
}

struct Listed {
    path: PathBuf,
    world_writable: bool,
    files: Vec<PathBuf>,
}

/// The library files of a directory by name, links resolved.
fn list(directory: &Path) -> io::Result<Listed> {
    let path = directory.canonicalize()?;
    let mut files = Vec::new();
    for entry in fs::read_dir(&path)? {
        let file = entry?.path();
        let library = file
            .extension()
            .is_some_and(|end| ["so", "dylib", "dll"].iter().any(|known| end == *known));
        if library
            && let Ok(file) = file.canonicalize()
            && file.is_file()
        {
            files.push(file);
        }
    }
    files.sort();
    Ok(Listed {
        world_writable: world_writable(&path),
        path,
        files,
    })
}

#[cfg(unix)]
fn world_writable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o002 != 0)
}

#[cfg(not(unix))]
fn world_writable(_path: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_order_is_the_documented_one_and_never_the_current_directory() {
        let variable = |name: &str| match name {
            PATH_VARIABLE => Some("/env/a::/env/b".into()),
            "XDG_DATA_HOME" => Some("relative".into()),
            "HOME" => Some("/home/u".into()),
            _ => None,
        };
        let path = search_path(
            &["/opt".into()],
            &variable,
            Some("/nowhere/bin/progtune".into()),
        );
        let path: Vec<&Path> = path
            .iter()
            .map(|directory| directory.path.as_path())
            .collect();
        let expected = [
            "/opt",
            "/env/a",
            "/env/b",
            "/home/u/.local/share/progtune/plugins",
            "/nowhere/bin",
            "/nowhere/bin/plugins",
        ];
        assert_eq!(path, expected.map(Path::new));
    }

    #[test]
    fn what_is_no_plugin_is_named_in_a_directory_of_the_user_and_ignored_elsewhere() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a.so"), "a text file").unwrap();
        fs::write(directory.path().join("b.txt"), "").unwrap();
        let found = |named| {
            search(&[SearchDir {
                path: directory.path().into(),
                named,
            }])
            .unwrap()
        };
        assert!(found(false).passed_over.is_empty());
        assert_eq!(found(true).passed_over.len(), 1);
        assert!(found(true).passed_over[0].contains("a.so: expected a dynamic library"));
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error_only_when_the_user_named_it() {
        let missing = |named| {
            search(&[SearchDir {
                path: "/nowhere/at/all".into(),
                named,
            }])
        };
        assert!(missing(false).is_ok());
        assert_eq!(missing(true).unwrap_err().exit_code(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn what_everyone_may_write_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let fault = discover(&[directory.path().into()]).unwrap_err();
        assert!(matches!(fault, PluginFault::Untrusted { .. }), "{fault}");
    }
}
