//! The faults of plugins. Each message names the plugin and its file, and says what was expected,
//! what was found and what to do. `main` prints it and ends with [`PluginFault::exit_code`].

use crate::{manifest_reader::EntryKind, printable::printable};
use progtune_plugin_api::{
    names::did_you_mean,
    records::{ErrorCode, PluginError},
};
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// A plugin that cannot be found, is not trusted, does not load, refuses, or gives an invalid
/// answer.
#[derive(Debug, thiserror::Error)]
pub enum PluginFault {
    /// No plugin offers the id.
    #[error("{}", unknown_id(.kind, .id, .available, *.others, .searched, .passed_over))]
    UnknownId {
        /// Schedule or method.
        kind: EntryKind,
        /// The id as the user typed it.
        id: String,
        /// The available ids.
        available: Vec<String>,
        /// The number of entries of the other kind.
        others: usize,
        /// The directories that were searched.
        searched: Vec<PathBuf>,
        /// The files and directories that were not used, with the reasons.
        passed_over: Vec<String>,
    },
    /// Two different libraries offer the id.
    #[error(
        "the {kind} '{id}' is offered by two different libraries: {} and {}; remove one of them, choose one with \
         --plugin FILE, or pin it: progtune plugins lock {id} --plugin FILE", first.display(), second.display()
    )]
    Ambiguous {
        /// Schedule or method.
        kind: EntryKind,
        /// The id.
        id: String,
        /// One library.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A directory that the user named cannot be read.
    #[error("plugin directory {}: {reason}; name an existing directory with plugin libraries", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// A directory or file that another user may change.
    #[error("{}: {reason}", path.display())]
    Untrusted {
        /// The directory or file.
        path: PathBuf,
        /// The users who may change it, and what to do.
        reason: String,
    },
    /// A lock file that cannot be used.
    #[error("lock file {}: {reason}", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// The fault, and what to do.
        reason: String,
    },
    /// A library that is not the pinned one, or that is not pinned although every library must be.
    #[error("{0}")]
    Pin(Box<PinFault>),
    /// A request that `plugins install` or `plugins remove` cannot carry out.
    #[error("{0}")]
    Install(String),
    /// An option that the entry does not declare, or a value it does not allow.
    #[error(
        "{plugin}: option '{option}' of '{id}': {reason}{} `progtune plugins show {id}`",
        if reason.ends_with('?') { " See" } else { "; see" }
    )]
    Option {
        /// The plugin and its file.
        plugin: String,
        /// The entry.
        id: String,
        /// The option as it was typed.
        option: String,
        /// The fault.
        reason: String,
    },
    /// A library that does not load.
    #[error("plugin {}: {reason}", file.display())]
    Load {
        /// The file.
        file: PathBuf,
        /// The expectation, the finding, and what to do.
        reason: String,
    },
    /// The plugin answered with an error.
    #[error("{plugin}: {what}: {reason}")]
    Refused {
        /// The plugin and its file.
        plugin: String,
        /// The request.
        what: String,
        /// The subject of its answer.
        code: ErrorCode,
        /// Its answer, and what to do next.
        reason: String,
    },
    /// The plugin's process did not answer.
    #[error(
        "{plugin}: {what}: {reason}; the run cannot continue without an answer: get another build of the plugin, or tell its author"
    )]
    Unanswered {
        /// The plugin and its file.
        plugin: String,
        /// The request.
        what: String,
        /// The fate of the process.
        reason: String,
    },
    /// The plugin's answer cannot be carried out.
    #[error("{plugin}: {what}: {reason}; this is a fault of the plugin; report it to its author")]
    Invalid {
        /// The plugin and its file.
        plugin: String,
        /// The request.
        what: String,
        /// The expectation and the finding.
        reason: String,
    },
}

/// A library that the lock file does not allow.
#[derive(Debug)]
pub struct PinFault {
    /// Schedule or method.
    pub kind: EntryKind,
    /// The id.
    pub id: String,
    /// The lock file.
    pub lock: PathBuf,
    /// The library.
    pub file: PathBuf,
    /// The pinned hashes; empty if the id is not pinned, which `--locked` refuses.
    pub expected: Vec<String>,
    /// The library's hash.
    pub found: String,
}

impl fmt::Display for PinFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lock, id) = (self.lock.display(), &self.id);
        let (fault, expected, advice) = if self.expected.is_empty() {
            (
                format!("is not pinned in {lock}, but --locked requires a pin"),
                "a pin".to_owned(),
                "Pin it if you trust it",
            )
        } else {
            (
                format!("is pinned in {lock}, but another build was found"),
                format!("sha256 {}", self.expected.join(" or ")),
                "Put the pinned build back, or accept this one",
            )
        };
        write!(
            f,
            "the {} '{id}' {fault}\n  file      {}\n  expected  {expected}\n  found     sha256 {}\n{advice}: progtune plugins \
             lock {id}",
            self.kind,
            self.file.display(),
            self.found
        )
    }
}

