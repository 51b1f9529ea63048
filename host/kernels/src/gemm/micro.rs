//! The inner loop of the matrix product: a tile of up to [`MR`]×[`NR`] numbers over packed
//! operands, with one version per instruction set. Called only by [`super`].
//!
//! Every number of the tile is one chain of multiply-adds over k in order, whatever the tile's
//! height. The bits of a row therefore do not depend on the other rows in its tile.
#![allow(unsafe_code)]

use crate::simd::Level;

/// The number of rows in a full tile: 12 × 2 accumulators of 16 numbers, two vectors of B and a
/// broadcast fill AVX-512's registers.
pub(super) const MR: usize = 12;
/// The number of columns in a tile, and in a packed panel of B.
pub(crate) const NR: usize = 32;

/// The initial contents of the accumulators.
#[derive(Clone, Copy)]
pub enum Start<'a> {
    /// Zeros: C is overwritten.
    Zero,
    /// A bias, with one number per column of C.
    Bias(&'a [f32]),
    /// The contents of C: the product is added.
    Stored,
}

/// The size of a tile.
#[derive(Clone, Copy)]
pub(super) struct Size {
    /// The number of rows of A and C, at most [`MR`].
    pub rows: usize,
    /// The number of columns of B and C, at most [`NR`].
    pub columns: usize,
    /// The number of steps: columns of A and rows of B.
    pub k: usize,
}

/// The place of a tile in C, and its initial contents.
pub(super) struct Target<'a> {
    /// C from the tile's first number on.
    pub c: &'a mut [f32],
    /// The distance between the rows of C.
    pub row_stride: usize,
    /// The initial contents of the accumulators. A bias has `columns` numbers.
    pub start: Start<'a>,
}

/// A tile: `c (=|+=) a·b` over `k` steps.
///
/// `a` contains `k` groups of `rows` numbers, and `b` contains `k` groups of [`NR`]. Meanwhile
/// `ahead`, which the next tiles read, is prefetched into the second-level cache if the machine
/// supports it.
///
/// # Panics
/// If a slice is too short.
#[inline]
pub(super) fn tile(level: Level, size: Size, a: &[f32], b: &[f32], to: Target<'_>, ahead: &[f32]) {
    check(size, a, b, &to);
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level was detected on this machine; the lengths were checked above.
        Level::Avx512 | Level::Avx512Bf16 => unsafe {
            x86::avx512(size, a.as_ptr(), b.as_ptr(), to, ahead)
        },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx2 => unsafe { x86::avx2(size, a.as_ptr(), b.as_ptr(), to) },
        _ => portable(size, a, b, to),
    }
}

/// Checks that the slices are as long as the size of a tile says.
///
/// # Panics
/// If one is too short.
pub(super) fn check(Size { rows, columns, k }: Size, a: &[f32], b: &[f32], to: &Target<'_>) {
    assert!((1..=MR).contains(&rows) && (1..=NR).contains(&columns));
    assert!(a.len() >= k * rows && b.len() >= k * NR);
    assert!(to.c.len() >= (rows - 1) * to.row_stride + columns);
    if let Start::Bias(bias) = to.start {
        assert!(bias.len() >= columns);
    }
}

/// The same for any machine: loops that the compiler can vectorise for its baseline.
fn portable(size: Size, a: &[f32], b: &[f32], to: Target<'_>) {
    let Size { rows, columns, k } = size;
    for row in 0..rows {
        let c = &mut to.c[row * to.row_stride..][..columns];
        let mut sums = [0f32; NR];
        match to.start {
            Start::Zero => {}
            Start::Bias(bias) => sums[..columns].copy_from_slice(&bias[..columns]),
            Start::Stored => sums[..columns].copy_from_slice(c),
        }
        for (a, b) in a.chunks_exact(rows).zip(b.chunks_exact(NR)).take(k) {
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum += a[row] * b;
            }
        }
        c.copy_from_slice(&sums[..columns]);
    }
}

