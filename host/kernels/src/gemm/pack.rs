//! Operands in the order in which the inner loop reads them. Called by [`super`] and its callers.
#![allow(unsafe_code)]

use super::{
    micro::{MR, NR},
    transpose::transpose,
};
use crate::{
    bf16::{Bf16, Half},
    matrix::Matrix,
    timed_task,
};
use std::{cell::RefCell, ops::Range};

/// The form in which a product reads its operands. Sums are f32 in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Operands {
    /// As they are.
    #[default]
    F32,
    /// Rounded to bfloat16 ([`crate::bf16`]), in pairs along k.
    Bf16,
}

impl Operands {
    /// The number of steps of the inner loop over k numbers.
    pub const fn steps(self, k: usize) -> usize {
        match self {
            Self::F32 => k,
            Self::Bf16 => k.div_ceil(2),
        }
    }
}

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

/// The right operand, `[k, n]`, in panels of `NR` columns. A panel holds a group of `NR` numbers or
/// pairs for each step over k, with zeros beyond n.
#[derive(Clone, Default)]
pub struct PackedColumns {
    operands: Operands,
    data: Aligned,
    k: usize,
    columns: usize,
}

impl PackedColumns {
    /// An empty buffer for operands of this form.
    pub fn of(operands: Operands) -> Self {
        Self {
            operands,
            ..Self::default()
        }
    }

    /// Packs `b`, `[k, n]`, into this buffer, on all threads.
    pub fn pack(&mut self, b: Matrix<'_>) {
        let operands = self.operands;
        self.pack_panels(b, |to, first| pack_panel(operands, to, b, first));
    }

    /// Packs numbers that are rounded already.
    ///
    /// # Panics
    /// If the buffer is not for bfloat16 operands.
    pub fn pack_rounded(&mut self, b: Matrix<'_, Bf16>) {
        assert_eq!(self.operands, Operands::Bf16, "the form of rounded numbers");
        self.pack_panels(b, |to, first| {
            let columns = NR.min(b.columns() - first);
            pack_pairs(to, NR, b, first..first + columns);
        });
    }

    /// Calls `pack` with every panel and its first column, on all threads.
    fn pack_panels<T>(&mut self, b: Matrix<'_, T>, pack: impl Fn(&mut [f32], usize) + Sync) {
        use rayon::prelude::*;
        let (to, size) = self.room(b.rows(), b.columns());
        to.par_chunks_mut(size).enumerate().for_each(|(panel, to)| {
            timed_task!("pack");
            pack(to, panel * NR);
        });
    }

    /// Like [`PackedColumns::pack`], but only on this thread.
    pub fn pack_here(&mut self, b: Matrix<'_>) {
        let operands = self.operands;
        let (to, size) = self.room(b.rows(), b.columns());
        for (panel, to) in to.chunks_mut(size).enumerate() {
            pack_panel(operands, to, b, panel * NR);
        }
    }

    /// Room for all panels of a matrix, `[k, n]`, and the size of one.
    fn room(&mut self, k: usize, n: usize) -> (&mut [f32], usize) {
        (self.k, self.columns) = (k, n);
        let size = self.operands.steps(self.k) * NR;
        let n = self.panels() * size;
        self.data.resize(n);
        (&mut self.data.numbers_mut()[..n], size.max(1))
    }

    /// The packed form of `b`, `[k, n]`.
    pub fn new(b: Matrix<'_>) -> Self {
        let mut packed = Self::default();
        packed.pack(b);
        packed
    }

