//! The search for plugins: the files and directories that are searched, and the libraries in them
//! that have a manifest. Called by [`crate::Plugins::discover`]. No library has been executed here.
//!
//! The search order is: the files that the caller names (`--plugin`), the directories that the
//! caller names (`--plugin-dir`), `PROGTUNE_PLUGIN_PATH`, `$XDG_DATA_HOME/progtune/plugins`
//! (`~/.local/share` if unset), the directory of the executable, and its `plugins/`. The current
//! directory is never searched. Only a file named by the caller takes precedence; otherwise the
//! order is that of the list. The same id in two different libraries is an error wherever they are.

use crate::{
    digest::sha256_hex,
    fault::PluginFault,
    manifest_reader::{self, EntryKind, Manifest, NoManifest},
    permissions::objection,
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
pub(crate) const PATH_VARIABLE: &str = "PROGTUNE_PLUGIN_PATH";

/// The largest library that is read.
const MOST_BYTES: u64 = 1 << 30;

/// A plugin library.
#[derive(Debug)]
pub struct Library {
    /// The file, as an absolute path without links.
    pub file: PathBuf,
    /// Its description of itself.
    pub manifest: Manifest,
    /// Whether the user named the file. Its ids then precede those of other libraries.
    pub named: bool,
    /// Whether it is in the directory of the executable or in its `plugins/`. A user who can write
    /// there could also replace the program, so such a library counts as a part of it.
    pub shipped: bool,
    sha256: OnceLock<String>,
}

impl Library {
    /// Examines a file without running it.
    ///
    /// # Errors
    /// The reason why it is not a plugin.
    pub(crate) fn examine(file: &Path) -> Result<Self, NoManifest> {
        // Only those parts of the file are read that lead to the section.
        let opened = File::open(file)
            .map_err(|error| NoManifest::Broken(format!("it cannot be read: {error}")))?;
        // The whole file is read later, to hash and to copy it.
        if opened
            .metadata()
            .is_ok_and(|about| about.len() > MOST_BYTES)
        {
            return Err(NoManifest::Broken(format!(
                "expected a library of at most {MOST_BYTES} bytes, found a larger one; get another build of the plugin"
            )));
        }
        Ok(Self {
            file: file.into(),
            manifest: manifest_reader::read(&ReadCache::new(opened))?,
            named: false,
            shipped: program_directories()
                .iter()
                .any(|directory| file.parent() == Some(directory)),
            sha256: OnceLock::new(),
        })
    }

    /// The SHA-256 of the file in hexadecimal digits, computed at the first call.
    ///
    /// # Errors
    /// If the file can no longer be read.
    pub fn sha256(&self) -> Result<&str, PluginFault> {
        if let Some(known) = self.sha256.get() {
            return Ok(known);
        }
        let bytes = fs::read(&self.file)
            .map_err(|error| PluginFault::load(&self.file, format!("cannot be read: {error}")))?;
        Ok(self.sha256_or(&sha256_hex(&bytes)))
    }

    /// The SHA-256 if it has been computed; otherwise `hash`, which is the file's, from now on.
    pub(crate) fn sha256_or(&self, hash: &str) -> &str {
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
    /// One line of description.
    pub summary: String,
    /// Its options.
    pub options: Vec<OptionSchema>,
    /// The library that offers it: file, name, version, licence, hash, panic flag.
    pub library: Arc<Library>,
}

/// The results of a search.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Every entry of every library, sorted by kind and id, then in the order of the search.
    pub entries: Vec<Entry>,
    /// The directories that were searched, in their order.
    pub searched: Vec<PathBuf>,
    /// The files and directories that were not used, with the reasons, for the user.
    pub passed_over: Vec<String>,
}

struct SearchDir {
    path: PathBuf,
    /// Whether the user named it. It must then exist, and files in it that are not plugins are
    /// reported.
    named: bool,
}

/// Searches the user's files, then the user's directories, then the usual ones.
///
/// # Errors
/// If a named file or directory cannot be used.
pub(crate) fn discover(files: &[PathBuf], directories: &[PathBuf]) -> Result<Found, PluginFault> {
    let path = search_path(
        directories,
        &|name| env::var_os(name),
        env::current_exe().ok(),
    );
    search(files, &path)
}

/// `$XDG_DATA_HOME/progtune/plugins`, or the same in `~/.local/share`, into which `plugins install`
/// copies libraries. `None` without a home directory.
pub(crate) fn user_directory() -> Option<PathBuf> {
    user_directory_by(&|name| env::var_os(name))
}

fn user_directory_by(variable: &dyn Fn(&str) -> Option<std::ffi::OsString>) -> Option<PathBuf> {
    let absolute = |name: &str| {
        variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let data = absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
    Some(data?.join("progtune/plugins"))
}

/// The directory of the executable and its `plugins/`, with links resolved.
fn program_directories() -> &'static [PathBuf] {
    static DIRECTORIES: OnceLock<Vec<PathBuf>> = OnceLock::new();
    DIRECTORIES.get_or_init(|| {
        let executable = env::current_exe().and_then(|file| file.canonicalize());
        let beside = executable
            .ok()
            .and_then(|file| Some(file.parent()?.to_owned()));
        beside.map_or(vec![], |beside| vec![beside.join("plugins"), beside])
    })
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
        // An empty part would mean the current directory.
        path.extend(
            env::split_paths(&list)
                .filter(|part| !part.as_os_str().is_empty())
                .map(usual),
        );
    }
    path.extend(user_directory_by(variable).map(usual));
    let executable = executable.map(|file| file.canonicalize().unwrap_or(file));
    if let Some(beside) = executable.as_deref().and_then(Path::parent) {
        path.extend([usual(beside.into()), usual(beside.join("plugins"))]);
    }
    path
}

