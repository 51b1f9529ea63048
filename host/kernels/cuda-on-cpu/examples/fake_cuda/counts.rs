//! Counts of the calls, by name, written when the program ends.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    sync::{Mutex, Once, PoisonError},
};

static COUNTS: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

unsafe extern "C" {
    fn atexit(function: extern "C" fn()) -> i32;
}

/// Adds to a count.
pub(crate) fn add(name: &str, n: u64) {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        // SAFETY: the function stays loaded, because the library is never closed.
        unsafe { atexit(write) };
    });
    let mut counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    match counts.get_mut(name) {
        Some(count) => *count += n,
        None => {
            counts.insert(name.to_owned(), n);
        }
    }
}

/// Writes lines of a name and a count.
extern "C" fn write() {
    let Some(path) = std::env::var_os("FAKE_CUDA_COUNTS") else {
        return;
    };
    let counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut text = String::new();
    for (name, count) in counts.iter() {
        let _ = writeln!(text, "{name} {count}");
    }
    if let Err(error) = fs::write(&path, text) {
        eprintln!("fake_cuda: {}: {error}", path.display());
    }
}
