//! What is known of a run's stages before it: everything when the schedule goes by epochs or steps alone, an upper bound when
//! it follows signals. Made by the recipe and by `progtune plan`.

use super::{Blueprint, Stage};
use crate::{error::Result, plugin::LoadedSchedule};
use progtune_plugin_api::records::DecisionRecord;

/// The stages of a run as far as they are known.
#[derive(Debug, Clone)]
pub struct Foresight {
    /// Every stage in order; without a number of steps, the first of each epoch. For a schedule that follows signals one an
    /// epoch: everything it may train.
    pub stages: Vec<Stage>,
    /// Optimizer steps in an epoch; 0 when not known.
    steps_per_epoch: u64,
    /// Steps between decisions inside an epoch; 0: none.
    pub interval_steps: u64,
    /// The signals that decide; empty: none.
    pub signals: Vec<String>,
    /// What the run begins with.
    first: Stage,
}

/// One epoch of a [`Foresight`].
#[derive(Debug, Clone, Copy)]
pub struct Epoch<'a> {
    /// What it begins with; with signals, the most it may train.
    pub stage: &'a Stage,
    /// The parameters it updates: those of each stage, weighted by its steps.
    pub updated: u64,
}

impl Foresight {
    /// Asks the schedule ahead of the run.
    ///
    /// # Errors
    /// When it refuses or answers wrongly.
    pub fn new(
        blueprint: &Blueprint,
        schedule: &LoadedSchedule,
        epochs: u32,
        steps_per_epoch: u64,
    ) -> Result<Self> {
        let traits = schedule.traits();
        let interval_steps = traits.interval_steps;
        let decide = |epoch: u32, step_in_epoch: u64| {
            let before = u64::from(epoch - 1) * steps_per_epoch;
            let point = DecisionRecord {
                step_in_epoch,
                global_step: before + step_in_epoch,
                ..DecisionRecord::epoch(epoch)
            };
            blueprint.decide(schedule, &point)
        };
        let signals: Vec<String> = traits.signals.iter().map(|name| name.to_string()).collect();
        let first = decide(1, 0)?;
        let stages = match signals.is_empty() {
            false => (1..=epochs)
                .map(|epoch| blueprint.stage_of(epoch, 0, blueprint.candidates.clone()))
                .collect(),
            true => (1..=epochs)
                .flat_map(|epoch| {
                    decision_steps(steps_per_epoch, interval_steps).map(move |at| (epoch, at))
                })
                .map(|(epoch, at)| decide(epoch, at))
                .collect::<Result<_>>()?,
        };
        Ok(Self {
            stages,
            steps_per_epoch,
            interval_steps,
            signals,
            first,
        })
    }

    /// Whether each stage is a whole epoch, known before the run.
    pub fn is_by_epoch(&self) -> bool {
        self.signals.is_empty() && self.interval_steps == 0
    }

    /// Every epoch.
    pub fn epochs(&self) -> Vec<Epoch<'_>> {
        let groups = self.stages.chunk_by(|a, b| a.epoch == b.epoch);
        groups
            .map(|stages| Epoch {
                stage: &stages[0],
                updated: self.updated(stages),
            })
            .collect()
    }

    /// The first stage of each epoch.
    pub fn first_stages(&self) -> Vec<Stage> {
        let stages = self.stages.iter();
        stages.filter(|s| s.step_in_epoch == 0).cloned().collect()
    }

    /// Σ over the stages of an epoch of their size, weighted by the steps they last.
    fn updated(&self, stages: &[Stage]) -> u64 {
        let end = self.steps_per_epoch;
        if stages.len() == 1 || end == 0 {
            return stages[0].trainable_parameters;
        }
        let ends = stages[1..].iter().map(|stage| stage.step_in_epoch);
        let sum: u128 = stages
            .iter()
            .zip(ends.chain([end]))
            .map(|(s, to)| u128::from(s.trainable_parameters) * u128::from(to - s.step_in_epoch))
            .sum();
        ((sum + u128::from(end) / 2) / u128::from(end)) as u64
    }

    /// What a person must know beside the table; `None` when the table says it all.
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
                 ({} parameters), and the figures are the most it may come to",
                self.signals.join(", "),
                self.first.block_ranges(),
                super::grouped(self.first.trainable_parameters),
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

/// The steps of an epoch before which a schedule decides; the first alone when their number is not known.
fn decision_steps(steps_per_epoch: u64, interval: u64) -> impl Iterator<Item = u64> {
    let count = match interval {
        0 => 1,
        _ => steps_per_epoch.div_ceil(interval).max(1),
    };
    (0..count).map(move |number| number * interval)
}
