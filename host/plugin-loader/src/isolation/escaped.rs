//! Processes that a plugin has started and that have left its process group (`fork` and `setsid`).
//! They inherit the environment of the plugin's process, which contains a variable with a random
//! value. They are found by it and killed.
//!
//! Two kinds escape: a process that was started with another environment in a group of its own, and
//! any process on systems other than Linux, which do not show the environment of a process.

/// The name of the variable.
pub(super) const VARIABLE: &str = "PROGTUNE_PLUGIN_PROCESS";

/// The number of searches. A process that is being killed may just have started another.
#[cfg(target_os = "linux")]
const ROUNDS: u32 = 50;

/// Kills every process with this value of the variable, except this process.
#[cfg(target_os = "linux")]
pub(super) fn kill(value: &str) {
    let marker = format!("{VARIABLE}={value}").into_bytes();
    for _ in 0..ROUNDS {
        let marked = marked(&marker);
        if marked.is_empty() {
            return;
        }
        for pid in marked {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// The processes with this text in their environment. A zombie has none.
#[cfg(target_os = "linux")]
fn marked(marker: &[u8]) -> Vec<rustix::process::Pid> {
    use rustix::process::{Pid, getpid};
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return vec![];
    };
    let numbered = processes
        .flatten()
        .filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    let is_marked = |pid: &Pid| {
        let environment = std::fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero()));
        environment.is_ok_and(|all| all.split(|&byte| byte == 0).any(|entry| entry == marker))
    };
    numbered
        .filter(|&pid| pid != getpid())
        .filter(is_marked)
        .collect()
}

/// Finds no process, because this system does not show their environments.
#[cfg(not(target_os = "linux"))]
pub(super) fn kill(_value: &str) {}
