//! The cache of tokenised examples: one file per split, named by the SHA-256 of everything that
//! determines its contents ([`Key`]). Called by `examples`.
//!
//! The cache never makes a run fail: an unreadable file is created again, and a file that cannot be
//! written is not kept. The directory is `$PROGTUNE_CACHE_DIR/tokenized`, otherwise
//! `$XDG_CACHE_HOME/progtune/tokenized`, otherwise `~/.cache/progtune/tokenized`. If the files
//! exceed `$PROGTUNE_CACHE_SIZE` in total (2 GiB by default), the least recently used ones are
//! deleted. The cache also keeps notes: facts from the first reading of own files, so that a later
//! run need not read them.
//!
//! Any number of processes share the directory without a lock. A file has its name only when it is
//! whole, an open file stays readable when it is replaced or deleted, and a process that finds a
//! file gone makes it again. Temporary files count in the total, but only their owners remove them.

use crate::token_store::{
    Examples, Fault, Medium,
    builder::{Builder, SUFFIX},
    key::Key,
};
use progtune_engine::{Error, Result};
use progtune_process::{
    ByteSize,
    files::{
        bounded::{LARGEST_TEXT, read},
        medium,
        temporary::{self, Access},
        write_with,
    },
    name_of,
};
use serde_json::Value;
use std::{
    env,
    ffi::OsString,
    fmt,
    fs::{self, DirBuilder, File},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The variable that sets the directory of progtune's caches.
pub(crate) const DIRECTORY_VARIABLE: &str = "PROGTUNE_CACHE_DIR";

/// The suffixes of files with tokens, and of notes.
const ENDS: [&str; 2] = [SUFFIX, ".json"];

/// The variable that sets the maximum total size of all files.
pub(crate) const SIZE_VARIABLE: &str = "PROGTUNE_CACHE_SIZE";

/// The maximum total size of all files by default.
const CAPACITY_BYTES: u64 = 2 << 30;

/// The use of cached tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenCacheUse {
    /// Existing files are read, and missing ones are written.
    Auto,
    /// Nothing is read or written.
    Off,
    /// Nothing is read, and existing files are overwritten.
    Overwrite,
}

impl TokenCacheUse {
    /// The names of the flag's values.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("off", Self::Off),
        ("overwrite", Self::Overwrite),
    ];
}

impl fmt::Display for TokenCacheUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(Self::NAMES, self))
    }
}

/// The cache, or a disabled one.
#[derive(Debug, Clone)]
pub struct TokenCache {
    /// `None` if nothing is read or written.
    directory: Option<PathBuf>,
    reads: bool,
    capacity: u64,
}

impl TokenCache {
    /// Opens the user's cache, used as configured.
    pub fn new(wanted: TokenCacheUse) -> Self {
        let variable = |name: &str| env::var_os(name);
        let directory = directory(&variable);
        Self {
            directory: directory.filter(|_| wanted != TokenCacheUse::Off),
            reads: wanted == TokenCacheUse::Auto,
            capacity: capacity(&variable).unwrap_or(CAPACITY_BYTES),
        }
    }

    /// Whether anything is read or written.
    pub fn is_on(&self) -> bool {
        self.directory.is_some()
    }

