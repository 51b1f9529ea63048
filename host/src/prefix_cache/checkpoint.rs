//! The part of the cache that belongs to a checkpoint. Rows that are the bits that would be
//! computed are not part of it, since they are computed again. Rounded ones are, and so are those
//! of the composed path, which depend on the batch in which they were computed.

use super::PrefixCache;
use progtune_engine::{error::Result, model::Model};
use std::io;

/// The entries that a checkpoint keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// The number of each entry, its boundary and its count of numbers.
    entries: Vec<(u32, usize, usize)>,
}

impl Kept {
    /// The count of all numbers.
    pub fn numbers(&self) -> usize {
        self.entries.iter().map(|&(_, _, numbers)| numbers).sum()
    }

    /// The entries as bytes: three little-endian u32 each.
    pub fn to_bytes(&self) -> Vec<u8> {
        let words = self.entries.iter();
        let words =
            words.flat_map(|&(entry, boundary, numbers)| [entry, boundary as u32, numbers as u32]);
        words.flat_map(u32::to_le_bytes).collect()
    }

    /// The entries from their bytes; `None` if they are not such.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (entries, rest) = bytes.as_chunks::<12>();
        let word = |bytes: &[u8; 12], at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let entries = entries.iter().map(|bytes| {
            (
                word(bytes, 0),
                word(bytes, 4) as usize,
                word(bytes, 8) as usize,
            )
        });
        rest.is_empty().then(|| Self {
            entries: entries.collect(),
        })
    }
}

impl PrefixCache {
    /// The entries that a checkpoint keeps; none if every row is exact.
    pub fn kept(&self) -> Kept {
        let store = self.store.as_ref().filter(|_| !self.is_exact);
        Kept {
            entries: store.map_or_else(Vec::new, |store| store.held()),
        }
    }

    /// Gives the rows of entries to `take`, one entry after the other. An entry on disk that is
    /// damaged yields zeros, with which the run would not continue exactly; a warning says so.
    ///
    /// # Errors
    /// Fails if `take` does.
    pub fn read_kept(
        &mut self,
        kept: &Kept,
        take: &mut dyn FnMut(&[f32]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut rows = Vec::new();
        for &(entry, _, numbers) in &kept.entries {
            rows.clear();
            if let Some(store) = &mut self.store {
                store.read(entry as usize, &mut rows);
            }
            rows.resize(numbers, 0.0);
            take(&rows)?;
        }
        Ok(())
    }

    /// Restores entries. `read` yields the numbers from a place among all of them.
    ///
    /// # Errors
    /// Fails if `read` does, or a parameter cannot be read from its device.
    pub fn restore(
        &mut self,
        model: &Model,
        kept: &Kept,
        read: &mut dyn FnMut(usize, usize) -> Result<Vec<f32>>,
    ) -> Result<()> {
        let Some(store) = self.store.as_mut().filter(|_| !self.is_exact) else {
            return Ok(());
        };
        let frozen = model.frozen_blocks(|id| model.parameters.is_trainable(id));
        let fits = |&(_, boundary, _): &&(u32, usize, usize)| (1..=frozen).contains(boundary);
        if let (Some(keys), Some(disk)) = (&mut self.keys, store.disk()) {
            let fitting = kept.entries.iter().filter(fits);
            let mut boundaries: Vec<usize> = fitting.map(|entry| entry.1).collect();
            boundaries.sort_unstable();
            boundaries.dedup();
            for boundary in boundaries {
                disk.set_key(boundary, keys.at(model, boundary)?);
            }
        }
        let mut start = 0;
        let mut outcome = Ok(());
        for kept in &kept.entries {
            let &(entry, boundary, numbers) = kept;
            let rows = read(start, numbers)?;
            start += numbers;
            if !fits(&kept) {
                continue;
            }
            outcome = outcome.and_then(|()| store.write(entry as usize, boundary, &rows));
        }
        if let Err(error) = outcome {
            self.turn_off(&error);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_survive_as_bytes() {
        let kept = Kept {
            entries: vec![(7, 2, 96), (8, 3, 64)],
        };
        assert_eq!(kept.numbers(), 160);
        let bytes = kept.to_bytes();
        assert_eq!(Kept::from_bytes(&bytes), Some(kept));
        assert_eq!(Kept::from_bytes(&bytes[1..]), None);
        assert_eq!(Kept::from_bytes(&[]), Some(Kept::default()));
    }
}
