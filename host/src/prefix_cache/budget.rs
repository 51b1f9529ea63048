//! How much the cache may take, where it goes, and which examples it then holds. Called by the prefix cache, once a run.

use crate::config::PrefixCache as Mode;
use std::{fs, path::Path};

/// What is assumed to be free where the system does not say.
const UNKNOWN: u64 = 2 << 30;

/// Bytes the cache may take in each place.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// In memory.
    pub ram: u64,
    /// On the run directory's disk.
    pub disk: u64,
}

impl Limits {
    /// Of the budget that was given, else a quarter of the available memory and half of the free disk (to which the
    /// `reusable` bytes of an earlier file count).
    pub fn new(budget: Option<u64>, directory: &Path, reusable: u64) -> Self {
        Self {
            ram: budget.unwrap_or_else(|| available_memory().unwrap_or(UNKNOWN) / 4),
            disk: budget
                .unwrap_or_else(|| (free_disk(directory).unwrap_or(UNKNOWN) + reusable) / 2),
        }
    }
}

/// Where entries are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In memory.
    Ram,
    /// In a file of the run directory.
    Disk,
}

/// Where the cache goes, and for each entry whether it is kept.
///
/// With `Auto`: memory when all of it fits, else disk when all of it fits there, else a part of it in memory.
pub fn place(mode: Mode, sizes: &[u64], limits: Limits) -> Option<(Place, Vec<bool>)> {
    let all: u64 = sizes.iter().sum();
    let (place, limit) = match mode {
        Mode::Off => return None,
        Mode::Ram => (Place::Ram, limits.ram),
        Mode::Disk => (Place::Disk, limits.disk),
        Mode::Auto if all > limits.ram && all <= limits.disk => (Place::Disk, limits.disk),
        Mode::Auto => (Place::Ram, limits.ram),
    };
    Some((place, subset(sizes, limit)))
}

/// The entries, in order, that fit into `budget` together: each one that still does. Depends on nothing else, so that it
/// stays the same for the whole run.
fn subset(sizes: &[u64], budget: u64) -> Vec<bool> {
    let mut left = budget;
    sizes
        .iter()
        .map(|&size| {
            let fits = size <= left;
            left -= if fits { size } else { 0 };
            fits
        })
        .collect()
}

/// Memory that can be taken without pressing others: the machine's, and no more than this process' control groups allow.
#[cfg(target_os = "linux")]
fn available_memory() -> Option<u64> {
    let free = meminfo_available(&fs::read_to_string("/proc/meminfo").ok()?)?;
    Some(free.min(group_allowance().unwrap_or(u64::MAX)))
}

#[cfg(not(target_os = "linux"))]
fn available_memory() -> Option<u64> {
    None
}

/// `MemAvailable` of `/proc/meminfo` in bytes.
fn meminfo_available(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// What the memory limits of the control groups (version 2) above this process leave.
fn group_allowance() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let root = Path::new("/sys/fs/cgroup");
    let number = |path: &Path| -> Option<u64> {
        let text = fs::read_to_string(path).ok()?;
        text.trim().parse().ok()
    };
    root.join(own)
        .ancestors()
        .take_while(|group| group.starts_with(root))
        .filter_map(|group| {
            let limit = number(&group.join("memory.max"))?;
            Some(limit.saturating_sub(number(&group.join("memory.current"))?))
        })
        .min()
}

/// Bytes a user may still write to the disk of a directory.
#[cfg(unix)]
fn free_disk(directory: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(directory).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

#[cfg(not(unix))]
fn free_disk(_: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        ram: 100,
        disk: 1000,
    };

    #[test]
    fn memory_first_then_disk_then_a_part_in_memory() {
        let placed = |mode, sizes: &[u64]| place(mode, sizes, LIMITS).unwrap();
        assert_eq!(placed(Mode::Auto, &[60, 40]), (Place::Ram, vec![true; 2]));
        assert_eq!(placed(Mode::Auto, &[60, 41]), (Place::Disk, vec![true; 2]));
        assert_eq!(
            placed(Mode::Auto, &[60, 1000]),
            (Place::Ram, vec![true, false])
        );
        assert_eq!(
            placed(Mode::Disk, &[1, 1000]),
            (Place::Disk, vec![true, false])
        );
        assert_eq!(
            placed(Mode::Ram, &[1, 1000]),
            (Place::Ram, vec![true, false])
        );
        assert_eq!(place(Mode::Off, &[1], LIMITS), None);
    }

    #[test]
    fn a_part_is_what_still_fits_in_order() {
        assert_eq!(
            subset(&[5, 4, 3, 2, 1], 10),
            [true, true, false, false, true]
        );
        assert_eq!(subset(&[5, 5], 0), [false, false]);
        assert_eq!(subset(&[5, 5], u64::MAX), [true, true]);
        assert_eq!(subset(&[], 0), Vec::<bool>::new());
    }

    #[test]
    fn a_budget_replaces_what_is_measured() {
        let limits = Limits::new(Some(7), Path::new("/nowhere"), 100);
        assert_eq!((limits.ram, limits.disk), (7, 7));
        let limits = Limits::new(None, Path::new("."), 0);
        assert!(limits.ram > 0 && limits.disk > 0);
    }

    #[test]
    fn available_memory_is_read() {
        let text = "MemTotal:       24000000 kB\nMemAvailable:   2000 kB\nBuffers: 1 kB\n";
        assert_eq!(meminfo_available(text), Some(2_048_000));
        assert_eq!(meminfo_available("MemTotal: 1 kB\n"), None);
    }
}
