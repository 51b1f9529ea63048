//! The size of the thread pools. Called once by `main`, before any computation.
//!
//! ```no_run
//! // SAFETY: the process has no other thread yet.
//! unsafe { progtune_kernels::threads::configure(4) };
//! ```
#![allow(unsafe_code)]

/// Makes rayon's global pool and candle's private ones use `threads` threads.
///
/// candle takes the size of its pools from the environment variable `RAYON_NUM_THREADS`, which it
/// reads during its first operation, and offers no other way. Pools that already exist (in tests)
/// are kept; results do not depend on their size.
///
/// # Safety
/// While this function runs, no other thread may read or change the environment, except through
/// [`std::env`]: the conditions of [`std::env::set_var`]. A thread that only waits is harmless.
pub unsafe fn configure(threads: usize) {
    // SAFETY: passed on from the caller.
    unsafe { std::env::set_var("RAYON_NUM_THREADS", threads.to_string()) };
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global();
}
