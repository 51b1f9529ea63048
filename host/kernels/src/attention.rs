//! Multi-head attention over sequences of different lengths, without padding.
//!
//! The fused block calls it on one thread for the sequences that the thread owns. Queries, keys and
//! values are `[tokens, heads·head_dim]`, as the linear layers produce them; a sequence is a range
//! of rows. The forward keeps one number per query and head, the logarithm of the softmax's
//! denominator. From it the backward recomputes the probabilities. There may be fewer queries than
//! keys: a head that reads the first token needs only that query. A prefix consists of additional
//! keys and values, the same for all sequences, that precede their own.
//!
//! Both directions go through the sequences, and in each through the heads. For one head, the
//! forward has three steps, which the backward undoes from the last to the first:
//!
//! 1. scores `s = q·kᵀ`, `[queries, prefix + keys]`;
//! 2. probabilities `p = dropout(softmax(s/√d))`, row by row;
//! 3. `context = p·v`.
//!
//! ```
//! use progtune_kernels::attention::{Qkv, Scratch, Sequences, forward};
//!
//! // Two sequences, of one and two tokens, and one head of one column.
//! let offsets = [0, 1, 3];
//! let sequences = Sequences {
//!     heads: 1,
//!     head_dim: 1,
//!     query_offsets: &offsets,
//!     key_offsets: &offsets,
//! };
//! let qkv = Qkv { q: &[0.0; 3], k: &[1.0, 2.0, 3.0], v: &[5.0, 2.0, 4.0], prefix: None };
//! let (mut context, mut log_sum_exp) = ([0.0; 3], [0.0; 3]);
//! forward(&mut context, &mut log_sum_exp, qkv, sequences, None, &mut Scratch::default());
//! // Queries of zero read every key of their sequence equally.
//! assert_eq!(context, [5.0, 3.0, 3.0]);
//! ```

mod tile;

use crate::{
    dropout::{Dropout, apply_row},
    gemm::Operands,
    math::{exp, sum_by},
    simd::simd_fn,
};
use std::ops::Range;
use tile::{Half, Packed, Tile};

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

    /// The query rows and key rows of every sequence, relative to the slices.
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

    /// Writes zeros to the rows of `data`, `[_, hidden]`.
    fn clear(&self, data: &mut [f32], rows: &Range<usize>) {
        data[rows.start * self.hidden()..rows.end * self.hidden()].fill(0.0);
    }
}

/// Keys and values that every sequence reads before its own.
#[derive(Debug, Clone, Copy)]
pub struct Prefix<'a> {
    /// `[rows, 2·hidden]`: keys in the first half of the columns, values in the second.
    pub rows: &'a [f32],
}

/// The rows that attention reads.
#[derive(Debug, Clone, Copy)]
pub struct Qkv<'a> {
    /// The queries, `[queries, hidden]`.
    pub q: &'a [f32],
    /// The keys, `[keys, hidden]`.
    pub k: &'a [f32],
    /// The values, `[keys, hidden]`.
    pub v: &'a [f32],
    /// The keys and values that precede those of every sequence.
    pub prefix: Option<Prefix<'a>>,
}

/// The gradients of [`Qkv`], in the same shapes.
#[derive(Debug)]
pub struct QkvGradients<'a> {
    /// The gradient of the queries, which is overwritten.
    pub d_q: &'a mut [f32],
    /// The gradient of the keys, which is overwritten.
    pub d_k: &'a mut [f32],
    /// The gradient of the values, which is overwritten.
    pub d_v: &'a mut [f32],
    /// The sum to which the gradient of the prefix's rows is added, if it is wanted.
    pub d_prefix: Option<&'a mut [f32]>,
}

/// The first mask channel of a head, with room for 65 536 key positions.
pub fn first_channel(head: usize) -> u32 {
    (head as u32) << 16
}

/// The working memory of attention, kept from call to call.
#[derive(Default)]
pub struct Scratch {
    packed: Packed,
    p: Vec<f32>,
    d_p: Vec<f32>,
    dropped: Vec<f32>,
}

