//! What a run trains, epoch by epoch, and what that costs, from configuration and plugins alone: no weights.
//! Called by `progtune plan` and by the recipe, which trains exactly this.

use crate::{
    error::{Error, Result},
    forecast::EpochSecs,
    model::{
        config::ModelConfig,
        description::{Added, HeadKind, ParameterInfo, model_record, parameters},
    },
    plugin::{LoadedMethod, LoadedSchedule},
};
use abi_stable::std_types::RVec;
use progtune_datasets::{DataError, Task};
use progtune_plugin_api::{
    records::{
        DecisionRecord, MethodPlan, ParameterRecord, Part, Rewrite, RunRecord, SchedulePlan,
        SignalRecord,
    },
    stage::block_ranges,
};
use serde_json::{Value, json};

/// The model with its method: every parameter, which of them are candidates, and the rewrites.
#[derive(Debug, Clone)]
pub struct Blueprint {
    /// Every parameter, the method's included, sorted by name.
    pub parameters: Vec<ParameterInfo>,
    /// Indices into `parameters` of what may be trained, in name order: the order of a schedule's ids.
    pub candidates: Vec<usize>,
    /// The method's rewrites.
    pub rewrites: Vec<Rewrite>,
    /// The method's suggestion.
    pub suggested_lr: Option<f64>,
    /// L.
    pub blocks: usize,
}

impl Blueprint {
    /// Asks the method (none: full fine-tuning) what it does to the model.
    pub fn new(
        config: &ModelConfig,
        head: HeadKind,
        method: Option<&LoadedMethod>,
        train_pooler: bool,
    ) -> Result<Self> {
        let mut list = parameters(config, head);
        let plan = match method {
            Some(method) => Some(method.plan(&model_record(config, &list, head))?),
            None => None,
        };
        let mut rewrites = Vec::new();
        let mut suggested_lr = None;
        if let Some(plan) = &plan {
            list.extend(plan.parameters.iter().map(added_parameter));
            list.sort_by(|a, b| a.name.cmp(&b.name));
            rewrites = plan.rewrites.to_vec();
            suggested_lr = plan.suggested_lr.into_option();
        }
        let has_pooler = list.iter().any(|info| info.name.starts_with("pooler."));
        if train_pooler && (plan.is_none() || !has_pooler) {
            return Err(Error::Usage(format!(
                "--train-pooler: {}; leave it out",
                match plan {
                    None => "full fine-tuning trains the pooler anyway",
                    Some(_) =>
                        "this model has no pooler (RoBERTa's head is all classifier, which is always trained)",
                }
            )));
        }
        let candidates: Vec<usize> = (0..list.len())
            .filter(|&i| is_candidate(&list[i], plan.as_ref(), train_pooler))
            .collect();
        Ok(Self {
            parameters: list,
            candidates,
            rewrites,
            suggested_lr,
            blocks: config.blocks(),
        })
    }

    /// What a schedule is told.
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
    fn stage(&self, epoch: u32, plan: &SchedulePlan) -> Stage {
        let mut trainable: Vec<usize> = plan
            .trainable
            .iter()
            .map(|&id| self.candidates[id as usize])
            .collect();
        trainable.sort_unstable();
        let mut blocks: Vec<usize> = trainable
            .iter()
            .filter_map(|&i| self.parameters[i].block)
            .collect();
        blocks.sort_unstable();
        blocks.dedup();
        Stage {
            epoch,
            blocks,
            trainable_parameters: trainable
                .iter()
                .map(|&i| self.parameters[i].size() as u64)
                .sum(),
            embeddings: trainable
                .iter()
                .any(|&i| self.parameters[i].part == Part::EMBEDDINGS),
            lr_scales: plan.lr_scales.to_vec(),
            part_lr_scales: part_lr_scales(plan),
            note: plan.note.to_string(),
            trainable,
        }
    }

    /// Asks the schedule what is trained from a decision point on.
    pub fn decide(
        &self,
        schedule: &LoadedSchedule,
        epoch: u32,
        step_in_epoch: u64,
        global_step: u64,
        history: &[SignalRecord],
    ) -> Result<Stage> {
        let wanted = &schedule.traits().signals;
        let point = DecisionRecord {
            epoch,
            step_in_epoch,
            global_step,
            history: history
                .iter()
                .filter(|signal| wanted.contains(&signal.name))
                .cloned()
                .collect(),
            ext: RVec::new(),
        };
        Ok(self.stage(epoch, &schedule.plan(&point)?))
    }

    /// Every epoch's stage ahead of the run. A schedule that follows signals is asked without any.
    pub fn stages(
        &self,
        schedule: &LoadedSchedule,
        epochs: u32,
        steps_per_epoch: u64,
    ) -> Result<Vec<Stage>> {
        (1..=epochs)
            .map(|epoch| {
                self.decide(
                    schedule,
                    epoch,
                    0,
                    u64::from(epoch - 1) * steps_per_epoch,
                    &[],
                )
            })
            .collect()
    }

