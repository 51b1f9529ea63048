//! Transposition of a few rows at a time, for packing operands whose rows lie across the inner
//! loop. Called by [`super::pack`].
#![allow(unsafe_code)]

use crate::{
    matrix::Matrix,
    simd::{Level, level},
};

/// `to[step·stride + row] = a[row][step]` for up to 16 dense rows.
pub(super) fn transpose(to: &mut [f32], stride: usize, a: Matrix<'_>) {
    let (rows, steps) = (a.rows(), a.columns());
    if rows == 0 || steps == 0 {
        return;
    }
    assert!(rows <= 16 && rows <= stride && to.len() >= (steps - 1) * stride + rows);
    #[cfg(target_arch = "x86_64")]
    if level() >= Level::Avx512 {
        for step in (0..steps).step_by(16) {
            let n = (steps - step).min(16);
            // SAFETY: the level was detected; the squares' rows and columns are inside `a` and, by
            // the assertion above, inside `to`.
            unsafe { transpose_square(&mut to[step * stride..], stride, a, step, n) };
        }
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if level() == Level::Avx2 {
        for step in (0..steps).step_by(8) {
            let n = (steps - step).min(8);
            for row in (0..rows).step_by(8) {
                let a = a.rows_from(row, (rows - row).min(8));
                // SAFETY: as above.
                unsafe { transpose_eight(&mut to[step * stride + row..], stride, a, step, n) };
            }
        }
        return;
    }
    transpose_numbers(to, stride, a);
}

/// [`transpose`] on every machine.
fn transpose_numbers(to: &mut [f32], stride: usize, a: Matrix<'_>) {
    for (step, to) in to.chunks_mut(stride).take(a.columns()).enumerate() {
        for (row, to) in to[..a.rows()].iter_mut().enumerate() {
            *to = a.row(row)[step];
        }
    }
}

/// Transposes steps `first..first + n` (at most 8) of up to 8 rows, in registers.
///
/// # Safety
/// AVX2 must be available; `to` must hold `n` groups of `a.rows()` numbers, `stride` apart.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn transpose_eight(to: &mut [f32], stride: usize, a: Matrix<'_>, first: usize, n: usize) {
    use std::arch::x86_64::*;
    let rows = a.rows();
    let lanes = |n: usize| {
        let numbers = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        _mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), numbers)
    };
    let (inside, group) = (lanes(n), lanes(rows));
    let mut r = [_mm256_setzero_ps(); 8];
    let mut t = r;
    for (row, r) in r.iter_mut().enumerate().take(rows) {
        let from = a.row(row)[first..].as_ptr();
        // SAFETY: a row has `n` more numbers; the mask keeps the load inside them.
        *r = unsafe {
            match n {
                8 => _mm256_loadu_ps(from),
                _ => _mm256_maskload_ps(from, inside),
            }
        };
    }
    // First pairs of rows, then groups of four, inside each half of the vectors; then the halves.
    for i in 0..4 {
        t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    const LOW: i32 = 0x44;
    const HIGH: i32 = 0xee;
    for i in [0, 4] {
        r[i] = _mm256_shuffle_ps::<LOW>(t[i], t[i + 2]);
        r[i + 1] = _mm256_shuffle_ps::<HIGH>(t[i], t[i + 2]);
        r[i + 2] = _mm256_shuffle_ps::<LOW>(t[i + 1], t[i + 3]);
        r[i + 3] = _mm256_shuffle_ps::<HIGH>(t[i + 1], t[i + 3]);
    }
    for i in 0..4 {
        t[i] = _mm256_permute2f128_ps::<0x20>(r[i], r[4 + i]);
        t[4 + i] = _mm256_permute2f128_ps::<0x31>(r[i], r[4 + i]);
    }
    let to = to.as_mut_ptr();
    for (step, t) in t.iter().enumerate().take(n) {
        // SAFETY: by the caller's promise; the mask keeps the store inside the group.
        unsafe {
            match rows {
                8 => _mm256_storeu_ps(to.add(step * stride), *t),
                _ => _mm256_maskstore_ps(to.add(step * stride), group, *t),
            }
        }
    }
}

/// The distance, in numbers, between the part of a row that is transposed and the part that is
/// prefetched.
#[cfg(target_arch = "x86_64")]
const FETCH_AHEAD: usize = 96;

