//! Dropout from a counter: the mask is a pure function of (seed, step, site, example, token,
//! channel).
//!
//! Called by the attention and layer-norm kernels and by the host. Nothing is stored, because the
//! backward computes the same mask again. A row's mask depends neither on the row's position in the
//! batch nor on threads.
//!
//! ```
//! use progtune_kernels::dropout::{Dropout, apply, row_key, site_key};
//!
//! let row_keys = [row_key(0, 0), row_key(0, 1)];
//! let dropout = Dropout { p: 0.5, site_key: site_key(42, 1, 0), row_keys: &row_keys };
//! let mut rows = [1.0; 2 * 64];
//! apply(&mut rows, 64, &dropout);
//! assert!(rows.iter().all(|&x| x == 0.0 || x == 2.0));
//! // Row 1 gets the same mask without the row before it.
//! let mut second = [1.0; 64];
//! apply(&mut second, 64, &Dropout { row_keys: &row_keys[1..], ..dropout });
//! assert_eq!(second, rows[64..]);
//! ```

use crate::simd::simd_fn;
use rayon::prelude::*;

/// One dropout: a probability, and a key for its place and time.
#[derive(Debug, Clone, Copy)]
pub struct Dropout<'a> {
    /// The probability of dropping, in (0, 1).
    pub p: f32,
    /// The key of (seed, step, site); see [`site_key`].
    pub site_key: u64,
    /// One key per row, from (example, token); see [`row_key`].
    pub row_keys: &'a [u64],
}

/// splitmix64's finaliser, a bijection that scatters every bit.
#[inline(always)]
pub fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The key of a row, from its example's index in the data set and its position in the example.
pub fn row_key(example: u64, position: u64) -> u64 {
    mix(mix(example.wrapping_add(0x9E37_79B9_7F4A_7C15)) ^ position)
}

/// The key of a site at a step of a run.
pub fn site_key(seed: u64, step: u64, site: u64) -> u64 {
    mix(mix(mix(seed.wrapping_add(0x9E37_79B9_7F4A_7C15)) ^ step).wrapping_add(site))
}

/// The two 32-bit keys of a row at a site.
#[inline(always)]
fn split(site_key: u64, row_key: u64) -> (u32, u32) {
    let key = mix(site_key ^ row_key);
    (key as u32, (key >> 32) as u32)
}

/// 32 random bits for a channel of a row (lowbias32 by C. Wellons, with a second key).
#[inline(always)]
fn bits(keys: (u32, u32), channel: u32) -> u32 {
    let h = channel.wrapping_mul(0x9E37_79B9).wrapping_add(keys.0);
    let h = (h ^ (h >> 16)).wrapping_mul(0x7feb_352d);
    let h = ((h ^ (h >> 15)) ^ keys.1).wrapping_mul(0x846c_a68b);
    h ^ (h >> 16)
}

/// The random numbers below it drop: p·2³².
#[inline(always)]
pub(crate) fn threshold(p: f32) -> u32 {
    (p as f64 * 4_294_967_296.0) as u32
}

simd_fn! {
    /// Multiplies `row` by the mask of channels `first_channel…`: 0 or 1/(1−p).
    pub fn apply_row(row: &mut [f32], p: f32, site_key: u64, row_key: u64, first_channel: u32) {
        let keys = split(site_key, row_key);
        let (limit, scale) = (threshold(p), 1.0 / (1.0 - p));
        for (channel, value) in row.iter_mut().enumerate() {
            let keep = bits(keys, first_channel.wrapping_add(channel as u32)) >= limit;
            *value *= if keep { scale } else { 0.0 };
        }
    }
}

/// Multiplies `data` (`[rows, columns]`) by the mask, row by row, in place. Forward and backward
/// are the same operation.
pub fn apply(data: &mut [f32], columns: usize, dropout: &Dropout<'_>) {
    for (values, &row_key) in data.chunks_mut(columns).zip(dropout.row_keys) {
        apply_row(values, dropout.p, dropout.site_key, row_key, 0);
    }
}

/// The mask itself as numbers, `[rows, columns]`, computed on all threads. The composed path and a
/// method's graphs multiply by it.
pub fn mask(rows: usize, columns: usize, dropout: &Dropout<'_>) -> Vec<f32> {
    let mut mask = vec![1f32; rows * columns];
    const ROWS: usize = 64;
    mask.par_chunks_mut((ROWS * columns).max(1))
        .zip(dropout.row_keys.par_chunks(ROWS))
        .for_each(|(rows, row_keys)| {
            apply(
                rows,
                columns,
                &Dropout {
                    row_keys,
                    ..*dropout
                },
            )
        });
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example_mask(p: f32, seed: u64) -> Vec<f32> {
        let row_keys: Vec<u64> = (0..200).map(|i| row_key(i / 10, i % 10)).collect();
        mask(
            200,
            384,
            &Dropout {
                p,
                site_key: site_key(seed, 3, 7),
                row_keys: &row_keys,
            },
        )
    }

    #[test]
    fn drops_the_given_share_and_keeps_the_mean() {
        for p in [0.1, 0.5] {
            let mask = example_mask(p, 1);
            let n = mask.len() as f64;
            let dropped = mask.iter().filter(|&&m| m == 0.0).count() as f64 / n;
            let sigma = (p as f64 * (1.0 - p as f64) / n).sqrt();
            assert!(
                (dropped - p as f64).abs() < 5.0 * sigma,
                "dropped {dropped}"
            );
            assert!(
                mask.iter()
                    .all(|&m| m == 0.0 || (m - 1.0 / (1.0 - p)).abs() < 1e-6)
            );
        }
    }

    #[test]
    fn rows_columns_seeds_are_uncorrelated() {
        let mask = example_mask(0.5, 1);
        let other = example_mask(0.5, 2);
        let agree = |a: &mut dyn Iterator<Item = (f32, f32)>| {
            let (mut same, mut n) = (0f64, 0f64);
            for (x, y) in a {
                same += f64::from(x == y);
                n += 1.0;
            }
            ((same / n - 0.5) * n.sqrt() * 2.0).abs()
        };
        assert!(
            agree(&mut mask.iter().copied().zip(other.iter().copied())) < 5.0,
            "seeds"
        );
        assert!(
            agree(&mut mask[384..].iter().copied().zip(mask.iter().copied())) < 5.0,
            "rows"
        );
        assert!(
            agree(&mut mask[1..].iter().copied().zip(mask.iter().copied())) < 5.0,
            "channels"
        );
    }

    #[test]
    fn a_row_keeps_its_mask_wherever_it_lies() {
        let keys: Vec<u64> = (0..40).map(|i| row_key(i, 0)).collect();
        let reversed: Vec<u64> = keys.iter().rev().copied().collect();
        let key = site_key(9, 1, 2);
        let a = mask(
            40,
            17,
            &Dropout {
                p: 0.3,
                site_key: key,
                row_keys: &keys,
            },
        );
        let b = mask(
            40,
            17,
            &Dropout {
                p: 0.3,
                site_key: key,
                row_keys: &reversed,
            },
        );
        let turned: Vec<f32> = b.chunks(17).rev().flatten().copied().collect();
        assert_eq!(a, turned);
    }
}
