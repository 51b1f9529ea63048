//! What can be wrong with flags, environment variables and configuration files. Made by the modules of
//! `config`, rendered once in `main`.

use std::path::PathBuf;

/// A configuration that cannot be used. Each message names the key and where its value came from, what was
/// expected, what was found and what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// A file or the environment sets something that no key stands for.
    #[error("{place}: there is no key `{key}`; {advice}")]
    UnknownKey {
        /// The file, or the environment variable.
        place: String,
        /// The key as found.
        key: String,
        /// The nearest key, or where to find them all.
        advice: String,
    },
    /// A file sets a key that belongs to other commands.
    #[error("{place}: `{key}` is a key of {owners}, not of this command; remove it")]
    ForeignKey {
        /// The file.
        place: String,
        /// The key as found.
        key: String,
        /// The commands that read it.
        owners: &'static str,
    },
    /// A value that its key does not take.
    #[error("{key} (from {origin}): expected {expected}, found {found}; {advice}")]
    BadValue {
        /// The key, in snake case.
        key: String,
        /// The flag, environment variable or file that gave the value.
        origin: String,
        /// What the key takes.
        expected: String,
        /// What was given.
        found: String,
        /// What to do, in the form that the origin has.
        advice: String,
    },
    /// A key without which the rest makes no sense.
    #[error("{key} is missing: {reason}; {advice}")]
    Missing {
        /// The key, as a flag.
        key: String,
        /// Why it is needed.
        reason: String,
        /// What to do.
        advice: String,
    },
    /// Two values, each good by itself, that exclude each other.
    #[error("{first} and {second} exclude each other: {reason}; {advice}")]
    Conflict {
        /// One value with its origin.
        first: String,
        /// The other.
        second: String,
        /// Why.
        reason: String,
        /// What to do.
        advice: String,
    },
    /// A configuration file that cannot be read or is not TOML.
    #[error("{}: {reason}; {advice}", path.display())]
    File {
        /// The file given by `--config` or `PROGTUNE_CONFIG`.
        path: PathBuf,
        /// What is wrong, with the line where there is one.
        reason: String,
        /// What to do.
        advice: String,
    },
}

impl ConfigError {
    /// The exit code of the process for this error: 2, bad arguments or configuration.
    pub fn exit_code(&self) -> u8 {
        2
    }
}

impl From<ConfigError> for progtune_engine::error::Error {
    fn from(error: ConfigError) -> Self {
        Self::Config(Box::new(error))
    }
}
