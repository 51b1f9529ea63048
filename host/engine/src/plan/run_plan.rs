//! The stages of a run, as far as they are known before it. A schedule that decides by epochs or
//! steps has known stages; for one that follows signals they are an upper bound. The recipe and
//! `progtune plan` make it.

use super::{ModelPlan, Stage};
use crate::{error::Result, plugin::LoadedSchedule};
use progtune_plugin_api::records::DecisionRecord;
use progtune_process::grouped;
use std::collections::BTreeSet;

/// The stages of a run as far as they are known.
#[derive(Debug, Clone)]
pub struct RunPlan {
    /// The first stage of each epoch, and every further stage that trains a different set, in
    /// order. For a schedule that follows signals, one stage per epoch, with every candidate.
    pub stages: Vec<Stage>,
    /// The parameters that each epoch updates: those of every stage, weighted by its steps.
    updated: Vec<u64>,
    /// Optimizer steps per epoch; 0 when not known.
    steps_per_epoch: u64,
    /// Steps between decisions within an epoch; 0 if there are none.
    pub interval_steps: u64,
    /// The signals that the schedule follows; empty if there are none.
    pub signals: Vec<String>,
    /// The first stage of the run.
    first: Stage,
}

/// One epoch of a [`RunPlan`].
#[derive(Debug, Clone, Copy)]
pub struct Epoch<'a> {
    /// Its first stage; with signals, all that it may train.
    pub stage: &'a Stage,
    /// The number of parameters that it updates.
    pub updated: u64,
}

impl RunPlan {
    /// Asks the schedule ahead of the run.
    ///
    /// # Errors
    /// When it refuses or answers wrongly.
    pub fn new(
        model_plan: &ModelPlan,
        schedule: &LoadedSchedule,
        epochs: u32,
        steps_per_epoch: u64,
    ) -> Result<Self> {
        let traits = schedule.traits();
        let decide = |epoch: u32, step_in_epoch: u64| {
            let before = u64::from(epoch - 1) * steps_per_epoch;
            let point = DecisionRecord {
                step_in_epoch,
                global_step: before + step_in_epoch,
                ..DecisionRecord::epoch(epoch)
            };
            model_plan.decide(schedule, &point)
        };
        let mut run_plan = Self {
            stages: Vec::new(),
            updated: Vec::new(),
            steps_per_epoch,
            interval_steps: traits.interval_steps,
            signals: traits.signals.iter().map(|name| name.to_string()).collect(),
            first: decide(1, 0)?,
        };
        let mut seen: BTreeSet<Vec<usize>> = BTreeSet::new();
        for epoch in 1..=epochs {
            if !run_plan.signals.is_empty() {
                let most = model_plan.stage_of(epoch, 0, model_plan.candidates.clone());
                run_plan.updated.push(most.trainable_parameters);
                run_plan.stages.push(most);
                continue;
            }
            let mut sum = 0u128;
            for (from, to) in run_plan.intervals() {
                let stage = decide(epoch, from)?;
                sum += u128::from(stage.trainable_parameters) * u128::from(to - from);
                if seen.insert(stage.trainable.clone()) || from == 0 {
                    run_plan.stages.push(stage);
                }
            }
            let steps = u128::from(steps_per_epoch.max(1));
            run_plan.updated.push(((sum + steps / 2) / steps) as u64);
        }
        Ok(run_plan)
    }

    /// The steps of an epoch from one decision to the next. If their number is not known, one step
    /// stands for all.
    fn intervals(&self) -> impl Iterator<Item = (u64, u64)> + use<> {
        let steps = self.steps_per_epoch.max(1);
        let interval = match self.interval_steps {
            0 => steps,
            n => n,
        };
        let ends = move |number: u64| (number * interval, ((number + 1) * interval).min(steps));
        (0..steps.div_ceil(interval)).map(ends)
    }

    /// Whether each stage is a whole epoch and known before the run.
    pub fn is_by_epoch(&self) -> bool {
        self.signals.is_empty() && self.interval_steps == 0
    }

    /// The epochs that train another set than the one before them, beginning with the first epoch.
    /// `None` if stages may also change within an epoch, or only the run decides them.
    pub fn changes(&self) -> Option<Vec<u32>> {
        if !self.is_by_epoch() {
            return None;
        }
        let mut last: Option<&[usize]> = None;
        let changed = self.stages.iter().filter(|stage| {
            let before = last.replace(&stage.trainable);
            before != Some(&stage.trainable)
        });
        Some(changed.map(|stage| stage.epoch).collect())
    }

    /// All epochs, in order.
    pub fn epochs(&self) -> Vec<Epoch<'_>> {
        let stages = self.stages.iter().filter(|s| s.step_in_epoch == 0);
        stages
            .zip(&self.updated)
            .map(|(stage, &updated)| Epoch { stage, updated })
            .collect()
    }

    /// The first stage of each epoch.
    pub fn first_stages(&self) -> Vec<Stage> {
        let stages = self.stages.iter();
        stages.filter(|s| s.step_in_epoch == 0).cloned().collect()
    }

    /// An explanation that a person needs besides the table; `None` when the table is complete.
    pub fn note(&self, schedule: &str) -> Option<String> {
        if self.is_by_epoch() {
            return None;
        }
        let pace = match self.interval_steps {
            0 => "at the start of each epoch".to_owned(),
            n => format!("every {n} steps"),
        };
        if !self.signals.is_empty() {
            return Some(format!(
                "{schedule} follows {}: it begins with blocks {}\n\
                 ({} parameters), and the figures are upper bounds",
                self.signals.join(", "),
                self.first.block_ranges(),
                grouped(self.first.trainable_parameters),
            ));
        }
        Some(match self.steps_per_epoch {
            0 => format!(
                "{schedule} decides again {pace}:\nblocks and figures are those of each epoch's first steps"
            ),
            _ => format!(
                "{schedule} decides again {pace}:\nthe blocks are those of each epoch's first steps"
            ),
        })
    }
}
