//! Softmax cross-entropy of a batch of logits: loss and gradient in one pass. Called by the fused head.

use crate::math::exp;

/// Σ over the rows of −log softmax(logits)[class], divided by `denominator`; `logits` is `[rows, classes]`.
///
/// `d_logits` receives the gradient, (softmax − one-hot) / `denominator`.
///
/// # Panics
/// When a class is outside the logits: the host checks labels before.
pub fn forward_backward(
    d_logits: &mut [f32],
    logits: &[f32],
    classes: &[u32],
    denominator: f32,
) -> f32 {
    let n = logits.len() / classes.len().max(1);
    let mut total = 0f64;
    let rows = d_logits
        .chunks_mut(n.max(1))
        .zip(logits.chunks(n.max(1)))
        .zip(classes);
    for ((d, logits), &class) in rows {
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0f32;
        for (d, &logit) in d.iter_mut().zip(logits) {
            *d = exp(logit - max);
            sum += *d;
        }
        let class = class as usize;
        total += f64::from(max - logits[class]) + f64::from(sum).ln();
        d.iter_mut().for_each(|d| *d /= sum * denominator);
        d[class] -= 1.0 / denominator;
    }
    (total / f64::from(denominator)) as f32
}

/// The definition of the loss, in double precision.
pub fn naive(logits: &[f32], classes: &[u32], denominator: f32) -> f64 {
    let n = logits.len() / classes.len().max(1);
    let rows = logits.chunks(n.max(1)).zip(classes);
    let losses = rows.map(|(row, &class)| {
        let sum: f64 = row.iter().map(|&v| f64::from(v).exp()).sum();
        sum.ln() - f64::from(row[class as usize])
    });
    losses.sum::<f64>() / f64::from(denominator)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_gradient, random};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_the_definition_and_finite_differences(rows in 0usize..9, n in 1usize..7, seed in 0u64..50) {
            let logits: Vec<f32> = random(rows * n, seed).iter().map(|v| v * 4.0).collect();
            let classes: Vec<u32> = (0..rows).map(|r| ((r * 5 + seed as usize) % n) as u32).collect();
            let mut d = vec![f32::NAN; logits.len()];
            let loss = forward_backward(&mut d, &logits, &classes, 3.0);
            prop_assert!((f64::from(loss) - naive(&logits, &classes, 3.0)).abs() < 1e-5);
            assert_gradient(&logits, &d, 1e-3, |logits| naive(logits, &classes, 3.0));
        }
    }

    #[test]
    fn large_logits_stay_finite() {
        let mut d = [0f32; 2];
        assert_eq!(forward_backward(&mut d, &[1e4, -1e4], &[0], 1.0), 0.0);
        assert_eq!(d, [0.0, 0.0]);
    }
}
