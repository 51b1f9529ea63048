//! The linear layer `y = x·Wᵀ + b` (PyTorch's `Linear`): the forward and three separate gradients,
//! so that a frozen weight costs no weight-gradient product. Called by the fused block.
//!
//! Forward and input gradient run on one thread, for the rows that the thread owns. Weight
//! gradients read all rows and are split over the rows of the weight.
//!
//! ```
//! use progtune_kernels::{
//!     gemm::{PackedColumns, PackedRows},
//!     linear::{forward, pack_forward},
//!     matrix::Matrix,
//! };
//!
//! // Two inputs and one output.
//! let mut weight = PackedColumns::default();
//! pack_forward(&mut weight, &[10.0, 1.0], 2, 1);
//! let x = PackedRows::new(Matrix::new(&[3.0, 4.0], 1, 2));
//! let mut y = [0.0];
//! forward(&mut y, &x, &weight, Some(&[0.5]));
//! assert_eq!(y, [34.5]);
//! ```

use crate::{
    bf16::Bf16,
    gemm::{PackedColumns, PackedRows, Start, multiply},
    matrix::Matrix,
    simd::simd_fn,
    timed_task,
};
use rayon::prelude::*;
use std::cell::RefCell;

/// A weight, `[n, k]`, in the form that [`forward`] reads.
pub fn pack_forward(packed: &mut PackedColumns, weight: &[f32], k: usize, n: usize) {
    packed.pack(Matrix::new(weight, n, k).transposed());
}

/// A weight, `[n, k]`, in the form that [`backward_input`] reads.
pub fn pack_backward(packed: &mut PackedColumns, weight: &[f32], k: usize, n: usize) {
    packed.pack(Matrix::new(weight, n, k));
}

/// `y = x·Wᵀ + b`; `x` is `[rows, k]`, `weight` is from [`pack_forward`], `bias` is `[n]`, and `y`
/// is `[rows, n]` (overwritten).
pub fn forward(y: &mut [f32], x: &PackedRows, weight: &PackedColumns, bias: Option<&[f32]>) {
    let start = bias.map_or(Start::Zero, Start::Bias);
    multiply(y, weight.columns(), x, weight, start);
}

/// `dx (=|+=) dy·W`; `d_y` is `[rows, n]`, `weight` is from [`pack_backward`], `d_x` is
/// `[rows, k]`.
pub fn backward_input(d_x: &mut [f32], d_y: &PackedRows, weight: &PackedColumns, accumulate: bool) {
    let start = if accumulate {
        Start::Stored
    } else {
        Start::Zero
    };
    multiply(d_x, weight.columns(), d_y, weight, start);
}

/// Rows of a product's operand, one after the other.
#[derive(Clone, Copy)]
pub enum Rows<'a> {
    /// As they were computed.
    F32(&'a [f32]),
    /// Rounded, for products of bfloat16 operands.
    Bf16(&'a [Bf16]),
}

/// One of several weight gradients that are computed together.
pub struct WeightGradient<'a> {
    /// `[n, k]`, in the weight's own layout.
    pub d_weight: &'a mut [f32],
    /// Whether the gradient is added to what is there, or else replaces it.
    pub adds: bool,
    /// `[rows, n]`.
    pub d_y: Rows<'a>,
    /// The layer's input, `[rows, k]`, packed; layers with the same input share it.
    pub x: &'a PackedColumns,
}

/// The number of a weight's rows that one task computes: whole tiles, and a panel of dy that stays
/// in the second-level cache.
const TASK_ROWS: usize = 48;

/// `dW (=|+=) dyᵀ·x` of every job, on all threads.
pub fn backward_weights(jobs: Vec<WeightGradient<'_>>) {
    thread_local! {
        static ROWS: RefCell<PackedRows> = RefCell::default();
    }
    let mut tasks = Vec::new();
    for job in jobs {
        let (rows, k) = (job.x.k(), job.x.columns());
        let n = job.d_weight.len() / k;
        for (i, chunk) in job.d_weight.chunks_mut(TASK_ROWS * k).enumerate() {
            let start = if job.adds { Start::Stored } else { Start::Zero };
            tasks.push((chunk, start, (job.d_y, rows, n), i * TASK_ROWS, job.x));
        }
    }
    tasks
        .into_par_iter()
        .for_each(|(chunk, start, (d_y, rows, n), first, x)| {
            timed_task!("weight gradient");
            ROWS.with_borrow_mut(|packed| {
                packed.set_operands(x.operands());
                let here = chunk.len() / x.columns();
                match d_y {
                    Rows::F32(d_y) => {
                        let d_y = Matrix::new(d_y, rows, n).transposed();
                        packed.pack(d_y.rows_from(first, here));
                    }
                    Rows::Bf16(d_y) => {
                        let d_y = Matrix::new(d_y, rows, n).transposed();
                        packed.pack_rounded(d_y.rows_from(first, here));
                    }
                }
                multiply(chunk, x.columns(), packed, x, start);
            });
        });
}

