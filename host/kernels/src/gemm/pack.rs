//! Operands in the order in which the inner loop reads them. Called by [`super`] and its callers.
#![allow(unsafe_code)]

use super::micro::{MR, NR};
use crate::{
    matrix::Matrix,
    simd::{Level, level},
};
use std::ops::Range;

/// Sixteen numbers on their own cache line. Packed operands begin on one, so that no vector
/// straddles two lines.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// A growing buffer of numbers that begins on a cache line.
#[derive(Clone, Default)]
struct Aligned {
    lines: Vec<Line>,
}

impl Aligned {
    /// Makes room for `n` numbers; their values are unspecified.
    fn resize(&mut self, n: usize) {
        let lines = n.div_ceil(16);
        if self.lines.len() < lines {
            self.lines.resize(lines, Line([0.0; 16]));
        }
    }

    fn numbers(&self) -> &[f32] {
        // SAFETY: a `Line` is sixteen f32 without padding, and the vector holds that many of them.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.lines.len() * 16) }
    }

    fn numbers_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above; the borrow is exclusive.
        unsafe {
            std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.lines.len() * 16)
        }
    }
}

/// The right operand, `[k, n]`, in panels of `NR` columns. A panel holds k groups of `NR`
/// numbers, with zeros beyond n.
#[derive(Clone, Default)]
pub struct PackedColumns {
    data: Aligned,
    k: usize,
    columns: usize,
}

impl PackedColumns {
    /// Packs `b`, `[k, n]`, into this buffer, on all threads.
    pub fn pack(&mut self, b: Matrix<'_>) {
        use rayon::prelude::*;
        (self.k, self.columns) = (b.rows(), b.columns());
        let (k, n) = (self.k, self.panels());
        self.data.resize(n * k * NR);
        if k == 0 {
            return;
        }
        self.data.numbers_mut()[..n * k * NR]
            .par_chunks_mut(k * NR)
            .enumerate()
            .for_each(|(panel, to)| pack_panel(to, b, panel * NR));
    }

    /// Like [`PackedColumns::pack`], but only on this thread.
    pub fn pack_here(&mut self, b: Matrix<'_>) {
        (self.k, self.columns) = (b.rows(), b.columns());
        let (k, n) = (self.k, self.panels());
        self.data.resize(n * k * NR);
        for panel in 0..n {
            let to = &mut self.data.numbers_mut()[panel * k * NR..(panel + 1) * k * NR];
            pack_panel(to, b, panel * NR);
        }
    }

    /// The packed form of `b`, `[k, n]`.
    pub fn new(b: Matrix<'_>) -> Self {
        let mut packed = Self::default();
        packed.pack(b);
        packed
    }

    /// k.
    pub fn k(&self) -> usize {
        self.k
    }

    /// n.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The number of panels.
    pub fn panels(&self) -> usize {
        self.columns.div_ceil(NR)
    }

    /// The size in memory, in bytes.
    pub fn bytes(&self) -> usize {
        self.data.lines.len() * 64
    }

    /// The number of bytes that the packed form of a matrix, `[k, n]`, needs.
    pub fn bytes_of(k: usize, n: usize) -> usize {
        n.div_ceil(NR) * NR * k * size_of::<f32>()
    }

    pub(super) fn panel(&self, panel: usize, steps: Range<usize>) -> &[f32] {
        let start = panel * self.k * NR;
        &self.data.numbers()[start + steps.start * NR..start + steps.end * NR]
    }
}

/// Copies columns `first…` of `b` into a panel.
fn pack_panel(to: &mut [f32], b: Matrix<'_>, first: usize) {
    let columns = NR.min(b.columns() - first);
    if b.column_stride() == 1 {
        for (step, to) in to.as_chunks_mut::<NR>().0.iter_mut().enumerate() {
            let from = &b.row(step)[first..first + columns];
            // A whole group is copied in registers; a call for 128 bytes would take longer than the
            // copy.
            match from.first_chunk::<NR>() {
                Some(from) => *to = *from,
                None => {
                    to[..columns].copy_from_slice(from);
                    to[columns..].fill(0.0);
                }
            }
        }
    } else {
        // B is the transpose of a matrix with dense rows, such as a weight.
        let rows = b.transposed();
        if columns < NR {
            to.fill(0.0);
        }
        for group in (0..columns).step_by(16) {
            let n = (columns - group).min(16);
            transpose(&mut to[group..], NR, rows.rows_from(first + group, n));
        }
    }
}

