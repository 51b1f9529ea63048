//! The cache of tokenised examples: one file per split, named by the SHA-256 of everything that
//! determines its contents ([`Key`]). Called by [`crate::examples`].
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
use progtune_engine::error::{Error, Result};
use progtune_process::{
    byte_size::ByteSize,
    choice::name_of,
    files::{
        bounded::{LARGEST_TEXT, read},
        medium,
        temporary::{self, Access},
        write_with,
    },
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
pub const DIRECTORY_VARIABLE: &str = "PROGTUNE_CACHE_DIR";

/// The suffixes of files with tokens, and of notes.
const ENDS: [&str; 2] = [SUFFIX, ".json"];

/// The variable that sets the maximum total size of all files.
pub const SIZE_VARIABLE: &str = "PROGTUNE_CACHE_SIZE";

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
    pub fn builder(&self, key: Option<&Key>) -> Builder {
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
mod tests {
    use super::*;
    use progtune_engine::batch::EncodedExample;
    use std::time::Duration;

    fn cache(directory: &Path, capacity: u64) -> TokenCache {
        TokenCache {
            directory: Some(directory.to_owned()),
            reads: true,
            capacity,
        }
    }

    fn examples(tokens: u32) -> Vec<EncodedExample> {
        vec![EncodedExample {
            input_ids: (0..tokens).collect(),
            token_type_ids: vec![0; tokens as usize],
            target: None,
        }]
    }

    fn made(cache: &TokenCache, key: &Key, tokens: u32) -> Examples {
        let mut builder = cache.builder(Some(key));
        for example in examples(tokens) {
            builder.push(example).unwrap();
        }
        builder.finish().unwrap()
    }

    fn put(cache: &TokenCache, key: &Key, tokens: u32) {
        cache.keep(key, &mut made(cache, key, tokens));
    }

    fn got(cache: &TokenCache, key: &Key) -> Option<Vec<EncodedExample>> {
        let examples = cache.get(key)?;
        Some(examples.iter().collect::<Result<_, _>>().unwrap())
    }

    #[test]
    fn what_is_put_is_got_and_a_damaged_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(&folder.path().join("new"), CAPACITY_BYTES);
        let key = Key::of_text("a");
        assert_eq!(got(&cache, &key), None);
        put(&cache, &key, 5);
        assert_eq!(got(&cache, &key), Some(examples(5)));
        assert_eq!(got(&cache, &Key::of_text("b")), None);
        let file = cache.path(&key, SUFFIX).unwrap();
        let mut bytes = fs::read(&file).unwrap();
        bytes[60] ^= 1;
        fs::write(&file, &bytes).unwrap();
        assert_eq!(got(&cache, &key), None);
        put(&cache, &key, 5);
        assert_eq!(got(&cache, &key), Some(examples(5)));
        let overwriting = TokenCache {
            reads: false,
            ..cache.clone()
        };
        assert_eq!(got(&overwriting, &key), None);
    }

    /// The file to which many examples were written becomes the cached file.
    #[test]
    fn many_examples_are_kept_as_well_and_leave_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), CAPACITY_BYTES);
        let key = Key::of_text("many");
        let mut builder = cache.builder(Some(&key));
        for _ in 0..30_000 {
            builder.push(examples(200).remove(0)).unwrap();
        }
        let mut many = builder.finish().unwrap();
        assert!(many.held_bytes() < 100_000, "{}", many.held_bytes());
        let files = || fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files(), 1, "a temporary file");
        cache.keep(&key, &mut many);
        let file = cache.path(&key, SUFFIX).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().len(), many.file_bytes());
        assert_eq!(many.get(29_999).unwrap(), examples(200)[0]);
        drop(many);
        assert_eq!(cache.get(&key).unwrap().len(), 30_000);

        let mut builder = cache.builder(None);
        for _ in 0..30_000 {
            builder.push(examples(200).remove(0)).unwrap();
        }
        let temporary = builder.finish().unwrap();
        assert_eq!(files(), 2);
        drop(temporary);
        assert_eq!(files(), 1, "what is not kept is removed");
    }

    #[test]
    fn notes_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(&folder.path().join("new"), CAPACITY_BYTES);
        let key = Key::of_text("a");
        assert_eq!(cache.note(&key), None);
        cache.keep_note(&key, &serde_json::json!({"n": 1}));
        assert_eq!(cache.note(&key), Some(serde_json::json!({"n": 1})));
        fs::write(cache.path(&key, ".json").unwrap(), "{\"n\"").unwrap();
        assert_eq!(cache.note(&key), None, "half a file");
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_no_fault() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let cache = cache(&file.join("below"), CAPACITY_BYTES);
        put(&cache, &Key::of_text("a"), 5);
        assert_eq!(got(&cache, &Key::of_text("a")), None);
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let size = Examples::from(examples(1000)).file_bytes();
        let cache = cache(folder.path(), 3 * size);
        let keys: Vec<Key> = ["a", "b", "c", "d"].map(Key::of_text).into();
        for (age, key) in keys[..3].iter().enumerate() {
            put(&cache, key, 1000);
            let time = SystemTime::now() - Duration::from_secs(100 - age as u64);
            let path = cache.path(key, SUFFIX).unwrap();
            let file = File::options().append(true).open(path);
            file.unwrap().set_modified(time).unwrap();
        }
        fs::write(folder.path().join("other"), vec![0; 10_000]).unwrap();
        assert!(cache.get(&keys[0]).is_some(), "used now");
        put(&cache, &keys[3], 1000);
        let there: Vec<bool> = keys.iter().map(|key| cache.get(key).is_some()).collect();
        assert_eq!(there, [true, false, true, true]);
        assert!(folder.path().join("other").exists());
        let small = TokenCache {
            capacity: size - 1,
            ..cache
        };
        put(&small, &Key::of_text("e"), 1000);
        assert!(small.get(&Key::of_text("e")).is_none(), "larger than all");
    }

    /// Temporary files take room, and are never deleted. So do notes, which may be deleted.
    #[test]
    fn temporary_files_and_notes_count() {
        let folder = tempfile::tempdir().unwrap();
        let size = Examples::from(examples(1000)).file_bytes();
        let cache = cache(folder.path(), 2 * size + size / 2);
        let keys: Vec<Key> = ["a", "b", "c"].map(Key::of_text).into();
        let there = || -> Vec<bool> {
            let path = |key| cache.path(key, SUFFIX).unwrap();
            keys.iter().map(|key| path(key).exists()).collect()
        };
        put(&cache, &keys[0], 1000);
        let mut builder = cache.builder(None);
        builder.small = 0;
        for example in examples(1000) {
            builder.push(example).unwrap();
        }
        let mut working = builder.finish().unwrap();
        assert!(matches!(working.medium(), Medium::File { .. }));
        put(&cache, &keys[1], 1000);
        assert_eq!(there(), [false, true, false], "the working file takes room");
        let path = cache.path(&keys[1], SUFFIX).unwrap();
        let file = File::options().append(true).open(path).unwrap();
        let earlier = SystemTime::now() - Duration::from_secs(100);
        file.set_modified(earlier).unwrap();
        drop(working);
        put(&cache, &keys[2], 1000);
        assert_eq!(there(), [false, true, true]);
        let long = "x".repeat(size as usize);
        cache.keep_note(&Key::of_text("note"), &serde_json::json!(long));
        assert_eq!(there(), [false, false, true]);
    }

    #[test]
    fn the_size_is_the_documented_one() {
        let found = |value: Option<&str>| {
            let value = value.map(OsString::from);
            capacity(&|name| value.clone().filter(|_| name == SIZE_VARIABLE))
        };
        assert_eq!(found(None).unwrap(), 2 << 30);
        assert_eq!(found(Some("")).unwrap(), 2 << 30);
        assert_eq!(found(Some("512MB")).unwrap(), 512_000_000);
        let error = found(Some("much")).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert_eq!(
            error.to_string(),
            "environment variable PROGTUNE_CACHE_SIZE: expected a size above 0 in bytes or with a unit, such as 512MB or \
             2GiB, found \"much\"; set a size, or unset it"
        );
    }

    #[test]
    fn the_directory_is_the_documented_one() {
        let found = |set: &[(&str, &str)]| {
            let variable = |name: &str| {
                let value = set.iter().find(|(key, _)| *key == name);
                value.map(|&(_, value)| OsString::from(value))
            };
            directory(&variable)
        };
        let home = ("HOME", "/home/u");
        assert_eq!(found(&[]), None);
        let expected = |path: &str| Some(PathBuf::from(path));
        assert_eq!(
            found(&[home]),
            expected("/home/u/.cache/progtune/tokenized")
        );
        let cache = ("XDG_CACHE_HOME", "/c");
        assert_eq!(found(&[home, cache]), expected("/c/progtune/tokenized"));
        let relative = ("XDG_CACHE_HOME", "c");
        assert_eq!(
            found(&[home, relative]),
            expected("/home/u/.cache/progtune/tokenized")
        );
        let own = (DIRECTORY_VARIABLE, "own");
        assert_eq!(found(&[home, cache, own]), expected("own/tokenized"));
    }
}
