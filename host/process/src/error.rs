//! The failures of a process' surroundings: a file that the system refuses, an argument that does
//! not fit, or a user who asks to stop. The engine's error wraps them.

use crate::signal::Signal;
use std::path::{Path, PathBuf};

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the process' surroundings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Arguments that do not fit the place, for example an output directory that is in use.
    #[error("{0}")]
    Usage(String),
    /// The file system refused.
    #[error("{}: cannot {action}: {source}; {}", path.display(), io_hint(source))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The attempt: `read`, `create`, ….
        action: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The user asked to stop before there was anything to keep.
    #[error("interrupted{}; nothing was saved", while_doing(doing.as_deref()))]
    Stopped {
        /// The work at that moment: `tokenising the train split`.
        doing: Option<String>,
    },
}

impl Error {
    /// An I/O error with its path, for `map_err`.
    pub fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            path,
            action,
            source,
        }
    }

    /// The exit code: 2 arguments, 3 files, otherwise that of Ctrl-C for any signal.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Io { .. } => 3,
            Self::Stopped { .. } => Signal::Interrupt.exit_code(),
        }
    }
}

fn while_doing(doing: Option<&str>) -> String {
    doing.map_or_else(String::new, |doing| format!(" while {doing}"))
}

fn io_hint(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::NotFound => "check the path",
        std::io::ErrorKind::PermissionDenied => "check the permissions, or choose another path",
        std::io::ErrorKind::NotADirectory => {
            "a part of the path is a file, not a directory: choose another path"
        }
        std::io::ErrorKind::InvalidData => {
            "the file is damaged or has another format: fetch it again"
        }
        std::io::ErrorKind::FileTooLarge => {
            "the file is damaged or made for something else: use another one"
        }
        std::io::ErrorKind::StorageFull => "free some space, or write to another disk",
        std::io::ErrorKind::InvalidInput => "choose another path",
        _ => "check the disk and the path",
    }
}
