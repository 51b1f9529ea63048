//! The matrix product of the linear layers: C = A·B over packed operands, designed for the sizes of
//! Transformer blocks.
//!
//! Called by [`crate::linear`] and by the host's fused blocks. B (a weight, or the rows that a
//! weight's gradient reads) is packed once into panels of `NR` columns and shared by all threads.
//! A is packed a few rows at a time by the thread that multiplies them. The scheme is Goto's, with
//! one level of blocking over k.
//!
//! ```
//! use progtune_kernels::{
//!     gemm::{PackedColumns, PackedRows, Start, multiply},
//!     matrix::Matrix,
//! };
//!
//! let a = PackedRows::new(Matrix::new(&[1.0, 2.0], 1, 2));
//! let b = PackedColumns::new(Matrix::new(&[3.0, 4.0, 5.0, 6.0], 2, 2));
//! let mut c = [0.0; 2];
//! multiply(&mut c, 2, &a, &b, Start::Bias(&[0.5, 0.0]));
//! assert_eq!(c, [13.5, 16.0]);
//! multiply(&mut c, 2, &a, &b, Start::Stored);
//! assert_eq!(c, [26.5, 32.0]);
//! ```

mod micro;
mod pack;
mod pairs;
mod transpose;

pub(crate) use micro::NR;
pub use micro::Start;
pub use pack::{Operands, PackedColumns, PackedRows};

use crate::simd::{Level, level};
use micro::{Size, Target};

/// The number of steps over k per pass. Machines with AVX-512 have second-level caches of a
/// megabyte and more. There a tile's rows of A stay in the first-level cache, and a panel of B and
/// all of A in the second. Most products write C once. On other machines a panel and all of A must
/// fit into less. The bits are the same, because every number is one chain over k.
const fn steps_of(level: Level) -> usize {
    match level {
        Level::Avx512 | Level::Avx512Bf16 => 768,
        _ => 384,
    }
}

