//! The choice of plugin, and how users learn of it: the lock, the choice between libraries,
//! warnings, installation, records. The tests use the command line, with third-party plugins built
//! outside the workspace.
#![cfg(unix)]

mod installing;
mod listing;
mod locking;
mod places;
mod records;
mod without;

use progtune_tests::{
    messages,
    outside_plugins::{hostile, library_name},
    progtune,
};
use sha2::{Digest, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// A user with their own home, whose current directory is its `work`.
struct User {
    home: TempDir,
}

/// The output of a command.
struct Said {
    code: Option<i32>,
    out: String,
    error: String,
}

impl User {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        for name in ["work", "data", "cache", "tmp"] {
            fs::create_dir(home.path().join(name)).unwrap();
        }
        Self { home }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().canonicalize().unwrap().join(name)
    }

    /// Writes a file and creates its directory.
    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Puts the hostile plugin's build that does `what` into `DIRECTORY`, and returns the
    /// directory.
    fn library(&self, directory: &str, what: &str) -> PathBuf {
        let file = self.write(
            &format!("{directory}/{}", library_name("x")),
            &hostile(what),
        );
        file.parent().unwrap().to_owned()
    }

    fn command(&self) -> Command {
        let mut command = progtune();
        command
            .current_dir(self.path("work"))
            .env("XDG_DATA_HOME", self.path("data"))
            .env("PROGTUNE_CACHE_DIR", self.path("cache"))
            .env("TMPDIR", self.path("tmp"));
        command
    }

    /// Runs words and paths: a word `@NAME` stands for that path in the home.
    fn run(&self, words: &str) -> Said {
        let words = words
            .split_whitespace()
            .map(|word| match word.strip_prefix('@') {
                Some(name) => self.path(name).into_os_string(),
                None => word.into(),
            });
        self.finish(self.command().args(words))
    }

    fn finish(&self, command: &mut Command) -> Said {
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = Said {
            code: output.status.code(),
            out: text(&output.stdout),
            error: text(&output.stderr),
        };
        if let Some(code) = said.code.filter(|&code| code != 0) {
            messages::check_command(command, code, &said.error);
        }
        said
    }
}

impl Said {
    #[track_caller]
    fn well(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.error);
        self
    }

    /// Asserts that the command ended with `code` and that its output contains all of `parts`.
    #[track_caller]
    fn badly(self, code: i32, parts: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.error);
        for part in parts {
            assert!(self.error.contains(part), "no '{part}' in: {}", self.error);
        }
        self
    }

    #[track_caller]
    fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.out.contains(part), "no '{part}' in: {}", self.out);
        }
        self
    }
}

/// The hash of a file, as `plugins show` prints it.
fn sha256(file: &Path) -> String {
    let hash = Sha256::digest(fs::read(file).unwrap());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

const PLAN: &str = "plan --task sample --schedule hostile-00";
