//! The one way in which the hub fails: a repository, a revision or a file that cannot be had.

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A repository, revision or file that is neither cached nor available. The message names it, gives
/// the reason, and says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);