    /// The examples cached under a key. `None` also if the file is damaged, which causes a warning.
    pub fn get(&self, key: &Key) -> Option<Examples> {
        let path = self.path(key, SUFFIX).filter(|_| self.reads)?;
        match Examples::open(&path, key) {
            Ok(examples) => {
                tracing::debug!(
                    "{} tokenised examples from {}",
                    examples.len(),
                    path.display()
                );
                mark_used(&path);
                Some(examples)
            }
            Err(Fault::Damaged(why)) => {
                tracing::warn!(
                    "{}: these tokenised examples are damaged ({why}); they will be recreated",
                    path.display()
                );
                None
            }
            Err(Fault::Io(error)) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::debug!("{}: cannot read: {error}", path.display());
                }
                None
            }
        }
    }

    /// Builds examples to keep under a key, or without a key for this run only. Many examples go
    /// into a file in the cache's directory, otherwise in the system's directory for temporary
    /// files.
    pub(crate) fn builder(&self, key: Option<&Key>) -> Builder {
        let mut directories = vec![env::temp_dir()];
        if let Some(directory) = &self.directory {
            match create_private(directory) {
                Ok(()) => directories.insert(0, directory.clone()),
                Err(error) => tracing::debug!("{}: {error}", directory.display()),
            }
        }
        let cache = self.clone();
        Builder::new(key.copied().unwrap_or_default(), directories)
            .on_growth(move || cache.drop_oldest(None))
    }

    /// Keeps examples that were built under this key.
    pub fn keep(&self, key: &Key, examples: &mut Examples) {
        let Some(path) = self.path(key, SUFFIX) else {
            return;
        };
        let (n, size) = (examples.len(), examples.file_bytes());
        if size > self.capacity {
            tracing::debug!("{size} bytes of tokenised examples are too large to be kept");
            return;
        }
        let kept = match examples.medium() {
            Medium::Memory(bytes) => self.write(&path, bytes),
            // Unlike a small file, this one is not flushed to disk; after a system crash its
            // checksums would reveal damage.
            Medium::File {
                path: now,
                temporary,
                ..
            } => match temporary.take() {
                None => return,
                Some(file) => match file.persist(&path) {
                    Ok(()) => {
                        now.clone_from(&path);
                        Ok(())
                    }
                    Err((file, error)) => {
                        *temporary = Some(file);
                        Err(error)
                    }
                },
            },
        };
        match kept {
            Ok(()) => tracing::debug!("{n} tokenised examples kept in {}", path.display()),
            Err(error) => tracing::debug!("cannot keep tokenised examples: {error}"),
        }
        self.drop_oldest(Some(&path));
    }

    /// The note under a key.
    pub fn note(&self, key: &Key) -> Option<Value> {
        let path = self.path(key, ".json").filter(|_| self.reads)?;
        let note = serde_json::from_slice(&read(&path, LARGEST_TEXT).ok()?).ok()?;
        mark_used(&path);
        Some(note)
    }

    /// Keeps a note under a key.
    pub fn keep_note(&self, key: &Key, note: &Value) {
        let Some(path) = self.path(key, ".json") else {
            return;
        };
        if let Err(error) = self.write(&path, note.to_string().as_bytes()) {
            tracing::debug!("cannot keep the note about own files: {error}");
        }
        self.drop_oldest(Some(&path));
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.directory.as_deref().map_or(Ok(()), create_private)?;
        write_with(path, bytes, Access::Private)
    }

    fn path(&self, key: &Key, end: &str) -> Option<PathBuf> {
        let directory = self.directory.as_ref()?;
        Some(directory.join(format!("{key}{end}")))
    }

    /// Deletes the least recently used files until the rest fits, except `newest`. Temporary files
    /// are in use; those of killed runs are swept elsewhere.
    fn drop_oldest(&self, newest: Option<&Path>) {
        let Some(entries) = self.directory.as_deref().and_then(|d| fs::read_dir(d).ok()) else {
            return;
        };
        let mut total = 0;
        let mut files: Vec<(SystemTime, PathBuf, u64)> = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let Some(about) = entry.metadata().ok().filter(fs::Metadata::is_file) else {
                continue;
            };
            if name.starts_with(temporary::PREFIX) {
                total += about.len();
            } else if ENDS.iter().any(|end| name.ends_with(end)) {
                total += about.len();
                if let Ok(used) = about.modified() {
                    files.push((used, entry.path(), about.len()));
                }
            }
        }
        files.sort();
        for (_, path, size) in files {
            if total <= self.capacity {
                break;
            }
            if Some(path.as_path()) == newest {
                continue;
            }
            // Another process may have deleted it for the same reason.
            match medium::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::debug!("{}: {error}", path.display());
                }
                _ => total -= size,
            }
        }
    }
}

/// Checks the settings from the environment, and removes the leftovers of killed runs. Called at
/// the start of the program.
///
/// # Errors
/// Fails if the size in the environment is not one.
pub fn set_up() -> Result<()> {
    capacity(&|name| env::var_os(name))?;
    remove_leftovers();
    Ok(())
}

/// Removes the leftovers of killed runs from the directories for large temporary files.
fn remove_leftovers() {
    let cache = directory(&|name| env::var_os(name));
    for directory in cache.into_iter().chain([env::temp_dir()]) {
        temporary::sweep_once(&directory);
    }
}

/// The maximum total size according to the environment.
fn capacity(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<u64> {
    let Some(value) = variable(SIZE_VARIABLE).filter(|value| !value.is_empty()) else {
        return Ok(CAPACITY_BYTES);
    };
    let size = value.to_str().and_then(ByteSize::parse);
    size.map(|ByteSize(bytes)| bytes).ok_or_else(|| {
        Error::Usage(format!(
            "environment variable {SIZE_VARIABLE}: expected {}, found {:?}; set a size, or unset it",
            ByteSize::EXPECTED,
            value.to_string_lossy()
        ))
    })
}

/// The directory according to the environment; `None` if no variable is set.
fn directory(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = |name: &str| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    // The XDG specification says that relative paths are ignored.
    let absolute = |name: &str| path(name).filter(|path| path.is_absolute());
    path(DIRECTORY_VARIABLE)
        .or_else(|| absolute("XDG_CACHE_HOME").map(|cache| cache.join("progtune")))
        .or_else(|| absolute("HOME").map(|home| home.join(".cache/progtune")))
        .map(|cache| cache.join("tokenized"))
}

/// Creates the directory for this user only, because texts can be reconstructed from their tokens.
fn create_private(directory: &Path) -> io::Result<()> {
    if directory.exists() {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Sets the file's modification time, which records its last use.
fn mark_used(path: &Path) {
    let mut options = File::options();
    options.append(true);
    // The file times of a link's target must not change.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        rustix::fs::OFlags::NOFOLLOW.bits() as i32,
    );
    let marked = options
        .open(path)
        .and_then(|file| file.set_modified(SystemTime::now()));
    if let Err(error) = marked {
        tracing::debug!("{}: {error}", path.display());
    }
}

#[cfg(test)]
mod tests;
