//! The times at which a run evaluates its model: at the end of each epoch, also every so many
//! steps, or only at its end. Read by `config`; the recipe, the progress and the time forecast ask
//! for the times.

use progtune_process::name_of;
use std::fmt;

/// The values of `--eval-strategy`, under Hugging Face's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvalStrategy {
    /// At the end of each epoch.
    Epoch,
    /// Every `--eval-steps` steps, and at the end of each epoch.
    Steps,
    /// Only at the end of the run.
    No,
}

impl EvalStrategy {
    /// The names of the flag's values.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("epoch", Self::Epoch),
        ("steps", Self::Steps),
        ("no", Self::No),
    ];
}

impl fmt::Display for EvalStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(Self::NAMES, self))
    }
}

/// The number of steps from one evaluation to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EvalSteps {
    /// A number, at least 1.
    Steps(u64),
    /// A share of the run's steps, above 0 and below 1.
    Share(f64),
}

impl EvalSteps {
    /// Reads a number: below 1 it is a share of the run's steps, as in transformers.
    pub fn parse(text: &str) -> Option<Self> {
        let number: f64 = text.parse().ok()?;
        if number > 0.0 && number < 1.0 {
            Some(Self::Share(number))
        } else if number >= 1.0 && number.fract() == 0.0 && number < u64::MAX as f64 {
            Some(Self::Steps(number as u64))
        } else {
            None
        }
    }

    /// The number of steps in a run of `last_step` steps. A share is rounded up, as in
    /// transformers.
    fn of(self, last_step: u64) -> u64 {
        match self {
            Self::Steps(steps) => steps,
            Self::Share(share) => (share * last_step as f64).ceil() as u64,
        }
    }
}

/// The requested times, before the length of the run is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluations {
    /// The kind of times.
    pub strategy: EvalStrategy,
    /// The steps between evaluations; `Some` exactly for [`EvalStrategy::Steps`].
    pub steps: Option<EvalSteps>,
}

impl Evaluations {
    /// The times in a run of `last_step` steps, with `steps_per_epoch` in an epoch.
    pub fn times(self, steps_per_epoch: u64, last_step: u64) -> EvalTimes {
        EvalTimes {
            every: self.steps.map(|steps| steps.of(last_step).max(1)),
            ends_epochs: self.strategy != EvalStrategy::No,
            steps_per_epoch: steps_per_epoch.max(1),
            last_step,
        }
    }
}

/// The times of the evaluations in a run. Steps are counted from 1.
///
/// ```
/// use progtune::{EvalSteps, EvalStrategy, Evaluations};
///
/// let requested = Evaluations {
///     strategy: EvalStrategy::Steps,
///     steps: Some(EvalSteps::Steps(4)),
/// };
/// // Two epochs of ten steps: after the steps 4, 8, 10, 12, 16 and 20.
/// let times = requested.times(10, 20);
/// assert!(times.is_inside_epoch(4) && !times.is_inside_epoch(20));
/// assert_eq!([times.in_epoch(0), times.in_epoch(1)], [3, 3]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EvalTimes {
    /// The steps from one evaluation inside epochs to the next; `None` if there are none.
    every: Option<u64>,
    /// Whether each epoch ends with an evaluation; otherwise only the run does.
    ends_epochs: bool,
    /// Number of steps in an epoch, at least 1.
    pub steps_per_epoch: u64,
    /// The last step of the run.
    pub last_step: u64,
}

impl EvalTimes {
    /// Whether the model is evaluated after this step, inside an epoch. The evaluation at the end
    /// of an epoch or of the run is not one of these.
    pub fn is_inside_epoch(&self, step: u64) -> bool {
        let is_due = self.every.is_some_and(|every| step.is_multiple_of(every));
        is_due && !step.is_multiple_of(self.steps_per_epoch) && step != self.last_step
    }

    /// Whether the model is evaluated after this step, with which an epoch ends, possibly early.
    pub(crate) fn is_at_end(&self, step: u64) -> bool {
        self.ends_epochs || step == self.last_step
    }

    /// Number of evaluations in an epoch, counted from 0.
    pub fn in_epoch(&self, epoch: u64) -> u64 {
        let before = (epoch * self.steps_per_epoch).min(self.last_step);
        let end = (before + self.steps_per_epoch).min(self.last_step);
        if before == end {
            return 0;
        }
        let inside = self
            .every
            .map_or(0, |every| (end - 1) / every - before / every);
        inside + u64::from(self.is_at_end(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(strategy: EvalStrategy, steps: Option<EvalSteps>, last_step: u64) -> EvalTimes {
        Evaluations { strategy, steps }.times(10, last_step)
    }

    /// The number of evaluations of an epoch is that of its steps with one.
    #[test]
    fn an_epoch_counts_its_evaluations() {
        for every in 1..=25 {
            for last_step in [3, 10, 17, 20, 30] {
                let times = times(
                    EvalStrategy::Steps,
                    Some(EvalSteps::Steps(every)),
                    last_step,
                );
                for epoch in 0..3 {
                    let end = ((epoch + 1) * 10).min(last_step);
                    let inside = (epoch * 10 + 1..=end).filter(|&step| times.is_inside_epoch(step));
                    let expected = inside.count() as u64 + u64::from(epoch * 10 < last_step);
                    assert_eq!(
                        times.in_epoch(epoch),
                        expected,
                        "{every} {last_step} {epoch}"
                    );
                }
            }
        }
    }

    #[test]
    fn without_steps_epochs_or_the_run_end_with_an_evaluation() {
        let by_epoch = times(EvalStrategy::Epoch, None, 25);
        assert_eq!(
            [0, 1, 2, 3].map(|epoch| by_epoch.in_epoch(epoch)),
            [1, 1, 1, 0]
        );
        let no = times(EvalStrategy::No, None, 25);
        assert_eq!([0, 1, 2, 3].map(|epoch| no.in_epoch(epoch)), [0, 0, 1, 0]);
        assert!(!no.is_at_end(20) && no.is_at_end(25) && !no.is_inside_epoch(5));
    }

    #[test]
    fn a_number_below_one_is_a_share_of_the_steps() {
        assert_eq!(EvalSteps::parse("0.25"), Some(EvalSteps::Share(0.25)));
        assert_eq!(EvalSteps::parse("50"), Some(EvalSteps::Steps(50)));
        assert_eq!(EvalSteps::parse("1.0"), Some(EvalSteps::Steps(1)));
        for wrong in ["0", "-1", "1.5", "inf", "NaN", "x"] {
            assert_eq!(EvalSteps::parse(wrong), None, "{wrong}");
        }
        let share = times(EvalStrategy::Steps, Some(EvalSteps::Share(0.3)), 25);
        assert!(share.is_inside_epoch(8) && share.is_inside_epoch(16) && !share.is_inside_epoch(7));
    }
}
