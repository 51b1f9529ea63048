//! The trainable set: the method makes some parameters candidates, and the schedule chooses the
//! trainable ones among them for each stage. The recipe and `progtune plan` ask here.

use super::{LrScales, Stage};
use crate::{
    error::{Error, Result},
    model::{
        config::ModelConfig,
        depth::{Depth, lowest_readers},
        description::{Added, HeadKind, ParameterInfo, model_record, parameters},
    },
    plugin::{LoadedMethod, LoadedSchedule},
};
use abi_stable::std_types::RVec;
use progtune_plugin_api::records::{
    DecisionRecord, MethodPlan, ParameterRecord, Part, Rewrite, RunRecord, SchedulePlan,
};

/// The model with its method: every parameter, the candidates among them, and the rewrites.
///
/// ```
/// use progtune_engine::{HeadKind, ModelSource, plan::ModelPlan};
///
/// let config = ModelSource::Embedded.config()?;
/// let full = ModelPlan::new(&config, HeadKind::Sequence(2), None, false)?;
/// assert_eq!(full.candidate_size(), full.model_size());
/// # Ok::<(), progtune_engine::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ModelPlan {
    /// Every parameter, including the method's, sorted by name.
    pub parameters: Vec<ParameterInfo>,
    /// The candidates, as indices into `parameters` in name order. Their order is that of a
    /// schedule's ids.
    pub candidates: Vec<usize>,
    /// The method's rewrites.
    pub rewrites: Vec<Rewrite>,
    /// The method's suggestion for the learning rate.
    pub suggested_lr: Option<f64>,
    /// The number that the method adds to every position id. It must be set in the configuration of
    /// the model that computes.
    pub position_shift: u32,
    /// L, the number of blocks.
    pub blocks: usize,
}

impl ModelPlan {
    /// Asks the method for its changes to the model. Without a method, it is full fine-tuning.
    pub fn new(
        config: &ModelConfig,
        head: HeadKind,
        method: Option<&LoadedMethod>,
        train_pooler: bool,
    ) -> Result<Self> {
        let plan = match method {
            Some(method) => {
                let list = parameters(config, head);
                Some(method.plan(&model_record(config, &list, head))?)
            }
            None => None,
        };
        Self::with(config, head, plan.as_ref(), train_pooler)
    }

    /// The model with a plan that no plugin made: that of an adapter.
    pub fn of_plan(config: &ModelConfig, head: HeadKind, plan: &MethodPlan) -> Result<Self> {
        Self::with(config, head, Some(plan), false)
    }

    fn with(
        config: &ModelConfig,
        head: HeadKind,
        plan: Option<&MethodPlan>,
        train_pooler: bool,
    ) -> Result<Self> {
        let mut list = parameters(config, head);
        let mut rewrites = Vec::new();
        let (mut suggested_lr, mut position_shift) = (None, 0);
        if let Some(plan) = plan {
            list.extend(plan.parameters.iter().map(added_parameter));
            list.sort_by(|a, b| a.name.cmp(&b.name));
            rewrites = plan.rewrites.to_vec();
            suggested_lr = plan.suggested_lr.as_ref().into_option().copied();
            // Both were checked with the plan.
            position_shift = plan.position_shift().unwrap_or(0);
            for (name, scale) in plan.lr_scales().unwrap_or_default() {
                for info in list.iter_mut().filter(|info| info.name == name) {
                    info.lr_scale = scale;
                }
            }
        }
        let has_pooler = list.iter().any(|info| info.name.starts_with("pooler."));
        if train_pooler && (plan.is_none() || !has_pooler) {
            return Err(Error::Usage(format!(
                "--train-pooler: {}; leave it out",
                match plan {
                    None => "full fine-tuning trains the pooler anyway",
                    Some(_) =>
                        "this model has no pooler (RoBERTa's whole head is the classifier, which is always trained)",
                }
            )));
        }
        let candidates: Vec<usize> = (0..list.len())
            .filter(|&i| is_candidate(&list[i], plan, train_pooler))
            .collect();
        Ok(Self {
            parameters: list,
            candidates,
            rewrites,
            suggested_lr,
            position_shift,
            blocks: config.blocks(),
        })
    }