impl PluginFault {
    /// The exit code is 2 for the user's input: an unknown id, an undeclared option or one out of
    /// range, a missing directory, or an unreadable lock file. It is 4 if a plugin is at fault, or
    /// is not the pinned build.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::UnknownId { .. }
            | Self::Option { .. }
            | Self::Directory { .. }
            | Self::Lock { .. }
            | Self::Install(_) => 2,
            Self::Refused {
                code: ErrorCode::BAD_OPTION,
                ..
            } => 2,
            _ => 4,
        }
    }

    pub(crate) fn load(file: &Path, reason: impl Into<String>) -> Self {
        Self::Load {
            file: file.into(),
            reason: reason.into(),
        }
    }

    pub(crate) fn refused(
        library: &impl fmt::Display,
        what: impl Into<String>,
        error: PluginError,
    ) -> Self {
        let reason = printable(&error.to_string());
        Self::Refused {
            plugin: library.to_string(),
            what: what.into(),
            code: error.code,
            reason,
        }
    }

    pub(crate) fn unanswered(
        library: &impl fmt::Display,
        what: impl Into<String>,
        reason: &str,
    ) -> Self {
        Self::Unanswered {
            plugin: library.to_string(),
            what: what.into(),
            reason: printable(reason),
        }
    }

    pub(crate) fn invalid(
        library: &impl fmt::Display,
        what: impl Into<String>,
        reason: &str,
    ) -> Self {
        Self::Invalid {
            plugin: library.to_string(),
            what: what.into(),
            reason: printable(reason),
        }
    }
}

fn unknown_id(
    kind: &EntryKind,
    id: &str,
    available: &[String],
    others: usize,
    searched: &[PathBuf],
    passed_over: &[String],
) -> String {
    let mut text = format!("there is no {kind} '{}'", printable(id));
    if !available.is_empty() {
        let near = did_you_mean(id, available.iter().map(String::as_str));
        let start = if near.is_empty() {
            "; available"
        } else {
            " Available"
        };
        text += &format!("{near}{start}: {}", available.join(", "));
    } else if others > 0 {
        text += &format!(
            ": plugins were found, but none of them is a {kind} (`progtune plugins list` shows them).\n{}",
            completion()
        );
    } else {
        text += &format!(": {}", no_plugins(searched));
    }
    for note in passed_over {
        text += &format!("\nnot used: {note}");
    }
    text
}

/// The message for a search that found no plugin at all. It says how to get schedules and methods.
pub fn no_plugins(searched: &[PathBuf]) -> String {
    let searched: Vec<String> = searched
        .iter()
        .map(|path| format!("  {}", path.display()))
        .collect();
    format!(
        "no plugin was found\n\
         Schedules and methods are plugins, and this program was installed without them\n\
         (`cargo install` installs only the program).\n{}\nSearched:\n{}",
        completion(),
        searched.join("\n")
    )
}

/// The commands that build and install the project's own plugins.
fn completion() -> String {
    format!(
        "To build and install progtune's own plugins, run this in a source checkout:\n  \
         cargo build --release -p 'progtune-schedule-*' -p 'progtune-peft-*' &&\n    \
         progtune plugins install target/release/{}progtune_*{}\n\
         Or unpack an archive made by `cargo xtask dist`, which contains them, or name\n\
         their directory with --plugin-dir DIR.",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown(available: &[&str], others: usize) -> String {
        let fault = PluginFault::UnknownId {
            kind: EntryKind::Method,
            id: "lroa".into(),
            available: available.iter().map(|id| (*id).to_owned()).collect(),
            others,
            searched: vec!["/a".into(), "/b".into()],
            passed_over: vec![],
        };
        assert_eq!(fault.exit_code(), 2);
        fault.to_string()
    }

    #[test]
    fn a_misspelt_id_and_missing_plugins_have_different_messages() {
        let misspelt = unknown(&["adapter", "lora"], 3);
        assert_eq!(
            misspelt,
            "there is no method 'lroa'; did you mean 'lora'? Available: adapter, lora"
        );
        let none = unknown(&[], 0);
        assert!(none.contains("no plugin was found"), "{none}");
        assert!(none.contains("plugins install target/release/"), "{none}");
        assert!(none.ends_with("Searched:\n  /a\n  /b"), "{none}");
        assert!(!none.contains("did you mean"), "{none}");
        let only_schedules = unknown(&[], 2);
        assert!(
            only_schedules.contains("none of them is a method")
                && only_schedules.contains("plugins install"),
            "{only_schedules}"
        );
    }
}
