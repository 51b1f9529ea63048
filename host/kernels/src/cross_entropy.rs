//! Softmax cross-entropy of a batch of logits: loss and gradient in one pass. Called by the fused
//! head.
//!
//! ```
//! use progtune_kernels::cross_entropy::{Weighting, forward_backward};
//!
//! // One row of two classes, of which the second is the row's.
//! let mut d_logits = [0.0; 2];
//! let loss = forward_backward(&mut d_logits, &[0.0, 0.0], &[1], Weighting::default(), 1.0);
//! assert!((loss - 2f32.ln()).abs() < 1e-6);
//! assert_eq!(d_logits, [0.5, -0.5]);
//! ```

use crate::math::exp;

/// The weighting of classes. The default weights all classes equally and does not smooth labels.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weighting<'a> {
    /// The class weights w; `None` means 1 for each.
    pub class_weights: Option<&'a [f32]>,
    /// The label smoothing ε in [0, 1): the share of the target that is spread evenly over the
    /// classes.
    pub label_smoothing: f32,
}

impl Weighting<'_> {
    fn weight(&self, class: usize) -> f32 {
        self.class_weights.map_or(1.0, |weights| weights[class])
    }
}

/// Σ over the rows of (1 − ε) w\[y\] · −log p\[y\] + ε / C · Σ over classes c of w\[c\] · −log
/// p\[c\], divided by `denominator`. Here p = softmax(logits), y is the row's class and C the
/// number of classes; `logits` is `[rows, classes]`. If `denominator` is the sum of the rows'
/// w\[y\], this is PyTorch's `CrossEntropyLoss(weight, label_smoothing)`.
///
/// `d_logits` receives the gradient.
///
/// # Panics
/// If a class is outside the logits or the weights. The host checks labels beforehand.
pub fn forward_backward(
    d_logits: &mut [f32],
    logits: &[f32],
    classes: &[u32],
    weighting: Weighting<'_>,
    denominator: f32,
) -> f32 {
    let n = logits.len() / classes.len().max(1);
    let is_plain = weighting.class_weights.is_none() && weighting.label_smoothing == 0.0;
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
        if is_plain {
            total += f64::from(max - logits[class]) + f64::from(sum).ln();
            d.iter_mut().for_each(|d| *d /= sum * denominator);
            d[class] -= 1.0 / denominator;
            continue;
        }
        let log_sum = f64::from(max) + f64::from(sum).ln();
        let spread = weighting.label_smoothing / n as f32;
        let on_class = (1.0 - weighting.label_smoothing) * weighting.weight(class);
        // The sum over c of the targets.
        let mut target_sum = f64::from(on_class);
        total += f64::from(on_class) * (log_sum - f64::from(logits[class]));
        for (c, &logit) in logits.iter().enumerate() {
            let target = f64::from(spread * weighting.weight(c));
            target_sum += target;
            total += target * (log_sum - f64::from(logit));
        }
        let scale = target_sum as f32 / (sum * denominator);
        for (c, d) in d.iter_mut().enumerate() {
            *d = *d * scale - spread * weighting.weight(c) / denominator;
        }
        d[class] -= on_class / denominator;
    }
    (total / f64::from(denominator)) as f32
}

/// The definition of the loss, in double precision.
pub fn naive(logits: &[f32], classes: &[u32], weighting: Weighting<'_>, denominator: f32) -> f64 {
    let n = logits.len() / classes.len().max(1);
    let smoothing = f64::from(weighting.label_smoothing);
    let rows = logits.chunks(n.max(1)).zip(classes);
    let losses = rows.map(|(row, &class)| {
        let sum: f64 = row.iter().map(|&v| f64::from(v).exp()).sum();
        let of = |c: usize| f64::from(weighting.weight(c)) * (sum.ln() - f64::from(row[c]));
        let spread: f64 = (0..n).map(of).sum();
        (1.0 - smoothing) * of(class as usize) + smoothing / n as f64 * spread
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
        fn equals_the_definition_and_finite_differences(
            rows in 0usize..9, n in 1usize..7, seed in 0u64..50, smoothing in 0usize..3, weighted in any::<bool>(),
        ) {
            let logits: Vec<f32> = random(rows * n, seed).iter().map(|v| v * 4.0).collect();
            let classes: Vec<u32> = (0..rows).map(|r| ((r * 5 + seed as usize) % n) as u32).collect();
            let weights: Vec<f32> = (0..n).map(|c| 0.25 + c as f32).collect();
            let weighting = Weighting {
                class_weights: weighted.then_some(&weights[..]),
                label_smoothing: smoothing as f32 * 0.2,
            };
            let mut d = vec![f32::NAN; logits.len()];
            let loss = forward_backward(&mut d, &logits, &classes, weighting, 3.0);
            let want = naive(&logits, &classes, weighting, 3.0);
            prop_assert!((f64::from(loss) - want).abs() < 1e-5 * want.max(1.0));
            assert_gradient(&logits, &d, 1e-3, |logits| naive(logits, &classes, weighting, 3.0));
        }
    }

    #[test]
    fn large_logits_stay_finite() {
        let mut d = [0f32; 2];
        let plain = Weighting::default();
        assert_eq!(
            forward_backward(&mut d, &[1e4, -1e4], &[0], plain, 1.0),
            0.0
        );
        assert_eq!(d, [0.0, 0.0]);
    }

    /// Weights of 1 equal no weights, although they are computed in a different order.
    #[test]
    fn equal_weights_count_nothing() {
        let logits = random(12, 3);
        let (mut plain, mut weighted) = ([0f32; 12], [0f32; 12]);
        let classes = [0, 2, 1, 1];
        let weighting = Weighting {
            class_weights: Some(&[1.0; 3]),
            label_smoothing: 0.0,
        };
        let a = forward_backward(&mut plain, &logits, &classes, Weighting::default(), 4.0);
        let b = forward_backward(&mut weighted, &logits, &classes, weighting, 4.0);
        assert!((a - b).abs() < 1e-6);
        for (a, b) in plain.iter().zip(weighted) {
            assert!((a - b).abs() < 1e-6);
        }
    }
}
