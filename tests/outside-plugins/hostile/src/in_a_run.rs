//! What the plugin does in a run only, after it has behaved in its trial: by markers that begin with `run-`. A trial is known by
//! the command line of its process.
//!
//! Where something is done once, a file says that it was done: `HOSTILE-DONE`, beside the library's private copy, since the
//! process has no variables of the test.

use super::{crash, is};
use progtune_plugin_api::prelude::*;
use std::{
    ffi::{c_int, c_long},
    fs, thread,
    time::Duration,
};

unsafe extern "C" {
    fn fork() -> c_int;
    fn setsid() -> c_int;
    fn close(descriptor: c_int) -> c_int;
    fn umask(mask: u32) -> u32;
    fn raise(signal: c_int) -> c_int;
    fn _exit(code: c_int) -> !;
    fn write(descriptor: c_int, bytes: *const u8, count: usize) -> isize;
    fn sysconf(name: c_int) -> c_long;
}

/// Whether this process only tries the library.
fn is_trial() -> bool {
    fs::read("/proc/self/cmdline").is_ok_and(|line| {
        line.split(|&byte| byte == 0).any(|word| word == b"__probe-plugin")
    })
}

/// Whether something was done before, in this process or in an earlier one of the run; it is from now on.
fn was_done() -> bool {
    fs::File::create_new("HOSTILE-DONE").is_err()
}

/// The misdeeds of a schedule in its plans from epoch 2 on; `None`: it plans as if nothing had been.
pub fn plan(run: &RunRecord, decision: &DecisionRecord) -> Option<SchedulePlan> {
    if is_trial() {
        return None;
    }
    if is("run-in-its-place") {
        mischief();
    }
    if decision.epoch < 2 {
        return None;
    }
    let trained = |n: usize| SchedulePlan::train(0..n as u32);
    if is("run-plan-differs") {
        static CALLS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let calls = CALLS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        return Some(trained(run.candidates.len() - calls % 2));
    }
    if is("run-plan-differs-later") {
        // The two calls of one question agree, those of the next question are others.
        static CALLS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let calls = CALLS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        return Some(trained(run.candidates.len() - calls / 2 % 2));
    }
    in_the_call();
    for_later();
    None
}

/// Does one thing wrong while it is asked.
fn in_the_call() {
    // SAFETY: calls of the C library as it documents them; what they do to this process is what is tested.
    unsafe {
        if is("run-exits") {
            _exit(0);
        } else if is("run-kills-itself") {
            raise(9);
        } else if is("run-crashes") {
            crash();
        } else if is("run-closes-descriptors") {
            for descriptor in 0..sysconf(4).min(4096) as c_int {
                close(descriptor);
            }
        } else if is("run-writes-garbage") {
            for descriptor in 3..64 {
                write(descriptor, b"garbage".as_ptr(), 7);
            }
        }
    }
    if is("run-hangs") {
        loop {
            std::hint::spin_loop();
        }
    } else if is("run-hangs-once") && !was_done() {
        thread::sleep(Duration::from_secs(1_000_000));
    } else if is("run-allocates") {
        let mut all: Vec<Vec<u8>> = Vec::new();
        loop {
            all.push(vec![1; 16 << 20]);
        }
    }
}

/// Leaves something behind that strikes when nobody asks.
fn for_later() {
    let crash_soon = || {
        thread::spawn(|| {
            thread::sleep(Duration::from_millis(5));
            crash();
        });
    };
    if is("run-thread-crashes") || (is("run-follows-signals") && !was_done()) {
        crash_soon();
    }
}

/// What a process may do to itself and others without a crash: the run must not notice.
fn mischief() {
    let _ = std::env::set_current_dir("/");
    for line in 0..3 {
        println!("printed \u{1b}[31m{line}");
        eprintln!("complained {line}");
    }
    // SAFETY: as above; the child of `fork` makes system calls only.
    unsafe {
        umask(0o777);
        if fork() == 0 {
            setsid();
            loop {
                thread::sleep(Duration::from_secs(1000));
            }
        }
    }
}

/// A method is not needed any more once it has planned.
pub fn after_method_plan() {
    if is("run-method-thread-crashes") && !is_trial() {
        thread::spawn(|| {
            thread::sleep(Duration::from_millis(50));
            crash();
        });
    }
}
