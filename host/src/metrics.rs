//! The metrics of GLUE, as Hugging Face's `evaluate` computes them. Called by the evaluator.

use progtune_datasets::Metric;

/// Predictions and references of one evaluation.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// Class ids.
    Classes {
        /// What the model said.
        predicted: &'a [u32],
        /// What is right.
        expected: &'a [u32],
    },
    /// Numbers.
    Scores {
        /// What the model said.
        predicted: &'a [f64],
        /// What is right.
        expected: &'a [f64],
    },
}

/// The value of a metric; NaN where it is undefined (a constant prediction has no correlation).
pub fn compute(metric: Metric, outcome: &Outcome<'_>) -> f64 {
    match (metric, outcome) {
        (
            Metric::Accuracy,
            Outcome::Classes {
                predicted,
                expected,
            },
        ) => accuracy(predicted, expected),
        (
            Metric::F1,
            Outcome::Classes {
                predicted,
                expected,
            },
        ) => f1(predicted, expected),
        (
            Metric::Matthews,
            Outcome::Classes {
                predicted,
                expected,
            },
        ) => matthews(predicted, expected),
        (
            Metric::Pearson,
            Outcome::Scores {
                predicted,
                expected,
            },
        ) => pearson(predicted, expected),
        (
            Metric::Spearman,
            Outcome::Scores {
                predicted,
                expected,
            },
        ) => pearson(&ranks(predicted), &ranks(expected)),
        _ => f64::NAN,
    }
}

fn accuracy(predicted: &[u32], expected: &[u32]) -> f64 {
    let right = predicted
        .iter()
        .zip(expected)
        .filter(|(p, e)| p == e)
        .count();
    right as f64 / expected.len() as f64
}

/// 2·TP / (2·TP + FP + FN) of class 1; 0 when there is none (scikit-learn's default).
fn f1(predicted: &[u32], expected: &[u32]) -> f64 {
    let count = |p: u32, e: u32| {
        predicted
            .iter()
            .zip(expected)
            .filter(|&(&a, &b)| (a == 1) == (p == 1) && (b == 1) == (e == 1))
            .count() as f64
    };
    let (tp, fp, fn_) = (count(1, 1), count(1, 0), count(0, 1));
    if tp == 0.0 {
        0.0
    } else {
        2.0 * tp / (2.0 * tp + fp + fn_)
    }
}

/// Matthews' correlation for any number of classes (scikit-learn's formula); 0 when a side is constant.
fn matthews(predicted: &[u32], expected: &[u32]) -> f64 {
    let classes = predicted
        .iter()
        .chain(expected)
        .max()
        .map_or(0, |&m| m as usize + 1);
    let n = expected.len() as f64;
    let right = predicted
        .iter()
        .zip(expected)
        .filter(|(p, e)| p == e)
        .count() as f64;
    let count =
        |of: &[u32], class: usize| of.iter().filter(|&&c| c as usize == class).count() as f64;
    let (mut cross, mut pp, mut ee) = (0.0, 0.0, 0.0);
    for class in 0..classes {
        let (p, e) = (count(predicted, class), count(expected, class));
        cross += p * e;
        pp += p * p;
        ee += e * e;
    }
    let denominator = ((n * n - pp) * (n * n - ee)).sqrt();
    if denominator == 0.0 {
        0.0
    } else {
        (right * n - cross) / denominator
    }
}

fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (ma, mb) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        ab += (x - ma) * (y - mb);
        aa += (x - ma).powi(2);
        bb += (y - mb).powi(2);
    }
    ab / (aa * bb).sqrt()
}

/// Ranks from 1; equal numbers share the mean of their ranks.
fn ranks(x: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..x.len()).collect();
    order.sort_by(|&i, &j| x[i].total_cmp(&x[j]));
    let mut ranks = vec![0.0; x.len()];
    let mut start = 0;
    while start < order.len() {
        let mut end = start;
        while end + 1 < order.len() && x[order[end + 1]] == x[order[start]] {
            end += 1;
        }
        for &i in &order[start..=end] {
            ranks[i] = (start + end) as f64 / 2.0 + 1.0;
        }
        start = end + 1;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference values: scikit-learn 1.7 and scipy 1.16 on the same lists.
    #[test]
    fn known_values() {
        let (p, e) = ([1, 0, 1, 1, 0, 0, 1, 0], [1, 0, 0, 1, 1, 0, 1, 0]);
        let classes = Outcome::Classes {
            predicted: &p,
            expected: &e,
        };
        assert!((compute(Metric::Accuracy, &classes) - 0.75).abs() < 1e-12);
        assert!((compute(Metric::F1, &classes) - 0.75).abs() < 1e-12);
        assert!((compute(Metric::Matthews, &classes) - 0.5).abs() < 1e-12);
        let (p, e) = ([0, 1, 2, 2, 1, 0], [0, 2, 2, 1, 1, 0]);
        let classes = Outcome::Classes {
            predicted: &p,
            expected: &e,
        };
        assert!((compute(Metric::Matthews, &classes) - 0.5).abs() < 1e-12);
        let constant = Outcome::Classes {
            predicted: &[1, 1, 1],
            expected: &[1, 0, 1],
        };
        assert_eq!(compute(Metric::Matthews, &constant), 0.0);
        let (p, e) = ([1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 2.0, 5.0]);
        let scores = Outcome::Scores {
            predicted: &p,
            expected: &e,
        };
        assert!((compute(Metric::Pearson, &scores) - 0.831_521_840_620_299_9).abs() < 1e-12);
        assert!((compute(Metric::Spearman, &scores) - 0.8).abs() < 1e-12);
        let (p, e) = ([1.0, 1.0, 2.0, 3.0], [1.0, 2.0, 2.0, 3.0]);
        let ties = Outcome::Scores {
            predicted: &p,
            expected: &e,
        };
        assert!((compute(Metric::Spearman, &ties) - 0.833_333_333_333_333_4).abs() < 1e-12);
    }
}