impl Scratch {
    /// The working memory for products of operands of this form.
    pub fn of(operands: Operands) -> Self {
        Self {
            packed: Packed::of(operands),
            ..Self::default()
        }
    }
}

/// The first `n` numbers of a buffer that grows as needed.
fn room(buffer: &mut Vec<f32>, n: usize) -> &mut [f32] {
    if buffer.len() < n {
        buffer.resize(n, 0.0);
    }
    &mut buffer[..n]
}

/// `context = dropout(softmax(q·kᵀ/√d))·v`, `[queries, hidden]`, and the log-sum-exp,
/// `[queries, heads]`, which the backward reads.
///
/// The row keys of `dropout` are those of the queries, and its channels count the prefix's keys
/// first.
pub fn forward(
    context: &mut [f32],
    log_sum_exp: &mut [f32],
    qkv: Qkv<'_>,
    sequences: Sequences<'_>,
    dropout: Option<&Dropout<'_>>,
    scratch: &mut Scratch,
) {
    let (heads, scale) = (sequences.heads, sequences.scale());
    let Scratch { packed, p, .. } = scratch;
    for (queries, keys) in sequences.ranges() {
        if queries.is_empty() || keys.is_empty() {
            sequences.clear(context, &queries);
            continue;
        }
        for head in 0..heads {
            let tile = Tile::new(&qkv, &sequences, &queries, &keys, head);
            let p = room(p, tile.n_scores());
            // 1. s = q·kᵀ
            tile.times_transposed(p, tile.rows_of_queries(qkv.q), Half::Keys, packed);
            // 2. p = dropout(softmax(s/√d))
            for (row, p) in queries.clone().zip(p.chunks_mut(tile.width())) {
                log_sum_exp[row * heads + head] = softmax_row(p, scale);
                apply_mask(p, dropout, row, head);
            }
            // 3. context = p·v
            tile.weighted_sum(context, p, Half::Values, packed);
        }
    }
}

/// The gradients of `qkv`, given that of the context, `d_context` (`[queries, hidden]`). The other
/// arguments are those of [`forward`], with the log-sum-exp that it returned.
pub fn backward(
    mut d: QkvGradients<'_>,
    d_context: &[f32],
    qkv: Qkv<'_>,
    log_sum_exp: &[f32],
    sequences: Sequences<'_>,
    dropout: Option<&Dropout<'_>>,
    scratch: &mut Scratch,
) {
    for (queries, keys) in sequences.ranges() {
        if queries.is_empty() || keys.is_empty() {
            sequences.clear(d.d_q, &queries);
            sequences.clear(d.d_k, &keys);
            sequences.clear(d.d_v, &keys);
            continue;
        }
        for head in 0..sequences.heads {
            let tile = Tile::new(&qkv, &sequences, &queries, &keys, head);
            backward_head(&mut d, d_context, &tile, log_sum_exp, dropout, scratch);
        }
    }
}

/// [`backward`] for one head of one sequence.
fn backward_head(
    d: &mut QkvGradients<'_>,
    d_context: &[f32],
    tile: &Tile<'_>,
    log_sum_exp: &[f32],
    dropout: Option<&Dropout<'_>>,
    scratch: &mut Scratch,
) {
    let Scratch {
        packed,
        p,
        d_p,
        dropped,
    } = scratch;
    let n = tile.n_scores();
    let (p, d_p) = (room(p, n), room(d_p, n));
    let dropped = room(dropped, if dropout.is_some() { n } else { 0 });
    let query = tile.rows_of_queries(tile.qkv.q);
    let d_context = tile.rows_of_queries(d_context);
    let d_prefix = &mut d.d_prefix;
    // The scores again: forward's step 1.
    tile.times_transposed(p, query, Half::Keys, packed);
    // Undoes step 3, context = p·v: d_p = d_context·vᵀ, and below d_v = pᵀ·d_context.
    tile.times_transposed(d_p, d_context, Half::Values, packed);
    // The probabilities again, and step 2 undone in place: d_p becomes d_s.
    backward_softmax(p, d_p, dropped, tile, log_sum_exp, dropout);
    let used: &[f32] = if dropout.is_some() { dropped } else { p };
    tile.transposed_times(d.d_v, d_prefix, used, d_context, Half::Values, packed);
    // Undoes step 1, s = q·kᵀ: d_q = d_s·k and d_k = d_sᵀ·q.
    let d_s = d_p;
    tile.weighted_sum(d.d_q, d_s, Half::Keys, packed);
    tile.transposed_times(d.d_k, d_prefix, d_s, query, Half::Keys, packed);
}

