//! Multi-head attention over sequences of different lengths, without padding.
//!
//! The fused block calls it on one thread for the sequences that the thread owns. Queries, keys and
//! values are `[tokens, heads·head_dim]`, as the linear layers produce them; a sequence is a range
//! of rows. The forward keeps one number per query and head, the logarithm of the softmax's
//! denominator. From it the backward recomputes the probabilities. There may be fewer queries than
//! keys: a head that reads the first token needs only that query. A prefix consists of additional
//! keys and values, the same for all sequences, that precede their own.

use crate::{
    dropout::{Dropout, apply_row},
    gemm::{PackedColumns, PackedRows, Start, multiply},
    math::{exp, sum_by},
    matrix::Matrix,
    simd::simd_fn,
};
use std::ops::Range;

/// The assignment of rows to sequences. Offsets may begin anywhere: the first one corresponds to
/// row 0 of the accompanying slices.
#[derive(Debug, Clone, Copy)]
pub struct Sequences<'a> {
    /// The number of heads.
    pub heads: usize,
    /// The number of columns of one head.
    pub head_dim: usize,
    /// The row offsets of the queries of each sequence, `[sequences + 1]`.
    pub query_offsets: &'a [u32],
    /// The row offsets of the keys and values of each sequence, `[sequences + 1]`.
    pub key_offsets: &'a [u32],
}

impl Sequences<'_> {
    fn hidden(&self) -> usize {
        self.heads * self.head_dim
    }

    fn scale(&self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }

    /// The query rows and key rows of every sequence that has queries, relative to the slices.
    fn ranges(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let relative = |offsets: &[u32]| -> Vec<Range<usize>> {
            let at = |offset: u32| (offset - offsets[0]) as usize;
            offsets
                .windows(2)
                .map(|pair| at(pair[0])..at(pair[1]))
                .collect()
        };
        relative(self.query_offsets)
            .into_iter()
            .zip(relative(self.key_offsets))
    }

    /// One head's columns in some rows.
    fn view<'b>(&self, data: &'b [f32], rows: &Range<usize>, head: usize) -> Matrix<'b> {
        let start = (rows.start * self.hidden() + head * self.head_dim).min(data.len());
        Matrix::strided(&data[start..], rows.len(), self.head_dim, self.hidden())
    }
}

/// Keys and values that every sequence reads before its own.
#[derive(Debug, Clone, Copy)]
pub struct Prefix<'a> {
    /// `[rows, 2·hidden]`: keys in the first half of the columns, values in the second.
    pub rows: &'a [f32],
}

impl<'a> Prefix<'a> {
    /// The number of rows.
    fn len(self, sequences: &Sequences<'_>) -> usize {
        self.rows.len() / (2 * sequences.hidden()).max(1)
    }

