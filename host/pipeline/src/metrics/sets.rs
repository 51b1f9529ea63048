//! Metrics of label sets, computed like scikit-learn for indicator matrices. A label is predicted
//! if its probability exceeds one half. Called by `metrics` and the evaluator.

use super::classes::{ClassReport, area};

/// The predictions and references of all examples.
#[derive(Debug)]
pub struct LabelSets<'a> {
    logits: Vec<&'a [f32]>,
    /// The reference label ids, ascending.
    expected: Vec<&'a [u32]>,
    /// For each label, the numbers of correct, predicted and expected examples.
    counts: Vec<[u64; 3]>,
}

/// The predicted labels, ascending: those with a logit above 0.
pub fn predicted(row: &[f32]) -> Vec<u32> {
    (0..)
        .zip(row)
        .filter(|(_, logit)| **logit > 0.0)
        .map(|(label, _)| label)
        .collect()
}

impl<'a> LabelSets<'a> {
    /// Counts predictions against references; `logits` has one row per example, with one number per
    /// label.
    pub(crate) fn new(logits: Vec<&'a [f32]>, expected: Vec<&'a [u32]>, n_labels: usize) -> Self {
        let mut counts = vec![[0; 3]; n_labels];
        for (row, expected) in logits.iter().zip(&expected) {
            for label in predicted(row) {
                counts[label as usize][0] += u64::from(expected.contains(&label));
                counts[label as usize][1] += 1;
            }
            for &label in *expected {
                counts[label as usize][2] += 1;
            }
        }
        Self {
            logits,
            expected,
            counts,
        }
    }

    /// Precision, recall and F1 of each label.
    pub(crate) fn reports(&self) -> impl Iterator<Item = ClassReport> {
        let counts = self.counts.iter();
        counts.map(|&[right, predicted, expected]| ClassReport::new(right, predicted, expected))
    }

    /// The fraction of examples with exactly the correct labels (`accuracy_score` of sets).
    pub(crate) fn accuracy(&self) -> f64 {
        let rows = self.logits.iter().zip(&self.expected);
        let right = rows.filter(|(row, expected)| predicted(row) == **expected);
        right.count() as f64 / self.logits.len() as f64
    }

    /// F1 over all decisions.
    pub(crate) fn f1_micro(&self) -> f64 {
        let sum = |at: usize| self.counts.iter().map(|counts| counts[at]).sum();
        ClassReport::new(sum(0), sum(1), sum(2)).f1
    }

    /// The mean F1 of the labels; it is 0 for a label that is neither predicted nor expected.
    pub(crate) fn f1_macro(&self) -> f64 {
        self.reports().map(|report| report.f1).sum::<f64>() / self.counts.len() as f64
    }

    /// The mean F1 of the labels, weighted by their examples.
    pub(crate) fn f1_weighted(&self) -> f64 {
        let total: u64 = self.counts.iter().map(|counts| counts[2]).sum();
        if total == 0 {
            return 0.0;
        }
        let sum: f64 = self.reports().map(|of| of.f1 * of.support as f64).sum();
        sum / total as f64
    }

    /// The mean over the labels of the area under the ROC curve (`roc_auc_score` with
    /// `average="macro"`). NaN if a label applies to no example or to all.
    pub(crate) fn auroc(&self) -> f64 {
        let of_label = |label: usize| {
            let scores: Vec<f64> = self
                .logits
                .iter()
                .map(|row| f64::from(row[label]))
                .collect();
            let holds: Vec<bool> = self
                .expected
                .iter()
                .map(|expected| expected.contains(&(label as u32)))
                .collect();
            area(&scores, &holds)
        };
        let n = self.counts.len();
        (0..n).map(of_label).sum::<f64>() / n as f64
    }
}

/// The probability of a label.
pub(crate) fn sigmoid(logit: f32) -> f64 {
    1.0 / (1.0 + (-f64::from(logit)).exp())
}
