//! Multi-head attention over sequences of different lengths, without padding.
//!
//! Called by the fused block, on one thread for the sequences that thread owns. Queries, keys and values are
//! `[tokens, heads·head_dim]` as the linear layers leave them; a sequence is a range of rows. The forward keeps one
//! number a query and head (the logarithm of the softmax's denominator); the backward computes the probabilities
//! again. Queries may be fewer than keys (a head that reads the first token needs only that one query).

use crate::{
    dropout::{Dropout, apply_row},
    gemm::{PackedColumns, PackedRows, Start, multiply},
    math::{exp, sum_by},
    matrix::Matrix,
    simd::simd_fn,
};
use std::ops::Range;

/// Which rows belong together. Offsets may begin anywhere: the first one is row 0 of the slices that go with it.
#[derive(Debug, Clone, Copy)]
pub struct Sequences<'a> {
    /// Number of heads.
    pub heads: usize,
    /// Columns of one head.
    pub head_dim: usize,
    /// Row offsets of the queries of each sequence, `[sequences + 1]`.
    pub query_offsets: &'a [u32],
    /// Row offsets of the keys and values of each sequence, `[sequences + 1]`.
    pub key_offsets: &'a [u32],
}

impl Sequences<'_> {
    fn hidden(&self) -> usize {
        self.heads * self.head_dim
    }

    fn scale(&self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }

    /// Query rows and key rows of every sequence that has queries, relative to the slices.
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

    /// One head's columns of some rows.
    fn view<'b>(&self, data: &'b [f32], rows: &Range<usize>, head: usize) -> Matrix<'b> {
        let start = (rows.start * self.hidden() + head * self.head_dim).min(data.len());
        Matrix::strided(&data[start..], rows.len(), self.head_dim, self.hidden())
    }
}

/// First mask channel of a head: leaves room for 65 536 key positions.
pub fn first_channel(head: usize) -> u32 {
    (head as u32) << 16
}