/// Undoes [`forward`]'s step 2, p = dropout(softmax(s/√d)), row by row.
///
/// `p` holds the scores on entry and their softmax on return, and `d` the gradient of p on entry
/// and that of s on return. `dropped` receives p itself, if there is dropout.
fn backward_softmax(
    p: &mut [f32],
    d: &mut [f32],
    dropped: &mut [f32],
    tile: &Tile<'_>,
    log_sum_exp: &[f32],
    dropout: Option<&Dropout<'_>>,
) {
    let (width, head) = (tile.width(), tile.head);
    let (heads, scale) = (tile.sequences.heads, tile.sequences.scale());
    let rows = p.chunks_mut(width).zip(d.chunks_mut(width));
    for (i, (p, d)) in rows.enumerate() {
        let row = tile.queries.start + i;
        probabilities_row(p, scale, log_sum_exp[row * heads + head]);
        if dropout.is_some() {
            let dropped = &mut dropped[i * width..(i + 1) * width];
            dropped.copy_from_slice(p);
            apply_mask(dropped, dropout, row, head);
            apply_mask(d, dropout, row, head);
        }
        softmax_backward_row(d, p, scale);
    }
}

/// Multiplies a query's probabilities, or their gradient, by the mask of dropout, if there is one.
fn apply_mask(values: &mut [f32], dropout: Option<&Dropout<'_>>, row: usize, head: usize) {
    if let Some(dropout) = dropout {
        let channel = first_channel(head);
        apply_row(
            values,
            dropout.p,
            dropout.site_key,
            dropout.row_keys[row],
            channel,
        );
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

/// The definition of the forward, in double precision. `mask(row, head, key)` multiplies the
/// probabilities, the prefix's keys first.
pub fn naive(
    qkv: Qkv<'_>,
    sequences: Sequences<'_>,
    mask: impl Fn(usize, usize, usize) -> f32,
) -> Vec<f32> {
    let (hidden, d) = (sequences.hidden(), sequences.head_dim);
    let prefix = qkv.prefix.map_or(&[][..], |prefix| prefix.rows);
    let n_prefix = prefix.len() / (2 * hidden).max(1);
    let mut context = vec![0f32; qkv.q.len()];
    for (queries, keys) in sequences.ranges() {
        // Number `column` of key (`half` 0) or value (1) j, counting the prefix's first.
        let at = |half: usize, j: usize, column: usize| {
            f64::from(match j.checked_sub(n_prefix) {
                None => prefix[(2 * j + half) * hidden + column],
                Some(own) => [qkv.k, qkv.v][half][(keys.start + own) * hidden + column],
            })
        };
        let width = n_prefix + keys.len();
        for (i, head) in queries.flat_map(|i| (0..sequences.heads).map(move |head| (i, head))) {
            let columns = head * d..(head + 1) * d;
            let score = |j: usize| {
                let terms = columns.clone();
                let dot: f64 = terms
                    .map(|c| f64::from(qkv.q[i * hidden + c]) * at(0, j, c))
                    .sum();
                (dot / (d as f64).sqrt()).exp()
            };
            let weights: Vec<f64> = (0..width).map(score).collect();
            let total: f64 = weights.iter().sum();
            for c in columns.clone() {
                let terms = weights.iter().enumerate();
                let sum: f64 = terms
                    .map(|(j, w)| w / total * f64::from(mask(i, head, j)) * at(1, j, c))
                    .sum();
                context[i * hidden + c] = sum as f32;
            }
        }
    }
    context
}

#[cfg(test)]
mod tests;
