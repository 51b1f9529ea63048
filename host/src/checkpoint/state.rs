//! The state of a run between two steps, except for the numbers of tensors.

use super::Identity;
use crate::{
    best_model::Best,
    digest::hex,
    early_stopping::Patience,
    summary::{EpochRecord, Summary},
};
use progtune_process::files::journal::Mark;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The state of a run between two steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The place in the run.
    pub place: Place,
    /// The last decision of the schedule; `None` before the first one.
    pub decision: Option<Decision>,
    /// The number of updates of every parameter that the optimizer has state for, by name.
    pub(crate) optimizer_steps: BTreeMap<String, u64>,
    /// The record of the epoch in progress.
    pub epoch: EpochRecord,
    /// The sum of the epoch's losses, and their number.
    pub(crate) epoch_loss: (f64, u64),
    /// The sum of the losses of all steps.
    pub(crate) loss_sum: f64,
    /// The outcome so far.
    pub summary: Summary,
    /// The evaluations without improvement.
    pub patience: Patience,
    /// Whether the run ends early because its evaluations do not improve.
    pub(crate) stops_early: bool,
    /// The number of steps skipped since the last one that was not.
    pub(crate) skipped_in_a_row: u32,
    /// The first step of the learning-rate curve, and the number of its steps.
    pub(crate) lr_curve: (u64, u64),
    /// The best model so far, and the name of the file that holds it.
    pub best: Option<(Best, String)>,
    /// The time spent.
    pub spent: Spent,
    /// `metrics.jsonl` at this moment.
    pub metrics: Prefix,
    /// `log.txt` at this moment.
    pub log: Prefix,
    /// The hashes of everything that the run was given.
    pub identity: Identity,
    /// The run's `config.toml`.
    pub config: String,
    /// The working directory, to which relative paths refer.
    pub working_directory: String,
    /// The files of the checkpoint and their lengths and hashes.
    pub files: BTreeMap<String, Prefix>,
}

impl State {
    /// Whether the parts agree with one another, as far as this can be told without the run. A file
    /// may have the right hash and still be made up.
    pub(crate) fn is_consistent(&self) -> bool {
        let Place {
            epoch,
            step_in_epoch,
            step,
            is_closed,
            ..
        } = self.place;
        let done = self.summary.history.len() as u64;
        let is_decision_past = self.decision.as_ref().is_none_or(|decision| {
            (1..=epoch).contains(&decision.epoch)
                && decision.step <= step
                && decision.step_in_epoch <= decision.step
        });
        epoch >= 1
            && done == u64::from(epoch - 1) + u64::from(is_closed)
            && step_in_epoch <= step
            && self.summary.steps == step
            && self.summary.skipped_steps <= step
            && u64::from(self.skipped_in_a_row) <= step
            && self.optimizer_steps.values().all(|&steps| steps <= step)
            && self.lr_curve.0.checked_add(self.lr_curve.1).is_some()
            && is_decision_past
    }
}

/// A place between two steps of a run. The next step is step `step_in_epoch` of `epoch`; behind the
/// last step of an epoch, the next thing is its evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The epoch, counted from 1.
    pub epoch: u32,
    /// The number of completed steps in the epoch.
    pub step_in_epoch: u64,
    /// The number of completed steps in the run.
    pub step: u64,
    /// Whether the evaluation that is due inside the epoch here was made.
    pub(crate) is_evaluated: bool,
    /// Whether the run ended here, inside the epoch, whose record is complete.
    pub(crate) is_closed: bool,
}

impl Place {
    /// The first place of a run.
    pub const START: Self = Self {
        epoch: 1,
        step_in_epoch: 0,
        step: 0,
        is_evaluated: false,
        is_closed: false,
    };
}

/// A decision of the schedule. The schedule is asked again with the same record, and must decide
/// the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The epoch of the decision point.
    pub epoch: u32,
    /// The steps of the epoch before it.
    pub step_in_epoch: u64,
    /// The steps of the run before it.
    pub step: u64,
    /// The number of observations that the schedule had been told.
    pub signals: usize,
    /// The names of the parameters to train.
    pub trainable: Vec<String>,
}

/// Durations in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Since the beginning of the epoch.
    pub epoch: f64,
    /// Since the beginning of training.
    pub training: f64,
}

/// The first bytes of a file that is appended to, or all of another one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prefix {
    /// Their number.
    pub bytes: u64,
    /// Their SHA-256.
    pub sha256: String,
}

impl From<Mark> for Prefix {
    fn from(mark: Mark) -> Self {
        Self {
            bytes: mark.length,
            sha256: hex(&mark.sha256),
        }
    }
}

impl Prefix {
    /// The state of a journal; `None` if no bytes are recorded, or no hash.
    pub fn mark(&self) -> Option<Mark> {
        let mut sha256 = [0; 32];
        if self.sha256.len() != 64 || !self.sha256.is_ascii() {
            return None;
        }
        for (at, byte) in sha256.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&self.sha256[2 * at..2 * at + 2], 16).ok()?;
        }
        Some(Mark {
            length: self.bytes,
            sha256,
        })
    }
}
