//! Decides the size limit of the cache, its place, and which examples it holds. Called by the
//! prefix cache once per run.

use super::settings::Mode;
use progtune_engine::Result;
use progtune_pipeline::token_store::Examples;
use progtune_process::ByteSize;
use std::{fs, path::Path};

/// The amount assumed to be free if the system does not report one.
const UNKNOWN: u64 = 2 << 30;

/// Size limits of the cache in bytes, for each place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The limit in memory.
    pub ram: u64,
    /// The limit on the run directory's disk.
    pub disk: u64,
    /// The limit on the GPU that trains; 0 without one.
    pub gpu: u64,
}

impl Limits {
    /// Limits both places to the given budget. Without a budget, the limits are a quarter of the
    /// available memory and half of the free disk space. The `reusable` bytes of an earlier run's
    /// file count as free.
    pub(super) fn new(budget: Option<ByteSize>, directory: &Path, reusable: u64) -> Self {
        let budget = budget.map(|ByteSize(bytes)| bytes);
        Self {
            ram: budget.unwrap_or_else(|| available_memory().unwrap_or(UNKNOWN) / 4),
            disk: budget
                .unwrap_or_else(|| (free_disk(directory).unwrap_or(UNKNOWN) + reusable) / 2),
            gpu: 0,
        }
    }

    /// The same limits beside a GPU with this many free bytes. Without a budget the limit there is
    /// a quarter of them, since training needs the rest.
    pub(super) fn with_gpu(self, free: u64, budget: Option<ByteSize>) -> Self {
        let gpu = budget.map_or(free / 4, |ByteSize(bytes)| bytes.min(free));
        Self { gpu, ..self }
    }
}

/// The place where entries are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In memory.
    Ram,
    /// In a file of the run directory.
    Disk,
    /// On the GPU that trains.
    Gpu,
}

/// The contents of the cache, decided for the whole run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    /// The place of the entries.
    pub place: Place,
    /// The cached examples in ascending order, numbered across all splits.
    pub entries: Vec<u32>,
    /// The size in bytes of each of these entries.
    pub sizes: Vec<u64>,
    /// Number of tokens in the cached examples of each split.
    pub tokens: Vec<u64>,
    /// The size in bytes of all examples, cached or not.
    pub all_bytes: u64,
}

/// Chooses the place of the cache and the examples of `splits` that it holds; `None` means that
/// there is no cache.
///
/// Examples are taken in order, and each one that still fits is kept. `size` gives the bytes of an
/// example with that many tokens. Nothing else matters, so the choice holds for the whole run.
///
/// # Errors
/// Fails if examples cannot be read.
pub(super) fn choose(
    mode: Mode,
    splits: &[&Examples],
    size: &dyn Fn(usize) -> u64,
    limits: Limits,
) -> Result<Option<Chosen>> {
    let lengths = || splits.iter().flat_map(|split| &split.summary().lengths);
    let all_bytes = lengths().map(|(&tokens, count)| size(tokens) * count).sum();
    let Some((place, mut left)) = place(mode, all_bytes, limits) else {
        return Ok(None);
    };
    let mut chosen = Chosen {
        place,
        entries: Vec::new(),
        sizes: Vec::new(),
        tokens: vec![0; splits.len()],
        all_bytes,
    };
    let smallest = lengths().map(|(&tokens, _)| size(tokens)).min();
    let smallest = smallest.unwrap_or(0);
    let mut first = 0;
    for (split, kept_tokens) in splits.iter().zip(&mut chosen.tokens) {
        for (at, tokens) in split.lengths().enumerate() {
            if left < smallest {
                break;
            }
            let tokens = tokens?;
            let size = size(tokens);
            if size <= left {
                left -= size;
                chosen.entries.push((first + at) as u32);
                chosen.sizes.push(size);
                *kept_tokens += tokens as u64;
            }
        }
        first += split.len();
    }
    Ok(Some(chosen))
}

/// The place of the cache and its size limit there. `Auto` prefers the GPU if `all` fits there,
/// then memory and disk in the same way, and otherwise keeps a part in memory.
fn place(mode: Mode, all: u64, limits: Limits) -> Option<(Place, u64)> {
    Some(match mode {
        Mode::Off => return None,
        Mode::Ram => (Place::Ram, limits.ram),
        Mode::Disk => (Place::Disk, limits.disk),
        Mode::Auto if limits.gpu > 0 && all <= limits.gpu => (Place::Gpu, limits.gpu),
        Mode::Auto if all > limits.ram && all <= limits.disk => (Place::Disk, limits.disk),
        Mode::Auto => (Place::Ram, limits.ram),
    })
}

