//! Marks for the timeline of a run (`--profile`): which work goes on, on which thread. Kernels,
//! engine and recipe set them; `progtune_process::timeline` collects them. Without a profile a mark
//! costs one comparison.
//!
//! ```
//! # use progtune_kernels::{timed, timed_task};
//! fn head() {
//!     timed!("head"); // to the end of the function
//!     [1, 2].map(|_| {
//!         timed_task!("head task"); // one of several that run at once
//!     });
//! }
//! # head();
//! ```

pub use tracing::trace_span;

/// The target of marks for the steps of a computation, one after the other on its thread.
pub const PHASE: &str = "timeline.phase";
/// The target of marks for tasks into which a step is divided, on all threads.
pub const TASK: &str = "timeline.task";

/// Marks the rest of the scope as this step, perhaps with a number such as that of a block.
#[macro_export]
macro_rules! timed {
    ($name:literal) => {
        let _timed = $crate::timeline::trace_span!(target: "timeline.phase", $name).entered();
    };
    ($name:literal, $number:expr) => {
        let _timed =
            $crate::timeline::trace_span!(target: "timeline.phase", $name, number = $number as u64)
                .entered();
    };
}

/// Marks the rest of the scope as one of the tasks of a step.
#[macro_export]
macro_rules! timed_task {
    ($name:literal) => {
        let _timed = $crate::timeline::trace_span!(target: "timeline.task", $name).entered();
    };
}
