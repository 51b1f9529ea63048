//! A command's peak memory, as the kernel counts it. The tests of memory use it.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

/// Runs a command to success. Returns its standard error and its high-water mark of resident memory
/// in KiB.
///
/// # Panics
/// If the command fails.
#[track_caller]
pub fn run_to_peak(command: &mut Command) -> (String, f64) {
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut stderr = child.stderr.take().expect("it is piped");
    // Read concurrently: a full pipe would block the command.
    let text = thread::spawn(move || std::io::read_to_string(&mut stderr));
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0f64;
    while child.try_wait().expect("it can be waited for").is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let high = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let high = high.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse().ok());
        peak_kib = peak_kib.max(high.unwrap_or(0.0));
        thread::sleep(Duration::from_millis(5));
    }
    let text = text.join().expect("the reader ends").expect("UTF-8");
    assert!(child.wait().expect("it has ended").success(), "{text}");
    (text, peak_kib)
}
