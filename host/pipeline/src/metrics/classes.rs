//! Metrics of classes, computed like scikit-learn: from a confusion matrix or, for the area under
//! the ROC curve, from the logits. Called by `metrics`.

/// A confusion matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    /// `counts[expected][predicted]`, with one row and one column per class.
    pub counts: Vec<Vec<u64>>,
}

/// The scores of one class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassReport {
    /// The fraction of predictions that are correct; 0 if there are none.
    pub precision: f64,
    /// The fraction of expected examples that were found; 0 if there are none.
    pub recall: f64,
    /// The harmonic mean of both; 0 if both are 0.
    pub f1: f64,
    /// Number of examples of the class.
    pub support: u64,
}

impl ClassReport {
    /// Computes the scores from the numbers of correct, predicted and expected examples.
    pub fn new(right: u64, predicted: u64, expected: u64) -> Self {
        Self {
            precision: ratio(right, predicted),
            recall: ratio(right, expected),
            f1: ratio(2 * right, predicted + expected),
            support: expected,
        }
    }
}

fn ratio(a: u64, b: u64) -> f64 {
    if b == 0 { 0.0 } else { a as f64 / b as f64 }
}

impl Confusion {
    /// Counts `predicted` against `expected`; all ids are below `n_classes`.
    pub fn new(predicted: &[u32], expected: &[u32], n_classes: usize) -> Self {
        let mut counts = vec![vec![0; n_classes]; n_classes];
        for (&p, &e) in predicted.iter().zip(expected) {
            counts[e as usize][p as usize] += 1;
        }
        Self { counts }
    }

    fn total(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    fn right(&self) -> u64 {
        (0..self.counts.len()).map(|c| self.counts[c][c]).sum()
    }

    fn predicted(&self, class: usize) -> u64 {
        self.counts.iter().map(|row| row[class]).sum()
    }

    fn expected(&self, class: usize) -> u64 {
        self.counts[class].iter().sum()
    }

    /// Precision, recall and F1 of a class.
    pub fn report(&self, class: usize) -> ClassReport {
        ClassReport::new(
            self.counts[class][class],
            self.predicted(class),
            self.expected(class),
        )
    }

    /// The fraction of correct predictions.
    pub fn accuracy(&self) -> f64 {
        self.right() as f64 / self.total() as f64
    }

    /// The mean F1 of the classes that occur among predictions or references.
    pub fn f1_macro(&self) -> f64 {
        let occurring: Vec<f64> = (0..self.counts.len())
            .filter(|&class| self.predicted(class) + self.expected(class) > 0)
            .map(|class| self.report(class).f1)
            .collect();
        occurring.iter().sum::<f64>() / occurring.len() as f64
    }

    /// The mean F1 of the classes, weighted by their examples.
    pub fn f1_weighted(&self) -> f64 {
        let sum: f64 = (0..self.counts.len())
            .map(|class| self.report(class).f1 * self.expected(class) as f64)
            .sum();
        sum / self.total() as f64
    }

    /// Matthews' correlation coefficient for any number of classes; 0 if predictions or references
    /// are constant.
    pub fn matthews(&self) -> f64 {
        let n = self.total() as f64;
        let (mut cross, mut pp, mut ee) = (0.0, 0.0, 0.0);
        for class in 0..self.counts.len() {
            let (p, e) = (self.predicted(class) as f64, self.expected(class) as f64);
            cross += p * e;
            pp += p * p;
            ee += e * e;
        }
        let denominator = ((n * n - pp) * (n * n - ee)).sqrt();
        if denominator == 0.0 {
            0.0
        } else {
            (self.right() as f64 * n - cross) / denominator
        }
    }
}

/// The area under the ROC curve. For two classes it is computed from the probability of class 1.
/// For more it is the unweighted mean over the classes, each against the rest
/// (`roc_auc_score(multi_class="ovr")`). NaN if a class has no example.
pub(crate) fn auroc(logits: &[&[f32]], expected: &[u32]) -> f64 {
    let n_classes = logits.first().map_or(0, |row| row.len());
    let probabilities: Vec<Vec<f64>> = logits.iter().map(|row| softmax(row)).collect();
    let of_class = |class: usize| {
        let scores: Vec<f64> = probabilities.iter().map(|row| row[class]).collect();
        let is_class: Vec<bool> = expected.iter().map(|&e| e as usize == class).collect();
        area(&scores, &is_class)
    };
    match n_classes {
        2 => of_class(1),
        n => (0..n).map(of_class).sum::<f64>() / n as f64,
    }
}

/// The probabilities of classes from their logits.
pub(crate) fn softmax(row: &[f32]) -> Vec<f64> {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exp: Vec<f64> = row.iter().map(|&x| f64::from(x - max).exp()).collect();
    let sum: f64 = exp.iter().sum();
    exp.iter().map(|x| x / sum).collect()
}

/// The probability that an example of the class scores higher than another one; ties count half
/// (Mann and Whitney).
pub(super) fn area(scores: &[f64], is_class: &[bool]) -> f64 {
    let ranks = super::ranks(scores);
    let inside = is_class.iter().filter(|&&inside| inside).count() as f64;
    let outside = is_class.len() as f64 - inside;
    let sum: f64 = ranks
        .iter()
        .zip(is_class)
        .filter(|&(_, &inside)| inside)
        .map(|(rank, _)| rank)
        .sum();
    (sum - inside * (inside + 1.0) / 2.0) / (inside * outside)
}

/// The class with the highest logit; the first one if several are equal.
pub fn arg_max(row: &[f32]) -> u32 {
    let mut best = 0;
    for (class, &value) in row.iter().enumerate() {
        if value > row[best] {
            best = class;
        }
    }
    best as u32
}