/// Memory available without pushing out other processes: that of the machine, limited by the
/// control groups of this process.
#[cfg(target_os = "linux")]
fn available_memory() -> Option<u64> {
    let free = meminfo_available(&fs::read_to_string("/proc/meminfo").ok()?)?;
    Some(free.min(group_allowance().unwrap_or(u64::MAX)))
}

#[cfg(not(target_os = "linux"))]
fn available_memory() -> Option<u64> {
    None
}

/// Reads `MemAvailable` from the text of `/proc/meminfo`, in bytes.
fn meminfo_available(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// The memory left by the limits of all control groups (version 2) above this process.
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

/// Bytes that the user may still write to the disk of a directory.
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
    use progtune_engine::EncodedExample;

    const LIMITS: Limits = Limits {
        gpu: 0,
        ram: 100,
        disk: 1000,
    };

    fn examples(lengths: &[usize]) -> Examples {
        let example = |&length: &usize| EncodedExample {
            input_ids: vec![1; length],
            token_type_ids: vec![0; length],
            target: None,
        };
        lengths.iter().map(example).collect()
    }

    /// The place and the entries, if a token takes one byte.
    fn chosen(mode: Mode, splits: &[&[usize]]) -> Option<(Place, Vec<u32>)> {
        let splits: Vec<Examples> = splits.iter().map(|lengths| examples(lengths)).collect();
        let splits: Vec<&Examples> = splits.iter().collect();
        chosen_within(LIMITS, mode, &splits)
    }

    fn chosen_within(
        limits: Limits,
        mode: Mode,
        splits: &[&Examples],
    ) -> Option<(Place, Vec<u32>)> {
        let chosen = choose(mode, splits, &|tokens| tokens as u64, limits).unwrap()?;
        assert_eq!(chosen.entries.len(), chosen.sizes.len());
        assert_eq!(
            chosen.sizes.iter().sum::<u64>(),
            chosen.tokens.iter().sum::<u64>()
        );
        Some((chosen.place, chosen.entries))
    }

    #[test]
    fn memory_first_then_disk_then_a_part_in_memory() {
        let placed = |mode, sizes: &[usize]| chosen(mode, &[sizes]).unwrap();
        assert_eq!(placed(Mode::Auto, &[60, 40]), (Place::Ram, vec![0, 1]));
        assert_eq!(placed(Mode::Auto, &[60, 41]), (Place::Disk, vec![0, 1]));
        assert_eq!(placed(Mode::Auto, &[60, 1000]), (Place::Ram, vec![0]));
        assert_eq!(placed(Mode::Disk, &[1, 1000]), (Place::Disk, vec![0]));
        assert_eq!(placed(Mode::Ram, &[1, 1000]), (Place::Ram, vec![0]));
        assert_eq!(chosen(Mode::Off, &[&[1]]), None);
    }

    #[test]
    fn a_gpu_holds_everything_or_nothing() {
        let limits = LIMITS.with_gpu(4 * 80, None);
        assert_eq!(limits.gpu, 80);
        assert_eq!(LIMITS.with_gpu(50, Some(ByteSize(80))).gpu, 50);
        let placed = |mode, sizes: &[usize]| chosen_within(limits, mode, &[&examples(sizes)]);
        let placed = |mode, sizes: &[usize]| placed(mode, sizes).unwrap();
        assert_eq!(placed(Mode::Auto, &[50, 30]), (Place::Gpu, vec![0, 1]));
        assert_eq!(placed(Mode::Auto, &[50, 31]), (Place::Ram, vec![0, 1]));
        assert_eq!(placed(Mode::Ram, &[50, 30]).0, Place::Ram);
    }

    #[test]
    fn a_part_is_what_still_fits_in_order() {
        let kept = |splits: &[&[usize]]| chosen(Mode::Ram, splits).unwrap().1;
        assert_eq!(kept(&[&[50, 40, 30, 20, 10]]), [0, 1, 4]);
        assert_eq!(
            kept(&[&[50, 40], &[30, 20, 10, 5]]),
            [0, 1, 4],
            "then nothing fits"
        );
        assert_eq!(kept(&[&[500, 500], &[]]), Vec::<u32>::new());
    }

    #[test]
    fn a_budget_replaces_what_is_measured() {
        let limits = Limits::new(Some(ByteSize(7)), Path::new("/nowhere"), 100);
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
