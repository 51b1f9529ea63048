//! The plugin's misdeeds in a run, after it has behaved well in its trial. Their markers begin with
//! `run-`. It recognises a trial by the command line of its process.
//!
//! If a misdeed happens only once, a file records it: `HOSTILE-DONE`, beside the library's private
//! copy, because the process has none of the test's environment variables.

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

/// Whether the misdeed has happened before, in this process or in an earlier one of the run. From
/// now on it has.
fn was_done() -> bool {
    fs::File::create_new("HOSTILE-DONE").is_err()
}

/// The misdeeds of a schedule in its plans from epoch 2 on. With `None` it plans normally.
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
        // The two calls of one question agree; those of the next question differ from them.
        static CALLS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let calls = CALLS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        return Some(trained(run.candidates.len() - calls / 2 % 2));
    }
    in_the_call();
    for_later();
    None
}

/// Does one thing wrong during a question.
fn in_the_call() {
    // SAFETY: calls of the C library as it documents them. Their effect on this process is the
    // subject of the test.
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

/// Leaves something behind that strikes between questions.
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

/// Harm that a process can do to itself and others without a crash. The run must not notice it.
fn mischief() {
    let _ = std::env::set_current_dir("/");
    for line in 0..3 {
        println!("printed \u{1b}[31m{line}");
        eprintln!("complained {line}");
    }
    // SAFETY: as above; the child of `fork` makes only system calls.
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

/// A method is no longer needed after it has planned.
pub fn after_method_plan() {
    if is("run-method-thread-crashes") && !is_trial() {
        thread::spawn(|| {
            thread::sleep(Duration::from_millis(50));
            crash();
        });
    }
}
