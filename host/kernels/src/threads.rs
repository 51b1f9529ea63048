//! The size of the thread pools. Called once by `main`, before any computation.
//!
//! ```no_run
//! // SAFETY: the process has no other thread yet.
//! unsafe { progtune_kernels::threads::configure(4) };
//! ```
#![allow(unsafe_code)]

/// Makes rayon's global pool and candle's private ones use `threads` threads. The calling thread
/// becomes one of rayon's, so that it computes instead of waiting for the others to wake up.
///
/// candle takes the size of its pools from environment variables, which it reads during its first
/// operation, and offers no other way. `RAYON_NUM_THREADS` is for its products. The pool for
/// element-wise operations (`CANDLE_NUM_THREADS`) waits by spinning: on a busy machine a thread
/// then uses up its time while the one it waits for is not running. Two threads were slower than
/// one, so that pool gets one thread unless the user sets the variable. Pools that already exist
/// (in tests) are kept; results do not depend on their size.
///
/// # Safety
/// While this function runs, no other thread may read or change the environment, except through
/// [`mod@std::env`]: the conditions of [`std::env::set_var`]. A thread that only waits is harmless.
pub unsafe fn configure(threads: usize) {
    // SAFETY: passed on from the caller.
    unsafe { std::env::set_var("RAYON_NUM_THREADS", threads.to_string()) };
    if std::env::var_os("CANDLE_NUM_THREADS").is_none() {
        // SAFETY: passed on from the caller.
        unsafe { std::env::set_var("CANDLE_NUM_THREADS", "1") };
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    // A pool of the calling thread alone would not run the work of other threads while that thread
    // waits for them.
    let pool = if threads > 1 {
        pool.use_current_thread()
    } else {
        pool
    };
    let _ = pool.build_global();
}
