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

fn check(
    lengths: &[usize],
    first_only: bool,
    n_prefix: usize,
    (heads, head_dim): (usize, usize),
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
    let added = random(n_prefix * 2 * hidden, seed + 4);
    let prefix = (n_prefix > 0).then_some(Prefix { rows: &added });
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
        prefix,
        sequences,
        dropout,
        scratch,
    );
    assert_close(&context, &naive(&q, &k, &v, prefix, sequences, mask), 1e-5);
    if rows == 0 {
        return;
    }
    let d = random(rows * hidden, seed + 3);
    let (mut d_q, mut d_k, mut d_v) = (
        vec![f32::NAN; rows * hidden],
        vec![f32::NAN; keys * hidden],
        vec![f32::NAN; keys * hidden],
    );
    // Existing contents are kept: sequences add up.
    let mut d_prefix = vec![1f32; added.len()];
    backward(
        &mut d_q,
        &mut d_k,
        &mut d_v,
        prefix.map(|_| &mut *d_prefix),
        &d,
        &q,
        &k,
        &v,
        prefix,
        &log_sum_exp,
        sequences,
        dropout,
        scratch,
    );
    let loss = |q: &[f32], k: &[f32], v: &[f32], prefix: Option<Prefix<'_>>| {
        dot(&naive(q, k, v, prefix, sequences, mask), &d)
    };
    assert_gradient(&q, &d_q, 2e-3, |q| loss(q, &k, &v, prefix));
    assert_gradient(&k, &d_k, 2e-3, |k| loss(&q, k, &v, prefix));
    assert_gradient(&v, &d_v, 2e-3, |v| loss(&q, &k, v, prefix));
    if prefix.is_some() {
        d_prefix.iter_mut().for_each(|d| *d -= 1.0);
        assert_gradient(&added, &d_prefix, 2e-3, |rows| {
            loss(&q, &k, &v, Some(Prefix { rows }))
        });
    }
}

#[test]
fn empty_and_one_token_sequences() {
    for n_prefix in [0, 2] {
        check(&[0, 1, 0, 5, 1], false, n_prefix, (2, 4), 0.0, 1);
        check(&[3, 0, 1], true, n_prefix, (1, 3), 0.3, 2);
        check(&[], false, n_prefix, (2, 4), 0.0, 3);
    }
}

#[test]
fn sequences_longer_than_a_panel() {
    for n_prefix in [0, 37] {
        check(&[33, 1, 70], false, n_prefix, (2, 32), 0.1, 4);
        check(&[40, 65], true, n_prefix, (1, 64), 0.0, 5);
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
        check(&lengths, first_only, n_prefix, (heads, head_dim), p, seed);
    }
}
