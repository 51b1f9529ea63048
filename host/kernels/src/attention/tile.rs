//! One head of one sequence: the views of its rows, and the three products of which attention and
//! its backward consist. Called only by [`super`].
//!
//! The keys and values of a prefix precede the sequence's own. They lie in another slice, so each
//! product has a part for the prefix and a part for the sequence.

use super::{Prefix, Qkv, Sequences};
use crate::{
    gemm::{Operands, PackedColumns, PackedRows, Start, multiply},
    matrix::Matrix,
};
use std::ops::Range;

/// Keys or values: the halves of a prefix's columns.
#[derive(Clone, Copy)]
pub(super) enum Half {
    Keys,
    Values,
}

/// The operands of a product in the order in which the inner loop reads them.
#[derive(Default)]
pub(super) struct Packed {
    rows: PackedRows,
    columns: PackedColumns,
}

impl Packed {
    pub(super) fn of(operands: Operands) -> Self {
        Self {
            rows: PackedRows::of(operands),
            columns: PackedColumns::of(operands),
        }
    }

    /// `c (=|+=) a·b` on this thread; the rows of `c` are `row_stride` apart.
    fn product(
        &mut self,
        start: Start<'_>,
        c: &mut [f32],
        row_stride: usize,
        a: Matrix<'_>,
        b: Matrix<'_>,
    ) {
        self.rows.pack(a);
        self.columns.pack_here(b);
        multiply(c, row_stride, &self.rows, &self.columns, start);
    }
}

/// One head of one sequence. Its scores are `[queries, prefix + keys]`.
#[derive(Clone, Copy)]
pub(super) struct Tile<'a> {
    pub qkv: &'a Qkv<'a>,
    pub sequences: &'a Sequences<'a>,
    /// The rows of the sequence's queries.
    pub queries: &'a Range<usize>,
    /// The rows of its keys and values.
    keys: &'a Range<usize>,
    pub head: usize,
    /// The number of keys in the prefix.
    n_prefix: usize,
}

impl<'a> Tile<'a> {
    pub(super) fn new(
        qkv: &'a Qkv<'a>,
        sequences: &'a Sequences<'a>,
        queries: &'a Range<usize>,
        keys: &'a Range<usize>,
        head: usize,
    ) -> Self {
        let length = |prefix: Prefix<'_>| prefix.rows.len() / (2 * sequences.hidden()).max(1);
        Self {
            qkv,
            sequences,
            queries,
            keys,
            head,
            n_prefix: qkv.prefix.map_or(0, length),
        }
    }

    /// The number of keys that each query reads.
    pub(super) fn width(&self) -> usize {
        self.n_prefix + self.keys.len()
    }

    /// The number of scores.
    pub(super) fn n_scores(&self) -> usize {
        self.queries.len() * self.width()
    }

    /// This head's columns in the queries' rows of `data`, `[_, hidden]`.
    pub(super) fn rows_of_queries<'b>(&self, data: &'b [f32]) -> Matrix<'b> {
        self.view(data, self.queries)
    }

    /// `out = a·bᵀ`, `[queries, prefix + keys]`, where b are the keys or values and `a` has one row
    /// per query.
    pub(super) fn times_transposed(
        &self,
        out: &mut [f32],
        a: Matrix<'_>,
        half: Half,
        packed: &mut Packed,
    ) {
        let width = self.width();
        if let Some(b) = self.of_prefix(half) {
            packed.product(Start::Zero, out, width, a, b.transposed());
        }
        let (own, b) = (&mut out[self.n_prefix..], self.own(half));
        packed.product(Start::Zero, own, width, a, b.transposed());
    }

    /// `out = w·b`, where b are the keys or values and `w` is `[queries, prefix + keys]`. It writes
    /// this head's columns in the queries' rows of `out`, `[_, hidden]`.
    pub(super) fn weighted_sum(&self, out: &mut [f32], w: &[f32], half: Half, packed: &mut Packed) {
        let hidden = self.sequences.hidden();
        let out = &mut out[self.start(self.queries)..];
        let mut start = Start::Zero;
        if let Some(b) = self.of_prefix(half) {
            packed.product(start, out, hidden, self.prefix_columns(w), b);
            start = Start::Stored;
        }
        packed.product(start, out, hidden, self.own_columns(w), self.own(half));
    }

    /// `out = wᵀ·a`, where `w` is `[queries, prefix + keys]` and `a` has one row per query. It
    /// writes this head's columns in the keys' rows of `out`, `[_, hidden]`, and adds those of the
    /// prefix to the half of `prefix_sum`, `[prefix, 2·hidden]`.
    pub(super) fn transposed_times(
        &self,
        out: &mut [f32],
        prefix_sum: &mut Option<&mut [f32]>,
        w: &[f32],
        a: Matrix<'_>,
        half: Half,
        packed: &mut Packed,
    ) {
        let hidden = self.sequences.hidden();
        if let (Some(_), Some(sum)) = (self.qkv.prefix, prefix_sum) {
            let sum = &mut sum[self.first_column(half)..];
            let w = self.prefix_columns(w).transposed();
            packed.product(Start::Stored, sum, 2 * hidden, w, a);
        }
        let own = &mut out[self.start(self.keys)..];
        let w = self.own_columns(w).transposed();
        packed.product(Start::Zero, own, hidden, w, a);
    }

    /// The sequence's own keys or values.
    fn own(&self, half: Half) -> Matrix<'a> {
        let data = match half {
            Half::Keys => self.qkv.k,
            Half::Values => self.qkv.v,
        };
        self.view(data, self.keys)
    }

    /// The keys or values of the prefix, if there is one.
    fn of_prefix(&self, half: Half) -> Option<Matrix<'a>> {
        let rows = self.qkv.prefix?.rows;
        let (columns, hidden) = (self.sequences.head_dim, self.sequences.hidden());
        let from = &rows[self.first_column(half)..];
        Some(Matrix::strided(from, self.n_prefix, columns, 2 * hidden))
    }

    /// The first column of this head in the rows of a prefix, `[prefix, 2·hidden]`.
    fn first_column(&self, half: Half) -> usize {
        let column = self.head * self.sequences.head_dim;
        match half {
            Half::Keys => column,
            Half::Values => self.sequences.hidden() + column,
        }
    }

    /// The columns of `w`, `[queries, prefix + keys]`, that belong to the prefix.
    fn prefix_columns<'b>(&self, w: &'b [f32]) -> Matrix<'b> {
        Matrix::strided(w, self.queries.len(), self.n_prefix, self.width())
    }

    /// The columns of `w`, `[queries, prefix + keys]`, that belong to the sequence's own keys.
    fn own_columns<'b>(&self, w: &'b [f32]) -> Matrix<'b> {
        let (rows, columns) = (self.queries.len(), self.keys.len());
        Matrix::strided(&w[self.n_prefix..], rows, columns, self.width())
    }

    /// The first number of this head in some rows of data `[_, hidden]`.
    fn start(&self, rows: &Range<usize>) -> usize {
        rows.start * self.sequences.hidden() + self.head * self.sequences.head_dim
    }

    /// This head's columns in some rows of data `[_, hidden]`.
    fn view<'b>(&self, data: &'b [f32], rows: &Range<usize>) -> Matrix<'b> {
        let start = self.start(rows).min(data.len());
        let (columns, hidden) = (self.sequences.head_dim, self.sequences.hidden());
        Matrix::strided(&data[start..], rows.len(), columns, hidden)
    }
}
