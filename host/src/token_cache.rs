//! Tokenised examples kept on disk, one file a split, named by the SHA-256 of everything that decides them ([`key`]).
//! Called by [`crate::examples`].
//!
//! A cache never makes a run fail: what cannot be read is made anew, what cannot be written is not kept. Files lie in
//! `$PROGTUNE_CACHE_DIR/tokenized`, else `$XDG_CACHE_HOME/progtune/tokenized`, else `~/.cache/progtune/tokenized`;
//! those used longest ago go when all of them exceed 2 GiB.

mod format;
pub mod key;

use crate::{batch::EncodedExample, config::TokenCacheUse, files::write_atomically};
use key::Key;
use std::{
    env,
    ffi::OsString,
    fs::{self, DirBuilder, File},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The variable that names the directory of progtune's caches.
pub const DIRECTORY_VARIABLE: &str = "PROGTUNE_CACHE_DIR";

const EXTENSION: &str = "tokens";

/// What all files may have together.
const CAPACITY_BYTES: u64 = 2 << 30;

/// The cache, or none.
#[derive(Debug, Clone)]
pub struct TokenCache {
    /// `None`: nothing is read or written.
    directory: Option<PathBuf>,
    reads: bool,
    capacity: u64,
}

impl TokenCache {
    /// The user's cache, used as configured.
    pub fn new(wanted: TokenCacheUse) -> Self {
        let directory = directory(&|name| env::var_os(name));
        Self {
            directory: directory.filter(|_| wanted != TokenCacheUse::Off),
            reads: wanted == TokenCacheUse::Auto,
            capacity: CAPACITY_BYTES,
        }
    }

    /// Whether anything is read or written.
    pub fn is_on(&self) -> bool {
        self.directory.is_some()
    }

    /// What is kept under a key. `None` also when the file is damaged, which is said.
    pub fn get(&self, key: &Key) -> Option<Vec<EncodedExample>> {
        let path = self.path(key).filter(|_| self.reads)?;
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::debug!("{}: cannot be read: {error}", path.display());
                }
                return None;
            }
        };
        match format::decode(&bytes, key) {
            Ok(examples) => {
                tracing::debug!(
                    "{} tokenised examples from {}",
                    examples.len(),
                    path.display()
                );
                mark_used(&path);
                Some(examples)
            }
            Err(why) => {
                tracing::warn!(
                    "{}: these tokenised examples are damaged ({why}); they are made anew",
                    path.display()
                );
                None
            }
        }
    }

    /// Keeps examples under a key.
    pub fn put(&self, key: &Key, examples: &[EncodedExample]) {
        let Some(path) = self.path(key) else { return };
        let bytes = format::encode(examples, key);
        if bytes.len() as u64 > self.capacity {
            tracing::debug!("{} bytes of tokenised examples are not kept", bytes.len());
            return;
        }
        let kept = create_private(&path).and_then(|()| {
            write_atomically(&path, &bytes).map_err(|error| io::Error::other(error.to_string()))
        });
        match kept {
            Ok(()) => tracing::debug!(
                "{} tokenised examples kept in {}",
                examples.len(),
                path.display()
            ),
            Err(error) => tracing::debug!("tokenised examples are not kept: {error}"),
        }
        self.drop_oldest(&path);
    }

    fn path(&self, key: &Key) -> Option<PathBuf> {
        let directory = self.directory.as_ref()?;
        Some(directory.join(format!("{key}.{EXTENSION}")))
    }

    /// Removes files, those used longest ago first, until the rest fits; `newest` stays.
    fn drop_oldest(&self, newest: &Path) {
        let mut files: Vec<(SystemTime, PathBuf, u64)> = newest
            .parent()
            .and_then(|directory| fs::read_dir(directory).ok())
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|end| end == EXTENSION))
            .filter_map(|path| {
                let about = path.metadata().ok()?;
                Some((about.modified().ok()?, path, about.len()))
            })
            .collect();
        files.sort();
        let mut total: u64 = files.iter().map(|(_, _, size)| size).sum();
        for (_, path, size) in files {
            if total <= self.capacity {
                break;
            }
            if path != newest && fs::remove_file(&path).is_ok() {
                total -= size;
            }
        }
    }
}

/// The directory that the environment says; `None` where it says nothing.
fn directory(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = |name: &str| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    // The XDG specification has relative paths ignored.
    let absolute = |name: &str| path(name).filter(|path| path.is_absolute());
    path(DIRECTORY_VARIABLE)
        .or_else(|| absolute("XDG_CACHE_HOME").map(|cache| cache.join("progtune")))
        .or_else(|| absolute("HOME").map(|home| home.join(".cache/progtune")))
        .map(|cache| cache.join("tokenized"))
}

/// Makes the directory of a file, for this user alone: texts can be read back from their tokens.
fn create_private(file: &Path) -> io::Result<()> {
    let Some(directory) = file.parent().filter(|parent| !parent.exists()) else {
        return Ok(());
    };
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// The time of a file is that of its last use.
fn mark_used(path: &Path) {
    let marked = File::options()
        .append(true)
        .open(path)
        .and_then(|file| file.set_modified(SystemTime::now()));
    if let Err(error) = marked {
        tracing::debug!("{}: {error}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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

    #[test]
    fn what_is_put_is_got_and_a_damaged_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(&folder.path().join("new"), CAPACITY_BYTES);
        let key = Key::of_text("a");
        assert_eq!(cache.get(&key), None);
        cache.put(&key, &examples(5));
        assert_eq!(cache.get(&key), Some(examples(5)));
        assert_eq!(cache.get(&Key::of_text("b")), None);
        let file = cache.path(&key).unwrap();
        let mut bytes = fs::read(&file).unwrap();
        bytes[60] ^= 1;
        fs::write(&file, &bytes).unwrap();
        assert_eq!(cache.get(&key), None);
        cache.put(&key, &examples(5));
        assert_eq!(cache.get(&key), Some(examples(5)));
        let overwriting = TokenCache {
            reads: false,
            ..cache.clone()
        };
        assert_eq!(overwriting.get(&key), None);
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_no_fault() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let cache = cache(&file.join("below"), CAPACITY_BYTES);
        cache.put(&Key::of_text("a"), &examples(5));
        assert_eq!(cache.get(&Key::of_text("a")), None);
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let size = format::encode(&examples(1000), &Key::of_text("")).len() as u64;
        let cache = cache(folder.path(), 3 * size);
        let keys: Vec<Key> = ["a", "b", "c", "d"].map(Key::of_text).into();
        for (age, key) in keys[..3].iter().enumerate() {
            cache.put(key, &examples(1000));
            let time = SystemTime::now() - Duration::from_secs(100 - age as u64);
            let file = File::options().append(true).open(cache.path(key).unwrap());
            file.unwrap().set_modified(time).unwrap();
        }
        fs::write(folder.path().join("other"), vec![0; 10_000]).unwrap();
        assert!(cache.get(&keys[0]).is_some(), "used now");
        cache.put(&keys[3], &examples(1000));
        let there: Vec<bool> = keys.iter().map(|key| cache.get(key).is_some()).collect();
        assert_eq!(there, [true, false, true, true]);
        assert!(folder.path().join("other").exists());
        let small = TokenCache {
            capacity: size - 1,
            ..cache
        };
        small.put(&Key::of_text("e"), &examples(1000));
        assert_eq!(small.get(&Key::of_text("e")), None, "larger than all");
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
