//! Dropout, residual and LayerNorm in one pass, `y = LN(dropout(x) + residual)·γ + β`, with its
//! backward. The fused block and the embeddings call it on one thread for the rows that the thread
//! owns.
//!
//! ```
//! use progtune_kernels::layer_norm::{Norm, forward};
//!
//! let norm = Norm { gamma: &[2.0, 2.0], beta: &[1.0, 1.0], eps: 0.0 };
//! // One row of two columns; on return x is normalised.
//! let (mut x, mut y, mut rstd) = ([3.0, 5.0], [0.0; 2], [0.0]);
//! forward(&mut y, &mut x, &mut rstd, None, norm, None);
//! assert_eq!((x, y, rstd), ([-1.0, 1.0], [-1.0, 3.0], [1.0]));
//! ```

use crate::{
    dropout::{Dropout, apply_row},
    elementwise::{add_products, add_scaled},
    math::sum_by,
    simd::simd_fn,
};

/// The parameters of a LayerNorm over `columns` numbers.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a> {
    /// γ, `[columns]`.
    pub gamma: &'a [f32],
    /// β, `[columns]`.
    pub beta: &'a [f32],
    /// ε, which is added to the variance.
    pub eps: f32,
}

/// `y = LN(dropout(x) + residual)·γ + β`; all are `[rows, columns]`, except `rstd`, `[rows]`.
///
/// `x` is consumed. On return it contains the normalised rows x̂ = (s − mean)·rstd of the sum s.
/// These and the reciprocal standard deviations `rstd` = 1/√(variance + ε) are the inputs of the
/// backward.
pub fn forward(
    y: &mut [f32],
    x: &mut [f32],
    rstd: &mut [f32],
    residual: Option<&[f32]>,
    norm: Norm<'_>,
    dropout: Option<&Dropout<'_>>,
) {
    let Norm { gamma, beta, eps } = norm;
    let columns = gamma.len();
    let rows = y.chunks_mut(columns).zip(x.chunks_mut(columns)).zip(rstd);
    for (row, ((y, x), rstd)) in rows.enumerate() {
        if let Some(dropout) = dropout {
            apply_row(x, dropout.p, dropout.site_key, dropout.row_keys[row], 0);
        }
        if let Some(residual) = residual {
            add_scaled(x, &residual[row * columns..(row + 1) * columns], 1.0);
        }
        *rstd = normalise_row(y, x, gamma, beta, eps);
    }
}

simd_fn! {
    /// Normalises `x` in place, writes `y = x·γ + β`, and returns the reciprocal standard
    /// deviation.
    fn normalise_row(y: &mut [f32], x: &mut [f32], gamma: &[f32], beta: &[f32], eps: f32) -> f32 {
        let n = x.len();
        let mean = sum_by(n, |i| x[i]) / n as f32;
        let variance = sum_by(n, |i| (x[i] - mean) * (x[i] - mean)) / n as f32;
        let rstd = 1.0 / (variance + eps).sqrt();
        for (((y, x), g), b) in y.iter_mut().zip(x.iter_mut()).zip(gamma).zip(beta) {
            *x = (*x - mean) * rstd;
            *y = *x * g + b;
        }
        rstd
    }
}

simd_fn! {
    /// `y = x̂·γ + β`: recomputes the result, bit for bit, from the values that the forward kept.
    pub fn affine(y: &mut [f32], x_hat: &[f32], gamma: &[f32], beta: &[f32]) {
        let n = gamma.len();
        for (y, x) in y.chunks_mut(n).zip(x_hat.chunks(n)) {
            for (((y, x), g), b) in y.iter_mut().zip(x).zip(gamma).zip(beta) {
                *y = x * g + b;
            }
        }
    }
}

/// `d_s`, the gradient of the sum before normalisation. It is also the gradient of the residual
/// and, after [`crate::dropout::apply`], of `x`.
///
/// `d` holds the gradient of `y`, `[rows, columns]`, on entry and `d_s` on return.
pub fn backward_input(d: &mut [f32], x_hat: &[f32], rstd: &[f32], gamma: &[f32]) {
    let columns = gamma.len();
    for ((d, x_hat), &rstd) in d.chunks_mut(columns).zip(x_hat.chunks(columns)).zip(rstd) {
        backward_row(d, x_hat, gamma, rstd);
    }
}

