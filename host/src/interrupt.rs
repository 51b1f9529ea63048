//! Ctrl-C and SIGTERM: the first one asks the run to stop after its step, the second one ends the process.
//! Listened to by the recipe, asked by the trainer; plugins see it as `HostRecord::cancelled`.

use crate::{plugin::set_cancelled, progress::events, terminal};
use std::sync::atomic::{AtomicBool, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Starts listening; a second call changes nothing.
pub fn listen() {
    let outcome = ctrlc::set_handler(|| {
        if REQUESTED.swap(true, Ordering::SeqCst) {
            terminal::set_bar(None);
            events::failure_of("interrupted at once; a result was not saved", 130);
            std::process::exit(130);
        }
        set_cancelled(true);
        tracing::warn!("stopping after this step; once more (Ctrl-C) ends the run at once");
    });
    if let Err(error) = outcome {
        tracing::debug!("no signal handler: {error}");
    }
}

/// Whether the user asked to stop.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}
