//! Panics of the tokenizer library, converted to errors. Called wherever the library builds a
//! tokenizer from files, or runs one.

use std::{
    any::Any,
    panic::{self, AssertUnwindSafe},
    sync::{
        Once,
        atomic::{AtomicUsize, Ordering},
    },
};

/// The number of calls of [`contain`] that are running. The library works on threads of its own,
/// so that a mark on this thread would not be enough.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// The result of `work`, or the message of its panic. The library (0.22) asserts parts of what it
/// reads: a merge that is shorter than its prefix, the table of a normaliser. A damaged file must
/// neither end the process nor look like one of our bugs on the terminal. The first call installs
/// a panic hook that suppresses the library's panics in here, and passes on all others.
pub(super) fn contain<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let file = info.location().map_or("", |place| place.file());
            if RUNNING.load(Ordering::SeqCst) == 0 || is_ours(file) {
                others(info);
            }
        }));
    });
    RUNNING.fetch_add(1, Ordering::SeqCst);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    RUNNING.fetch_sub(1, Ordering::SeqCst);
    result.map_err(|panic| format!("unusable contents ({})", message(&*panic)))
}

/// Whether a source file belongs to this workspace, whose paths are relative.
fn is_ours(file: &str) -> bool {
    ["host/", "datasets/", "plugin-api/"]
        .iter()
        .any(|folder| file.starts_with(folder))
}

/// The message of a panic, if it is a text.
fn message(panic: &(dyn Any + Send)) -> String {
    let fixed = panic.downcast_ref::<&str>().copied();
    let text = fixed.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_message() {
        assert_eq!(contain(|| 3), Ok(3));
        let (at, list) = (5, [1, 2]);
        let panicked = contain(|| list[std::hint::black_box(at)]);
        assert!(panicked.unwrap_err().contains("index out of bounds"));
        assert!(!is_ours(
            "/home/me/.cargo/registry/src/x/tokenizers-0.22.0/src/lib.rs"
        ));
    }
}
