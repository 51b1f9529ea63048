//! Tries a library in a child process before this process opens it. Constructors can abort, crash,
//! hang or exit, and so can a plugin's `create` and `plan`. Called by `load`.
//!
//! The child is this same executable, started with a hidden argument. A program calls
//! [`answer_if_asked`] first in its `main`, which then makes the child do this work. The child gets
//! a clean environment, a process group of its own and a deadline. It must end with success, and
//! its last line must name the library's hash.
//!
//! A passed trial is remembered by the library's hash and the version of the interface. A failed
//! one is repeated, because its cause may lie outside the library (a missing dependency, full
//! memory).
//!
//! A trial cannot detect a plugin that behaves well only in the child.

mod child;
mod process;

use crate::{
    cache::Cache, digest::sha256_hex, isolation, manifest_reader::EntryKind, offer::Offer,
};
use progtune_plugin_api::manifest::{ABI_MAJOR, ABI_MINOR};
use serde::{Deserialize, Serialize};
use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

/// The argument that makes a program answer.
pub(crate) const ARGUMENT: &str = "__probe-plugin";
/// The maximum duration of a trial. A trial takes milliseconds; the limit allows for loaded
/// machines.
const DEADLINE: Duration = Duration::from_secs(10);
/// The version of the trials. It is raised when they do more than before, so that every library is
/// tried again.
const TRIALS: u32 = 1;

/// This program, once it has called [`answer_if_asked`].
static ANSWERS: OnceLock<PathBuf> = OnceLock::new();

/// A program that tries libraries.
#[derive(Debug, Clone)]
pub struct Probe {
    /// An executable whose `main` calls [`answer_if_asked`].
    pub executable: PathBuf,
    /// The maximum duration of one trial.
    pub(crate) deadline: Duration,
}

/// A trial: the part of a library that is tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Trial {
    /// Opening the library, its root module, and every entry with its default options.
    Library,
    /// One entry with the options of a run.
    Entry {
        /// Schedule or method.
        kind: EntryKind,
        /// The id.
        id: String,
        /// The options as the user typed them.
        options: Vec<(String, String)>,
        /// The number of blocks, L.
        blocks: u32,
        /// The number of epochs, T.
        epochs: u32,
    },
}

/// The outcome of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Tried {
    /// It passed.
    Passed,
    /// It failed, for this reason.
    Failed(String),
}

/// The request to the child, one line of JSON on its standard input.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    file: PathBuf,
    sha256: String,
    trial: Trial,
}

/// The record of a trial.
#[derive(Serialize, Deserialize, PartialEq)]
struct Note {
    sha256: String,
    interface: String,
    trials: u32,
    trial: Trial,
    verdict: Tried,
}

/// Answers the parent if this process was started to try a library or to serve one
/// (`isolation`), and then ends the process. Otherwise it registers this program for
/// `Probe::of_this_program`. A program that runs plugins calls it before anything else.
pub fn answer_if_asked(offer: &Offer) {
    let argument = env::args_os().nth(1);
    if argument.as_deref() == Some(OsStr::new(ARGUMENT)) {
        std::process::exit(child::answer(offer));
    }
    #[cfg(unix)]
    if argument.as_deref() == Some(OsStr::new(isolation::ARGUMENT)) {
        std::process::exit(isolation::serve(offer));
    }
    // On Linux this is the running program itself, even if a newer build has replaced its file.
    let running = Path::new("/proc/self/exe");
    let executable = if cfg!(target_os = "linux") && running.exists() {
        Some(running.to_path_buf())
    } else {
        env::current_exe().ok()
    };
    if let Some(executable) = executable {
        let _ = ANSWERS.set(executable);
    }
}

impl Probe {
    /// This program, if it called [`answer_if_asked`]. Otherwise libraries are not tried, and are
    /// opened in this process at once.
    pub(crate) fn of_this_program() -> Option<Self> {
        ANSWERS.get().map(Self::with)
    }

    /// Another program.
    pub fn with(executable: impl Into<PathBuf>) -> Self {
        Self {
            executable: executable.into(),
            deadline: DEADLINE,
        }
    }

    /// Tries a library and remembers the outcome. `copy` is a private copy of the bytes with this
    /// hash.
    ///
    /// # Errors
    /// The plugin's fault, for the user.
    pub(crate) fn run(
        &self,
        copy: &Path,
        sha256: &str,
        trial: &Trial,
        cache: &Cache,
    ) -> Result<(), String> {
        let request = Request {
            file: copy.into(),
            sha256: sha256.into(),
            trial: trial.clone(),
        };
        let outcome = process::run(self, &request);
        let verdict = match &outcome {
            Ok(()) => Tried::Passed,
            Err(reason) => Tried::Failed(reason.clone()),
        };
        cache.remember(sha256, trial, verdict);
        outcome
    }
}

impl Cache {
    /// The outcome of an earlier trial; `None` if it is unknown or the note is damaged.
    pub fn verdict(&self, sha256: &str, trial: &Trial) -> Option<Tried> {
        let note: Note = serde_json::from_str(&self.note(&note_name(sha256, trial))?).ok()?;
        let verdict = note.verdict.clone();
        (note == Note::new(sha256, trial, verdict.clone())).then_some(verdict)
    }

    fn remember(&self, sha256: &str, trial: &Trial, verdict: Tried) {
        let note = Note::new(sha256, trial, verdict);
        if let Ok(text) = serde_json::to_string(&note) {
            self.keep_note(&note_name(sha256, trial), &text);
        }
    }
}

impl Note {
    fn new(sha256: &str, trial: &Trial, verdict: Tried) -> Self {
        Self {
            sha256: sha256.into(),
            interface: format!("{ABI_MAJOR}.{ABI_MINOR}"),
            trials: TRIALS,
            trial: trial.clone(),
            verdict,
        }
    }
}

fn note_name(sha256: &str, trial: &Trial) -> String {
    let what = match trial {
        Trial::Library => String::new(),
        entry => {
            let text = serde_json::to_string(entry).unwrap_or_default();
            format!("-{}", &sha256_hex(text.as_bytes())[..16])
        }
    };
    format!("{sha256}{what}-{ABI_MAJOR}.{ABI_MINOR}.tried")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_remembered_and_a_damaged_one_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let hash = "a".repeat(64);
        let entry = Trial::Entry {
            kind: EntryKind::Method,
            id: "x".into(),
            options: vec![("r".into(), "1".into())],
            blocks: 2,
            epochs: 3,
        };
        assert_eq!(cache.verdict(&hash, &Trial::Library), None);
        cache.remember(&hash, &Trial::Library, Tried::Passed);
        assert_eq!(cache.verdict(&hash, &Trial::Library), Some(Tried::Passed));
        assert_eq!(cache.verdict(&hash, &entry), None);
        cache.remember(&hash, &entry, Tried::Failed("why".into()));
        assert_eq!(
            cache.verdict(&hash, &entry),
            Some(Tried::Failed("why".into()))
        );
        let note = cache.note(&note_name(&hash, &Trial::Library)).unwrap();
        for damaged in [&note[..note.len() - 1], "", &note.replace("aaa", "aab")] {
            cache.keep_note(&note_name(&hash, &Trial::Library), damaged);
            assert_eq!(cache.verdict(&hash, &Trial::Library), None, "{damaged}");
        }
    }
}
