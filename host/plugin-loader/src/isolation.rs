//! Plugins in processes of their own, so that they cannot take the run down with them.
//!
//! A thread of native code cannot be stopped, and a library has no limits of its own. Each library
//! of a run is therefore opened by a child. The child is this same executable, started with a
//! hidden argument, on which [`crate::probe::answer_if_asked`] makes it serve. It has its own
//! standard output, working directory, umask, memory limit and process group, and a deadline for
//! each answer. Whatever the plugin does there, the run continues without it or ends with a
//! message.
//!
//! - `frame` has messages on a socket, and `message` their kinds.
//! - `server` is the child, and `process` is a child from the run's side.
//! - `client` has the schedules and methods in a child, and replaces a child that dies between two
//!   questions.
//! - `escaped` finds processes that a plugin has started and hidden.
//!
//! [`crate::bridge`] calls it, and checks the answers like those of a library in this process.

#[cfg(unix)]
mod client;
#[cfg(not(unix))]
#[path = "isolation/unsupported.rs"]
mod client;
#[cfg(unix)]
mod escaped;
#[cfg(unix)]
mod frame;
#[cfg(unix)]
mod message;
#[cfg(unix)]
mod process;
#[cfg(unix)]
mod server;

pub(crate) use client::{Answered, Launch, RemoteMethod, RemoteSchedule, Server};
#[cfg(unix)]
pub(crate) use server::serve;

use std::{fmt, time::Duration};

/// The argument that makes a program serve a plugin.
pub(crate) const ARGUMENT: &str = "__serve-plugin";

/// The exit code of a plugin's process that has lost its connection.
const LOST_CONNECTION: i32 = 113;

/// The process in which plugins run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Isolation {
    /// A process for each library.
    #[default]
    Process,
    /// This process.
    None,
}

impl Isolation {
    /// The names on the command line.
    pub const NAMES: &'static [(&'static str, Self)] =
        &[("process", Self::Process), ("none", Self::None)];

    /// Whether this system supports it.
    pub(crate) const fn is_supported(self) -> bool {
        matches!(self, Self::None) || cfg!(unix)
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Process => "process",
            Self::None => "none",
        })
    }
}

/// The limits of a plugin's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Limits {
    /// The maximum duration of one answer.
    pub(crate) deadline: Duration,
    /// The maximum private memory in bytes (`RLIMIT_DATA`).
    pub memory: u64,
}

impl Default for Limits {
    /// 10 s and 1 GiB. An answer takes milliseconds and a few megabytes. The deadline allows for
    /// loaded machines, and the memory for a long history of signals.
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(10),
            memory: 1 << 30,
        }
    }
}