/// The left operand, `[m, k]`, in blocks of rows of nearly equal height. A block holds k groups of
/// one number per row.
#[derive(Clone, Default)]
pub struct PackedRows {
    data: Aligned,
    rows: usize,
    k: usize,
}

impl PackedRows {
    /// Packs `a`, `[m, k]`, into this buffer, on this thread.
    pub fn pack(&mut self, a: Matrix<'_>) {
        (self.rows, self.k) = (a.rows(), a.columns());
        self.data.resize(self.rows * self.k);
        let k = self.k;
        let mut to = &mut self.data.numbers_mut()[..a.rows() * k];
        for (first, rows) in heights(a.rows()) {
            let (block, rest) = std::mem::take(&mut to).split_at_mut(rows * k);
            pack_rows(block, a.rows_from(first, rows));
            to = rest;
        }
    }

    /// The packed form of `a`, `[m, k]`.
    pub fn new(a: Matrix<'_>) -> Self {
        let mut packed = Self::default();
        packed.pack(a);
        packed
    }

    /// m.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// k.
    pub fn k(&self) -> usize {
        self.k
    }

    /// `(first row, rows, numbers)` for every block, restricted to some steps of k.
    pub(super) fn blocks(
        &self,
        steps: Range<usize>,
    ) -> impl ExactSizeIterator<Item = (usize, usize, &[f32])> {
        heights(self.rows).map(move |(first, rows)| {
            let start = first * self.k;
            let numbers =
                &self.data.numbers()[start + steps.start * rows..start + steps.end * rows];
            (first, rows, numbers)
        })
    }
}

/// `(first row, rows)` of the blocks of m rows. There are as few blocks as possible, and their
/// heights differ by at most one, because a low block leaves the multipliers waiting.
fn heights(m: usize) -> impl ExactSizeIterator<Item = (usize, usize)> {
    let blocks = m.div_ceil(MR);
    (0..blocks).map(move |i| {
        let first = i * m / blocks;
        (first, (i + 1) * m / blocks - first)
    })
}

fn pack_rows(to: &mut [f32], a: Matrix<'_>) {
    let rows = a.rows();
    if a.column_stride() == 1 {
        transpose(to, rows, a);
    } else {
        // A is the transpose of a matrix with dense rows, so each group is already contiguous.
        let steps = a.transposed();
        match rows {
            MR => copy_groups::<MR>(to, steps),
            _ => {
                for (step, to) in to.chunks_exact_mut(rows).enumerate() {
                    to.copy_from_slice(&steps.row(step)[..rows]);
                }
            }
        }
    }
}

/// Copies the first `N` numbers of every row, in registers.
fn copy_groups<const N: usize>(to: &mut [f32], from: Matrix<'_>) {
    for (step, to) in to.as_chunks_mut::<N>().0.iter_mut().enumerate() {
        if let Some(group) = from.row(step).first_chunk::<N>() {
            *to = *group;
        }
    }
}

/// `to[step·stride + row] = a[row][step]` for up to 16 dense rows.
fn transpose(to: &mut [f32], stride: usize, a: Matrix<'_>) {
    let (rows, steps) = (a.rows(), a.columns());
    if rows == 0 || steps == 0 {
        return;
    }
    assert!(rows <= 16 && rows <= stride && to.len() >= (steps - 1) * stride + rows);
    #[cfg(target_arch = "x86_64")]
    if level() == Level::Avx512 {
        for step in (0..steps).step_by(16) {
            let n = (steps - step).min(16);
            // SAFETY: the level was detected; the squares' rows and columns are inside `a` and, by
            // the assertion above, inside `to`.
            unsafe { transpose_square(&mut to[step * stride..], stride, a, step, n) };
        }
        return;
    }
    for (step, to) in to.chunks_mut(stride).take(steps).enumerate() {
        for (row, to) in to[..rows].iter_mut().enumerate() {
            *to = a.row(row)[step];
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