/// `c (=|+=) a·b`; `c` has `a.rows()` rows of `b.columns()` numbers, `row_stride` apart. Runs on
/// one thread.
///
/// # Panics
/// If the inner dimensions differ or `c` is too short.
pub fn multiply(
    c: &mut [f32],
    row_stride: usize,
    a: &PackedRows,
    b: &PackedColumns,
    start: Start<'_>,
) {
    assert_eq!(a.k(), b.k(), "inner dimensions of a product");
    assert_eq!(a.operands(), b.operands(), "operands of a product");
    let (k, level) = (b.operands().steps(b.k()), level());
    let tile = match b.operands() {
        Operands::F32 => micro::tile,
        Operands::Bf16 => pairs::tile,
    };
    let kc = steps_of(level);
    for from in (0..k.max(1)).step_by(kc) {
        let steps = from..(from + kc).min(k);
        for panel in 0..b.panels() {
            let column = panel * NR;
            let columns = NR.min(b.columns() - column);
            let start = match start {
                _ if from > 0 => Start::Stored,
                Start::Bias(bias) => Start::Bias(&bias[column..column + columns]),
                other => other,
            };
            let after = (panel + 1).min(b.panels() - 1);
            let (b, next) = (b.panel(panel, steps.clone()), b.panel(after, steps.clone()));
            let blocks = a.blocks(steps.clone());
            // Each block of rows prefetches its share of the next panel, which would arrive late
            // from beyond the second-level cache.
            let share = next.len().div_ceil(blocks.len().max(1));
            let shares = next
                .chunks(share.max(1))
                .chain(std::iter::repeat(&next[..0]));
            for ((row, rows, a), ahead) in blocks.zip(shares) {
                let size = Size {
                    rows,
                    columns,
                    k: steps.len(),
                };
                let to = Target {
                    c: &mut c[row * row_stride + column..],
                    row_stride,
                    start,
                };
                tile(level, size, a, b, to, ahead);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{micro::tile, *};
    use crate::{
        bf16,
        matrix::{Matrix, naive},
        testing::{assert_close, random},
    };
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn equals_the_definition(m in 0usize..70, n in 1usize..80, k in 0usize..1700, a_across: bool, b_across: bool, seed in 0u64..100) {
            let (a, b, bias) = (random(m * k, seed), random(n * k, seed + 1), random(n, seed + 2));
            let a = if a_across { Matrix::new(&a, k, m).transposed() } else { Matrix::new(&a, m, k) };
            let b = if b_across { Matrix::new(&b, n, k).transposed() } else { Matrix::new(&b, k, n) };
            let (rows, columns) = (PackedRows::new(a), PackedColumns::new(b));
            let want = naive(a, b);
            let mut c = vec![f32::NAN; m * n];
            multiply(&mut c, n, &rows, &columns, Start::Zero);
            // For up to 1700 terms of size one, the error of an f32 sum is about 1e-5.
            assert_close(&c, &want, 2e-4);
            multiply(&mut c, n, &rows, &columns, Start::Stored);
            assert_close(&c, &want.iter().map(|v| v * 2.0).collect::<Vec<_>>(), 2e-4);
            multiply(&mut c, n, &rows, &columns, Start::Bias(&bias));
            let biased: Vec<f32> = want.iter().enumerate().map(|(i, v)| v + bias[i % n]).collect();
            assert_close(&c, &biased, 2e-4);
        }

        #[test]
        fn every_instruction_set_equals_the_definition(rows in 1usize..13, columns in 1usize..33, k in 0usize..50, start in 0usize..3) {
            let stride = columns + 3;
            let (a, b) = (random(k * rows, 1), random(k * NR, 2));
            let (c, bias) = (random(rows * stride, 3), random(columns, 4));
            let at = |i: usize, j: usize| -> f32 {
                let sum: f64 = (0..k).map(|l| a[l * rows + i] as f64 * b[l * NR + j] as f64).sum();
                sum as f32 + [0.0, bias[j], c[i * stride + j]][start]
            };
            let want: Vec<f32> = (0..rows * stride)
                .map(|at_| if at_ % stride < columns { at(at_ / stride, at_ % stride) } else { c[at_] })
                .collect();
            let here = level();
            for other in [Level::Portable, Level::Avx2, Level::Avx512] {
                if other <= here {
                    let mut got = c.clone();
                    let start = [Start::Zero, Start::Bias(&bias), Start::Stored][start];
                    let to = Target { c: &mut got, row_stride: stride, start };
                    tile(other, Size { rows, columns, k }, &a, &b, to, &b);
                    assert_close(&got, &want, 1e-5);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn products_of_bf16_are_those_of_rounded_numbers(m in 0usize..50, n in 1usize..80, k in 0usize..1700, a_across: bool, b_across: bool, seed in 0u64..100) {
            let (a, b) = (random(m * k, seed), random(n * k, seed + 1));
            let rounded = |x: &[f32]| -> Vec<f32> { x.iter().map(|&x| bf16::value(bf16::round(x))).collect() };
            let (a_rounded, b_rounded) = (rounded(&a), rounded(&b));
            let left = |a: &'static [f32]| if a_across { Matrix::new(a, k, m).transposed() } else { Matrix::new(a, m, k) };
            let right = |b: &'static [f32]| if b_across { Matrix::new(b, n, k).transposed() } else { Matrix::new(b, k, n) };
            let keep = |x: Vec<f32>| -> &'static [f32] { x.leak() };
            let (mut rows, mut columns) = (PackedRows::of(Operands::Bf16), PackedColumns::of(Operands::Bf16));
            rows.pack(left(keep(a)));
            columns.pack(right(keep(b)));
            let want = naive(left(keep(a_rounded)), right(keep(b_rounded)));
            let mut c = vec![f32::NAN; m * n];
            multiply(&mut c, n, &rows, &columns, Start::Zero);
            assert_close(&c, &want, 2e-4);
            let mut here = PackedColumns::of(Operands::Bf16);
            here.pack_here(right(keep(random(n * k, seed + 1))));
            let mut again = vec![f32::NAN; m * n];
            multiply(&mut again, n, &rows, &here, Start::Zero);
            assert_eq!(c, again);
        }
    }

    #[test]
    fn a_row_has_the_same_bits_in_any_company() {
        for operands in [Operands::F32, Operands::Bf16] {
            rows_have_the_same_bits(operands);
        }
    }

    fn rows_have_the_same_bits(operands: Operands) {
        let (a, b) = (random(40 * 501, 1), random(501 * 70, 2));
        let mut columns = PackedColumns::of(operands);
        columns.pack(Matrix::new(&b, 501, 70));
        let product = |first: usize, n: usize| {
            let mut rows = PackedRows::of(operands);
            rows.pack(Matrix::new(&a, 40, 501).rows_from(first, n));
            let mut c = vec![0f32; rows.rows() * 70];
            multiply(&mut c, 70, &rows, &columns, Start::Zero);
            c
        };
        let all = product(0, 40);
        for (first, rows) in [(0, 1), (3, 2), (7, 5), (10, 12), (1, 39)] {
            assert_eq!(product(first, rows), all[first * 70..(first + rows) * 70]);
        }
    }
}
