//! Fixed splits of rows over threads; used by every kernel that walks over rows.
//!
//! A split depends on the number of rows alone, never on the number of threads: that keeps every reduction's
//! order, and so the bits, the same on any machine size.

use rayon::prelude::*;

/// Rows that one task of an element-wise kernel takes.
pub const ROWS: usize = 32;

/// Calls `f(first_row, chunk)` for pieces of [`ROWS`] rows of `data` (`[rows, columns]`), in parallel.
pub fn for_each_chunk(data: &mut [f32], columns: usize, f: impl Fn(usize, &mut [f32]) + Sync) {
    if columns == 0 {
        return;
    }
    data.par_chunks_mut(ROWS * columns)
        .enumerate()
        .for_each(|(i, chunk)| f(i * ROWS, chunk));
}

/// Cuts `data` (`[rows, columns]`) at row offsets `0 = o₀ ≤ o₁ ≤ … = rows` into one mutable piece a sequence.
pub fn split_at_offsets<'a>(
    mut data: &'a mut [f32],
    offsets: &[u32],
    columns: usize,
) -> Vec<&'a mut [f32]> {
    let mut pieces = Vec::with_capacity(offsets.len().saturating_sub(1));
    for pair in offsets.windows(2) {
        let (piece, rest) = data.split_at_mut((pair[1] - pair[0]) as usize * columns);
        pieces.push(piece);
        data = rest;
    }
    pieces
}