    /// The record that a schedule sees.
    pub fn run_record(
        &self,
        epochs: u32,
        steps_per_epoch: u64,
        seed: u64,
        method: &str,
    ) -> RunRecord {
        RunRecord {
            blocks: self.blocks as u32,
            epochs,
            steps_per_epoch,
            seed,
            method: method.into(),
            candidates: self
                .candidates
                .iter()
                .map(|&i| self.parameters[i].record())
                .collect::<RVec<ParameterRecord>>(),
            ext: RVec::new(),
        }
    }

    /// A schedule's answer in terms of this model.
    pub(super) fn stage(&self, point: &DecisionRecord, plan: &SchedulePlan) -> Stage {
        let trainable = plan.trainable.iter();
        let ids = trainable.map(|&id| self.candidates[id as usize]).collect();
        Stage {
            lr_scales: LrScales::of(plan),
            note: plan.note.to_string(),
            ..self.stage_of(point.epoch, point.step_in_epoch, ids)
        }
    }

    /// The stage of an epoch that trains these parameters, indices into `parameters`.
    pub fn stage_of(&self, epoch: u32, step_in_epoch: u64, mut trainable: Vec<usize>) -> Stage {
        trainable.sort_unstable();
        let infos = || trainable.iter().map(|&id| &self.parameters[id]);
        let mut blocks: Vec<usize> = infos().filter_map(|info| info.block).collect();
        blocks.sort_unstable();
        blocks.dedup();
        Stage {
            epoch,
            step_in_epoch,
            blocks,
            trainable_parameters: infos().map(|info| info.size() as u64).sum(),
            lowest_reader: Some(self.depth(&trainable)),
            embeddings: infos().any(|info| info.part == Part::EMBEDDINGS),
            trainable,
            ..Stage::default()
        }
    }

    /// The lowest place that reads one of these parameters, which are indices into `parameters`.
    pub fn depth(&self, trainable: &[usize]) -> Depth {
        let readers = lowest_readers(&self.parameters, &self.rewrites, self.blocks);
        Depth::lowest(trainable.iter().map(|&id| readers[id]), self.blocks)
    }

    /// Asks the schedule for the stage that begins at a decision point.
    pub fn decide(&self, schedule: &LoadedSchedule, point: &DecisionRecord) -> Result<Stage> {
        Ok(self.stage(point, &schedule.plan(point)?))
    }

    /// The size of the base model and its head.
    pub fn model_size(&self) -> u64 {
        self.parameters
            .iter()
            .filter(|p| p.added.is_none())
            .map(|p| p.size() as u64)
            .sum()
    }

    /// The size of all candidates, which is the number of parameters that one epoch of the `full`
    /// schedule updates.
    pub fn candidate_size(&self) -> u64 {
        self.candidates
            .iter()
            .map(|&i| self.parameters[i].size() as u64)
            .sum()
    }
}

fn added_parameter(new: &progtune_plugin_api::records::NewParameter) -> ParameterInfo {
    let block = usize::try_from(new.block).ok();
    ParameterInfo {
        name: new.name.to_string(),
        shape: new.shape.iter().map(|&n| n as usize).collect(),
        part: new.part,
        block,
        role: new.role,
        lr_scale: new.lr_scale,
        added: Some(Added {
            init: new.init.clone(),
            trainable: new.trainable,
            weight_decay: new.weight_decay,
        }),
    }
}

fn is_candidate(info: &ParameterInfo, plan: Option<&MethodPlan>, train_pooler: bool) -> bool {
    let Some(plan) = plan else { return true };
    match &info.added {
        Some(added) => added.trainable,
        None => {
            info.is_classifier()
                || (train_pooler && info.name.starts_with("pooler."))
                || plan.unfreeze.iter().any(|name| name.as_str() == info.name)
        }
    }
}
