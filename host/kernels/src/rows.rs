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

/// Sums per-chunk vectors of `columns` numbers into `total` (`+=`), in chunk order.
///
/// `f(first_row, last_row, partial)` adds its rows to `partial`, which starts at zero. Chunks have at least
/// 64 rows and there are at most 64 of them, so memory stays small for any number of rows.
pub fn reduce_columns(
    rows: usize,
    columns: usize,
    total: &mut [f32],
    f: impl Fn(usize, usize, &mut [f32]) + Sync,
) {
    let chunk = rows.div_ceil(64).max(64);
    let partials: Vec<Vec<f32>> = (0..rows.div_ceil(chunk))
        .into_par_iter()
        .map(|i| {
            let mut partial = vec![0f32; columns];
            f(i * chunk, ((i + 1) * chunk).min(rows), &mut partial);
            partial
        })
        .collect();
    for partial in partials {
        for (sum, value) in total.iter_mut().zip(partial) {
            *sum += value;
        }
    }
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
