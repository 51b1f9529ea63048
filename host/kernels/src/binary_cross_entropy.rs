//! Binary cross-entropy of logits, with each output as a separate question: loss and gradient in
//! one pass. Called by the fused head for multi-label classification.
//!
//! ```
//! use progtune_kernels::binary_cross_entropy::forward_backward;
//!
//! // One row of two outputs, of which the second is a target.
//! let mut d_logits = [0.0; 2];
//! let loss = forward_backward(&mut d_logits, &[0.0, 0.0], &[vec![1]], None, 1.0);
//! assert!((loss - 2f32.ln()).abs() < 1e-6);
//! assert_eq!(d_logits, [0.25, -0.25]);
//! ```

use crate::math::exp;

/// Σ over the rows of the mean over the outputs c of −w\[c\] t log σ(x) − (1 − t) log(1 − σ(x)),
/// divided by `denominator`. `logits` x is `[rows, outputs]`. For each row, `sets` lists the
/// outputs whose target t is 1; the others' is 0. If `denominator` is the number of rows, this is
/// PyTorch's `BCEWithLogitsLoss(pos_weight)`.
///
/// `d_logits` receives the gradient. `positive_weights` w has one entry per output; `None` means 1
/// for each.
///
/// # Panics
/// If an output is outside the logits or the weights. The host checks labels beforehand.
pub fn forward_backward(
    d_logits: &mut [f32],
    logits: &[f32],
    sets: &[Vec<u32>],
    positive_weights: Option<&[f32]>,
    denominator: f32,
) -> f32 {
    let n = logits.len() / sets.len().max(1);
    let scale = 1.0 / (n as f32 * denominator);
    let mut total = 0f64;
    let rows = d_logits
        .chunks_mut(n.max(1))
        .zip(logits.chunks(n.max(1)))
        .zip(sets);
    for ((d, logits), set) in rows {
        for (d, &x) in d.iter_mut().zip(logits) {
            let (sigmoid, softplus) = sigmoid_softplus(x);
            total += f64::from(softplus);
            *d = sigmoid * scale;
        }
        for &output in set {
            let (output, x) = (output as usize, logits[output as usize]);
            let weight = positive_weights.map_or(1.0, |weights| weights[output]);
            // These are softplus(−x) and σ(−x), which replace softplus(x) and σ(x) above.
            let (sigmoid, softplus) = sigmoid_softplus(-x);
            total += f64::from(weight * softplus) - f64::from(sigmoid_softplus(x).1);
            d[output] = -weight * sigmoid * scale;
        }
    }
    (total / (n as f64 * f64::from(denominator)).max(f64::MIN_POSITIVE)) as f32
}

/// σ(x) and log(1 + eˣ) = −log(1 − σ(x)), without overflow.
fn sigmoid_softplus(x: f32) -> (f32, f32) {
    let e = exp(-x.abs());
    let sigmoid = if x >= 0.0 {
        1.0 / (1.0 + e)
    } else {
        e / (1.0 + e)
    };
    (sigmoid, x.max(0.0) + e.ln_1p())
}

/// The definition of the loss, in double precision.
pub fn naive(
    logits: &[f32],
    sets: &[Vec<u32>],
    positive_weights: Option<&[f32]>,
    denominator: f32,
) -> f64 {
    let n = logits.len() / sets.len().max(1);
    let mut total = 0f64;
    for (row, set) in logits.chunks(n.max(1)).zip(sets) {
        for (output, &x) in row.iter().enumerate() {
            let p = 1.0 / (1.0 + (-f64::from(x)).exp());
            let weight = positive_weights.map_or(1.0, |weights| f64::from(weights[output]));
            total -= if set.contains(&(output as u32)) {
                weight * p.ln()
            } else {
                (1.0 - p).ln()
            };
        }
    }
    total / (n as f64 * f64::from(denominator)).max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_gradient, random};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_the_definition_and_finite_differences(
            rows in 0usize..7, n in 1usize..6, seed in 0u64..50, weighted in any::<bool>(),
        ) {
            let logits: Vec<f32> = random(rows * n, seed).iter().map(|v| v * 4.0).collect();
            let sets: Vec<Vec<u32>> = (0..rows)
                .map(|row| (0..n as u32).filter(|c| (row as u32 + c + seed as u32).is_multiple_of(3)).collect())
                .collect();
            let weights: Vec<f32> = (0..n).map(|c| 0.5 + c as f32).collect();
            let weights = weighted.then_some(&weights[..]);
            let mut d = vec![f32::NAN; logits.len()];
            let loss = forward_backward(&mut d, &logits, &sets, weights, 3.0);
            let want = naive(&logits, &sets, weights, 3.0);
            prop_assert!((f64::from(loss) - want).abs() < 1e-5 * want.max(1.0));
            assert_gradient(&logits, &d, 1e-3, |logits| naive(logits, &sets, weights, 3.0));
        }
    }

    #[test]
    fn large_logits_stay_finite() {
        let mut d = [0f32; 2];
        let loss = forward_backward(&mut d, &[1e4, -1e4], &[vec![0]], None, 1.0);
        assert_eq!((loss, d), (0.0, [0.0, 0.0]));
        let loss = forward_backward(&mut d, &[1e4, -1e4], &[vec![1]], None, 1.0);
        assert_eq!((loss, d), (1e4, [0.5, -0.5]));
    }
}