    /// Parameters of the base model and its head.
    pub fn model_size(&self) -> u64 {
        self.parameters
            .iter()
            .filter(|p| p.added.is_none())
            .map(|p| p.size() as u64)
            .sum()
    }

    /// Size of all candidates: what one epoch of the `full` schedule updates.
    pub fn candidate_size(&self) -> u64 {
        self.candidates
            .iter()
            .map(|&i| self.parameters[i].size() as u64)
            .sum()
    }
}

fn part_lr_scales(plan: &SchedulePlan) -> Vec<(Part, f64)> {
    let parts = [Part::EMBEDDINGS, Part::HEAD];
    parts.map(|part| (part, plan.lr_scale_of(part))).to_vec()
}

fn added_parameter(new: &progtune_plugin_api::records::NewParameter) -> ParameterInfo {
    let block = usize::try_from(new.block).ok();
    ParameterInfo {
        name: new.name.to_string(),
        shape: new.shape.iter().map(|&n| n as usize).collect(),
        part: new.part,
        block,
        role: new.role,
        added: Some(Added {
            init: new.init.clone(),
            trainable: new.trainable,
            weight_decay: new.weight_decay,
            lr_scale: new.lr_scale,
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

/// What is trained between two decision points.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stage {
    /// The epoch, from 1.
    pub epoch: u32,
    /// The blocks with something trained, ascending.
    pub blocks: Vec<usize>,
    /// The size of the trainable set: one epoch's updated parameters.
    pub trainable_parameters: u64,
    /// Whether embedding parameters are trained.
    pub embeddings: bool,
    /// Factor on the learning rate of each block; empty for none.
    pub lr_scales: Vec<f64>,
    /// That of embeddings and head, where the schedule has one.
    pub part_lr_scales: Vec<(Part, f64)>,
    /// The schedule's note.
    pub note: String,
    /// Indices into [`Blueprint::parameters`], in name order.
    pub trainable: Vec<usize>,
}

impl Stage {
    /// The entry of `plan.json`.
    pub fn to_json(&self) -> Value {
        json!({
            "epoch": self.epoch,
            "blocks": self.blocks,
            "embeddings": self.embeddings,
            "trainable_parameters": self.trainable_parameters,
            "updated_parameters": self.trainable_parameters,
            "note": self.note,
        })
    }

    /// The blocks as ranges: `0-5`, `3-4,7`, `none`.
    pub fn block_ranges(&self) -> String {
        block_ranges(self.blocks.iter().map(|&block| block as u32))
    }

    /// The schedule's factor on a parameter's learning rate, times the method's.
    pub fn lr_scale(&self, info: &ParameterInfo) -> f64 {
        let by_part = || {
            self.part_lr_scales
                .iter()
                .find(|(part, _)| *part == info.part)
        };
        let by_schedule = match info.block {
            Some(block) => self.lr_scales.get(block).copied(),
            None => by_part().map(|&(_, scale)| scale),
        };
        by_schedule.unwrap_or(1.0) * info.added.as_ref().map_or(1.0, |added| added.lr_scale)
    }
}

/// What one epoch is predicted to take on this machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Its time.
    pub secs: EpochSecs,
    /// The largest amount of memory, in training or evaluation; `None` where it cannot be predicted.
    pub peak_bytes: Option<u64>,
}

/// `plan.json`, also what `progtune plan --json` prints.
pub fn to_json(blueprint: &Blueprint, stages: &[Stage], names: &PlanNames<'_>) -> Value {
    let total: u64 = stages.iter().map(|stage| stage.trainable_parameters).sum();
    json!({
        "model": names.model,
        "task": names.task,
        "schedule": names.schedule,
        "peft": names.peft,
        "num_hidden_layers": blueprint.blocks,
        "model_parameters": blueprint.model_size(),
        "candidate_parameters": blueprint.candidate_size(),
        "total_updated_parameters": total,
        "full_schedule_updated_parameters": blueprint.candidate_size() * stages.len() as u64,
        "epochs": stages.iter().map(Stage::to_json).collect::<Vec<_>>(),
    })
}

/// How the plan calls things.
#[derive(Debug, Clone, Copy)]
pub struct PlanNames<'a> {
    /// Directory or `embedded`.
    pub model: &'a str,
    /// The task.
    pub task: &'a str,
    /// The schedule.
    pub schedule: &'a str,
    /// The method, `null` in JSON for full fine-tuning.
    pub peft: Option<&'a str>,
}

/// The plan as a table for a person, within 80 columns; `predictions` are one a stage, or none at all.
pub fn to_table(
    blueprint: &Blueprint,
    stages: &[Stage],
    names: &PlanNames<'_>,
    predictions: &[Prediction],
) -> String {
    // Without the data nobody knows how many steps there are.
    let whole = predictions.iter().all(|p| p.secs.epoch.is_some());
    let cells = |secs: Option<f64>, bytes: Option<u64>| {
        let secs = secs.map_or("?".to_owned(), |secs| format!("{secs:.2}"));
        let mib = bytes.map_or("?".to_owned(), |n| format!("{:.0}", n as f64 / 1048576.0));
        format!("  {secs:>8}  {mib:>8}")
    };
    let mut text = format!(
        "{} on {}: schedule {}, {}; {} blocks, {} parameters\n\n",
        names.model,
        names.task,
        names.schedule,
        names
            .peft
            .map_or("full fine-tuning".to_owned(), |peft| format!(
                "method {peft}"
            )),
        blueprint.blocks,
        millions(blueprint.model_size()),
    );
    text.push_str("epoch  blocks         embeddings  updated parameters");
    if !predictions.is_empty() {
        let secs = if whole { "seconds" } else { "s/step" };
        text.push_str(&format!("  {secs:>8}  {:>8}", "peak MiB"));
    }
    text.push('\n');
    for (number, stage) in stages.iter().enumerate() {
        text.push_str(&format!(
            "{:>5}  {:<13}  {:<10}  {:>18}{}\n",
            stage.epoch,
            stage.block_ranges(),
            if stage.embeddings {
                "trained"
            } else {
                "frozen"
            },
            grouped(stage.trainable_parameters),
            predictions.get(number).map_or_else(String::new, |p| {
                cells(p.secs.epoch.or(Some(p.secs.step)), p.peak_bytes)
            }),
        ));
    }
    let total: u64 = stages.iter().map(|stage| stage.trainable_parameters).sum();
    let full = blueprint.candidate_size() * stages.len() as u64;
    text.push_str(&format!(
        "total  {:<13}  {:<10}  {:>18}{}\n\n{:.1} % of training every block in every epoch\n",
        "",
        "",
        grouped(total),
        match predictions.is_empty() || !whole {
            true => String::new(),
            false => cells(
                predictions.iter().map(|p| p.secs.epoch).sum(),
                predictions.iter().map(|p| p.peak_bytes).max().flatten()
            ),
        },
        100.0 * total as f64 / full.max(1) as f64
    ));
    text
}

/// `1 234 567` as `1,234,567`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn millions(n: u64) -> String {
    format!("{:.1} M", n as f64 / 1e6)
}

