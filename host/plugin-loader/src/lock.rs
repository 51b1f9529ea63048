//! `progtune.lock`, which pins the builds of plugins by SHA-256. Every command reads it, and
//! `plugins lock` writes it.
//!
//! ```toml
//! version = 1
//!
//! [[plugin]]
//! name = "mine"
//! version = "0.3.0"
//! sha256 = "…64 hexadecimal digits…"
//! schedules = []
//! methods = ["mine"]
//! ```
//!
//! A plugin may be pinned several times, once for each platform's build; any of them is accepted.
//! The file is `--lock FILE`, otherwise `progtune.lock` in the current directory. Parent
//! directories are not searched. A lock file only narrows the search: it cannot make anything run.

use crate::{
    cache::write_atomically, digest::is_sha256, discover::Library, fault::PluginFault,
    manifest_reader::EntryKind, printable::printable,
};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// The name of the file.
pub const FILE_NAME: &str = "progtune.lock";
/// The format's version.
const VERSION: u32 = 1;

/// The largest file that is read: thousands of pins.
const MOST_BYTES: u64 = 1 << 20;

/// The text of a file, or the beginning of a longer one.
fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = fs::File::open(path)?;
    file.take(MOST_BYTES + 1).read_to_string(&mut text)?;
    Ok(text)
}

/// The pins of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Lock {
    /// The path from which it was read, or to which it will be written.
    pub path: PathBuf,
    /// The pins in the order of the file.
    pub pins: Vec<Pin>,
}

/// One build of one plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The plugin's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of the file.
    pub sha256: String,
    /// The schedules it offers.
    #[serde(default)]
    pub schedules: Vec<String>,
    /// The methods it offers.
    #[serde(default)]
    pub methods: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    #[serde(default)]
    plugin: Vec<Pin>,
}

impl Lock {
    /// The lock in force: `file`, which must exist, otherwise that of the current directory, if
    /// there is one.
    ///
    /// # Errors
    /// If the named file is missing, or if the file cannot be read or has another format.
    pub fn find(file: Option<&Path>) -> Result<Option<Self>, PluginFault> {
        match file {
            Some(file) => Self::read(file).map(Some),
            None if Path::new(FILE_NAME).is_file() => Self::read(Path::new(FILE_NAME)).map(Some),
            None => Ok(None),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read or has another format.
    pub fn read(path: &Path) -> Result<Self, PluginFault> {
        let fault = |reason: String| PluginFault::Lock {
            path: path.into(),
            reason: printable(&reason),
        };
        let text = match read_text(path) {
            Ok(text) if text.len() as u64 > MOST_BYTES => {
                return Err(fault(format!(
                    "expected at most {MOST_BYTES} bytes, found more; write it again with `progtune plugins lock`"
                )));
            }
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(fault(
                    "it does not exist; `progtune plugins lock` writes it".into(),
                ));
            }
            Err(error) => return Err(fault(format!("it cannot be read: {error}"))),
        };
        let document: Document = toml::from_str(&text).map_err(|error| {
            let line = error.span().map(|span| {
                text.as_bytes()[..span.start.min(text.len())]
                    .iter()
                    .filter(|&&b| b == b'\n')
                    .count()
                    + 1
            });
            let line = line.map_or(String::new(), |line| format!("line {line}: "));
            fault(format!(
                "{line}{}; correct it, or write it again with `progtune plugins lock`",
                error.message()
            ))
        })?;
        if document.version != VERSION {
            return Err(fault(format!(
                "key `version`: expected {VERSION}, found {}; use the progtune that wrote it",
                document.version
            )));
        }
        if let Some(pin) = document.plugin.iter().find(|pin| !is_sha256(&pin.sha256)) {
            return Err(fault(format!(
                "key `sha256` of the plugin '{}': expected 64 hexadecimal digits in lower case, found '{}'; write it again \
                 with `progtune plugins lock`",
                pin.name, pin.sha256
            )));
        }
        Ok(Self {
            path: path.into(),
            pins: document.plugin,
        })
    }

    /// The pins of an id.
    pub fn pins_of(&self, kind: EntryKind, id: &str) -> Vec<&Pin> {
        let offers = |pin: &&Pin| pin.ids(kind).iter().any(|known| known == id);
        self.pins.iter().filter(offers).collect()
    }

    /// Whether this build is pinned.
    pub fn has(&self, sha256: &str) -> bool {
        self.pins.iter().any(|pin| pin.sha256 == sha256)
    }

    /// Pins a library in place of every pin of its name and its ids.
    ///
    /// # Errors
    /// If the library cannot be read.
    pub fn pin(&mut self, library: &Library) -> Result<(), PluginFault> {
        let new = Pin::of(library)?;
        let replaced = |old: &Pin| {
            old.name == new.name
                || [EntryKind::Schedule, EntryKind::Method]
                    .iter()
                    .any(|&kind| old.ids(kind).iter().any(|id| new.ids(kind).contains(id)))
        };
        self.pins.retain(|old| !replaced(old));
        self.pins.push(new);
        self.pins
            .sort_by(|a, b| (&a.name, &a.sha256).cmp(&(&b.name, &b.sha256)));
        Ok(())
    }

    /// Writes the file. A reader sees either the old file or the new one.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn write(&self) -> Result<(), PluginFault> {
        let document = Document {
            version: VERSION,
            plugin: self.pins.clone(),
        };
        let text = toml::to_string(&document).map_err(io::Error::other);
        text.and_then(|text| {
            let text = format!(
                "# The pinned builds of plugins for runs in this directory; written by `progtune plugins lock`, enforced by --locked.\n{text}"
            );
            write_atomically(&self.path, text.as_bytes(), 0o644)
        })
        .map_err(|error| PluginFault::Lock {
            path: self.path.clone(),
            reason: format!("it cannot be written: {error}; choose another --lock"),
        })
    }
}

