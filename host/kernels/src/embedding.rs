//! Embedding look-up and its backward. Called by the fused embeddings.
//!
//! ```
//! use progtune_kernels::embedding::{backward, forward};
//!
//! let table = [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]; // three entries of two columns
//! let ids = [2, 0];
//! let mut y = [0.0; 4];
//! forward(&mut y, 2, &[(&table, &ids)]);
//! assert_eq!(y, [3.0, 3.0, 1.0, 1.0]);
//! let mut d_table = [0.0; 6];
//! backward(&mut d_table, &ids, &[5.0, 5.0, 7.0, 7.0], 2);
//! assert_eq!(d_table, [7.0, 7.0, 0.0, 0.0, 5.0, 5.0]);
//! ```

use crate::elementwise::add_scaled;
use crate::timed_task;
use rayon::prelude::*;

/// `y[r] = Σ_tables table[ids[r]]`; each table is `[entries, columns]` with one id per row of `y`.
///
/// # Panics
/// If an id is outside its table. The host checks ids beforehand.
pub fn forward(y: &mut [f32], columns: usize, tables: &[(&[f32], &[u32])]) {
    for (r, row) in y.chunks_mut(columns).enumerate() {
        row.fill(0.0);
        for (table, ids) in tables {
            let id = ids[r] as usize;
            add_scaled(row, &table[id * columns..(id + 1) * columns], 1.0);
        }
    }
}

/// `d_table[ids[r]] += d_y[r]`: only the rows that occur are changed.
pub fn backward(d_table: &mut [f32], ids: &[u32], d_y: &[f32], columns: usize) {
    // Each task owns a range of entries and adds in row order, which needs no locks and fixes the
    // order of additions.
    let entries = (d_table.len() / columns).div_ceil(16).max(1);
    d_table
        .par_chunks_mut(entries * columns)
        .enumerate()
        .for_each(|(i, chunk)| {
            timed_task!("gradient of a table");
            let (first, last) = (i * entries, i * entries + chunk.len() / columns);
            for (&id, d_row) in ids.iter().zip(d_y.chunks(columns)) {
                let id = id as usize;
                if (first..last).contains(&id) {
                    let row = (id - first) * columns;
                    add_scaled(&mut chunk[row..row + columns], d_row, 1.0);
                }
            }
        });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;

    #[test]
    fn gathers_sums_and_scatters() {
        let (columns, word, kind) = (5, random(37 * 5, 1), random(2 * 5, 2));
        let (ids, kinds): (Vec<u32>, Vec<u32>) = (
            (0..80).map(|i| i * 7 % 37).collect(),
            (0..80).map(|i| i % 2).collect(),
        );
        let mut y = vec![f32::NAN; 80 * columns];
        forward(&mut y, columns, &[(&word, &ids), (&kind, &kinds)]);
        for r in 0..80 {
            for c in 0..columns {
                assert_eq!(
                    y[r * 5 + c],
                    word[ids[r] as usize * 5 + c] + kind[kinds[r] as usize * 5 + c]
                );
            }
        }
        let d_y = random(80 * columns, 3);
        let (mut d_word, mut want) = (vec![0f32; word.len()], vec![0f32; word.len()]);
        backward(&mut d_word, &ids, &d_y, columns);
        for r in 0..80 {
            for c in 0..columns {
                want[ids[r] as usize * 5 + c] += d_y[r * 5 + c];
            }
        }
        assert_eq!(d_word, want);
        forward(&mut [], columns, &[(&word, &[])]);
    }
}
