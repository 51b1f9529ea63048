//! The check that a plugin gives the same answer to the same question. Every question is asked
//! twice, and a schedule without signals must decide in the run as it did before it. Called by
//! [`crate::bridge`] and, in a plugin's process, by [`crate::isolation`].
//!
//! A schedule or method is a pure function of its arguments. A plan that depends on a clock, on
//! uninitialised memory or on the number of the call would make a run that cannot be repeated.

use crate::wire::{Malformed, Reader, Wire};
use progtune_plugin_api::records::{DecisionRecord, MethodPlan, PluginError, SchedulePlan};
use std::{
    collections::{BTreeSet, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
};

/// An answer, and the second one if it differs.
#[derive(Debug, PartialEq)]
pub(crate) struct Twice<T> {
    first: Result<T, PluginError>,
    second: Option<Result<T, PluginError>>,
}

impl<T: Wire> Twice<T> {
    /// Asks, and asks again unless the answer is a refusal.
    pub(crate) fn of(mut ask: impl FnMut() -> Result<T, PluginError>) -> Self {
        let first = ask();
        if first.is_err() {
            return Self {
                first,
                second: None,
            };
        }
        let second = ask();
        let same = first.bytes() == second.bytes();
        Self {
            first,
            second: (!same).then_some(second),
        }
    }
}

impl<T: Wire> Wire for Twice<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.first.put(out);
        self.second.is_some().put(out);
        if let Some(second) = &self.second {
            second.put(out);
        }
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            first: Wire::take(from)?,
            second: if bool::take(from)? {
                Some(Wire::take(from)?)
            } else {
                None
            },
        })
    }
}

/// A plan whose differences from another can be described.
pub(crate) trait Compared {
    /// The difference from another plan, as the end of a sentence. The two are not the same.
    fn difference(&self, other: &Self) -> String;
}

impl<T: Compared> Twice<T> {
    /// The answer, if both are the same.
    ///
    /// # Errors
    /// The difference.
    pub(crate) fn agreed(self) -> Result<Result<T, PluginError>, String> {
        let Some(second) = self.second else {
            return Ok(self.first);
        };
        let what = match (&self.first, &second) {
            (Ok(first), Ok(second)) => first.difference(second),
            (_, Err(error)) | (Err(error), _) => format!("one answer is the error '{error}'"),
        };
        Err(format!(
            "it gave two different answers to the same question: {what}; a plan may depend only on the \
             plugin's arguments"
        ))
    }
}

impl Compared for SchedulePlan {
    fn difference(&self, other: &Self) -> String {
        let ids = |plan: &Self| -> BTreeSet<u32> { plan.trainable.iter().copied().collect() };
        let (first, second) = (ids(self), ids(other));
        let only_one = first.symmetric_difference(&second).next();
        let n = |plan: &Self| plan.trainable.len();
        if let Some(id) = only_one {
            let which = if first.contains(id) {
                "first"
            } else {
                "second"
            };
            return format!(
                "the number of trained parameters is {} in the first answer and {} in the second (the parameter id {id} is only in the {which})",
                n(self),
                n(other)
            );
        }
        if n(self) != n(other) || self.trainable != other.trainable {
            return "the ids of the parameters are in a different order".into();
        }
        if self.lr_scales.bytes() != other.lr_scales.bytes() {
            let pairs = self.lr_scales.iter().zip(&other.lr_scales).enumerate();
            let differs = |(_, (a, b)): &(usize, (&f64, &f64))| a.to_bits() != b.to_bits();
            return match pairs.into_iter().find(differs) {
                Some((block, (a, b))) => {
                    format!("the learning rate of block {block} is scaled by {a} and by {b}")
                }
                None => "the number of learning-rate scales differs".into(),
            };
        }
        if self.note == other.note {
            "the extensions (ext) differ".into()
        } else {
            format!("the notes are '{}' and '{}'", self.note, other.note)
        }
    }
}

impl Compared for MethodPlan {
    fn difference(&self, other: &Self) -> String {
        let counts = [
            (
                "parameters to unfreeze",
                self.unfreeze.len(),
                other.unfreeze.len(),
            ),
            (
                "parameters to add",
                self.parameters.len(),
                other.parameters.len(),
            ),
            ("rewrites", self.rewrites.len(), other.rewrites.len()),
        ];
        if let Some((what, first, second)) = counts.iter().find(|(_, a, b)| a != b) {
            return format!("the first answer has {first} {what} and the second has {second}");
        }
        let mut names = self.unfreeze.iter().zip(&other.unfreeze);
        if let Some((a, b)) = names.find(|(a, b)| a != b) {
            return format!("one unfreezes '{a}' where the other unfreezes '{b}'");
        }
        let mut added = self.parameters.iter().zip(&other.parameters);
        if let Some((a, b)) = added.find(|(a, b)| a.bytes() != b.bytes()) {
            return format!(
                "the added parameter '{}' is not '{}' of the other",
                a.name, b.name
            );
        }
        let mut rewrites = self.rewrites.iter().zip(&other.rewrites);
        match rewrites.find(|(a, b)| a.bytes() != b.bytes()) {
            Some((a, b)) => format!(
                "the rewrite of '{}' is not that of '{}' in the other",
                a.site, b.site
            ),
            None => {
                "the suggested learning rate, the identity at the start or the extensions differ"
                    .into()
            }
        }
    }
}