simd_fn! {
    fn backward_row(d: &mut [f32], x_hat: &[f32], gamma: &[f32], rstd: f32) {
        let n = d.len();
        let (x_hat, gamma) = (&x_hat[..n], &gamma[..n]);
        let mean = sum_by(n, |i| d[i] * gamma[i]) / n as f32;
        let mean_x = sum_by(n, |i| d[i] * gamma[i] * x_hat[i]) / n as f32;
        for ((d, x), g) in d.iter_mut().zip(x_hat).zip(gamma) {
            *d = rstd * (*d * g - mean - x * mean_x);
        }
    }
}

/// `dγ += Σ_rows dy·x̂`; dβ is [`crate::linear::backward_bias`] of dy.
pub fn backward_gamma(d_gamma: &mut [f32], d_y: &[f32], x_hat: &[f32]) {
    let n = d_gamma.len();
    for (d_y, x_hat) in d_y.chunks_exact(n).zip(x_hat.chunks_exact(n)) {
        add_products(d_gamma, d_y, x_hat);
    }
}

/// The definition: LayerNorm over the last dimension of `x`, in double precision.
pub fn naive(x: &[f32], gamma: &[f32], beta: &[f32], eps: f32) -> Vec<f32> {
    let n = gamma.len();
    let mut y = Vec::with_capacity(x.len());
    for row in x.chunks(n) {
        let mean = row.iter().map(|&v| v as f64).sum::<f64>() / n as f64;
        let variance = row.iter().map(|&v| (v as f64 - mean).powi(2)).sum::<f64>() / n as f64;
        let rstd = 1.0 / (variance + eps as f64).sqrt();
        y.extend(
            (0..n)
                .map(|i| ((row[i] as f64 - mean) * rstd * gamma[i] as f64 + beta[i] as f64) as f32),
        );
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dropout::{mask, row_key, site_key},
        testing::{assert_close, assert_gradient, dot, random},
    };
    use proptest::prelude::*;

    const EPS: f32 = 1e-12;

    proptest! {
        #[test]
        fn equals_the_definition_and_finite_differences(rows in 0usize..70, columns in 2usize..40, with_dropout: bool, seed in 0u64..50) {
            let (x, residual) = (random(rows * columns, seed), random(rows * columns, seed + 1));
            let (gamma, beta) = (random(columns, seed + 2), random(columns, seed + 3));
            let keys: Vec<u64> = (0..rows as u64).map(|r| row_key(r, 0)).collect();
            let dropout = Dropout { p: 0.25, site_key: site_key(seed, 0, 0), row_keys: &keys };
            let mask = if with_dropout { mask(rows, columns, &dropout) } else { vec![1.0; rows * columns] };
            let sum = |x: &[f32]| -> Vec<f32> {
                x.iter().zip(&mask).zip(&residual).map(|((x, m), r)| x * m + r).collect()
            };
            let mut y = vec![f32::NAN; rows * columns];
            let (mut x_hat, mut rstd) = (x.clone(), vec![f32::NAN; rows]);
            let drop = with_dropout.then_some(&dropout);
            let norm = Norm { gamma: &gamma, beta: &beta, eps: EPS };
            forward(&mut y, &mut x_hat, &mut rstd, Some(&residual), norm, drop);
            assert_close(&y, &naive(&sum(&x), &gamma, &beta, EPS), 2e-4);
            let mut again = vec![f32::NAN; rows * columns];
            affine(&mut again, &x_hat, &gamma, &beta);
            assert_eq!(again, y);
            prop_assume!(rows > 0 && rstd.iter().all(|&r| r < 5.0)); // steep rows make finite differences useless
            let d_y = random(rows * columns, seed + 4);
            let mut d_x = d_y.clone();
            backward_input(&mut d_x, &x_hat, &rstd, &gamma);
            for (d, m) in d_x.iter_mut().zip(&mask) { *d *= m; }
            assert_gradient(&x, &d_x, 2e-2, |x| dot(&naive(&sum(x), &gamma, &beta, EPS), &d_y));
            let (mut d_gamma, mut d_beta) = (vec![0f32; columns], vec![0f32; columns]);
            backward_gamma(&mut d_gamma, &d_y, &x_hat);
            crate::linear::backward_bias(&mut d_beta, &d_y);
            assert_gradient(&gamma, &d_gamma, 2e-3, |g| dot(&naive(&sum(&x), g, &beta, EPS), &d_y));
            assert_gradient(&beta, &d_beta, 2e-3, |b| dot(&naive(&sum(&x), &gamma, b, EPS), &d_y));
        }
    }
}
