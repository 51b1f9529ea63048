//! `attention.cu` against `attention.rs`; local windows, which the CPU has not, against a
//! definition in double precision.

mod case;
mod definition;

use crate::numbers::NUMBERS;
use case::Case;
use progtune_kernels::cuda::Number;

/// Sequences with as many queries as keys, without dropout, prefix or window.
fn plain(lengths: &[usize], heads: usize, head_dim: usize) -> Case {
    Case {
        lengths: lengths.to_vec(),
        first_only: false,
        n_prefix: 0,
        heads,
        head_dim,
        p: 0.0,
        window: -1,
        packed: false,
    }
}

#[test]
fn every_head_size_equals_the_cpus() {
    for head_dim in [1, 3, 8, 17, 32, 33, 64, 80, 128] {
        for (p, packed) in [(0.0, true), (0.1, false)] {
            let lengths = plain(&[5, 33, 1, 17], 2, head_dim);
            let case = Case {
                p,
                packed,
                ..lengths
            };
            NUMBERS.into_iter().for_each(|number| case.check(number));
        }
    }
}

/// All lengths from 1 to 130 in one batch: with the tile, one less and one more among them.
#[test]
fn every_length_equals_the_cpus_in_f32() {
    let lengths: Vec<usize> = (1..=130).collect();
    Case {
        p: 0.1,
        packed: true,
        ..plain(&lengths, 1, 32)
    }
    .check(Number::F32);
}

#[test]
fn every_length_equals_the_cpus_in_bf16() {
    let lengths: Vec<usize> = (1..=130).rev().collect();
    Case {
        p: 0.1,
        packed: true,
        ..plain(&lengths, 1, 32)
    }
    .check(Number::Bf16);
}

#[test]
fn long_sequences_equal_the_cpus() {
    for number in NUMBERS {
        Case {
            p: 0.1,
            packed: true,
            ..plain(&[512, 3], 1, 64)
        }
        .check(number);
    }
}

#[test]
fn first_tokens_read_all_keys() {
    for number in NUMBERS {
        for n_prefix in [0, 5] {
            let case = plain(&[1, 40, 129, 7], 3, 32);
            Case {
                first_only: true,
                n_prefix,
                p: 0.1,
                ..case
            }
            .check(number);
        }
    }
}

/// Prefixes shorter and longer than a tile, and sequences without tokens.
#[test]
fn a_prefix_precedes_every_sequence() {
    for number in NUMBERS {
        for (n_prefix, head_dim) in [(1, 64), (20, 32), (70, 64), (3, 12)] {
            for p in [0.0, 0.2] {
                let case = plain(&[9, 0, 66, 1], 2, head_dim);
                Case {
                    n_prefix,
                    p,
                    packed: true,
                    ..case
                }
                .check(number);
            }
        }
    }
}

#[test]
fn empty_sequences_are_nothing() {
    for number in NUMBERS {
        plain(&[0, 4, 0, 0, 1, 0], 1, 32).check(number);
        Case {
            first_only: true,
            ..plain(&[3, 0, 1], 1, 32)
        }
        .check(number);
    }
}

/// Windows within a tile, across tiles, and wider than the sequence; with dropout and a prefix.
#[test]
fn a_window_hides_distant_keys() {
    for (window, lengths, head_dim) in [
        (0, vec![5, 1, 19], 8),
        (2, vec![70, 3], 32),
        (20, vec![130, 33], 16),
        (64, vec![150], 64),
        (500, vec![40], 32),
    ] {
        for (p, n_prefix) in [(0.0, 0), (0.1, 3)] {
            let case = Case {
                window,
                p,
                n_prefix,
                ..plain(&lengths, 1, head_dim)
            };
            case.check_against_definition();
        }
    }
}
