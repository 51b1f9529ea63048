//! Errors in flags, environment variables and configuration files. The modules of `config` create
//! them; `main` prints them.

use std::path::PathBuf;

/// A configuration that cannot be used. Each message names the key and the origin of its value,
/// then says what was expected, what was found and what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// An unknown key in a file or in the environment.
    #[error("{place}: there is no key `{key}`; {advice}")]
    UnknownKey {
        /// The file, or the environment variable.
        place: String,
        /// The key as it was written.
        key: String,
        /// The nearest key, or where the list of keys can be found.
        advice: String,
    },
    /// A key in a file that belongs to other commands.
    #[error("{place}: `{key}` is a key of {owners}, not of this command; remove it")]
    ForeignKey {
        /// The file.
        place: String,
        /// The key as it was written.
        key: String,
        /// The commands that accept it.
        owners: &'static str,
    },
    /// A value that the key does not accept.
    #[error("{key} (from {origin}): expected {expected}, found {found}; {advice}")]
    BadValue {
        /// The key, in snake case.
        key: String,
        /// The flag, environment variable or file that gave the value.
        origin: String,
        /// The values that the key accepts.
        expected: String,
        /// The given value.
        found: String,
        /// The advice, in the syntax of the origin.
        advice: String,
    },
    /// A required key that was not given.
    #[error("{key} is missing: {reason}; {advice}")]
    Missing {
        /// The key, as a flag.
        key: String,
        /// The reason why it is required.
        reason: String,
        /// The advice.
        advice: String,
    },
    /// Two valid values that exclude each other.
    #[error("{first} and {second} exclude each other: {reason}; {advice}")]
    Conflict {
        /// One value and its origin.
        first: String,
        /// The other value and its origin.
        second: String,
        /// The reason.
        reason: String,
        /// The advice.
        advice: String,
    },
    /// A configuration file that cannot be read or is not TOML.
    #[error("{}: {reason}; {advice}", path.display())]
    File {
        /// The file given by `--config` or `PROGTUNE_CONFIG`.
        path: PathBuf,
        /// The problem, with its line if that is known.
        reason: String,
        /// The advice.
        advice: String,
    },
}

impl ConfigError {
    /// The exit code for this error: 2, for arguments and configuration.
    pub fn exit_code(&self) -> u8 {
        2
    }
}

impl From<ConfigError> for progtune_engine::Error {
    fn from(error: ConfigError) -> Self {
        Self::Config(Box::new(error))
    }
}