simd_fn! {
    /// `db += Σ_rows dy`: adds every row of `d_y` (`[_, d_bias.len()]`).
    pub fn backward_bias(d_bias: &mut [f32], d_y: &[f32]) {
        for row in d_y.chunks_exact(d_bias.len()) {
            for (sum, value) in d_bias.iter_mut().zip(row) {
                *sum += value;
            }
        }
    }
}

/// The definition of the forward.
pub fn naive(
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    rows: usize,
    k: usize,
    n: usize,
) -> Vec<f32> {
    let mut y = Vec::with_capacity(rows * n);
    for r in 0..rows {
        for o in 0..n {
            let dot: f64 = (0..k)
                .map(|i| x[r * k + i] as f64 * weight[o * k + i] as f64)
                .sum();
            y.push((dot + bias.map_or(0.0, |b| b[o] as f64)) as f32);
        }
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        gemm::Operands,
        testing::{assert_close, assert_gradient, dot, random},
    };
    use proptest::prelude::*;

    fn packed_rows(x: &[f32], rows: usize, k: usize) -> PackedRows {
        PackedRows::new(Matrix::new(x, rows, k))
    }

    proptest! {
        #[test]
        fn forward_equals_the_definition(rows in 0usize..80, k in 1usize..40, n in 1usize..40, bias: bool) {
            let (x, w, b) = (random(rows * k, 1), random(n * k, 2), random(n, 3));
            let b = bias.then_some(b.as_slice());
            let mut y = vec![f32::NAN; rows * n];
            let mut weight = PackedColumns::default();
            pack_forward(&mut weight, &w, k, n);
            forward(&mut y, &packed_rows(&x, rows, k), &weight, b);
            assert_close(&y, &naive(&x, &w, b, rows, k, n), 1e-5);
        }

        #[test]
        fn gradients_equal_finite_differences(rows in 1usize..70, k in 1usize..9, n in 1usize..60) {
            let (x, w, b, d_y) = (random(rows * k, 1), random(n * k, 2), random(n, 3), random(rows * n, 4));
            let mut d_x = random(rows * k, 5);
            let mut weight = PackedColumns::default();
            pack_backward(&mut weight, &w, k, n);
            let d_rows = packed_rows(&d_y, rows, n);
            backward_input(&mut d_x, &d_rows, &weight, false);
            assert_gradient(&x, &d_x, 1e-3, |x| dot(&naive(x, &w, Some(&b), rows, k, n), &d_y));
            let twice: Vec<f32> = d_x.iter().map(|d| d * 2.0).collect();
            backward_input(&mut d_x, &d_rows, &weight, true);
            assert_close(&d_x, &twice, 1e-5);
            let (mut d_w, mut d_w_again) = (vec![f32::NAN; n * k], vec![1f32; n * k]);
            let x_columns = PackedColumns::new(Matrix::new(&x, rows, k));
            backward_weights(vec![
                WeightGradient { d_weight: &mut d_w, adds: false, d_y: Rows::F32(&d_y), x: &x_columns },
                WeightGradient { d_weight: &mut d_w_again, adds: true, d_y: Rows::F32(&d_y), x: &x_columns },
            ]);
            assert_gradient(&w, &d_w, 1e-3, |w| dot(&naive(&x, w, Some(&b), rows, k, n), &d_y));
            assert_close(&d_w_again, &d_w.iter().map(|d| d + 1.0).collect::<Vec<_>>(), 1e-5);
            let mut d_b = vec![0f32; n];
            backward_bias(&mut d_b, &d_y);
            assert_gradient(&b, &d_b, 1e-3, |b| dot(&naive(&x, &w, Some(b), rows, k, n), &d_y));
        }
    }

    #[test]
    fn rounded_rows_have_the_same_weight_gradients() {
        let (rows, k, n) = (37, 50, 101);
        let (x, d_y) = (random(rows * k, 1), random(rows * n, 2));
        let rounded = |x: &[f32]| x.iter().map(|&x| Bf16::of(x)).collect::<Vec<_>>();
        let (x_rounded, d_y_rounded) = (rounded(&x), rounded(&d_y));
        let (mut columns, mut same) = (
            PackedColumns::of(Operands::Bf16),
            PackedColumns::of(Operands::Bf16),
        );
        columns.pack(Matrix::new(&x, rows, k));
        same.pack_rounded(Matrix::new(&x_rounded, rows, k));
        let (mut want, mut got) = (vec![0f32; n * k], vec![0f32; n * k]);
        backward_weights(vec![
            WeightGradient {
                d_weight: &mut want,
                adds: true,
                d_y: Rows::F32(&d_y),
                x: &columns,
            },
            WeightGradient {
                d_weight: &mut got,
                adds: true,
                d_y: Rows::Bf16(&d_y_rounded),
                x: &same,
            },
        ]);
        assert_eq!(got, want);
    }
}
