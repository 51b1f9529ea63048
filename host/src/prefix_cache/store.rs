//! The cache entries of a run, each at its boundary, in memory or on disk. Called by the prefix
//! cache.
//!
//! Only entries that are kept have a place here. With a budget, most examples of a large data set
//! have none.

use super::settings::CacheDtype;
use super::{budget::Place, disk::Disk, gpu::Gpu, ram::Ram};
use progtune_engine::model::Hidden;
use std::io::Result;

/// The state of one entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Held {
    /// The boundary of its rows; 0 means that nothing is held.
    boundary: usize,
    /// Count of numbers in its rows.
    numbers: usize,
}

/// The place of the numbers.
#[derive(Debug)]
pub(super) enum Shelf {
    /// In memory.
    Ram(Ram),
    /// In a file.
    Disk(Disk),
    /// On the GPU that trains.
    Gpu(Gpu),
}

/// All entries.
#[derive(Debug)]
pub(super) struct Store {
    dtype: CacheDtype,
    /// The examples that may be held, ascending. They stay the same for the whole run.
    kept: Vec<u32>,
    /// The state of each of these examples.
    held: Vec<Held>,
    shelf: Shelf,
    /// Number of entries that could not be read since the start of the run.
    damaged: usize,
}

impl Store {
    /// An empty store.
    pub(super) fn new(kept: Vec<u32>, dtype: CacheDtype, shelf: Shelf) -> Self {
        let held = vec![Held::default(); kept.len()];
        Self {
            dtype,
            kept,
            held,
            shelf,
            damaged: 0,
        }
    }

    /// An entry's index among the kept ones.
    fn at(&self, entry: usize) -> Option<usize> {
        let entry = entry as u32;
        // If everything is kept, no search is needed.
        if self.kept.get(entry as usize) == Some(&entry) {
            Some(entry as usize)
        } else {
            self.kept.binary_search(&entry).ok()
        }
    }

    /// The place of the numbers.
    pub(super) fn place(&self) -> Place {
        match self.shelf {
            Shelf::Ram(_) => Place::Ram,
            Shelf::Disk(_) => Place::Disk,
            Shelf::Gpu(_) => Place::Gpu,
        }
    }

    /// The file, if the entries are on disk.
    pub(super) fn disk(&mut self) -> Option<&mut Disk> {
        match &mut self.shelf {
            Shelf::Ram(_) | Shelf::Gpu(_) => None,
            Shelf::Disk(disk) => Some(disk),
        }
    }

    /// The boundary of an entry's rows; 0 means that nothing is held.
    pub(super) fn boundary(&self, entry: usize) -> usize {
        self.at(entry).map_or(0, |at| self.held[at].boundary)
    }

    /// Appends an entry's rows to `rows`. If they are missing or damaged, appends nothing and
    /// returns false.
    pub(super) fn read(&mut self, entry: usize, rows: &mut Vec<f32>) -> bool {
        let Some(at) = self.at(entry) else {
            return false;
        };
        let Held { boundary, numbers } = self.held[at];
        let start = rows.len();
        let outcome = match &mut self.shelf {
            _ if boundary == 0 => return false,
            Shelf::Ram(ram) => return ram.read(at, rows),
            Shelf::Disk(disk) => disk.read(at, boundary, numbers, rows),
            Shelf::Gpu(gpu) => {
                let hidden = gpu.read([(at, numbers)].into_iter());
                let read = hidden.and_then(|h| h.with_numbers(|own| rows.extend_from_slice(own)));
                read.map_err(std::io::Error::other)
            }
        };
        let Err(error) = outcome else { return true };
        rows.truncate(start);
        self.held[at] = Held::default();
        self.damaged += 1;
        match self.damaged {
            1 => tracing::warn!(
                "prefix cache: an entry on disk is damaged ({error}); damaged entries are computed again"
            ),
            n => tracing::debug!(entry, n, "prefix cache: damaged entry"),
        }
        false
    }

    /// Stores an entry's rows, if the entry is one of those that are kept.
    ///
    /// # Errors
    /// Fails if the disk is full or refuses.
    pub(super) fn write(&mut self, entry: usize, boundary: usize, rows: &[f32]) -> Result<()> {
        let Some(at) = self.at(entry) else {
            return Ok(());
        };
        self.held[at] = Held::default();
        // Rows outside the range of half precision are not stored, so they are computed again.
        if self.dtype == CacheDtype::F16 && rows.iter().any(|x| x.abs() > half::f16::MAX.to_f32()) {
            return Ok(());
        }
        match &mut self.shelf {
            Shelf::Ram(ram) => ram.write(at, rows),
            Shelf::Disk(disk) => disk.write(at, boundary, rows)?,
            Shelf::Gpu(gpu) => gpu.write_numbers(at, rows).map_err(std::io::Error::other)?,
        }
        let numbers = rows.len();
        self.held[at] = Held { boundary, numbers };
        Ok(())
    }

    /// The rows of entries that are held on the GPU, one entry after the other; `None` if they are
    /// elsewhere.
    pub(super) fn read_on_gpu(
        &self,
        entries: impl Iterator<Item = usize>,
    ) -> Option<progtune_engine::Result<Hidden>> {
        let Shelf::Gpu(gpu) = &self.shelf else {
            return None;
        };
        let held = entries.filter_map(|entry| {
            let at = self.at(entry)?;
            Some((at, self.held[at].numbers))
        });
        Some(gpu.read(held))
    }

