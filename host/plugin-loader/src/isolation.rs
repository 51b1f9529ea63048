//! Plugins in processes of their own, so that they cannot take the run with them.
//!
//! A thread of native code cannot be stopped and a library has no limits of its own. So each library that a run uses is opened
//! by a child, which is this same executable, started with a hidden argument ([`crate::probe::answer_if_asked`] makes it serve).
//! The child has its own standard output, working directory, umask, memory limit and process group, and a deadline for each
//! answer. Whatever the plugin does there, the run goes on without it, or ends with a message.
//!
//! - `frame`: messages on a socket; `message`: which there are;
//! - `server`: the child; `process`: a child as the run sees it;
//! - `client`: the schedules and methods in a child, and what is done when it dies between two questions;
//! - `escaped`: what a plugin has started and hidden.
//!
//! [`crate::bridge`] uses it and checks what comes back as it does with a library in this process.

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

/// The exit code of a plugin's process that cannot answer any more.
const LOST_CONNECTION: i32 = 113;

/// Where plugins run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Each library in a process of its own.
    #[default]
    Process,
    /// In this process.
    None,
}

impl Isolation {
    /// What it is called on the command line.
    pub const NAMES: &'static [(&'static str, Self)] =
        &[("process", Self::Process), ("none", Self::None)];

    /// Whether this system can do it.
    pub const fn is_supported(self) -> bool {
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

/// What a plugin's process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Limits {
    /// How long one answer may take.
    pub deadline: Duration,
    /// Its private memory in bytes (`RLIMIT_DATA`).
    pub memory: u64,
}

impl Default for Limits {
    /// 10 s and 1 GiB. An answer takes milliseconds and a few megabytes; the deadline is for loaded machines, the memory for a
    /// long history of signals.
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(10),
            memory: 1 << 30,
        }
    }
}
