//! The peak memory of this process, as counted by the system. Called by the report.

/// The largest resident set so far in bytes; `None` if the system does not report it.
pub(super) fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let high = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = high.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    #[test]
    fn it_grows_with_what_is_held() {
        let held = vec![1u8; 32 << 20];
        let peak = super::peak_memory().expect("Linux reports the peak");
        assert!(peak > held.iter().map(|&n| u64::from(n)).sum());
    }
}
