//! The learning-rate curve over the steps of a run. The recipe calls it in every step.

use progtune_process::choice::name_of;
use std::fmt;

/// The learning-rate curve after warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LrScheduler {
    /// It decreases linearly to zero at the last step.
    Linear,
    /// It stays constant.
    Constant,
}

impl LrScheduler {
    /// The names of the flag's values.
    pub const NAMES: &'static [(&'static str, Self)] =
        &[("linear", Self::Linear), ("constant", Self::Constant)];
}

impl fmt::Display for LrScheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(Self::NAMES, self))
    }
}

/// The curve: warm-up from zero, then linear to zero at the last step, or constant (Hugging Face's
/// `get_linear_schedule_with_warmup`, `get_constant_schedule_with_warmup`).
///
/// ```
/// use progtune_engine::optim::{LrCurve, LrScheduler};
///
/// let curve = LrCurve {
///     peak: 1.0,
///     warmup_steps: 2,
///     total_steps: 10,
///     kind: LrScheduler::Linear,
/// };
/// assert_eq!([0, 1, 2, 6, 10].map(|step| curve.at(step)), [0.0, 0.5, 1.0, 0.5, 0.0]);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct LrCurve {
    /// The highest learning rate.
    pub peak: f64,
    /// The number of warm-up steps.
    pub warmup_steps: u64,
    /// The steps of the whole run, by `--epochs`; `--max-steps` does not change it.
    pub total_steps: u64,
    /// The shape.
    pub kind: LrScheduler,
}

impl LrCurve {
    /// The learning rate of a step, counted from 0.
    pub fn at(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return self.peak * step as f64 / self.warmup_steps as f64;
        }
        match self.kind {
            LrScheduler::Constant => self.peak,
            LrScheduler::Linear => {
                let left = self.total_steps.saturating_sub(step) as f64;
                self.peak * left / self.total_steps.saturating_sub(self.warmup_steps).max(1) as f64
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_with_warmup_is_hugging_faces() {
        let curve = LrCurve {
            peak: 1.0,
            warmup_steps: 2,
            total_steps: 10,
            kind: LrScheduler::Linear,
        };
        let got: Vec<f64> = (0..11).map(|s| curve.at(s)).collect();
        assert_eq!(
            got,
            [
                0.0, 0.5, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0.0
            ]
        );
        let constant = LrCurve {
            kind: LrScheduler::Constant,
            ..curve
        };
        assert_eq!((constant.at(1), constant.at(9)), (0.5, 1.0));
    }
}
