//! The names of metrics: those that a task reports, and those that a user may request instead. The
//! host computes them.

use crate::error::{DataError, suggestion};
use crate::problem_type::ProblemType;

/// A metric's name. The host computes the metric as scikit-learn, scipy and seqeval do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// The share of examples with the right class or exactly the right labels, or of words with the
    /// right tag.
    Accuracy,
    /// F1 of class 1 of two classes, or of entities.
    F1,
    /// The share of correct entities among those predicted.
    Precision,
    /// The share of found entities among those in the data.
    Recall,
    /// F1 of entities that are valid under IOB2's rules (seqeval's strict mode).
    F1Strict,
    /// Precision in strict mode.
    PrecisionStrict,
    /// Recall in strict mode.
    RecallStrict,
    /// The mean F1 over the classes or labels.
    F1Macro,
    /// F1 of all decisions together; with one label per example it equals the accuracy.
    F1Micro,
    /// The mean F1 over the classes, each weighted by its number of examples.
    F1Weighted,
    /// The Matthews correlation coefficient.
    Matthews,
    /// The area under the ROC curve. With more than two classes it is the mean of each class
    /// against the rest, and with several labels the mean over the labels.
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
    /// All metrics.
    pub const ALL: [Self; 16] = [
        Self::Accuracy,
        Self::F1,
        Self::Precision,
        Self::Recall,
        Self::F1Strict,
        Self::PrecisionStrict,
        Self::RecallStrict,
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

    /// The key under which Hugging Face's `glue` metric reports it (with the prefix `eval_` in
    /// `all_results.json`).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::F1 => "f1",
            Self::Precision => "precision",
            Self::Recall => "recall",
            Self::F1Strict => "f1_strict",
            Self::PrecisionStrict => "precision_strict",
            Self::RecallStrict => "recall_strict",
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

    /// The metric named `name`: its key, or `matthews`, `spearman`, `f1_binary`. Hyphens count as
    /// underscores.
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
                suggestion: suggestion(wanted, names()),
                known: names().map(str::to_owned).collect(),
            })
    }

    /// The reason why the metric does not apply to such a head; `None` if it does.
    pub fn unfit_for(self, problem: ProblemType, n_labels: usize) -> Option<&'static str> {
        let of_scores = matches!(self, Self::Pearson | Self::Spearman | Self::Mse | Self::Mae);
        let of_entities_alone = matches!(
            self,
            Self::Precision
                | Self::Recall
                | Self::F1Strict
                | Self::PrecisionStrict
                | Self::RecallStrict
        );
        let of_entities = of_entities_alone || matches!(self, Self::F1 | Self::Accuracy);
        match problem {
            ProblemType::QuestionAnswering => {
                Some("answers are always measured by exact match and by F1 over their words")
            }
            ProblemType::SingleLabelClassification | ProblemType::MultiLabelClassification
                if of_scores =>
            {
                Some("it compares numbers, and this task has classes")
            }
            ProblemType::Regression if !of_scores => {
                Some("it compares classes, and this task has numbers")
            }
            ProblemType::TokenClassification if !of_entities => Some(
                "this task has tags of words; take f1, precision, recall, accuracy, f1_strict, precision_strict or \
                 recall_strict",
            ),
            ProblemType::SingleLabelClassification | ProblemType::MultiLabelClassification
                if of_entities_alone =>
            {
                Some("it is about entities in sentences with tags")
            }
            ProblemType::MultiLabelClassification if matches!(self, Self::F1 | Self::Matthews) => {
                Some("an example has several labels; take f1_micro, f1_macro or f1_weighted")
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
            ("f1-strict", Metric::F1Strict),
        ] {
            assert_eq!(Metric::by_name(name).ok(), Some(metric));
        }
        let message = Metric::by_name("acuracy").unwrap_err().to_string();
        assert!(message.contains("did you mean 'accuracy'?"), "{message}");
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
        assert!(Metric::Recall.unfit_for(classes, 2).is_some());
        let tags = ProblemType::TokenClassification;
        assert!(Metric::F1.unfit_for(tags, 9).is_none());
        assert!(Metric::F1Macro.unfit_for(tags, 9).is_some());
        let sets = ProblemType::MultiLabelClassification;
        assert!(Metric::F1.unfit_for(sets, 2).is_some());
        assert!(Metric::Accuracy.unfit_for(sets, 2).is_none());
        assert!(Metric::Mae.unfit_for(ProblemType::Regression, 1).is_none());
    }
}
