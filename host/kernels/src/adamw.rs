//! AdamW with clipping, and the sum of squares behind the clip. Called by the host's optimizer.
//!
//! ```
//! use progtune_kernels::adamw::{Update, step};
//!
//! let update = Update {
//!     lr: 0.1,
//!     beta1: 0.9,
//!     beta2: 0.999,
//!     eps: 1e-8,
//!     weight_decay: 0.0,
//!     step: 1,
//!     gradient_scale: 1.0,
//! };
//! let (mut p, g, mut m, mut v) = ([1.0, 1.0], [0.3, -20.0], [0.0; 2], [0.0; 2]);
//! step(&mut p, &g, &mut m, &mut v, &update);
//! // The first step has the length of the learning rate, whatever the gradient.
//! assert!((p[0] - 0.9).abs() < 1e-5 && (p[1] - 1.1).abs() < 1e-5);
//! ```

use crate::timed_task;
use crate::{math::sum_by, simd::simd_fn};
use rayon::prelude::*;

/// The numbers that one task takes. Partial sums of squares are computed per chunk and added in
/// order.
const CHUNK: usize = 16 * 1024;

/// One update of one parameter (Loshchilov & Hutter), with the arithmetic of `torch.optim.AdamW`.
#[derive(Debug, Clone, Copy)]
pub struct Update {
    /// The learning rate of this step, already scaled for this parameter.
    pub lr: f64,
    /// β₁.
    pub beta1: f64,
    /// β₂.
    pub beta2: f64,
    /// ε.
    pub eps: f64,
    /// Decoupled weight decay; 0 for biases and LayerNorm.
    pub weight_decay: f64,
    /// This parameter's own step, counted from 1.
    pub step: u64,
    /// The factor on the gradient, from clipping.
    pub gradient_scale: f64,
}

/// Advances `p`, `m` and `v` by one step. `g` is the gradient; all have the same length.
pub fn step(p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], update: &Update) {
    let c = Constants::new(update);
    p.par_chunks_mut(CHUNK)
        .zip(g.par_chunks(CHUNK))
        .zip(m.par_chunks_mut(CHUNK))
        .zip(v.par_chunks_mut(CHUNK))
        .for_each(|(((p, g), m), v)| {
            timed_task!("update");
            step_chunk(p, g, m, v, &c);
        });
}

/// The state of the rows of a table of which few get a gradient in a step (an embedding).
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// Marks the rows whose gradient was added to.
    pub touched: &'a [bool],
    /// Marks the rows that have moments, now or from earlier steps.
    pub live: &'a [bool],
    /// The number of columns of the table.
    pub columns: usize,
}

/// Like [`step`], for a table `[rows, columns]`. It computes the same numbers with a fraction of
/// the memory traffic.
///
/// Rows that are not live contain zeros everywhere except in `p`, which only decays. The touched
/// rows of `g` are zero on return.
pub fn step_rows(
    p: &mut [f32],
    g: &mut [f32],
    m: &mut [f32],
    v: &mut [f32],
    rows: Rows<'_>,
    update: &Update,
) {
    const ROWS: usize = 64;
    let Rows {
        touched,
        live,
        columns,
    } = rows;
    let c = Constants::new(update);
    let chunk = ROWS * columns;
    p.par_chunks_mut(chunk)
        .zip(g.par_chunks_mut(chunk))
        .zip(m.par_chunks_mut(chunk))
        .zip(v.par_chunks_mut(chunk))
        .zip(touched.par_chunks(ROWS).zip(live.par_chunks(ROWS)))
        .for_each(|((((p, g), m), v), (touched, live))| {
            timed_task!("update of a table");
            for (row, (&touched, &live)) in touched.iter().zip(live).enumerate() {
                let range = row * columns..(row + 1) * columns;
                let (p, m, v) = (
                    &mut p[range.clone()],
                    &mut m[range.clone()],
                    &mut v[range.clone()],
                );
                match (touched, live) {
                    (true, _) => {
                        step_chunk(p, &g[range.clone()], m, v, &c);
                        g[range].fill(0.0);
                    }
                    (false, true) => step_without_gradient(p, m, v, &c),
                    (false, false) if c.decay != 1.0 => p.iter_mut().for_each(|p| *p *= c.decay),
                    (false, false) => {}
                }
            }
        });
}

/// The numbers of an update as the inner loop reads them.
pub(crate) struct Constants {
    pub(crate) decay: f32,
    pub(crate) beta2: f32,
    pub(crate) one_minus_beta1: f32,
    pub(crate) one_minus_beta2: f32,
    pub(crate) step_size: f32,
    pub(crate) inverse_sqrt_correction2: f32,
    pub(crate) eps: f32,
    pub(crate) scale: f32,
}

impl Constants {
    pub(crate) fn new(u: &Update) -> Self {
        let correction1 = 1.0 - u.beta1.powi(u.step as i32);
        let correction2 = 1.0 - u.beta2.powi(u.step as i32);
        Self {
            decay: (1.0 - u.lr * u.weight_decay) as f32,
            beta2: u.beta2 as f32,
            one_minus_beta1: (1.0 - u.beta1) as f32,
            one_minus_beta2: (1.0 - u.beta2) as f32,
            step_size: (u.lr / correction1) as f32,
            inverse_sqrt_correction2: (1.0 / correction2.sqrt()) as f32,
            eps: u.eps as f32,
            scale: u.gradient_scale as f32,
        }
    }
}

