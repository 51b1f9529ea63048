//! Early stopping: a run ends when its evaluations no longer improve, as with Hugging Face's
//! `EarlyStoppingCallback`. Read by `config`; the recipe asks after each evaluation.

use serde::{Deserialize, Serialize};

/// The settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EarlyStopping {
    /// The number of evaluations in a row without improvement that ends the run, at least 1.
    pub patience: u32,
    /// The least difference from the best value so far that is an improvement; it must be exceeded.
    pub threshold: f64,
}

/// The evaluations without improvement so far. It changes during a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patience {
    /// The number of evaluations since the last improvement.
    pub(crate) without_improvement: u32,
}

impl EarlyStopping {
    /// Counts an evaluation with the metric `value`, where the best one before it had `best`, and
    /// returns whether the run ends. A value of `None` is undefined and improves nothing. `lower`
    /// is whether lower values are better.
    ///
    /// ```
    /// use progtune::{EarlyStopping, Patience};
    ///
    /// let settings = EarlyStopping { patience: 2, threshold: 0.01 };
    /// let mut patience = Patience::default();
    /// assert!(!settings.ends(&mut patience, Some(0.80), None, false));
    /// assert!(!settings.ends(&mut patience, Some(0.805), Some(0.80), false), "too little");
    /// assert!(settings.ends(&mut patience, Some(0.70), Some(0.805), false));
    /// ```
    pub fn ends(
        &self,
        patience: &mut Patience,
        value: Option<f64>,
        best: Option<f64>,
        lower: bool,
    ) -> bool {
        let improves = value.is_some_and(|value| {
            best.is_none_or(|best| {
                let gain = if lower { best - value } else { value - best };
                gain > self.threshold
            })
        });
        patience.without_improvement = if improves {
            0
        } else {
            patience.without_improvement + 1
        };
        patience.without_improvement >= self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference: `EarlyStoppingCallback.check_metric_value` in transformers 5.23.0, followed by
    /// hand for these values; the best value is updated by any improvement, however small.
    #[test]
    fn the_counter_follows_hugging_faces() {
        let settings = EarlyStopping {
            patience: 3,
            threshold: 0.1,
        };
        let mut patience = Patience::default();
        let mut best = None;
        let mut counts = Vec::new();
        for value in [1.0, 0.95, 0.8, 0.75, 0.9, 0.74] {
            let ends = settings.ends(&mut patience, Some(value), best, true);
            best = Some(best.map_or(value, |best: f64| best.min(value)));
            counts.push((patience.without_improvement, ends));
        }
        let expected = [
            (0, false),
            (1, false),
            (0, false),
            (1, false),
            (2, false),
            (3, true),
        ];
        assert_eq!(counts, expected);
    }

    #[test]
    fn an_undefined_value_improves_nothing() {
        let settings = EarlyStopping {
            patience: 2,
            threshold: 0.0,
        };
        let mut patience = Patience::default();
        assert!(!settings.ends(&mut patience, None, None, false));
        assert!(!settings.ends(&mut patience, Some(0.5), None, false));
        assert!(!settings.ends(&mut patience, Some(0.5), Some(0.5), false));
        assert!(settings.ends(&mut patience, None, Some(0.5), false));
    }
}
