//! Multi-head attention over sequences of different lengths, without padding and without copies of heads.
//!
//! Called by the fused block. Queries, keys and values are `[tokens, heads·head_dim]` as the linear layers
//! leave them; a sequence is a range of rows. The forward keeps one number a query and head (the logarithm of
//! the softmax's denominator); the backward computes the probabilities again. Queries may be fewer than keys
//! (a head that reads the first token needs only that one query).

use crate::{
    dropout::{Dropout, apply_row},
    math::{exp, sum_by},
    matrix::{Matrix, product},
    rows::split_at_offsets,
    simd::simd_fn,
};
use rayon::prelude::*;

/// Which rows belong together.
#[derive(Debug, Clone, Copy)]
pub struct Sequences<'a> {
    /// Number of heads.
    pub heads: usize,
    /// Columns of one head.
    pub head_dim: usize,
    /// Row offsets of the queries of each sequence, `[sequences + 1]`, from 0.
    pub query_offsets: &'a [u32],
    /// Row offsets of the keys and values of each sequence, `[sequences + 1]`, from 0.
    pub key_offsets: &'a [u32],
}

impl Sequences<'_> {
    fn hidden(&self) -> usize {
        self.heads * self.head_dim
    }

    fn scale(&self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }

    fn range(offsets: &[u32], sequence: usize) -> std::ops::Range<usize> {
        offsets[sequence] as usize..offsets[sequence + 1] as usize
    }

    /// One head's columns of one sequence's rows.
    fn view<'b>(
        &self,
        data: &'b [f32],
        offsets: &[u32],
        sequence: usize,
        head: usize,
    ) -> Matrix<'b> {
        let rows = Self::range(offsets, sequence);
        let start = (rows.start * self.hidden() + head * self.head_dim).min(data.len());
        Matrix::strided(&data[start..], rows.len(), self.head_dim, self.hidden())
    }
}

/// First mask channel of a head: leaves room for 65 536 key positions.
pub fn first_channel(head: usize) -> u32 {
    (head as u32) << 16
}

/// `context = softmax(q·kᵀ/√d)·v`; returns the log-sum-exp, `[queries, heads]`.
///
/// `q` and `context` are `[queries, hidden]`, `k` and `v` `[keys, hidden]`. `dropout` acts on the
/// probabilities; its row keys are those of the queries.
pub fn forward(
    context: &mut [f32],
    q: &[f32],
    k: &[f32],
    v: &[f32],
    sequences: Sequences<'_>,
    dropout: Option<&Dropout<'_>>,
) -> Vec<f32> {
    let (heads, hidden) = (sequences.heads, sequences.hidden());
    let mut log_sum_exp = vec![0f32; q.len() / hidden * heads];
    let outputs = split_at_offsets(context, sequences.query_offsets, hidden);
    let sums = split_at_offsets(&mut log_sum_exp, sequences.query_offsets, heads);
    outputs
        .into_par_iter()
        .zip(sums)
        .enumerate()
        .for_each(|(s, (context, sums))| {
            let queries = Sequences::range(sequences.query_offsets, s);
            let keys = Sequences::range(sequences.key_offsets, s).len();
            if queries.is_empty() {
                return;
            }
            let mut p = vec![0f32; queries.len() * keys];
            for head in 0..heads {
                let query = sequences.view(q, sequences.query_offsets, s, head);
                let key = sequences.view(k, sequences.key_offsets, s, head);
                let value = sequences.view(v, sequences.key_offsets, s, head);
                product(
                    &mut p,
                    keys,
                    query,
                    key.transposed(),
                    sequences.scale(),
                    false,
                );
                for (i, row) in p.chunks_mut(keys.max(1)).enumerate() {
                    sums[i * heads + head] = softmax_row(row);
                    if let Some(dropout) = dropout {
                        let row_key = dropout.row_keys[queries.start + i];
                        apply_row(
                            row,
                            dropout.p,
                            dropout.site_key,
                            row_key,
                            first_channel(head),
                        );
                    }
                }
                let probabilities = Matrix::new(&p, queries.len(), keys);
                product(
                    &mut context[head * sequences.head_dim..],
                    hidden,
                    probabilities,
                    value,
                    1.0,
                    false,
                );
            }
        });
    log_sum_exp
}

