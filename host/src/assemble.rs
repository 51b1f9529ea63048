//! Puts a model together: checkpoint, new head, the method's parameters, an adapter's values.
//! Called by the recipe, `evaluate` and `predict`.

use crate::{
    adapter::Adapter,
    config::{Device as DeviceChoice, Kernels},
    error::{Error, Result},
    graph::initial_value,
    model::{
        Model,
        config::ModelConfig,
        description::{HeadKind, ParameterInfo},
        parameters::Parameters,
        weights::HeadPolicy,
    },
    model_source::ModelSource,
    plan::Blueprint,
    rng::Stream,
};
use candle_core::{Device, Tensor};
use progtune_plugin_api::records::Role;

/// Everything that decides a model's first values.
pub struct Assembly<'a> {
    /// Where the weights come from.
    pub source: &'a ModelSource,
    /// Their configuration.
    pub config: ModelConfig,
    /// The head.
    pub head: HeadKind,
    /// The task's labels in id order; empty when they do not matter.
    pub labels: &'a [&'a str],
    /// The model with its method.
    pub blueprint: &'a Blueprint,
    /// Values that replace those of checkpoint and method.
    pub adapter: Option<&'a Adapter>,
    /// What to do about a head that the checkpoint lacks.
    pub policy: HeadPolicy,
    /// The seed of what starts from random numbers.
    pub seed: u64,
    /// The device.
    pub device: DeviceChoice,
    /// The kernels.
    pub kernels: Kernels,
}

impl Assembly<'_> {
    /// Reads, makes and places every parameter.
    pub fn build(self) -> Result<Model> {
        let device = open_device(self.device)?;
        let infos = &self.blueprint.parameters;
        let base: Vec<ParameterInfo> = infos
            .iter()
            .filter(|info| info.added.is_none())
            .cloned()
            .collect();
        // An adapter brings the head along, so the checkpoint need not have it.
        let policy = if self.adapter.is_some() {
            HeadPolicy::MakeNew
        } else {
            self.policy
        };
        let loaded =
            self.source
                .checkpoint(self.config.architecture)?
                .load(&base, policy, &Device::Cpu)?;
        let mut base_values = Vec::with_capacity(base.len());
        let mut made_new = Vec::new();
        for (info, value) in base.iter().zip(loaded.values) {
            base_values.push(match value {
                Some(value) => self.in_task_order(info, value)?,
                None => {
                    made_new.push(info.name.clone());
                    new_head_value(info, self.config.encoder.initializer_range, self.seed)?
                }
            });
        }
        let find = |name: &str| -> Result<Tensor> {
            let at = base.iter().position(|info| info.name == name);
            at.map(|at| base_values[at].clone()).ok_or_else(|| {
                Error::Model(format!("an init graph reads {name}, which the model lacks"))
            })
        };
        let mut values = Vec::with_capacity(infos.len());
        for info in infos {
            let value = match &info.added {
                None => find(&info.name)?,
                Some(added) => {
                    let value = initial_value(&added.init, &info.name, self.seed, &find)?;
                    value.broadcast_as(info.shape.as_slice())?.contiguous()?
                }
            };
            values.push(value.to_device(&device)?);
        }
        let parameters = Parameters::new(infos.clone(), values)?;
        if let Some(adapter) = self.adapter {
            adapter.apply(&parameters)?;
            made_new.retain(|name| !adapter.tensors.contains_key(name));
            if self.policy == HeadPolicy::Require && !made_new.is_empty() {
                return Err(headless(adapter, &made_new));
            }
        }
        if !made_new.is_empty() {
            tracing::info!("new, from random numbers: {}", made_new.join(", "));
        }
        let made_new = made_new
            .iter()
            .map(|name| parameters.id(name))
            .collect::<Result<_>>()?;
        let fused = self.kernels.fused_on(self.device);
        let mut model = Model::new(
            self.config,
            parameters,
            self.head,
            &self.blueprint.rewrites,
            fused,
        )?;
        model.made_new = made_new;
        Ok(model)
    }
}

impl Assembly<'_> {
    /// The last layer of a saved head with its outputs in the task's order of labels: a checkpoint that was trained
    /// elsewhere may have another one (`id2label`), as many MNLI models do.
    fn in_task_order(&self, info: &ParameterInfo, value: Tensor) -> Result<Tensor> {
        let last = [
            "classifier.weight",
            "classifier.bias",
            "classifier.out_proj.weight",
            "classifier.out_proj.bias",
        ];
        if !last.contains(&info.name.as_str()) {
            return Ok(value);
        }
        match label_order(&self.config.labels, self.labels) {
            Some(order) => Ok(value.index_select(&Tensor::new(order, value.device())?, 0)?),
            None => Ok(value),
        }
    }
}

/// Where each of the task's labels stands among the checkpoint's; `None` when the order is the same, or when the
/// checkpoint has other names (Hugging Face's placeholders `LABEL_0`, …): then ids count.
fn label_order(checkpoint: &[String], task: &[&str]) -> Option<Vec<u32>> {
    let plain = |label: &str| label.to_lowercase().replace(['-', '_', ' '], "");
    let order: Vec<u32> = task
        .iter()
        .map(|label| {
            checkpoint
                .iter()
                .position(|other| plain(other) == plain(label))
                .map(|at| at as u32)
        })
        .collect::<Option<_>>()?;
    let moved =
        checkpoint.len() == task.len() && order.iter().enumerate().any(|(i, &at)| i as u32 != at);
    moved.then_some(order)
}

/// Hugging Face's initialisation of a new layer: normal with `initializer_range`, zero bias.
fn new_head_value(info: &ParameterInfo, std: f64, seed: u64) -> Result<Tensor> {
    let mut stream = Stream::new(seed, &info.name);
    let values: Vec<f32> = match info.role {
        Role::BIAS => vec![0f32; info.size()],
        _ => (0..info.size())
            .map(|_| (stream.normal() * std) as f32)
            .collect(),
    };
    Ok(Tensor::from_vec(
        values,
        info.shape.as_slice(),
        &Device::Cpu,
    )?)
}

/// An adapter for evaluation must bring what the base lacks, or the numbers would be random.
fn headless(adapter: &Adapter, missing: &[String]) -> Error {
    Error::Model(format!(
        "{}: neither the base model nor the adapter has {}; save the adapter with its head (PEFT: modules_to_save)",
        adapter.origin,
        missing.join(", ")
    ))
}

/// The device that `--device` names.
///
/// # Errors
/// When it is a GPU and there is none, or this build cannot use it.
pub fn open_device(choice: DeviceChoice) -> Result<Device> {
    match choice {
        DeviceChoice::Cpu => Ok(Device::Cpu),
        DeviceChoice::Cuda(number) => Device::new_cuda(number).map_err(|e| {
            Error::Usage(format!(
                "--device cuda:{number}: {e}; this needs an NVIDIA GPU and a build with `--features cuda`, or use --device cpu"
            ))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_matched_by_name() {
        let task = ["entailment", "neutral", "contradiction"];
        let names = |list: &[&str]| -> Vec<String> { list.iter().map(|&l| l.to_owned()).collect() };
        assert_eq!(
            label_order(&names(&["CONTRADICTION", "NEUTRAL", "ENTAILMENT"]), &task),
            Some(vec![2, 1, 0])
        );
        assert_eq!(label_order(&names(&task), &task), None);
        assert_eq!(
            label_order(&names(&["LABEL_0", "LABEL_1", "LABEL_2"]), &task),
            None
        );
        assert_eq!(label_order(&[], &task), None);
    }
}
