//! The learning-rate curve over the steps of a run. The recipe calls it in every step.

use progtune_process::name_of;
use std::{f64::consts::PI, fmt, ops::Range};

use super::Warmup;

/// The learning-rate curve after warm-up, under Hugging Face's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LrScheduler {
    /// It decreases linearly to zero at the last step.
    Linear,
    /// It decreases to zero along half a cosine wave.
    Cosine,
    /// It decreases to an end value as a power of the remaining share of the steps.
    Polynomial,
    /// It stays constant.
    Constant,
}

impl LrScheduler {
    /// The names of the flag's values.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("linear", Self::Linear),
        ("cosine", Self::Cosine),
        ("polynomial", Self::Polynomial),
        ("constant", Self::Constant),
    ];
}

impl fmt::Display for LrScheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(Self::NAMES, self))
    }
}

/// The times at which the curve starts again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LrRestart {
    /// Never: one curve covers the whole run.
    None,
    /// With each stage that trains other parameters than the one before it.
    Stage,
}

impl LrRestart {
    /// The names of the flag's values.
    pub const NAMES: &'static [(&'static str, Self)] =
        &[("none", Self::None), ("stage", Self::Stage)];
}

impl fmt::Display for LrRestart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(Self::NAMES, self))
    }
}

/// The shape of the curve, without its steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LrShape {
    /// The curve after warm-up.
    pub scheduler: LrScheduler,
    /// The duration of the warm-up.
    pub warmup: Warmup,
    /// The learning rate at the end of a polynomial curve (Hugging Face's `lr_end`).
    pub end: f64,
    /// The exponent of a polynomial curve (Hugging Face's `power`).
    pub power: f64,
}

impl LrShape {
    /// The default end of a polynomial curve in transformers.
    pub const END: f64 = 1e-7;
    /// The default exponent of a polynomial curve in transformers.
    pub const POWER: f64 = 1.0;

    /// The curve with the highest value `peak` over these steps of a run.
    pub fn over(self, peak: f64, steps: Range<u64>) -> LrCurve {
        let total_steps = steps.end.saturating_sub(steps.start);
        LrCurve {
            peak,
            first_step: steps.start,
            warmup_steps: self.warmup.steps(total_steps),
            total_steps,
            kind: self.scheduler,
            end: self.end,
            power: self.power,
        }
    }
}

/// The curve: warm-up from zero, then one of the shapes of [`LrScheduler`]. The formulas are those
/// of `optimization.py` in transformers: `get_linear_schedule_with_warmup`,
/// `get_cosine_schedule_with_warmup` with its default of half a wave,
/// `get_polynomial_decay_schedule_with_warmup` and `get_constant_schedule_with_warmup`.
///
/// ```
/// use progtune_engine::optim::{LrScheduler, LrShape, Warmup};
///
/// let shape = LrShape {
///     scheduler: LrScheduler::Linear,
///     warmup: Warmup::Steps(2),
///     end: LrShape::END,
///     power: LrShape::POWER,
/// };
/// let curve = shape.over(1.0, 0..10);
/// assert_eq!([0, 1, 2, 6, 10].map(|step| curve.at(step)), [0.0, 0.5, 1.0, 0.5, 0.0]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LrCurve {
    /// The highest learning rate.
    pub peak: f64,
    /// The step of the run at which the curve begins, counted from 0.
    pub first_step: u64,
    /// The number of warm-up steps.
    pub warmup_steps: u64,
    /// The number of steps from its beginning to its end. Without restarts these are the steps of
    /// the whole run, by `--epochs`; `--max-steps` does not change them.
    pub total_steps: u64,
    /// The shape.
    pub kind: LrScheduler,
    /// The learning rate at the end of a polynomial curve.
    pub end: f64,
    /// The exponent of a polynomial curve.
    pub power: f64,
}

impl LrCurve {
    /// The learning rate of a step of the run, counted from 0.
    pub fn at(&self, step: u64) -> f64 {
        let step = step.saturating_sub(self.first_step);
        if step < self.warmup_steps {
            return self.peak * step as f64 / self.warmup_steps as f64;
        }
        let decay_steps = self.total_steps.saturating_sub(self.warmup_steps).max(1) as f64;
        let decayed = (step - self.warmup_steps) as f64;
        match self.kind {
            LrScheduler::Constant => self.peak,
            LrScheduler::Linear => {
                let left = self.total_steps.saturating_sub(step) as f64;
                self.peak * left / decay_steps
            }
            LrScheduler::Cosine => {
                let wave = (PI * (decayed / decay_steps)).cos();
                self.peak * (0.5 * (1.0 + wave)).max(0.0)
            }
            LrScheduler::Polynomial if step > self.total_steps => self.end,
            // The value is divided and multiplied by the peak as in LambdaLR, for the same bits.
            LrScheduler::Polynomial => {
                let left = 1.0 - decayed / decay_steps;
                let value = (self.peak - self.end) * left.powf(self.power) + self.end;
                self.peak * (value / self.peak)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const FIXTURE: &str = include_str!("../../../../tests/fixtures/lr_curves.json");

    /// Reference: the schedulers of transformers 5.23.0, by `tests/fixtures/make_lr_curves.py`;
    /// tolerance 1e-15 of the peak, because libraries round a cosine differently.
    #[test]
    fn curves_are_those_of_transformers() {
        let cases: Vec<Value> = serde_json::from_str(FIXTURE).unwrap();
        assert!(cases.len() >= 20, "{}", cases.len());
        for case in &cases {
            let name = case["scheduler"].as_str().unwrap();
            let (_, scheduler) = LrScheduler::NAMES
                .iter()
                .find(|(known, _)| name.trim_end_matches("_with_warmup") == *known)
                .unwrap();
            let number = |key: &str| case[key].as_f64().unwrap();
            let shape = LrShape {
                scheduler: *scheduler,
                warmup: Warmup::Steps(case["warmup_steps"].as_u64().unwrap()),
                end: number("lr_end"),
                power: number("power"),
            };
            let expected = case["lr"].as_array().unwrap();
            let peak = number("peak");
            // A curve that begins later is the same one, moved.
            for first in [0, 7] {
                let curve = shape.over(peak, first..first + case["steps"].as_u64().unwrap());
                for (step, expected) in (first..).zip(expected) {
                    let (found, expected) = (curve.at(step), expected.as_f64().unwrap());
                    let is_close = (found - expected).abs() <= 1e-15 * peak;
                    assert!(
                        is_close,
                        "{case}: step {step}: {found}, expected {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_share_of_warmup_is_one_of_the_curves_own_steps() {
        let shape = LrShape {
            scheduler: LrScheduler::Constant,
            warmup: Warmup::Ratio(0.25),
            end: LrShape::END,
            power: LrShape::POWER,
        };
        let curve = shape.over(1.0, 20..28);
        assert_eq!([20, 21, 22].map(|step| curve.at(step)), [0.0, 0.5, 1.0]);
    }
}