fn search(named: &[PathBuf], path: &[SearchDir]) -> Result<Found, PluginFault> {
    let (mut found, mut directories, mut files) =
        (Found::default(), BTreeSet::new(), BTreeSet::new());
    for file in named {
        let library = named_library(file)?;
        if files.insert(library.file.clone()) {
            found.add(library);
        }
    }
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
        if let Some(reason) = objection(&listed.path, directory.named, "it") {
            let fault = PluginFault::Untrusted {
                path: listed.path,
                reason,
            };
            if directory.named {
                return Err(fault);
            }
            if !listed.files.is_empty() {
                found.pass_over(&fault.to_string());
            }
            continue;
        }
        for file in listed.files {
            if files.insert(file.clone()) {
                found.examine(&file, &listed.path, directory.named);
            }
        }
    }
    // The sort is stable: libraries stay in the order of the search.
    found
        .entries
        .sort_by(|a, b| (a.kind, &a.id).cmp(&(b.kind, &b.id)));
    Ok(found)
}

/// The library of a file that the user named.
fn named_library(file: &Path) -> Result<Library, PluginFault> {
    let real = file
        .canonicalize()
        .map_err(|error| PluginFault::load(file, format!("{error}; check the path")))?;
    let places = [Some(real.as_path()), real.parent()];
    for place in places.into_iter().flatten() {
        if let Some(reason) = objection(place, true, "it") {
            return Err(PluginFault::Untrusted {
                path: place.into(),
                reason,
            });
        }
    }
    let library =
        Library::examine(&real).map_err(|why| PluginFault::load(file, why.to_string()))?;
    Ok(Library {
        named: true,
        ..library
    })
}

impl Found {
    fn pass_over(&mut self, why: &str) {
        tracing::warn!("{why}");
        self.passed_over.push(why.into());
    }

    fn examine(&mut self, file: &Path, directory: &Path, named: bool) {
        match Library::examine(file) {
            Ok(library) => {
                // The directory to which a link leads counts as well.
                let elsewhere = file.parent().filter(|parent| *parent != directory);
                for place in [Some(file), elsewhere].into_iter().flatten() {
                    let subject = if place == file {
                        "it".to_owned()
                    } else {
                        format!("its directory {}", place.display())
                    };
                    if let Some(reason) = objection(place, named, &subject) {
                        let path = file.into();
                        let fault = PluginFault::Untrusted { path, reason };
                        return self.pass_over(&fault.to_string());
                    }
                }
                self.add(library);
            }
            // Other libraries may be beside the executable. In a directory that the user named,
            // they are reported.
            Err(NoManifest::NotALibrary(_) | NoManifest::NotAPlugin) if !named => {
                tracing::debug!("{}: not a plugin", file.display());
            }
            Err(why) => self.pass_over(&format!("{}: {why}", file.display())),
        }
    }

    fn add(&mut self, library: Library) {
        let library = Arc::new(library);
        self.entries
            .extend(library.manifest.entries.iter().map(|entry| Entry {
                id: entry.id.clone(),
                kind: entry.kind,
                summary: entry.summary.clone(),
                options: entry.options.clone(),
                library: Arc::clone(&library),
            }));
    }
}

struct Listed {
    path: PathBuf,
    files: Vec<PathBuf>,
}

/// The library files of a directory by name, with links resolved.
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
    Ok(Listed { path, files })
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
            let path = SearchDir {
                path: directory.path().into(),
                named,
            };
            search(&[], &[path]).unwrap()
        };
        assert!(found(false).passed_over.is_empty());
        assert_eq!(found(true).passed_over.len(), 1);
        assert!(found(true).passed_over[0].contains("a.so: expected a dynamic library"));
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error_only_when_the_user_named_it() {
        let missing = |named| {
            let path = SearchDir {
                path: "/nowhere/at/all".into(),
                named,
            };
            search(&[], &[path])
        };
        assert!(missing(false).is_ok());
        assert_eq!(missing(true).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn a_file_that_is_named_must_be_a_plugin() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.so");
        let fault = discover(std::slice::from_ref(&file), &[]).unwrap_err();
        assert!(fault.to_string().contains("a.so: No such file"), "{fault}");
        fs::write(&file, "a text file").unwrap();
        let fault = discover(&[file], &[]).unwrap_err();
        assert!(
            fault.to_string().contains("expected a dynamic library"),
            "{fault}"
        );
        assert_eq!(fault.exit_code(), 4);
    }

    #[cfg(unix)]
    #[test]
    fn what_everyone_may_write_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let fault = discover(&[], &[directory.path().into()]).unwrap_err();
        assert!(matches!(fault, PluginFault::Untrusted { .. }), "{fault}");
    }
}