simd_fn! {
    /// Softmax in place; returns log Σ exp.
    fn softmax_row(row: &mut [f32]) -> f32 {
        let mut max = f32::NEG_INFINITY;
        for &value in row.iter() {
            max = max.max(value);
        }
        for value in row.iter_mut() {
            *value = exp(*value - max);
        }
        let sum = sum_by(row.len(), |i| row[i]);
        let scale = 1.0 / sum;
        for value in row.iter_mut() {
            *value *= scale;
        }
        max + sum.ln()
    }
}

simd_fn! {
    /// Scores to probabilities with a known log-sum-exp.
    fn probabilities_row(row: &mut [f32], log_sum_exp: f32) {
        for value in row.iter_mut() {
            *value = exp(*value - log_sum_exp);
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
) {
    let (heads, hidden) = (sequences.heads, sequences.hidden());
    let d_q = split_at_offsets(d_q, sequences.query_offsets, hidden);
    let d_k = split_at_offsets(d_k, sequences.key_offsets, hidden);
    let d_v = split_at_offsets(d_v, sequences.key_offsets, hidden);
    d_q.into_par_iter()
        .zip(d_k)
        .zip(d_v)
        .enumerate()
        .for_each(|(s, ((d_q, d_k), d_v))| {
            let queries = Sequences::range(sequences.query_offsets, s);
            let keys = Sequences::range(sequences.key_offsets, s).len();
            if queries.is_empty() || keys == 0 {
                d_k.fill(0.0);
                d_v.fill(0.0);
                return;
            }
            let n = queries.len() * keys;
            let (mut p, mut d_p, mut dropped) = (vec![0f32; n], vec![0f32; n], vec![0f32; n]);
            for head in 0..heads {
                let columns = head * sequences.head_dim;
                let query = sequences.view(q, sequences.query_offsets, s, head);
                let key = sequences.view(k, sequences.key_offsets, s, head);
                let value = sequences.view(v, sequences.key_offsets, s, head);
                let d_out = sequences.view(d_context, sequences.query_offsets, s, head);
                product(
                    &mut p,
                    keys,
                    query,
                    key.transposed(),
                    sequences.scale(),
                    false,
                );
                product(&mut d_p, keys, d_out, value.transposed(), 1.0, false);
                for (i, (p, d_p)) in p.chunks_mut(keys).zip(d_p.chunks_mut(keys)).enumerate() {
                    let row = queries.start + i;
                    probabilities_row(p, log_sum_exp[row * heads + head]);
                    let dropped = &mut dropped[i * keys..(i + 1) * keys];
                    dropped.copy_from_slice(p);
                    if let Some(dropout) = dropout {
                        let row_key = dropout.row_keys[row];
                        apply_row(
                            dropped,
                            dropout.p,
                            dropout.site_key,
                            row_key,
                            first_channel(head),
                        );
                        apply_row(
                            d_p,
                            dropout.p,
                            dropout.site_key,
                            row_key,
                            first_channel(head),
                        );
                    }
                    softmax_backward_row(d_p, p, sequences.scale());
                }
                let d_scores = Matrix::new(&d_p, queries.len(), keys);
                let dropped = Matrix::new(&dropped, queries.len(), keys);
                product(
                    &mut d_v[columns..],
                    hidden,
                    dropped.transposed(),
                    d_out,
                    1.0,
                    false,
                );
                product(&mut d_q[columns..], hidden, d_scores, key, 1.0, false);
                product(
                    &mut d_k[columns..],
                    hidden,
                    d_scores.transposed(),
                    query,
                    1.0,
                    false,
                );
            }
        });
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
    for s in 0..sequences.query_offsets.len() - 1 {
        let keys = Sequences::range(sequences.key_offsets, s);
        for i in Sequences::range(sequences.query_offsets, s) {
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
        let log_sum_exp = forward(&mut context, &q, &k, &v, sequences, dropout);
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
