//! The names of metrics: what a task reports, and what a user may ask for instead. The host computes them.

use crate::error::DataError;
use crate::nearest::nearest;
use crate::task::ProblemType;

/// A metric's name; the host computes it, as scikit-learn and scipy do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Share of examples with the right class.
    Accuracy,
    /// F1 of class 1; two classes only.
    F1,
    /// The mean of the classes' F1.
    F1Macro,
    /// F1 of all decisions together: with one label an example, the accuracy.
    F1Micro,
    /// The mean of the classes' F1, each weighted by its examples.
    F1Weighted,
    /// Matthews correlation coefficient.
    Matthews,
    /// Area under the ROC curve; with more than two classes the mean of each class against the rest.
    Auroc,
    /// Pearson's correlation.
    Pearson,
    /// Spearman's rank correlation.
    Spearman,
    /// Mean squared error.
    Mse,
    /// Mean absolute error.
    Mae,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Accuracy,
        Self::F1,
        Self::F1Macro,
        Self::F1Micro,
        Self::F1Weighted,
        Self::Matthews,
        Self::Auroc,
        Self::Pearson,
        Self::Spearman,
        Self::Mse,
        Self::Mae,
    ];

    /// The key that Hugging Face's `glue` metric reports (in `all_results.json` with `eval_` before it).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::F1 => "f1",
            Self::F1Macro => "f1_macro",
            Self::F1Micro => "f1_micro",
            Self::F1Weighted => "f1_weighted",
            Self::Matthews => "matthews_correlation",
            Self::Auroc => "auroc",
            Self::Pearson => "pearson",
            Self::Spearman => "spearmanr",
            Self::Mse => "mse",
            Self::Mae => "mae",
        }
    }

    /// The metric named `name`: its key, or `matthews`, `spearman`, `f1_binary`; hyphens count as underscores.
    ///
    /// # Errors
    /// [`DataError::UnknownMetric`] names the nearest and lists all.
    pub fn by_name(name: &str) -> Result<Self, DataError> {
        let wanted = name.trim().to_lowercase().replace('-', "_");
        let wanted = match wanted.as_str() {
            "matthews" => "matthews_correlation",
            "spearman" => "spearmanr",
            "f1_binary" => "f1",
            other => other,
        };
        let names = || Self::ALL.iter().map(|metric| metric.as_str());
        Self::ALL
            .into_iter()
            .find(|metric| metric.as_str() == wanted)
            .ok_or_else(|| DataError::UnknownMetric {
                name: name.to_owned(),
                nearest: nearest(wanted, names()).unwrap_or_default().to_owned(),
                known: names().map(str::to_owned).collect(),
            })
    }

    /// Why the metric says nothing about such a head; `None` where it does.
    pub fn unfit_for(self, problem: ProblemType, n_labels: usize) -> Option<&'static str> {
        let of_scores = matches!(self, Self::Pearson | Self::Spearman | Self::Mse | Self::Mae);
        match problem {
            ProblemType::SingleLabelClassification | ProblemType::MultiLabelClassification
                if of_scores =>
            {
                Some("it compares numbers, and this task has classes")
            }
            ProblemType::Regression if !of_scores => {
                Some("it compares classes, and this task has numbers")
            }
            ProblemType::SingleLabelClassification if self == Self::F1 && n_labels != 2 => {
                Some("it is about two classes; take f1_macro, f1_micro or f1_weighted")
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_use_are_understood() {
        for metric in Metric::ALL {
            assert_eq!(Metric::by_name(metric.as_str()).ok(), Some(metric));
        }
        for (name, metric) in [
            ("matthews", Metric::Matthews),
            ("Spearman", Metric::Spearman),
            ("f1-macro", Metric::F1Macro),
            (" mse", Metric::Mse),
        ] {
            assert_eq!(Metric::by_name(name).ok(), Some(metric));
        }
        let message = Metric::by_name("acuracy").unwrap_err().to_string();
        assert!(message.contains("nearest name is `accuracy`"), "{message}");
    }

    #[test]
    fn a_metric_fits_classes_or_numbers() {
        let classes = ProblemType::SingleLabelClassification;
        assert!(Metric::F1.unfit_for(classes, 2).is_none());
        assert!(Metric::F1.unfit_for(classes, 3).is_some());
        assert!(
            Metric::Auroc
                .unfit_for(ProblemType::Regression, 1)
                .is_some()
        );
        assert!(Metric::Mae.unfit_for(classes, 2).is_some());
        assert!(Metric::Mae.unfit_for(ProblemType::Regression, 1).is_none());
    }
}
