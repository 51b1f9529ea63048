//! The linear layer `y = x·Wᵀ + b` (PyTorch's `Linear`): forward and the three gradients, each on its own, so
//! that a frozen weight costs no weight-gradient product. Called by the fused block.

use crate::{
    matrix::{Matrix, parallel_product},
    rows::{for_each_chunk, reduce_columns},
    simd::simd_fn,
};

/// `y = x·Wᵀ + b`; `x` is `[rows, k]`, `weight` `[n, k]`, `bias` `[n]`, `y` `[rows, n]` (overwritten).
pub fn forward(
    y: &mut [f32],
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    rows: usize,
    k: usize,
    n: usize,
) {
    match bias {
        // The product adds onto the bias: one pass instead of a second one over y.
        Some(bias) => {
            for_each_chunk(y, n, |_, chunk| {
                chunk
                    .chunks_mut(n)
                    .for_each(|row| row.copy_from_slice(bias))
            });
            parallel_product(
                y,
                Matrix::new(x, rows, k),
                Matrix::new(weight, n, k).transposed(),
                true,
            );
        }
        None => parallel_product(
            y,
            Matrix::new(x, rows, k),
            Matrix::new(weight, n, k).transposed(),
            false,
        ),
    }
}

/// `dx (=|+=) dy·W`; `d_y` is `[rows, n]`, `d_x` `[rows, k]`.
pub fn backward_input(
    d_x: &mut [f32],
    d_y: &[f32],
    weight: &[f32],
    rows: usize,
    k: usize,
    n: usize,
    accumulate: bool,
) {
    parallel_product(
        d_x,
        Matrix::new(d_y, rows, n),
        Matrix::new(weight, n, k),
        accumulate,
    );
}

/// `dW += dyᵀ·x`, straight into the layout `[n, k]` of the weight.
pub fn backward_weight(
    d_weight: &mut [f32],
    d_y: &[f32],
    x: &[f32],
    rows: usize,
    k: usize,
    n: usize,
) {
    parallel_product(
        d_weight,
        Matrix::new(d_y, rows, n).transposed(),
        Matrix::new(x, rows, k),
        true,
    );
}

/// `db += Σ_rows dy`.
pub fn backward_bias(d_bias: &mut [f32], d_y: &[f32], rows: usize) {
    let n = d_bias.len();
    reduce_columns(rows, n, d_bias, |first, last, partial| {
        add_rows(partial, &d_y[first * n..last * n])
    });
}

simd_fn! {
    /// Adds every row of `rows` (`[_, partial.len()]`) to `partial`.
    fn add_rows(partial: &mut [f32], rows: &[f32]) {
        for row in rows.chunks_exact(partial.len()) {
            for (sum, value) in partial.iter_mut().zip(row) {
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
    use crate::testing::{assert_close, assert_gradient, dot, random};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn forward_equals_the_definition(rows in 0usize..80, k in 1usize..40, n in 1usize..40, bias: bool) {
            let (x, w, b) = (random(rows * k, 1), random(n * k, 2), random(n, 3));
            let b = bias.then_some(b.as_slice());
            let mut y = vec![f32::NAN; rows * n];
            forward(&mut y, &x, &w, b, rows, k, n);
            assert_close(&y, &naive(&x, &w, b, rows, k, n), 1e-5);
        }

        #[test]
        fn gradients_equal_finite_differences(rows in 1usize..70, k in 1usize..9, n in 1usize..9) {
            let (x, w, b, d_y) = (random(rows * k, 1), random(n * k, 2), random(n, 3), random(rows * n, 4));
            let mut d_x = vec![0f32; rows * k];
            backward_input(&mut d_x, &d_y, &w, rows, k, n, false);
            assert_gradient(&x, &d_x, 1e-3, |x| dot(&naive(x, &w, Some(&b), rows, k, n), &d_y));
            let mut d_w = vec![0f32; n * k];
            backward_weight(&mut d_w, &d_y, &x, rows, k, n);
            assert_gradient(&w, &d_w, 1e-3, |w| dot(&naive(&x, w, Some(&b), rows, k, n), &d_y));
            let mut d_b = vec![0f32; n];
            backward_bias(&mut d_b, &d_y, rows);
            assert_gradient(&b, &d_b, 1e-3, |b| dot(&naive(&x, &w, Some(b), rows, k, n), &d_y));
        }
    }
}