/// Transposes steps `first..first + n` (at most 16) of up to 16 rows, in registers.
///
/// # Safety
/// AVX-512F must be available; `to` must hold `n` groups of `a.rows()` numbers, `stride` apart.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn transpose_square(to: &mut [f32], stride: usize, a: Matrix<'_>, first: usize, n: usize) {
    use std::arch::x86_64::*;
    let lanes = |n: usize| -> __mmask16 { ((1u32 << n) - 1) as __mmask16 };
    let (rows, inside) = (a.rows(), lanes(n));
    let mut r = [_mm512_setzero_ps(); 16];
    let mut t = r;
    for (row, r) in r.iter_mut().enumerate().take(rows) {
        let from = a.row(row)[first..].as_ptr();
        // Sixteen rows are more streams than the hardware prefetcher tracks. A prefetch is not an
        // access, so it may pass the end.
        _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(FETCH_AHEAD).cast());
        // SAFETY: the mask keeps the load inside the row.
        *r = unsafe { _mm512_maskz_loadu_ps(inside, from) };
    }
    let low = |a, b| _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
    let high =
        |a, b| _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
    // First pairs of rows, then groups of four, inside each quarter of the vectors; then the
    // quarters themselves, twice.
    for i in 0..8 {
        t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    for i in (0..16).step_by(4) {
        r[i] = low(t[i], t[i + 2]);
        r[i + 1] = high(t[i], t[i + 2]);
        r[i + 2] = low(t[i + 1], t[i + 3]);
        r[i + 3] = high(t[i + 1], t[i + 3]);
    }
    const EVEN: i32 = 0x88;
    const ODD: i32 = 0xdd;
    for j in 0..4 {
        t[j] = _mm512_shuffle_f32x4::<EVEN>(r[j], r[4 + j]);
        t[4 + j] = _mm512_shuffle_f32x4::<ODD>(r[j], r[4 + j]);
        t[8 + j] = _mm512_shuffle_f32x4::<EVEN>(r[8 + j], r[12 + j]);
        t[12 + j] = _mm512_shuffle_f32x4::<ODD>(r[8 + j], r[12 + j]);
    }
    for j in 0..4 {
        r[j] = _mm512_shuffle_f32x4::<EVEN>(t[j], t[8 + j]);
        r[8 + j] = _mm512_shuffle_f32x4::<ODD>(t[j], t[8 + j]);
        r[4 + j] = _mm512_shuffle_f32x4::<EVEN>(t[4 + j], t[12 + j]);
        r[12 + j] = _mm512_shuffle_f32x4::<ODD>(t[4 + j], t[12 + j]);
    }
    let to = to.as_mut_ptr();
    for (step, r) in r.iter().enumerate().take(n) {
        // SAFETY: by the caller's promise; the mask keeps the store inside the group.
        unsafe { _mm512_mask_storeu_ps(to.add(step * stride), lanes(rows), *r) };
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::testing::random;

    #[test]
    fn squares_of_registers_are_transposed() {
        let here = level();
        for rows in 1..=16 {
            for steps in 1..=20 {
                let (stride, numbers) = (rows + 3, random(rows * steps, 1));
                let a = Matrix::new(&numbers, rows, steps);
                let (mut want, mut got) = (vec![7f32; steps * stride], vec![7f32; steps * stride]);
                transpose_numbers(&mut want, stride, a);
                if here >= Level::Avx512 {
                    for first in (0..steps).step_by(16) {
                        let n = (steps - first).min(16);
                        // SAFETY: the level was detected; the square is inside both matrices.
                        unsafe {
                            transpose_square(&mut got[first * stride..], stride, a, first, n)
                        };
                    }
                    assert_eq!(got, want, "{rows} rows of {steps}");
                    got.fill(7.0);
                }
                if here >= Level::Avx2 {
                    for first in (0..steps).step_by(8) {
                        let n = (steps - first).min(8);
                        for row in (0..rows).step_by(8) {
                            let (a, to) = (
                                a.rows_from(row, (rows - row).min(8)),
                                &mut got[first * stride + row..],
                            );
                            // SAFETY: as above.
                            unsafe { transpose_eight(to, stride, a, first, n) };
                        }
                    }
                    assert_eq!(got, want, "{rows} rows of {steps}");
                }
            }
        }
    }
}