/// The earlier decisions of a schedule that depend only on their place in the run.
#[derive(Debug, Default)]
pub(crate) struct Decided {
    plans: HashMap<(u32, u64, u64), Digest>,
}

/// The parts of a plan, hashed, to tell in which part another plan differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Digest {
    n_trainable: usize,
    trainable: u64,
    lr_scales: u64,
    rest: u64,
}

impl Digest {
    fn of(plan: &SchedulePlan) -> Self {
        let hash = |bytes: Vec<u8>| {
            let mut hasher = DefaultHasher::new();
            bytes.hash(&mut hasher);
            hasher.finish()
        };
        Self {
            n_trainable: plan.trainable.len(),
            trainable: hash(plan.trainable.bytes()),
            lr_scales: hash(plan.lr_scales.bytes()),
            rest: hash([plan.note.bytes(), plan.ext.bytes()].concat()),
        }
    }
}

impl Decided {
    /// Compares a plan with the earlier one for the same decision, or keeps it. Decisions with a
    /// history are not compared, because they depend on observations.
    ///
    /// # Errors
    /// The difference.
    pub(crate) fn compare(
        &mut self,
        decision: &DecisionRecord,
        plan: &SchedulePlan,
    ) -> Result<(), String> {
        if !decision.history.is_empty() || !decision.ext.is_empty() {
            return Ok(());
        }
        let place = (decision.epoch, decision.step_in_epoch, decision.global_step);
        let now = Digest::of(plan);
        let before = *self.plans.entry(place).or_insert(now);
        if before == now {
            return Ok(());
        }
        let what = if before.n_trainable != now.n_trainable {
            format!(
                "the number of trained parameters was {} in the earlier answer and is {} in this one",
                before.n_trainable, now.n_trainable
            )
        } else if before.trainable != now.trainable {
            format!(
                "different parameters are trained ({} both times)",
                now.n_trainable
            )
        } else if before.lr_scales != now.lr_scales {
            "the learning-rate scales differ".into()
        } else {
            "the note or the extensions differ".into()
        };
        Err(format!(
            "its answer for this decision (step {} of the epoch) differs from its earlier one: {what}; a plan may \
             depend only on the plugin's arguments",
            decision.step_in_epoch
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(plans: [SchedulePlan; 2]) -> String {
        let mut plans = plans.into_iter();
        let twice = Twice::of(|| Ok(plans.next().unwrap()));
        let sent = Twice::of_bytes(&twice.bytes()).unwrap();
        assert_eq!(sent, twice);
        twice.agreed().unwrap_err()
    }

    #[test]
    fn the_same_answers_are_one_and_a_difference_is_named() {
        let plan = |ids: &[u32]| SchedulePlan::train(ids.iter().copied());
        let nan = || plan(&[1]).with_lr_scales([f64::NAN]);
        let twice = Twice::of(|| Ok(nan()));
        assert_eq!(twice.second, None);
        assert!(twice.agreed().unwrap().is_ok());
        let text = told([plan(&[1, 2]), plan(&[1, 2, 7])]);
        assert!(
            text.contains("trained parameters is 2 in the first answer and 3 in the second (the parameter id 7 is only in the second)"),
            "{text}"
        );
        let text = told([plan(&[1, 2]), plan(&[2, 1])]);
        assert!(text.contains("in a different order"), "{text}");
        let scaled = |by| plan(&[1]).with_lr_scales([1.0, by]);
        let text = told([scaled(0.0), scaled(-0.0)]);
        assert!(text.contains("block 1 is scaled by 0 and by -0"), "{text}");
        let mut calls = 0;
        let refused = Twice::<SchedulePlan>::of(|| {
            calls += 1;
            Err(PluginError::unsupported("no"))
        });
        assert!(refused.agreed().unwrap().is_err());
        assert_eq!(calls, 1);
    }

    #[test]
    fn a_decision_is_compared_with_the_one_before() {
        let mut decided = Decided::default();
        let at = DecisionRecord::epoch;
        let plan = |ids: &[u32]| SchedulePlan::train(ids.iter().copied());
        assert_eq!(decided.compare(&at(1), &plan(&[1])), Ok(()));
        assert_eq!(decided.compare(&at(2), &plan(&[2])), Ok(()));
        assert_eq!(decided.compare(&at(1), &plan(&[1])), Ok(()));
        let text = decided.compare(&at(1), &plan(&[2])).unwrap_err();
        assert!(
            text.contains("different parameters are trained (1 both times)"),
            "{text}"
        );
        let text = decided.compare(&at(2), &plan(&[2, 3])).unwrap_err();
        assert!(
            text.contains("trained parameters was 1 in the earlier answer and is 2"),
            "{text}"
        );
        let scaled = plan(&[2]).with_lr_scales([0.5]);
        let text = decided.compare(&at(2), &scaled).unwrap_err();
        assert!(text.contains("the learning-rate scales differ"), "{text}");
    }
}