    /// The form of the numbers.
    pub fn operands(&self) -> Operands {
        self.operands
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
    pub fn bytes_of(operands: Operands, k: usize, n: usize) -> usize {
        n.div_ceil(NR) * NR * operands.steps(k) * size_of::<f32>()
    }

    pub(super) fn panel(&self, panel: usize, steps: Range<usize>) -> &[f32] {
        let start = panel * self.operands.steps(self.k) * NR;
        &self.data.numbers()[start + steps.start * NR..start + steps.end * NR]
    }
}

/// Copies columns `first…` of `b` into a panel.
fn pack_panel(operands: Operands, to: &mut [f32], b: Matrix<'_>, first: usize) {
    let columns = NR.min(b.columns() - first);
    if operands == Operands::Bf16 {
        pack_pairs(to, NR, b, first..first + columns);
    } else if b.column_stride() == 1 {
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

/// Columns `range` of `b` as pairs: `to[step·stride + column]`, with zeros in the rest of each
/// group.
fn pack_pairs<T: Half>(to: &mut [f32], stride: usize, b: Matrix<'_, T>, range: Range<usize>) {
    let columns = range.len();
    if b.column_stride() == 1 {
        for (step, to) in to.chunks_exact_mut(stride).enumerate() {
            let (to, beyond) = to.split_at_mut(columns);
            let firsts = &b.row(2 * step)[range.clone()];
            if 2 * step + 1 < b.rows() {
                T::pair_rows(to, firsts, &b.row(2 * step + 1)[range.clone()]);
            } else {
                T::pair_with_zeros(to, firsts);
            }
            beyond.fill(0.0);
        }
        return;
    }
    if columns < stride {
        to.fill(0.0);
    }
    let (rows, k) = (b.transposed(), b.rows());
    for group in (0..columns).step_by(16) {
        let n = (columns - group).min(16);
        let rows = rows.rows_from(range.start + group, n);
        with_pairs(rows, k, |pairs| transpose(&mut to[group..], stride, pairs));
    }
}

/// Calls `f` with the pairs of neighbours in up to 16 dense rows of k numbers.
fn with_pairs<T: Half>(rows: Matrix<'_, T>, k: usize, f: impl FnOnce(Matrix<'_>)) {
    thread_local! {
        static PAIRS: RefCell<Vec<f32>> = RefCell::default();
    }
    let steps = Operands::Bf16.steps(k);
    PAIRS.with_borrow_mut(|pairs| {
        let n = rows.rows() * steps;
        if pairs.len() < n {
            pairs.resize(n, 0.0);
        }
        for (row, to) in pairs[..n].chunks_exact_mut(steps.max(1)).enumerate() {
            T::pair_neighbours(to, rows.row(row));
        }
        f(Matrix::new(&pairs[..n], rows.rows(), steps));
    });
}

/// The left operand, `[m, k]`, in blocks of rows of nearly equal height. A block holds a group of
/// one number or pair per row for each step over k.
#[derive(Clone, Default)]
pub struct PackedRows {
    operands: Operands,
    data: Aligned,
    rows: usize,
    k: usize,
}

impl PackedRows {
    /// An empty buffer for operands of this form.
    pub fn of(operands: Operands) -> Self {
        Self {
            operands,
            ..Self::default()
        }
    }

    /// Chooses the form of the operands that are packed from now on.
    pub fn set_operands(&mut self, operands: Operands) {
        self.operands = operands;
    }

    /// Packs `a`, `[m, k]`, into this buffer, on this thread.
    pub fn pack(&mut self, a: Matrix<'_>) {
        let operands = self.operands;
        self.pack_blocks(a, |to, a| match operands {
            Operands::F32 => pack_rows(to, a),
            Operands::Bf16 => pack_pairs(to, a.rows(), a.transposed(), 0..a.rows()),
        });
    }

    /// Packs numbers that are rounded already.
    ///
    /// # Panics
    /// If the buffer is not for bfloat16 operands.
    pub fn pack_rounded(&mut self, a: Matrix<'_, Bf16>) {
        assert_eq!(self.operands, Operands::Bf16, "the form of rounded numbers");
        self.pack_blocks(a, |to, a| {
            pack_pairs(to, a.rows(), a.transposed(), 0..a.rows())
        });
    }

    /// Calls `pack` with the room for every block and its rows.
    fn pack_blocks<T: Copy>(&mut self, a: Matrix<'_, T>, pack: impl Fn(&mut [f32], Matrix<'_, T>)) {
        (self.rows, self.k) = (a.rows(), a.columns());
        let steps = self.operands.steps(self.k);
        self.data.resize(self.rows * steps);
        let mut to = &mut self.data.numbers_mut()[..a.rows() * steps];
        for (first, rows) in heights(a.rows()) {
            let (block, rest) = std::mem::take(&mut to).split_at_mut(rows * steps);
            pack(block, a.rows_from(first, rows));
            to = rest;
        }
    }

    /// The packed form of `a`, `[m, k]`.
    pub fn new(a: Matrix<'_>) -> Self {
        let mut packed = Self::default();
        packed.pack(a);
        packed
    }

    /// The form of the numbers.
    pub fn operands(&self) -> Operands {
        self.operands
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
            let start = first * self.operands.steps(self.k);
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
