//! Attention against its definition and finite differences.

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

/// A test case: random rows, and the keys of a dropout.
struct Case {
    heads: usize,
    head_dim: usize,
    query_offsets: Vec<u32>,
    key_offsets: Vec<u32>,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    prefix: Vec<f32>,
    row_keys: Vec<u64>,
    p: f32,
    seed: u64,
}

impl Case {
    /// Sequences of these lengths. With `first_only`, only the first token of each has a query.
    fn new(
        lengths: &[usize],
        first_only: bool,
        n_prefix: usize,
        (heads, head_dim): (usize, usize),
        p: f32,
        seed: u64,
    ) -> Self {
        let first = |&n: &usize| if first_only { n.min(1) } else { n };
        let queries: Vec<usize> = lengths.iter().map(first).collect();
        let n_queries: usize = queries.iter().sum();
        let n_keys: usize = lengths.iter().sum();
        let hidden = heads * head_dim;
        Self {
            heads,
            head_dim,
            query_offsets: offsets(&queries),
            key_offsets: offsets(lengths),
            q: random(n_queries * hidden, seed),
            k: random(n_keys * hidden, seed + 1),
            v: random(n_keys * hidden, seed + 2),
            prefix: random(n_prefix * 2 * hidden, seed + 4),
            row_keys: (0..n_queries as u64).map(|r| row_key(r, 1)).collect(),
            p,
            seed,
        }
    }

    fn qkv(&self) -> Qkv<'_> {
        Qkv {
            q: &self.q,
            k: &self.k,
            v: &self.v,
            prefix: (!self.prefix.is_empty()).then_some(Prefix { rows: &self.prefix }),
        }
    }

    fn sequences(&self) -> Sequences<'_> {
        Sequences {
            heads: self.heads,
            head_dim: self.head_dim,
            query_offsets: &self.query_offsets,
            key_offsets: &self.key_offsets,
        }
    }

    fn dropout(&self) -> Option<Dropout<'_>> {
        (self.p > 0.0).then_some(Dropout {
            p: self.p,
            site_key: site_key(self.seed, 1, 1),
            row_keys: &self.row_keys,
        })
    }

    /// The definition for these rows, or for others in their place.
    fn naive(&self, qkv: Qkv<'_>) -> Vec<f32> {
        let dropout = self.dropout();
        naive(qkv, self.sequences(), |row, head, key| {
            let mut one = [1f32];
            if let Some(dropout) = dropout {
                let channel = first_channel(head) + key as u32;
                let row_key = dropout.row_keys[row];
                apply_row(&mut one, dropout.p, dropout.site_key, row_key, channel);
            }
            one[0]
        })
    }

    fn check(&self) {
        let n_queries = self.row_keys.len();
        let mut context = vec![f32::NAN; self.q.len()];
        let mut log_sum_exp = vec![f32::NAN; n_queries * self.heads];
        let (sequences, dropout) = (self.sequences(), self.dropout());
        let scratch = &mut Scratch::default();
        forward(
            &mut context,
            &mut log_sum_exp,
            self.qkv(),
            sequences,
            dropout.as_ref(),
            scratch,
        );
        assert_close(&context, &self.naive(self.qkv()), 1e-5);
        if n_queries > 0 {
            self.check_backward(&log_sum_exp, scratch);
        }
    }

    fn check_backward(&self, log_sum_exp: &[f32], scratch: &mut Scratch) {
        let qkv = self.qkv();
        let d_context = random(self.q.len(), self.seed + 3);
        let mut d_q = vec![f32::NAN; self.q.len()];
        let mut d_k = vec![f32::NAN; self.k.len()];
        let mut d_v = vec![f32::NAN; self.v.len()];
        // Existing contents are kept: sequences add up.
        let mut d_prefix = vec![1f32; self.prefix.len()];
        backward(
            QkvGradients {
                d_q: &mut d_q,
                d_k: &mut d_k,
                d_v: &mut d_v,
                d_prefix: qkv.prefix.map(|_| &mut *d_prefix),
            },
            &d_context,
            qkv,
            log_sum_exp,
            self.sequences(),
            self.dropout().as_ref(),
            scratch,
        );
        d_prefix.iter_mut().for_each(|d| *d -= 1.0);
        let loss = |qkv: Qkv<'_>| dot(&self.naive(qkv), &d_context);
        assert_gradient(&self.q, &d_q, 2e-3, |q| loss(Qkv { q, ..qkv }));
        assert_gradient(&self.k, &d_k, 2e-3, |k| loss(Qkv { k, ..qkv }));
        assert_gradient(&self.v, &d_v, 2e-3, |v| loss(Qkv { v, ..qkv }));
        if qkv.prefix.is_some() {
            assert_gradient(&self.prefix, &d_prefix, 2e-3, |rows| {
                let prefix = Some(Prefix { rows });
                loss(Qkv { prefix, ..qkv })
            });
        }
    }
}

#[test]
fn empty_and_one_token_sequences() {
    for n_prefix in [0, 2] {
        Case::new(&[0, 1, 0, 5, 1], false, n_prefix, (2, 4), 0.0, 1).check();
        Case::new(&[3, 0, 1], true, n_prefix, (1, 3), 0.3, 2).check();
        Case::new(&[], false, n_prefix, (2, 4), 0.0, 3).check();
    }
}

#[test]
fn sequences_longer_than_a_panel() {
    for n_prefix in [0, 37] {
        Case::new(&[33, 1, 70], false, n_prefix, (2, 32), 0.1, 4).check();
        Case::new(&[40, 65], true, n_prefix, (1, 64), 0.0, 5).check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn equals_the_definition_and_finite_differences(
        lengths in proptest::collection::vec(0usize..12, 1..5),
        first_only: bool, n_prefix in 0usize..4, heads in 1usize..4, head_dim in 1usize..9, drop: bool,
        seed in 0u64..99,
    ) {
        let p = if drop { 0.2 } else { 0.0 };
        Case::new(&lengths, first_only, n_prefix, (heads, head_dim), p, seed).check();
    }
}