simd_fn! {
    fn step_chunk(p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], c: &Constants) {
        for (((p, g), m), v) in p.iter_mut().zip(g).zip(m.iter_mut()).zip(v.iter_mut()) {
            let gradient = *g * c.scale;
            *m += (gradient - *m) * c.one_minus_beta1;
            *v = *v * c.beta2 + gradient * gradient * c.one_minus_beta2;
            let denominator = v.sqrt() * c.inverse_sqrt_correction2 + c.eps;
            *p = *p * c.decay - c.step_size * *m / denominator;
        }
    }
}

simd_fn! {
    /// [`step_chunk`] for a zero gradient.
    fn step_without_gradient(p: &mut [f32], m: &mut [f32], v: &mut [f32], c: &Constants) {
        for ((p, m), v) in p.iter_mut().zip(m.iter_mut()).zip(v.iter_mut()) {
            *m += (0.0 - *m) * c.one_minus_beta1;
            *v = *v * c.beta2 + 0.0;
            let denominator = v.sqrt() * c.inverse_sqrt_correction2 + c.eps;
            *p = *p * c.decay - c.step_size * *m / denominator;
        }
    }
}

/// Σ g² of the touched rows of a table, in row order.
pub fn sum_of_squares_rows(g: &[f32], touched: &[bool], columns: usize) -> f64 {
    let rows = g.chunks_exact(columns).zip(touched);
    rows.filter(|(_, touched)| **touched)
        .map(|(row, _)| f64::from(squares(row)))
        .sum()
}

/// Σ g², in a fixed order of chunks.
pub fn sum_of_squares(g: &[f32]) -> f64 {
    let partials: Vec<f64> = g
        .par_chunks(CHUNK)
        .map(|chunk| {
            timed_task!("norm");
            f64::from(squares(chunk))
        })
        .collect();
    partials.iter().sum()
}

simd_fn! {
    fn squares(g: &[f32]) -> f32 {
        sum_by(g.len(), |i| g[i] * g[i])
    }
}

/// The definition of one update of one number, in double precision: returns (p, m, v).
pub fn naive(p: f64, g: f64, m: f64, v: f64, u: &Update) -> (f64, f64, f64) {
    let g = g * u.gradient_scale;
    let m = u.beta1 * m + (1.0 - u.beta1) * g;
    let v = u.beta2 * v + (1.0 - u.beta2) * g * g;
    let m_hat = m / (1.0 - u.beta1.powi(u.step as i32));
    let v_hat = v / (1.0 - u.beta2.powi(u.step as i32));
    (
        p - u.lr * u.weight_decay * p - u.lr * m_hat / (v_hat.sqrt() + u.eps),
        m,
        v,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;

    #[test]
    fn equals_the_definition_over_steps() {
        let n = CHUNK + 77;
        let mut p = random(n, 1);
        let (mut m, mut v) = (vec![0f32; n], vec![0f32; n]);
        let mut want: Vec<(f64, f64, f64)> = p.iter().map(|&p| (p as f64, 0.0, 0.0)).collect();
        for step_number in 1..=20 {
            let update = Update {
                lr: 1e-2,
                beta1: 0.9,
                beta2: 0.999,
                eps: 1e-8,
                weight_decay: 0.01,
                step: step_number,
                gradient_scale: 0.7,
            };
            let g = random(n, 100 + step_number);
            for (w, &g) in want.iter_mut().zip(&g) {
                *w = naive(w.0, g as f64, w.1, w.2, &update);
            }
            step(&mut p, &g, &mut m, &mut v, &update);
        }
        for (p, w) in p.iter().zip(&want) {
            assert!((*p as f64 - w.0).abs() < 1e-5, "{p} against {}", w.0);
        }
    }

    #[test]
    fn a_table_moves_as_if_all_of_it_were_updated() {
        let (rows, columns) = (150, 24);
        let n = rows * columns;
        let start = random(n, 1);
        let (mut p, mut g, mut m, mut v) =
            (start.clone(), vec![0f32; n], vec![0f32; n], vec![0f32; n]);
        let (mut all_p, mut all_m, mut all_v) = (start, vec![0f32; n], vec![0f32; n]);
        let mut live = vec![false; rows];
        for step_number in 1..=6u64 {
            let update = Update {
                lr: 1e-2,
                beta1: 0.9,
                beta2: 0.999,
                eps: 1e-8,
                weight_decay: if step_number > 3 { 0.01 } else { 0.0 },
                step: step_number,
                gradient_scale: 0.7,
            };
            let touched: Vec<bool> = (0..rows as u64)
                .map(|r| (r * 7 + step_number) % 5 == 0 && r < 100)
                .collect();
            for (row, &touched) in touched.iter().enumerate() {
                if touched {
                    let values = random(columns, 100 * step_number + row as u64);
                    g[row * columns..(row + 1) * columns].copy_from_slice(&values);
                    live[row] = true;
                }
            }
            let squares = sum_of_squares_rows(&g, &touched, columns);
            assert!((squares - sum_of_squares(&g)).abs() < 1e-5 * squares);
            step(&mut all_p, &g, &mut all_m, &mut all_v, &update);
            let rows = Rows {
                touched: &touched,
                live: &live,
                columns,
            };
            step_rows(&mut p, &mut g, &mut m, &mut v, rows, &update);
            assert_eq!((&p, &m, &v), (&all_p, &all_m, &all_v));
            assert!(g.iter().all(|&g| g == 0.0), "the gradient leaves as zeros");
        }
    }

    #[test]
    fn squares_add_up() {
        for n in [0, 1, 15, 16, 100_003] {
            let g = random(n, 7);
            let want: f64 = g.iter().map(|&g| g as f64 * g as f64).sum();
            assert!((sum_of_squares(&g) - want).abs() <= 1e-5 * want.max(1.0));
        }
    }
}
