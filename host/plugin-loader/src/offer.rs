//! The features that the program offers to plugins. The host states them, and every plugin receives
//! them.

use crate::printable::printable;
use abi_stable::{
    prefix_type::PrefixTypeTrait,
    std_types::{RStr, RString},
};
use progtune_plugin_api::{
    graph::Op,
    host::{HostApi, HostApi_Ref},
    manifest::ABI_MINOR,
    open::Attribute,
    records::{HostRecord, Mode, SiteKind},
};
use std::sync::{
    LazyLock, OnceLock,
    atomic::{AtomicBool, Ordering},
};

/// The features of a host. A plugin that needs others is refused by name before training.
#[derive(Debug, Clone, Copy)]
pub struct Offer {
    /// The host's version.
    pub version: &'static str,
    /// The graph operations it runs.
    pub operations: &'static [Op],
    /// The rewrite modes it runs.
    pub modes: &'static [Mode],
    /// The signals a schedule may subscribe to; see [`HostRecord::signals`].
    pub signals: &'static [&'static str],
    /// Further statements: [`HostRecord::ext`].
    pub extensions: fn() -> Vec<Attribute>,
}

impl Offer {
    /// The same as the record that plugins receive.
    pub fn record(&self) -> HostRecord {
        static API: LazyLock<HostApi_Ref> =
            LazyLock::new(|| HostApi { log, cancelled }.leak_into_prefix());
        HostRecord {
            name: "progtune".into(),
            version: self.version.into(),
            abi_minor: ABI_MINOR,
            ops: self.operations.to_vec().into(),
            site_kinds: SiteKind::KNOWN.to_vec().into(),
            modes: self.modes.to_vec().into(),
            signals: self.signals.iter().copied().map(RString::from).collect(),
            api: *API,
            ext: (self.extensions)().into(),
        }
    }
}

static CANCELLED: AtomicBool = AtomicBool::new(false);

/// Tells plugins whether the user asked the run to stop.
pub fn set_cancelled(cancelled: bool) {
    CANCELLED.store(cancelled, Ordering::Relaxed);
}

/// Whether the user asked the run to stop.
pub(crate) fn is_cancelled() -> bool {
    CANCELLED.load(Ordering::Relaxed)
}

/// Takes a line for the log and its level.
type LogSink = dyn Fn(u32, &str) + Send + Sync;

/// The destination of log lines in a process that has no log of its own.
static FORWARD: OnceLock<Box<LogSink>> = OnceLock::new();

/// Sends the log lines of plugins to this function from now on.
pub(crate) fn forward_log(sink: impl Fn(u32, &str) + Send + Sync + 'static) {
    let _ = FORWARD.set(Box::new(sink));
}

/// Writes a plugin's line to the log.
pub(crate) fn write_log(level: u32, message: &str) {
    let message = printable(message);
    match level {
        1 => tracing::error!(target: "plugin", "{message}"),
        2 => tracing::warn!(target: "plugin", "{message}"),
        3 => tracing::info!(target: "plugin", "{message}"),
        _ => tracing::debug!(target: "plugin", "{message}"),
    }
}

extern "C" fn log(level: u32, message: RStr<'_>) {
    // A subscriber that panics must not unwind into a plugin.
    let _ = std::panic::catch_unwind(|| match FORWARD.get() {
        Some(sink) => sink(level, message.as_str()),
        None => write_log(level, message.as_str()),
    });
}

extern "C" fn cancelled() -> bool {
    is_cancelled()
}