impl Pin {
    /// The pin of a library.
    ///
    /// # Errors
    /// If the library cannot be read.
    pub fn of(library: &Library) -> Result<Self, PluginFault> {
        let manifest = &library.manifest;
        let ids = |kind| {
            let entries = manifest.entries.iter().filter(|entry| entry.kind == kind);
            entries.map(|entry| entry.id.clone()).collect()
        };
        Ok(Self {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            sha256: library.sha256()?.into(),
            schedules: ids(EntryKind::Schedule),
            methods: ids(EntryKind::Method),
        })
    }

    /// Its schedules or methods.
    pub fn ids(&self, kind: EntryKind) -> &[String] {
        match kind {
            EntryKind::Schedule => &self.schedules,
            EntryKind::Method => &self.methods,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Lock, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        fs::write(&path, text).unwrap();
        Lock::read(&path).map_err(|fault| {
            assert_eq!(fault.exit_code(), 2);
            fault.to_string()
        })
    }

    #[test]
    fn a_written_lock_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let pin = |name: &str, digit: &str| Pin {
            name: name.into(),
            version: "1.0.0".into(),
            sha256: digit.repeat(64),
            schedules: vec![],
            methods: vec!["m".into()],
        };
        let lock = Lock {
            path: folder.path().join(FILE_NAME),
            pins: vec![pin("a", "0"), pin("a", "f")],
        };
        lock.write().unwrap();
        let read = Lock::read(&lock.path).unwrap();
        assert_eq!(read, lock);
        assert_eq!(read.pins_of(EntryKind::Method, "m").len(), 2);
        assert!(read.pins_of(EntryKind::Schedule, "m").is_empty());
        assert!(read.has(&"f".repeat(64)) && !read.has(&"1".repeat(64)));
    }

    #[test]
    fn messages_about_wrong_locks_name_the_line() {
        assert!(read("version = 1\n").unwrap().pins.is_empty());
        let long = format!("version = 1\n#{}\n", "x".repeat(1 << 20));
        for (text, expected) in [
            ("", "missing field `version`"),
            (long.as_str(), "expected at most 1048576 bytes"),
            ("version = 2\n", "expected 1, found 2"),
            ("version = 1\nx = 1\n", "line 2: unknown field `x`"),
            (
                "version = 1\n[[plugin]]\nname = \"a\"\n",
                "missing field `version`",
            ),
            (
                "version = 1\n[[plugin]]\nname = \"a\"\nversion = \"1\"\nsha256 = \"AB\"\n",
                "expected 64 hexadecimal digits in lower case, found 'AB'",
            ),
        ] {
            let message = read(text).unwrap_err();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
