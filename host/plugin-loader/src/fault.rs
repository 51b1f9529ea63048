//! What can go wrong with a plugin. Each message names the plugin and its file, what was expected, what was found and
//! what to do; `main` prints it and ends with [`PluginFault::exit_code`].

use crate::{manifest::EntryKind, printable::printable};
use progtune_plugin_api::{
    names::did_you_mean,
    records::{ErrorCode, PluginError},
};
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// A plugin that cannot be found, is not trusted, does not load, refuses, or answers nonsense.
#[derive(Debug, thiserror::Error)]
pub enum PluginFault {
    /// No plugin offers the id.
    #[error("{}", unknown_id(.kind, .id, .available, *.others, .searched, .passed_over))]
    UnknownId {
        /// Schedule or method.
        kind: EntryKind,
        /// What the user typed.
        id: String,
        /// The ids there are.
        available: Vec<String>,
        /// How many plugins' entries of the other kind there are.
        others: usize,
        /// The directories that were searched.
        searched: Vec<PathBuf>,
        /// Files and directories that were not used, and why.
        passed_over: Vec<String>,
    },
    /// Two different libraries offer the id.
    #[error(
        "the {kind} '{id}' is offered by two different libraries: {} and {}; remove one of them, name the one you mean with \
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
    #[error("plugin directory {}: {reason}; give an existing directory that holds plugin libraries", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A directory or file that somebody else may change.
    #[error("{}: {reason}", path.display())]
    Untrusted {
        /// The directory or file.
        path: PathBuf,
        /// Who may, and what to do.
        reason: String,
    },
    /// A lock file that cannot be used.
    #[error("lock file {}: {reason}", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A library that is not the one that is pinned, or is not pinned and must be.
    #[error("{0}")]
    Pin(Box<PinFault>),
    /// A file that `plugins install` or `plugins remove` cannot handle as asked.
    #[error("{0}")]
    Install(String),
    /// An option that the entry does not declare, or a value it does not allow.
    #[error(
        "{plugin}: option '{option}' of '{id}': {reason}; `progtune plugins show {id}` lists the options"
    )]
    Option {
        /// The plugin and its file.
        plugin: String,
        /// The entry.
        id: String,
        /// The option as it was typed.
        option: String,
        /// What is wrong.
        reason: String,
    },
    /// A library that does not load.
    #[error("plugin {}: {reason}", file.display())]
    Load {
        /// The file.
        file: PathBuf,
        /// What was expected, what was found, what to do.
        reason: String,
    },
    /// The plugin answered with an error.
    #[error("{plugin}: {what}: {reason}")]
    Refused {
        /// The plugin and its file.
        plugin: String,
        /// What it was asked for.
        what: String,
        /// What its answer is about.
        code: ErrorCode,
        /// Its answer, with what to do next.
        reason: String,
    },
    /// The plugin's process gave no answer.
    #[error(
        "{plugin}: {what}: {reason}; there is no answer to go on with: get another build of the plugin, or tell its author"
    )]
    Unanswered {
        /// The plugin and its file.
        plugin: String,
        /// What it was asked for.
        what: String,
        /// What became of the process.
        reason: String,
    },
    /// The plugin answered with something that cannot be carried out.
    #[error("{plugin}: {what}: {reason}; this is a fault of the plugin, report it to its author")]
    Invalid {
        /// The plugin and its file.
        plugin: String,
        /// What it was asked for.
        what: String,
        /// What was expected, what was found.
        reason: String,
    },
}

/// What the lock refuses.
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
    /// The hashes that are pinned; none when the id is not pinned, which `--locked` refuses.
    pub expected: Vec<String>,
    /// The library's hash.
    pub found: String,
}

impl fmt::Display for PinFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lock, id) = (self.lock.display(), &self.id);
        let (fault, expected, advice) = match self.expected.is_empty() {
            true => (
                format!("is not pinned in {lock}, which --locked demands"),
                "a pin".to_owned(),
                "Pin it if you trust it",
            ),
            false => (
                format!("is pinned in {lock}, and what is found differs"),
                format!("sha256 {}", self.expected.join(" or ")),
                "Put the pinned build back, or accept this one",
            ),
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
    /// 2 for what the user typed (an unknown id, an option that is not declared or out of range, a directory that is
    /// not there, a lock file that cannot be read), 4 when a plugin is to blame or not the one that is pinned.
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
        text += &did_you_mean(id, available.iter().map(String::as_str));
        text += &format!("; available: {}", available.join(", "));
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

/// What is said where no plugin at all was found: schedules and methods are missing, and how they are had.
pub fn no_plugins(searched: &[PathBuf]) -> String {
    let searched: Vec<String> = searched
        .iter()
        .map(|path| format!("  {}", path.display()))
        .collect();
    format!(
        "no plugin was found\n\
         Schedules and methods are plugins, and this program has come without them\n\
         (`cargo install` installs the program alone).\n{}\nSearched:\n{}",
        completion(),
        searched.join("\n")
    )
}

/// The command that builds and installs the plugins that belong to the program.
fn completion() -> String {
    format!(
        "To build and install those of the project, in a checkout of its source:\n  \
         cargo build --release -p 'progtune-schedule-*' -p 'progtune-peft-*' &&\n    \
         progtune plugins install target/release/{}progtune_*{}\n\
         Or unpack an archive of `cargo xtask dist`, which has them, or name their\n\
         directory: --plugin-dir DIR.",
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
    fn what_is_misspelt_and_what_is_missing_are_told_apart() {
        let misspelt = unknown(&["adapter", "lora"], 3);
        assert_eq!(
            misspelt,
            "there is no method 'lroa'; did you mean 'lora'?; available: adapter, lora"
        );
        let none = unknown(&[], 0);
        assert!(none.contains("no plugin was found"), "{none}");
        assert!(none.contains("plugins install target/release/"), "{none}");
        assert!(none.ends_with("Searched:\n  /a\n  /b"), "{none}");
        assert!(!none.contains("did you mean"), "{none}");
        let schedules_alone = unknown(&[], 2);
        assert!(
            schedules_alone.contains("none of them is a method")
                && schedules_alone.contains("plugins install"),
            "{schedules_alone}"
        );
    }
}