    /// Stores the rows of entries with these counts of numbers on the GPU; `None` if entries are
    /// elsewhere.
    pub(super) fn write_on_gpu(
        &mut self,
        entries: &[(usize, usize)],
        boundary: usize,
        hidden: &Hidden,
    ) -> Option<progtune_engine::Result<()>> {
        let Shelf::Gpu(gpu) = &self.shelf else {
            return None;
        };
        let places = entries.iter();
        let places = places.map(|&(entry, numbers)| (self.at(entry), numbers));
        let written = gpu.write(&places.collect::<Vec<_>>(), hidden);
        for &(entry, numbers) in entries {
            if let Some(at) = self.at(entry) {
                self.held[at] = Held { boundary, numbers };
            }
        }
        Some(written)
    }

    /// Takes over the entries of an earlier run at boundaries up to `highest` whose keys are still
    /// right.
    pub(super) fn take_over(&mut self, highest: usize) {
        let Shelf::Disk(disk) = &mut self.shelf else {
            return;
        };
        for boundary in 1..=highest {
            for (at, numbers) in disk.take_over(boundary) {
                self.held[at] = Held { boundary, numbers };
            }
        }
    }

    /// Drops everything above `boundary`, because parameters below those rows will be trained.
    pub(super) fn drop_above(&mut self, boundary: usize) {
        for (at, held) in self.held.iter_mut().enumerate() {
            if held.boundary > boundary {
                *held = Held::default();
                if let Shelf::Ram(ram) = &mut self.shelf {
                    ram.forget(at);
                }
            }
        }
    }

    /// The entries that are held, each with its boundary and its count of numbers.
    pub(super) fn held(&self) -> Vec<(u32, usize, usize)> {
        let held = self.kept.iter().zip(&self.held);
        held.filter(|(_, held)| held.boundary > 0)
            .map(|(&entry, held)| (entry, held.boundary, held.numbers))
            .collect()
    }

    fn number_bytes(&self) -> usize {
        match &self.shelf {
            Shelf::Gpu(gpu) => gpu.number_bytes(),
            _ => self.dtype.bytes(),
        }
    }

    /// Number of entries held, their size in bytes, and the highest of their boundaries.
    pub(super) fn sum(&self) -> (usize, u64, usize) {
        let held = self.held.iter().filter(|held| held.boundary > 0);
        held.fold((0, 0, 0), |(n, bytes, boundary), held| {
            let more = held.numbers * self.number_bytes();
            (n + 1, bytes + more as u64, boundary.max(held.boundary))
        })
    }

    /// Number of entries that could not be read since the start of the run.
    pub(super) fn damaged(&self) -> usize {
        self.damaged
    }
}

#[cfg(test)]
mod tests {
    use super::{super::disk::SLOT_HEADER, *};

    fn store(dtype: CacheDtype) -> Store {
        Store::new(vec![0, 2], dtype, Shelf::Ram(Ram::new(2, dtype)))
    }

    fn read(store: &mut Store, entry: usize) -> Option<Vec<f32>> {
        let mut rows = vec![9.0];
        store.read(entry, &mut rows).then(|| rows.split_off(1))
    }

    #[test]
    fn kept_entries_are_held_at_their_boundary() {
        let mut store = store(CacheDtype::F32);
        assert_eq!(read(&mut store, 0), None);
        store.write(0, 2, &[0.1, 2.0]).unwrap();
        store.write(1, 2, &[3.0]).unwrap();
        store.write(2, 2, &[4.0]).unwrap();
        assert_eq!(read(&mut store, 0), Some(vec![0.1, 2.0]));
        assert_eq!(read(&mut store, 1), None, "over budget");
        assert_eq!(store.sum(), (2, 12, 2));

        store.write(0, 3, &[5.0]).unwrap();
        assert_eq!((store.boundary(0), store.boundary(2)), (3, 2));
        assert_eq!(read(&mut store, 0), Some(vec![5.0]));
        assert_eq!(store.sum(), (2, 8, 3));
        store.drop_above(2);
        assert_eq!(read(&mut store, 0), None);
        assert_eq!(read(&mut store, 2), Some(vec![4.0]));
        store.drop_above(0);
        assert_eq!(store.sum(), (0, 0, 0));
    }

    #[test]
    fn half_precision_rounds_and_refuses_what_it_cannot_say() {
        let mut store = store(CacheDtype::F16);
        store.write(0, 1, &[0.1, -2.0]).unwrap();
        assert_eq!(read(&mut store, 0), Some(vec![0.099975586, -2.0]));
        assert_eq!(store.sum(), (1, 4, 1));
        store.write(0, 1, &[0.5, 0.25]).unwrap();
        assert_eq!(read(&mut store, 0), Some(vec![0.5, 0.25]), "in place");
        store.write(0, 1, &[1e6, 0.0]).unwrap();
        assert_eq!(read(&mut store, 0), None);
    }

    #[test]
    fn a_damaged_file_loses_entries_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        let kept = vec![0, 1, 2];
        let slots = [8, 8, 8].map(|bytes| bytes + SLOT_HEADER);
        let mut options = std::fs::File::options();
        options.read(true).write(true).create_new(true);
        let file = options.open(&path).unwrap();
        let mut disk = Disk::make(file, &[0; 32], &kept, &slots, CacheDtype::F32).unwrap();
        disk.set_key(1, [1; 16]);
        let mut store = Store::new(kept, CacheDtype::F32, Shelf::Disk(disk));
        for entry in 0..3 {
            store.write(entry, 1, &[entry as f32, 1.0]).unwrap();
        }
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(read(&mut store, 1), Some(vec![1.0, 1.0]));
        assert_eq!(read(&mut store, 2), None);
        assert_eq!(
            (store.boundary(2), store.damaged(), store.sum().0),
            (0, 1, 2)
        );
        store.write(2, 1, &[2.0, 1.0]).unwrap();
        assert_eq!(read(&mut store, 2), Some(vec![2.0, 1.0]));
    }
}