    /// One head's keys (`half` 0) or values (1).
    fn view(self, sequences: &Sequences<'_>, half: usize, head: usize) -> Matrix<'a> {
        let (start, n) = (half_start(sequences, half, head), self.len(sequences));
        Matrix::strided(
            &self.rows[start..],
            n,
            sequences.head_dim,
            2 * sequences.hidden(),
        )
    }
}

/// The first column of a head among the keys (`half` 0) or values (1) of a prefix.
fn half_start(sequences: &Sequences<'_>, half: usize, head: usize) -> usize {
    half * sequences.hidden() + head * sequences.head_dim
}

/// The first mask channel of a head, with room for 65 536 key positions.
pub fn first_channel(head: usize) -> u32 {
    (head as u32) << 16
}

/// The working memory of attention, kept from call to call.
#[derive(Default)]
pub struct Scratch {
    rows: PackedRows,
    columns: PackedColumns,
    p: Vec<f32>,
    d_p: Vec<f32>,
    dropped: Vec<f32>,
}

/// `c = a·b` on this thread, through the scratch's packed operands.
fn product(
    c: &mut [f32],
    row_stride: usize,
    a: Matrix<'_>,
    b: Matrix<'_>,
    packed: (&mut PackedRows, &mut PackedColumns),
) {
    product_from(Start::Zero, c, row_stride, a, b, packed);
}

/// Like [`product`], added to the contents that `start` selects.
fn product_from(
    start: Start<'_>,
    c: &mut [f32],
    row_stride: usize,
    a: Matrix<'_>,
    b: Matrix<'_>,
    (rows, columns): (&mut PackedRows, &mut PackedColumns),
) {
    rows.pack(a);
    columns.pack_here(b);
    multiply(c, row_stride, rows, columns, start);
}

/// The first `n` numbers of a buffer that grows as needed.
fn room(buffer: &mut Vec<f32>, n: usize) -> &mut [f32] {
    if buffer.len() < n {
        buffer.resize(n, 0.0);
    }
    &mut buffer[..n]
}

/// `context = softmax(q·kᵀ/√d)·v` and the log-sum-exp, `[queries, heads]`.
///
/// `q` and `context` are `[queries, hidden]`; `k` and `v` are `[keys, hidden]` and are preceded by
/// those of `prefix`. `dropout` acts on the probabilities. Its row keys are those of the queries,
/// and its channels count the prefix's keys first.
#[allow(clippy::too_many_arguments)]
pub fn forward(
    context: &mut [f32],
    log_sum_exp: &mut [f32],
    q: &[f32],
    k: &[f32],
    v: &[f32],
    prefix: Option<Prefix<'_>>,
    sequences: Sequences<'_>,
    dropout: Option<&Dropout<'_>>,
    scratch: &mut Scratch,
) {
    let (heads, hidden, d) = (sequences.heads, sequences.hidden(), sequences.head_dim);
    let Scratch {
        rows, columns, p, ..
    } = scratch;
    for (queries, keys) in sequences.ranges() {
        if queries.is_empty() || keys.is_empty() {
            context[queries.start * hidden..queries.end * hidden].fill(0.0);
            continue;
        }
        let n_prefix = prefix.map_or(0, |prefix| prefix.len(&sequences));
        let width = n_prefix + keys.len();
        let p = room(p, queries.len() * width);
        for head in 0..heads {
            let query = sequences.view(q, &queries, head);
            let key = sequences.view(k, &keys, head);
            if let Some(prefix) = prefix {
                let key = prefix.view(&sequences, 0, head);
                product(p, width, query, key.transposed(), (rows, columns));
            }
            let own = &mut p[n_prefix..];
            product(own, width, query, key.transposed(), (rows, columns));
            for (row, p) in queries.clone().zip(p.chunks_mut(width)) {
                log_sum_exp[row * heads + head] = softmax_row(p, sequences.scale());
                if let Some(dropout) = dropout {
                    let channel = first_channel(head);
                    apply_row(
                        p,
                        dropout.p,
                        dropout.site_key,
                        dropout.row_keys[row],
                        channel,
                    );
                }
            }
            let value = sequences.view(v, &keys, head);
            let out = &mut context[queries.start * hidden + head * d..];
            let mut start = Start::Zero;
            if let Some(prefix) = prefix {
                let p = Matrix::strided(p, queries.len(), n_prefix, width);
                let value = prefix.view(&sequences, 1, head);
                product(out, hidden, p, value, (rows, columns));
                start = Start::Stored;
            }
            let p = Matrix::strided(&p[n_prefix..], queries.len(), keys.len(), width);
            product_from(start, out, hidden, p, value, (rows, columns));
        }
    }
}

simd_fn! {
    /// Softmax of `scale · row` in place; returns log Σ exp.
    fn softmax_row(row: &mut [f32], scale: f32) -> f32 {
        let mut max = f32::NEG_INFINITY;
        for &value in row.iter() {
            max = max.max(value);
        }
        let max = max * scale;
        for value in row.iter_mut() {
            *value = exp(*value * scale - max);
        }
        let sum = sum_by(row.len(), |i| row[i]);
        let inverse = 1.0 / sum;
        for value in row.iter_mut() {
            *value *= inverse;
        }
        max + sum.ln()
    }
}

simd_fn! {
    /// Converts scores to probabilities, given the log-sum-exp.
    fn probabilities_row(row: &mut [f32], scale: f32, log_sum_exp: f32) {
        for value in row.iter_mut() {
            *value = exp(*value * scale - log_sum_exp);
        }
    }
}

simd_fn! {
    /// The softmax's backward: `d ← scale·p·(d − Σ d·p)`.
    fn softmax_backward_row(d: &mut [f32], p: &[f32], scale: f32) {
        let dot = sum_by(d.len(), |i| d[i] * p[i]);
        for (d, p) in d.iter_mut().zip(p) {
            *d = scale * p * (*d - dot);
        }
    }
}

/// The gradients of `q`, `k` and `v`, which are overwritten; `d_context` is `[queries, hidden]`.
/// The gradient of the prefix's rows is added to `d_prefix`, if there is one.
#[allow(clippy::too_many_arguments)]
pub fn backward(
    d_q: &mut [f32],
    d_k: &mut [f32],
    d_v: &mut [f32],
    mut d_prefix: Option<&mut [f32]>,
    d_context: &[f32],
    q: &[f32],
    k: &[f32],
    v: &[f32],
    prefix: Option<Prefix<'_>>,
    log_sum_exp: &[f32],
    sequences: Sequences<'_>,
    dropout: Option<&Dropout<'_>>,
    scratch: &mut Scratch,
) {
    let (heads, hidden, d) = (sequences.heads, sequences.hidden(), sequences.head_dim);
    let Scratch {
        rows,
        columns,
        p,
        d_p,
        dropped,
    } = scratch;
    for (queries, keys) in sequences.ranges() {
        if queries.is_empty() || keys.is_empty() {
            d_q[queries.start * hidden..queries.end * hidden].fill(0.0);
            d_k[keys.start * hidden..keys.end * hidden].fill(0.0);
            d_v[keys.start * hidden..keys.end * hidden].fill(0.0);
            continue;
        }
        let n_prefix = prefix.map_or(0, |prefix| prefix.len(&sequences));
        let (n_queries, n_keys) = (queries.len(), keys.len());
        let width = n_prefix + n_keys;
        let n = n_queries * width;
        let (p, d_p) = (room(p, n), room(d_p, n));
        let dropped = room(dropped, if dropout.is_some() { n } else { 0 });
        for head in 0..heads {
            let query = sequences.view(q, &queries, head);
            let key = sequences.view(k, &keys, head);
            let value = sequences.view(v, &keys, head);
            let d_out = sequences.view(d_context, &queries, head);
            if let Some(prefix) = prefix {
                let [key, value] = [0, 1].map(|half| prefix.view(&sequences, half, head));
                product(p, width, query, key.transposed(), (rows, columns));
                product(d_p, width, d_out, value.transposed(), (rows, columns));
            }
            let (own, d_own) = (&mut p[n_prefix..], &mut d_p[n_prefix..]);
            product(own, width, query, key.transposed(), (rows, columns));
            product(d_own, width, d_out, value.transposed(), (rows, columns));
            for (i, (p, d_p)) in p.chunks_mut(width).zip(d_p.chunks_mut(width)).enumerate() {
                let row = queries.start + i;
                probabilities_row(p, sequences.scale(), log_sum_exp[row * heads + head]);
                if let Some(dropout) = dropout {
                    let dropped = &mut dropped[i * width..(i + 1) * width];
                    dropped.copy_from_slice(p);
                    let key = dropout.row_keys[row];
                    for values in [dropped, &mut *d_p] {
                        apply_row(
                            values,
                            dropout.p,
                            dropout.site_key,
                            key,
                            first_channel(head),
                        );
                    }
                }
                softmax_backward_row(d_p, p, sequences.scale());
            }
            let used: &[f32] = if dropout.is_some() { dropped } else { p };
            let mut start = Start::Zero;
            if let Some(prefix) = prefix {
                let used = Matrix::strided(used, n_queries, n_prefix, width);
                let d_scores = Matrix::strided(d_p, n_queries, n_prefix, width);
                if let Some(d_prefix) = d_prefix.as_deref_mut() {
                    for (half, left, right) in [(0, d_scores, query), (1, used, d_out)] {
                        let sum = &mut d_prefix[half_start(&sequences, half, head)..];
                        let left = left.transposed();
                        product_from(Start::Stored, sum, 2 * hidden, left, right, (rows, columns));
                    }
                }
                let d_query = &mut d_q[queries.start * hidden + head * d..];
                let key = prefix.view(&sequences, 0, head);
                product(d_query, hidden, d_scores, key, (rows, columns));
                start = Start::Stored;
            }
            let used = Matrix::strided(&used[n_prefix..], n_queries, n_keys, width);
            let d_scores = Matrix::strided(&d_p[n_prefix..], n_queries, n_keys, width);
            let at = |rows: &Range<usize>| rows.start * hidden + head * d;
            product(
                &mut d_v[at(&keys)..],
                hidden,
                used.transposed(),
                d_out,
                (rows, columns),
            );
            product_from(
                start,
                &mut d_q[at(&queries)..],
                hidden,
                d_scores,
                key,
                (rows, columns),
            );
            product(
                &mut d_k[at(&keys)..],
                hidden,
                d_scores.transposed(),
                query,
                (rows, columns),
            );
        }
    }
}

/// The definition, in double precision. `mask(row, head, key)` multiplies the probabilities, the
/// prefix's keys first.
pub fn naive(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    prefix: Option<Prefix<'_>>,
    sequences: Sequences<'_>,
    mask: impl Fn(usize, usize, usize) -> f32,
) -> Vec<f32> {
    let (hidden, d) = (sequences.hidden(), sequences.head_dim);
    let n_prefix = prefix.map_or(0, |prefix| prefix.len(&sequences));
    let mut context = vec![0f32; q.len()];
    for (queries, keys) in sequences.ranges() {
        for i in queries {
            for head in 0..sequences.heads {
                // Key (`half` 0) or value (1) number j, counting the prefix's first.
                let at = |half: usize, j: usize, c: usize| match (prefix, j.checked_sub(n_prefix)) {
                    (Some(prefix), None) => {
                        prefix.rows[j * 2 * hidden + half_start(&sequences, half, head) + c] as f64
                    }
                    (_, own) => {
                        let row = keys.start + own.unwrap_or(0);
                        [k, v][half][row * hidden + head * d + c] as f64
                    }
                };
                let query = |c: usize| q[i * hidden + head * d + c] as f64;
                let score = |j: usize| (0..d).map(|c| query(c) * at(0, j, c)).sum::<f64>();
                let weights: Vec<f64> = (0..n_prefix + keys.len())
                    .map(|j| (score(j) / (d as f64).sqrt()).exp())
                    .collect();
                let total: f64 = weights.iter().sum();
                for c in 0..d {
                    let terms = weights.iter().enumerate();
                    let sum: f64 = terms
                        .map(|(j, w)| w / total * mask(i, head, j) as f64 * at(1, j, c))
                        .sum();
                    context[i * hidden + head * d + c] = sum as f32;
                }
            }
        }
    }
    context
}

#[cfg(test)]
mod tests;
