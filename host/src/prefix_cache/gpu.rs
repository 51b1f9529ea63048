//! Cache entries on the GPU that trains, each in rows of its own. Called by the store.

use progtune_engine::{
    Result,
    model::{Hidden, KeptRows},
};
use std::ops::Range;

/// The kept entries, in places for their most rows.
#[derive(Debug)]
pub(super) struct Gpu {
    rows: KeptRows,
    /// The first row of each entry.
    first_rows: Vec<u32>,
    hidden_size: usize,
}

impl Gpu {
    /// Places for entries of these numbers of rows.
    pub(super) fn new(rows: KeptRows, most_rows: &[u32], hidden_size: usize) -> Self {
        let mut next = 0;
        let first_rows = most_rows.iter().map(|most| {
            let first = next;
            next += most;
            first
        });
        Self {
            first_rows: first_rows.collect(),
            rows,
            hidden_size,
        }
    }

    /// The size of a number in bytes.
    pub(super) fn number_bytes(&self) -> usize {
        self.rows.row_bytes() / self.hidden_size
    }

    fn places(&self, at: usize, n_rows: usize) -> Range<u32> {
        self.first_rows[at]..self.first_rows[at] + n_rows as u32
    }

    /// The rows of entries with these counts of numbers, one entry after the other.
    ///
    /// # Errors
    /// If the GPU fails.
    pub(super) fn read(&self, entries: impl Iterator<Item = (usize, usize)>) -> Result<Hidden> {
        let places = entries.flat_map(|(at, numbers)| self.places(at, numbers / self.hidden_size));
        self.rows.read(&places.collect::<Vec<u32>>())
    }

    /// Keeps the rows of `hidden`, which belong to entries of these counts of numbers, one after
    /// the other. `None` stands for an entry that is not kept.
    ///
    /// # Errors
    /// If the GPU fails.
    pub(super) fn write(&self, entries: &[(Option<usize>, usize)], hidden: &Hidden) -> Result<()> {
        let (mut from, mut to, mut next) = (Vec::new(), Vec::new(), 0);
        for &(at, numbers) in entries {
            let n_rows = numbers / self.hidden_size;
            let rows = next..next + n_rows as u32;
            next = rows.end;
            if let Some(at) = at {
                from.extend(rows);
                to.extend(self.places(at, n_rows));
            }
        }
        if to.is_empty() {
            return Ok(());
        }
        let chosen = (to.len() < hidden.n()).then_some(from.as_slice());
        self.rows.write(hidden, chosen, &to)
    }

    /// Keeps the rows of one entry.
    ///
    /// # Errors
    /// If the GPU fails.
    pub(super) fn write_numbers(&self, at: usize, numbers: &[f32]) -> Result<()> {
        let places = self.places(at, numbers.len() / self.hidden_size);
        self.rows
            .write_numbers(numbers, &places.collect::<Vec<u32>>())
    }
}
