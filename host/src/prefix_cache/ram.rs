//! Cache entries in memory, with one allocation per example. Called by the store.

use super::settings::CacheDtype;
use half::{f16, slice::HalfFloatSliceExt};

/// The numbers of one entry.
#[derive(Debug)]
enum Numbers {
    F32(Vec<f32>),
    F16(Vec<f16>),
}

/// The kept entries, each of which may be empty.
#[derive(Debug)]
pub(super) struct Ram {
    dtype: CacheDtype,
    entries: Vec<Option<Numbers>>,
}

impl Ram {
    /// Creates `n` empty entries.
    pub(super) fn new(n: usize, dtype: CacheDtype) -> Self {
        let entries = std::iter::repeat_with(|| None).take(n).collect();
        Self { dtype, entries }
    }

    /// Appends an entry's numbers to `rows`; returns false if the entry is empty.
    pub(super) fn read(&self, entry: usize, rows: &mut Vec<f32>) -> bool {
        match &self.entries[entry] {
            None => return false,
            Some(Numbers::F32(numbers)) => rows.extend_from_slice(numbers),
            Some(Numbers::F16(numbers)) => {
                let start = rows.len();
                rows.resize(start + numbers.len(), 0.0);
                numbers.convert_to_f32_slice(&mut rows[start..]);
            }
        }
        true
    }

    /// Replaces an entry; an entry of the same size keeps its memory.
    pub(super) fn write(&mut self, entry: usize, rows: &[f32]) {
        let place = &mut self.entries[entry];
        match (self.dtype, place) {
            (_, Some(Numbers::F32(numbers))) if numbers.len() == rows.len() => {
                numbers.copy_from_slice(rows);
            }
            (_, Some(Numbers::F16(numbers))) if numbers.len() == rows.len() => {
                numbers.convert_from_f32_slice(rows);
            }
            (CacheDtype::F32, place) => *place = Some(Numbers::F32(rows.to_vec())),
            (CacheDtype::F16, place) => {
                let mut numbers = vec![f16::ZERO; rows.len()];
                numbers.convert_from_f32_slice(rows);
                *place = Some(Numbers::F16(numbers));
            }
        }
    }

    /// Empties an entry and frees its memory.
    pub(super) fn forget(&mut self, entry: usize) {
        self.entries[entry] = None;
    }
}