/// Calls `$body::<rows>` for the run-time `rows` from 1 to [`MR`].
#[cfg(target_arch = "x86_64")]
macro_rules! by_rows {
    ($body:ident, $rows:expr, ($($arg:expr),*)) => {
        match $rows {
            1 => $body::<1>($($arg),*),
            2 => $body::<2>($($arg),*),
            3 => $body::<3>($($arg),*),
            4 => $body::<4>($($arg),*),
            5 => $body::<5>($($arg),*),
            6 => $body::<6>($($arg),*),
            7 => $body::<7>($($arg),*),
            8 => $body::<8>($($arg),*),
            9 => $body::<9>($($arg),*),
            10 => $body::<10>($($arg),*),
            11 => $body::<11>($($arg),*),
            _ => $body::<MR>($($arg),*),
        }
    };
}
#[cfg(target_arch = "x86_64")]
pub(super) use by_rows;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{MR, NR, Size, Start, Target};
    use std::{arch::x86_64::*, ops::Range};

    /// # Safety
    /// The machine must have AVX-512F; `a`, `b` and `c` must be as long as [`super::tile`] says.
    pub(super) unsafe fn avx512(
        size: Size,
        a: *const f32,
        b: *const f32,
        to: Target<'_>,
        ahead: &[f32],
    ) {
        // SAFETY: passed on from the caller.
        unsafe { by_rows!(avx512_rows, size.rows, (size, a, b, to, ahead)) }
    }

    /// [`avx512`] for `R` rows: all sums stay in registers.
    #[target_feature(enable = "avx512f")]
    unsafe fn avx512_rows<const R: usize>(
        Size { columns, k, .. }: Size,
        mut a: *const f32,
        mut b: *const f32,
        to: Target<'_>,
        ahead: &[f32],
    ) {
        let (c, row_stride) = (to.c.as_mut_ptr(), to.row_stride);
        // The bytes of `ahead` per step, so that all of it is fetched in k steps. Fetching a line
        // more than once costs nothing.
        let (mut fetch, stride) = (ahead.as_ptr(), size_of_val(ahead).div_ceil(k.max(1)));
        // The lanes of a row's two vectors that are inside C.
        let inside = |columns: usize| -> __mmask16 { ((1u32 << columns.min(16)) - 1) as __mmask16 };
        let masks = [inside(columns), inside(columns.saturating_sub(16))];
        // SAFETY: masked loads and stores touch only lanes inside `columns`; rows and steps are
        // within the slices whose lengths `tile` checked.
        unsafe {
            let mut sums = [[_mm512_setzero_ps(); 2]; R];
            match to.start {
                Start::Zero => {}
                Start::Bias(bias) => {
                    let low = _mm512_maskz_loadu_ps(masks[0], bias.as_ptr());
                    let high = _mm512_maskz_loadu_ps(masks[1], bias.as_ptr().wrapping_add(16));
                    sums = [[low, high]; R];
                }
                Start::Stored => {
                    for (row, sum) in sums.iter_mut().enumerate() {
                        let c = c.add(row * row_stride);
                        sum[0] = _mm512_maskz_loadu_ps(masks[0], c);
                        sum[1] = _mm512_maskz_loadu_ps(masks[1], c.wrapping_add(16));
                    }
                }
            }
            for _ in 0..k {
                let (low, high) = (_mm512_loadu_ps(b), _mm512_loadu_ps(b.add(16)));
                for (row, sum) in sums.iter_mut().enumerate() {
                    let x = _mm512_set1_ps(*a.add(row));
                    sum[0] = _mm512_fmadd_ps(x, low, sum[0]);
                    sum[1] = _mm512_fmadd_ps(x, high, sum[1]);
                }
                a = a.add(R);
                b = b.add(NR);
                // A prefetch is not an access: past the end of `ahead` it does nothing.
                _mm_prefetch::<_MM_HINT_T1>(fetch.cast());
                fetch = fetch.wrapping_byte_add(stride);
            }
            for (row, sum) in sums.iter().enumerate() {
                let c = c.add(row * row_stride);
                _mm512_mask_storeu_ps(c, masks[0], sum[0]);
                _mm512_mask_storeu_ps(c.wrapping_add(16), masks[1], sum[1]);
            }
        }
    }

    /// # Safety
    /// The machine must have AVX2 and FMA; `a`, `b` and `c` must be as long as [`super::tile`]
    /// says.
    pub(super) unsafe fn avx2(size: Size, a: *const f32, b: *const f32, to: Target<'_>) {
        // Sixteen registers hold 6×16 numbers, so the tile is computed in quarters.
        let half = size.rows.div_ceil(2);
        for first_column in (0..size.columns).step_by(16) {
            let columns = first_column..size.columns.min(first_column + 16);
            for rows in [0..half, half..size.rows] {
                if !rows.is_empty() {
                    let to = Target {
                        c: &mut *to.c,
                        ..to
                    };
                    // SAFETY: passed on from the caller; the quarter is inside the tile.
                    unsafe { avx2_quarter(size, rows, columns.clone(), a, b, to) };
                }
            }
        }
    }

    /// The part of a tile in up to 6 of its rows and up to 16 of its columns. If there are fewer
    /// columns, it is computed in a copy of C.
    ///
    /// # Safety
    /// As for [`avx2`].
    #[inline(always)]
    unsafe fn avx2_quarter(
        size: Size,
        rows: Range<usize>,
        columns: Range<usize>,
        a: *const f32,
        b: *const f32,
        to: Target<'_>,
    ) {
        let (n, width, row_stride) = (rows.len(), columns.len(), to.row_stride);
        let c = &mut to.c[rows.start * row_stride + columns.start..];
        let mut edge = [0f32; 6 * 16];
        let whole = width == 16;
        match to.start {
            Start::Zero => {}
            Start::Bias(bias) => edge
                .chunks_mut(16)
                .for_each(|row| row[..width].copy_from_slice(&bias[columns.clone()])),
            Start::Stored if whole => {}
            Start::Stored => {
                for (row, edge) in edge.chunks_mut(16).take(n).enumerate() {
                    edge[..width].copy_from_slice(&c[row * row_stride..][..width]);
                }
            }
        }
        // Bias rows are read from `edge`; a whole quarter that accumulates reads C itself.
        let (from, from_stride) = match (to.start, whole) {
            (Start::Stored, true) => (c.as_ptr(), row_stride),
            _ => (edge.as_ptr(), 16),
        };
        let (out, out_stride) = if whole {
            (c.as_mut_ptr(), row_stride)
        } else {
            (edge.as_mut_ptr(), 16)
        };
        // SAFETY: `from` and `out` hold n rows of 16 numbers; `a` and `b` are as the caller
        // promised.
        unsafe {
            let args = (size.k, a.add(rows.start), size.rows, b.add(columns.start));
            match n {
                1 => avx2_rows::<1>(args, from, from_stride, out, out_stride),
                2 => avx2_rows::<2>(args, from, from_stride, out, out_stride),
                3 => avx2_rows::<3>(args, from, from_stride, out, out_stride),
                4 => avx2_rows::<4>(args, from, from_stride, out, out_stride),
                5 => avx2_rows::<5>(args, from, from_stride, out, out_stride),
                _ => avx2_rows::<6>(args, from, from_stride, out, out_stride),
            }
        }
        if !whole {
            for (row, edge) in edge.chunks(16).take(n).enumerate() {
                c[row * row_stride..][..width].copy_from_slice(&edge[..width]);
            }
        }
    }

    /// `(k, a, step of a, b)`: the operands of an AVX2 tile.
    type Operands = (usize, *const f32, usize, *const f32);

    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2_rows<const R: usize>(
        (k, mut a, a_step, mut b): Operands,
        from: *const f32,
        from_stride: usize,
        to: *mut f32,
        to_stride: usize,
    ) {
        // SAFETY: by the caller's promise there are R rows of 16 numbers at `from` and `to`, and k
        // steps at `a` and `b`.
        unsafe {
            let mut sums = [[_mm256_setzero_ps(); 2]; R];
            for (row, sum) in sums.iter_mut().enumerate() {
                let from = from.add(row * from_stride);
                *sum = [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))];
            }
            for _ in 0..k {
                let (low, high) = (_mm256_loadu_ps(b), _mm256_loadu_ps(b.add(8)));
                for (row, sum) in sums.iter_mut().enumerate() {
                    let x = _mm256_set1_ps(*a.add(row));
                    sum[0] = _mm256_fmadd_ps(x, low, sum[0]);
                    sum[1] = _mm256_fmadd_ps(x, high, sum[1]);
                }
                a = a.add(a_step);
                b = b.add(NR);
            }
            for (row, sum) in sums.iter().enumerate() {
                let to = to.add(row * to_stride);
                _mm256_storeu_ps(to, sum[0]);
                _mm256_storeu_ps(to.add(8), sum[1]);
            }
        }
    }
}