/// Memory that attention works in, kept from call to call.
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
    (rows, columns): (&mut PackedRows, &mut PackedColumns),
) {
    rows.pack(a);
    columns.pack_here(b);
    multiply(c, row_stride, rows, columns, Start::Zero);
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
/// `q` and `context` are `[queries, hidden]`, `k` and `v` `[keys, hidden]`. `dropout` acts on the
/// probabilities; its row keys are those of the queries.
#[allow(clippy::too_many_arguments)]
pub fn forward(
    context: &mut [f32],
    log_sum_exp: &mut [f32],
    q: &[f32],
    k: &[f32],
    v: &[f32],
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
        let p = room(p, queries.len() * keys.len());
        for head in 0..heads {
            let query = sequences.view(q, &queries, head);
            let key = sequences.view(k, &keys, head);
            product(p, keys.len(), query, key.transposed(), (rows, columns));
            for (row, p) in queries.clone().zip(p.chunks_mut(keys.len())) {
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
            let p = Matrix::new(p, queries.len(), keys.len());
            product(out, hidden, p, value, (rows, columns));
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
    /// Scores to probabilities with a known log-sum-exp.
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

/// The gradients of `q`, `k` and `v`, overwritten; `d_context` is `[queries, hidden]`.
#[allow(clippy::too_many_arguments)]
pub fn backward(
    d_q: &mut [f32],
    d_k: &mut [f32],
    d_v: &mut [f32],
    d_context: &[f32],
    q: &[f32],
    k: &[f32],
    v: &[f32],
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
        let (n_queries, n_keys) = (queries.len(), keys.len());
        let n = n_queries * n_keys;
        let (p, d_p) = (room(p, n), room(d_p, n));
        let dropped = room(dropped, if dropout.is_some() { n } else { 0 });
        for head in 0..heads {
            let query = sequences.view(q, &queries, head);
            let key = sequences.view(k, &keys, head);
            let value = sequences.view(v, &keys, head);
            let d_out = sequences.view(d_context, &queries, head);
            product(p, n_keys, query, key.transposed(), (rows, columns));
            product(d_p, n_keys, d_out, value.transposed(), (rows, columns));
            for (i, (p, d_p)) in p.chunks_mut(n_keys).zip(d_p.chunks_mut(n_keys)).enumerate() {
                let row = queries.start + i;
                probabilities_row(p, sequences.scale(), log_sum_exp[row * heads + head]);
                if let Some(dropout) = dropout {
                    let dropped = &mut dropped[i * n_keys..(i + 1) * n_keys];
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
            let used = Matrix::new(used, n_queries, n_keys);
            let d_scores = Matrix::new(d_p, n_queries, n_keys);
            let at = |rows: &Range<usize>| rows.start * hidden + head * d;
            product(
                &mut d_v[at(&keys)..],
                hidden,
                used.transposed(),
                d_out,
                (rows, columns),
            );
            product(
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

/// The definition, in double precision; `mask(row, head, key)` multiplies the probabilities.
pub fn naive(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    sequences: Sequences<'_>,
    mask: impl Fn(usize, usize, usize) -> f32,
) -> Vec<f32> {
    let (hidden, d) = (sequences.hidden(), sequences.head_dim);
    let mut context = vec![0f32; q.len()];
    for (queries, keys) in sequences.ranges() {
        for i in queries {
            for head in 0..sequences.heads {
                let at =
                    |data: &[f32], row: usize, c: usize| data[row * hidden + head * d + c] as f64;
                let weights: Vec<f64> = keys
                    .clone()
                    .map(|j| {
                        ((0..d).map(|c| at(q, i, c) * at(k, j, c)).sum::<f64>() / (d as f64).sqrt())
                            .exp()
                    })
                    .collect();
                let total: f64 = weights.iter().sum();
                for c in 0..d {
                    let sum: f64 = keys
                        .clone()
                        .zip(&weights)
                        .map(|(j, w)| {
                            w / total * mask(i, head, j - keys.start) as f64 * at(v, j, c)
                        })
                        .sum();
                    context[i * hidden + head * d + c] = sum as f32;
                }
            }
        }
    }
    context
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dropout::{row_key, site_key},
        testing::{assert_close, assert_gradient, dot, random},
    };
    use proptest::prelude::*;

    fn offsets(lengths: &[usize]) -> Vec<u32> {
        let mut offsets = vec![0u32];
        for &length in lengths {
            offsets.push(offsets.last().unwrap() + length as u32);
        }
        offsets
    }

    fn check(
        lengths: &[usize],
        first_only: bool,
        heads: usize,
        head_dim: usize,
        p: f32,
        seed: u64,
    ) {
        let key_offsets = offsets(lengths);
        let queries: Vec<usize> = lengths
            .iter()
            .map(|&n| if first_only { n.min(1) } else { n })
            .collect();
        let query_offsets = offsets(&queries);
        let sequences = Sequences {
            heads,
            head_dim,
            query_offsets: &query_offsets,
            key_offsets: &key_offsets,
        };
        let (rows, keys) = (
            *query_offsets.last().unwrap() as usize,
            *key_offsets.last().unwrap() as usize,
        );
        let hidden = heads * head_dim;
        let (q, k, v) = (
            random(rows * hidden, seed),
            random(keys * hidden, seed + 1),
            random(keys * hidden, seed + 2),
        );
        let row_keys: Vec<u64> = (0..rows as u64).map(|r| row_key(r, 1)).collect();
        let dropout = Dropout {
            p,
            site_key: site_key(seed, 1, 1),
            row_keys: &row_keys,
        };
        let mask = |row: usize, head: usize, key: usize| {
            let mut one = [1f32];
            if p > 0.0 {
                apply_row(
                    &mut one,
                    p,
                    dropout.site_key,
                    row_keys[row],
                    first_channel(head) + key as u32,
                );
            }
            one[0]
        };
        let dropout = (p > 0.0).then_some(&dropout);
        let mut context = vec![f32::NAN; rows * hidden];
        let mut log_sum_exp = vec![f32::NAN; rows * heads];
        let scratch = &mut Scratch::default();
        forward(
            &mut context,
            &mut log_sum_exp,
            &q,
            &k,
            &v,
            sequences,
            dropout,
            scratch,
        );
        assert_close(&context, &naive(&q, &k, &v, sequences, mask), 1e-5);
        if rows == 0 {
            return;
        }
        let d = random(rows * hidden, seed + 3);
        let (mut d_q, mut d_k, mut d_v) = (
            vec![f32::NAN; rows * hidden],
            vec![f32::NAN; keys * hidden],
            vec![f32::NAN; keys * hidden],
        );
        backward(
            &mut d_q,
            &mut d_k,
            &mut d_v,
            &d,
            &q,
            &k,
            &v,
            &log_sum_exp,
            sequences,
            dropout,
            scratch,
        );
        assert_gradient(&q, &d_q, 2e-3, |q| {
            dot(&naive(q, &k, &v, sequences, mask), &d)
        });
        assert_gradient(&k, &d_k, 2e-3, |k| {
            dot(&naive(&q, k, &v, sequences, mask), &d)
        });
        assert_gradient(&v, &d_v, 2e-3, |v| {
            dot(&naive(&q, &k, v, sequences, mask), &d)
        });
    }

    #[test]
    fn empty_and_one_token_sequences() {
        check(&[0, 1, 0, 5, 1], false, 2, 4, 0.0, 1);
        check(&[3, 0, 1], true, 1, 3, 0.3, 2);
        check(&[], false, 2, 4, 0.0, 3);
    }

    #[test]
    fn sequences_longer_than_a_panel() {
        check(&[33, 1, 70], false, 2, 32, 0.1, 4);
        check(&[40, 65], true, 1, 64, 0.0, 5);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn equals_the_definition_and_finite_differences(
            lengths in proptest::collection::vec(0usize..12, 1..5),
            first_only: bool, heads in 1usize..4, head_dim in 1usize..9, drop: bool, seed in 0u64..99,
        ) {
            check(&lengths, first_only, heads, head_dim, if drop { 0.2 } else { 0.0 }, seed);
        }
    }
}
