//! The size of the thread pools. Called once by `main`, before any computation.
#![allow(unsafe_code)]

/// Makes rayon's global pool and candle's private one (which reads the environment at its first
/// operation) use `threads` threads.
pub fn configure(threads: usize) {
    // SAFETY: this is the first call in `main`, while the process has one thread, so no other
    // thread reads the environment.
    unsafe { std::env::set_var("RAYON_NUM_THREADS", threads.to_string()) };
    // A pool that already exists (in tests) is kept; results do not depend on its size.
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global();
}
