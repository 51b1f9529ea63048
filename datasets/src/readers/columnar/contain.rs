//! Panics of the libraries that read columnar files, converted to errors. Called by `parquet` and
//! `arrow`.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// Whether this thread is inside [`contain`].
    static CONTAINED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// The result of `read`, or `None` if it panicked. The libraries assert parts of what they read
/// from a file (60.1: negative sizes, a page that wants a dictionary the file lacks). A damaged
/// file must neither end the process nor look like one of our bugs on the terminal. The first call
/// installs a panic hook that suppresses panics in here and passes on all others to the previous
/// hook.
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

/// The description of a file whose reader panicked.
pub(super) const CONTRADICTORY: &str = "inconsistent contents that the decoder could not read";

#[cfg(test)]
mod tests {
    use super::contain;

    /// Tests in `tests/readers/parquet_files` and `tests/own/tables` check from outside that
    /// damaged files are reported as errors.
    #[test]
    fn a_panic_is_contained() {
        assert_eq!(contain(|| 3), Some(3));
        assert_eq!(contain(|| -> u8 { panic!("kept quiet about") }), None);
        assert_eq!(contain(|| 4), Some(4));
    }
}