/// The task that training, evaluation and prediction mean by `name`.
///
/// # Errors
/// When there is no such task, or only plans can be made for it.
pub fn trainable_task(name: &str) -> Result<&'static Task> {
    match head_of_task(name)? {
        HeadKind::QuestionAnswering => Err(Error::Usage(format!(
            "task `{name}`: question answering can be planned (`progtune plan`), but not yet trained, evaluated or \
             predicted; choose another --task"
        ))),
        HeadKind::Sequence(_) => Ok(Task::by_name(name)?),
    }
}

/// The head a task needs.
///
/// # Errors
/// When there is no such task.
pub fn head_of_task(task: &str) -> Result<HeadKind> {
    match task.to_lowercase().as_str() {
        "squad" | "squad-v2" | "squad_v2" | "squadv2" => Ok(HeadKind::QuestionAnswering),
        name => Ok(HeadKind::Sequence(
            Task::by_name(name)
                .map_err(|e| match e {
                    DataError::UnknownTask { .. } => Error::Usage(format!(
                        "{e} (`progtune plan` also knows squad and squad-v2)"
                    )),
                    other => other.into(),
                })?
                .num_labels(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use progtune_plugin_api::{graph::Graph, records::Role};

    #[test]
    fn numbers_and_ranges_read_well() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1234567), "1,234,567");
        let stage = |blocks: &[usize]| Stage {
            epoch: 1,
            blocks: blocks.to_vec(),
            ..Stage::default()
        };
        assert_eq!(stage(&[0, 1, 2, 5, 7, 8]).block_ranges(), "0-2,5,7-8");
        assert_eq!(stage(&[]).block_ranges(), "none");
    }

    /// A factor by block, by part, and the method's own on top.
    #[test]
    fn learning_rates_scale_by_block_part_and_method() {
        let plan = SchedulePlan::train([0])
            .with_lr_scales([0.5, 2.0])
            .with_lr_scale_of(Part::HEAD, 3.0);
        let stage = Stage {
            lr_scales: plan.lr_scales.to_vec(),
            part_lr_scales: part_lr_scales(&plan),
            ..Stage::default()
        };
        let scale = |part, block, by_method: Option<f64>| {
            stage.lr_scale(&ParameterInfo {
                name: "p".into(),
                shape: vec![1],
                part,
                block,
                role: Role::WEIGHT,
                added: by_method.map(|lr_scale| Added {
                    init: Graph::default(),
                    trainable: true,
                    weight_decay: true,
                    lr_scale,
                }),
            })
        };
        assert_eq!(scale(Part::BLOCK, Some(0), None), 0.5);
        assert_eq!(scale(Part::BLOCK, Some(1), Some(16.0)), 32.0);
        assert_eq!(scale(Part::HEAD, None, None), 3.0);
        assert_eq!(scale(Part::EMBEDDINGS, None, None), 1.0);
        assert_eq!(scale(Part::SHARED, None, Some(4.0)), 4.0);
    }
}
