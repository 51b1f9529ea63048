//! Panics of the libraries that read columnar files, as errors. Called by `parquet` and `arrow`.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// Whether this thread is inside [`contain`].
    static CONTAINED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// The result of `read`, or `None` if it panicked: the libraries assert some of what they read from a file (60.1: negative
/// sizes, a page that wants a dictionary the file lacks), and a damaged file must neither end the process nor look like a
/// bug of ours on the terminal. The first call puts a panic hook before the one in place, which keeps quiet about panics
/// in here and passes on all others.
pub(super) fn contain<T>(read: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !CONTAINED.get() {
                others(info);
            }
        }));
    });
    CONTAINED.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(read));
    CONTAINED.set(false);
    result.ok()
}

/// What is said of a file whose reader panicked.
pub(super) const CONTRADICTORY: &str =
    "contents that contradict each other, so that the decoder gave up";

#[cfg(test)]
mod tests {
    use super::contain;

    /// That damaged files come out as errors is tested from outside, in `tests/readers/parquet_files` and `tests/own/tables`.
    #[test]
    fn a_panic_is_contained() {
        assert_eq!(contain(|| 3), Some(3));
        assert_eq!(contain(|| -> u8 { panic!("kept quiet about") }), None);
        assert_eq!(contain(|| 4), Some(4));
    }
}
