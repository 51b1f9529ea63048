//! Puts a model together from a checkpoint, a new head, the method's parameters and an adapter's
//! values. The recipe, `evaluate`, `predict` and `merge` call it. `initial` gives the same first
//! values one by one.

mod gpu;
mod initial;

pub use gpu::open_device;
pub use initial::InitialValues;

use crate::rng::Stream;
use crate::{
    adapter::Adapter,
    error::{Error, Result},
    labels::{LabelMatch, is_last_layer},
    model::{
        Model,
        config::ModelConfig,
        description::{HeadKind, ParameterInfo},
        device::{ComputePath, Device as DeviceChoice, Kernels, Precision},
        graph::initial_value,
        parameters::Parameters,
        weights::HeadPolicy,
    },
    model_source::ModelSource,
    plan::ModelPlan,
};
use candle_core::{Device, Tensor, Var};
use progtune_plugin_api::records::{Rewrite, Role};
use progtune_process::{Phase, short_list};

/// Everything that determines a model's first values.
///
/// ```no_run
/// use progtune_engine::{
///     Assembly, HeadKind, ModelSource,
///     model::{Device, Kernels, Precision, weights::HeadPolicy},
///     plan::ModelPlan,
/// };
///
/// let source = ModelSource::Embedded;
/// let (config, head) = (source.config()?, HeadKind::Sequence(2));
/// let model = Assembly {
///     model_plan: &ModelPlan::new(&config, head, None, false)?,
///     source: &source,
///     config,
///     head,
///     labels: &[],
///     adapter: None,
///     policy: HeadPolicy::MakeNew,
///     head_bias: None,
///     seed: 42,
///     device: Device::Cpu,
///     kernels: Kernels::Auto,
///     precision: Precision::Auto,
/// }
/// .build()?;
/// println!("{} parameters", model.parameters.len());
/// # Ok::<(), progtune_engine::Error>(())
/// ```
pub struct Assembly<'a> {
    /// The source of the weights.
    pub source: &'a ModelSource,
    /// Their configuration.
    pub config: ModelConfig,
    /// The head.
    pub head: HeadKind,
    /// The task's labels in id order; empty when they are irrelevant.
    pub labels: &'a [String],
    /// The model with its method.
    pub model_plan: &'a ModelPlan,
    /// Values that replace those of checkpoint and method.
    pub adapter: Option<&'a Adapter>,
    /// The treatment of a head that the checkpoint lacks.
    pub policy: HeadPolicy,
    /// The first bias of a new head's last layer, one value per output; `None` for zeros.
    pub head_bias: Option<&'a [f32]>,
    /// The random seed.
    pub seed: u64,
    /// The device.
    pub device: DeviceChoice,
    /// The kernels.
    pub kernels: Kernels,
    /// The precision of their products.
    pub precision: Precision,
}

/// The base model's values in memory. The models that are built on them share all values that no
/// adapter replaces.
pub struct BaseWeights {
    /// The value of each parameter of the base model with its head, in name order; `None` if the
    /// checkpoint lacks it.
    values: Vec<Option<Var>>,
}

/// A model that computes on a device, with these kernels and the precision of their products. The
/// parameters are there.
///
/// # Errors
/// If the kernels of a GPU do not take the model, or CUDA's libraries are not there.
pub fn model_on(
    (device, kernels, precision): (DeviceChoice, Kernels, Precision),
    config: ModelConfig,
    parameters: Parameters,
    head: HeadKind,
    rewrites: &[Rewrite],
) -> Result<Model> {
    let (path, precision) = (kernels.path_on(device), precision.on(device));
    let is_fused = path == ComputePath::Fused;
    let mut model = Model::new(config, parameters, head, rewrites, is_fused)?;
    model.set_operands(precision.operands());
    if path == ComputePath::Gpu {
        gpu::put_on(&mut model, &open_device(device)?, precision)?;
    }
    Ok(model)
}

impl Assembly<'_> {
    /// Reads or makes every parameter, and moves it to the device.
    pub fn build(self) -> Result<Model> {
        // An adapter contains the head, so the checkpoint need not have it.
        let policy = if self.adapter.is_some() {
            HeadPolicy::MakeNew
        } else {
            self.policy
        };
        let base = self.read_base(policy)?;
        self.build_on(&base)
    }

    /// The parameters of the base model and its head.
    fn base_infos(&self) -> Vec<ParameterInfo> {
        let infos = self.model_plan.parameters.iter();
        infos.filter(|info| info.added.is_none()).cloned().collect()
    }

    /// Reads the checkpoint.
    pub fn read_base(&self, policy: HeadPolicy) -> Result<BaseWeights> {
        let phase = Phase::begin(
            "load",
            format!("loading the {} model", self.source.name()),
            "",
            None,
        );
        let device = open_device(self.device)?;
        let base = self.base_infos();
        let loaded =
            self.source
                .checkpoint(self.config.architecture)?
                .load(&base, policy, &Device::Cpu)?;
        let place = |value: Option<Tensor>| {
            let value = value.map(|value| value.to_device(&device)).transpose()?;
            Ok(value.map(|value| Var::from_tensor(&value)).transpose()?)
        };
        let values = loaded.values.into_iter().map(place);
        let values = values.collect::<Result<_>>()?;
        phase.finish();
        Ok(BaseWeights { values })
    }

    /// Puts the model together from a checkpoint that was read before, for the same model and
    /// perhaps another head. The values that the adapter replaces are the model's own. All others
    /// are shared, so at most one of several models may be trained.
    pub fn build_on(self, weights: &BaseWeights) -> Result<Model> {
        let device = open_device(self.device)?;
        let base = self.base_infos();
        let (base_values, mut made_new) = self.base_values(&base, weights)?;
        let values = self.all_values(&base, &base_values, &device)?;
        let parameters = Parameters::new(self.model_plan.parameters.clone(), values)?;
        if let Some(adapter) = self.adapter {
            self.apply_adapter(adapter, &parameters, &mut made_new)?;
        }
        if !made_new.is_empty() {
            tracing::info!("randomly initialised: {}", made_new.join(", "));
        }
        let adapters = self.adapter.iter();
        let from_adapter = adapters.flat_map(|adapter| adapter.tensors.keys());
        let not_in_base = made_new.iter().chain(from_adapter);
        let not_in_base = not_in_base.map(|name| parameters.id(name));
        let not_in_base = not_in_base.collect::<Result<_>>()?;
        let config = ModelConfig {
            position_shift: self.model_plan.position_shift,
            ..self.config
        };
        let rewrites = &self.model_plan.rewrites;
        let machine = (self.device, self.kernels, self.precision);
        let mut model = model_on(machine, config, parameters, self.head, rewrites)?;
        model.not_in_base = not_in_base;
        Ok(model)
    }

    /// The values of the base model and its head, in the order of `base`, and the names of those
    /// that are new.
    fn base_values(
        &self,
        base: &[ParameterInfo],
        weights: &BaseWeights,
    ) -> Result<(Vec<Tensor>, Vec<String>)> {
        let replaced = |info: &ParameterInfo| {
            let adapter = self.adapter;
            adapter.is_some_and(|adapter| adapter.tensors.contains_key(&info.name))
        };
        let folded = |info: &ParameterInfo| {
            let adapter = self.adapter;
            adapter.is_some_and(|adapter| adapter.folds.contains_key(&info.name))
        };
        let is_kept = |(info, value): (&ParameterInfo, &Option<Var>)| {
            let fits = value
                .as_ref()
                .is_some_and(|value| value.dims() == info.shape);
            fits && is_last_layer(&info.name) && !replaced(info)
        };
        let order = if base.iter().zip(&weights.values).any(is_kept) {
            self.checkpoint_order()?
        } else {
            None
        };
        let mut values = Vec::with_capacity(base.len());
        let mut made_new = Vec::new();
        for (info, value) in base.iter().zip(&weights.values) {
            values.push(match value {
                Some(value) if replaced(info) && value.dims() == info.shape => {
                    value.as_detached_tensor()
                }
                Some(value) if value.dims() == info.shape => {
                    let value = in_task_order(info, value.as_tensor().clone(), order.as_deref())?;
                    // The values that the adapter changes are the model's own, too.
                    if folded(info) { value.detach() } else { value }
                }
                // The checkpoint lacks it, or has the head of another task.
                _ => {
                    made_new.push(info.name.clone());
                    self.new_head_value(info)?
                }
            });
        }
        Ok((values, made_new))
    }

    /// The values of all parameters on the device: those of the base model, and the first ones of
    /// the method's.
    fn all_values(
        &self,
        base: &[ParameterInfo],
        base_values: &[Tensor],
        device: &Device,
    ) -> Result<Vec<Tensor>> {
        let find = |name: &str| -> Result<Tensor> {
            let at = base.iter().position(|info| info.name == name);
            at.map(|at| base_values[at].clone()).ok_or_else(|| {
                Error::Model(format!("an init graph reads {name}, which the model lacks"))
            })
        };
        // Init graphs compute with plain values, because candle would record operations on a
        // variable, and on the CPU, so that a method starts with the same bits on every device.
        let find_plain = |name: &str| Ok(find(name)?.to_device(&Device::Cpu)?.detach());
        let infos = self.model_plan.parameters.iter();
        infos
            .map(|info| {
                let value = match &info.added {
                    None => find(&info.name)?,
                    Some(added) => {
                        let value = initial_value(&added.init, &info.name, self.seed, &find_plain)?;
                        value.broadcast_as(info.shape.as_slice())?.contiguous()?
                    }
                };
                Ok(value.to_device(device)?)
            })
            .collect()
    }

    /// Puts the adapter's values into the model, and removes their names from those that are new.
    fn apply_adapter(
        &self,
        adapter: &Adapter,
        parameters: &Parameters,
        made_new: &mut Vec<String>,
    ) -> Result<()> {
        // A PEFT head has the order of the base it was trained on.
        let order = if adapter.is_peft {
            LabelMatch::of(&self.config.labels, self.labels).order()
        } else {
            None
        };
        adapter.apply(parameters, order.as_deref())?;
        made_new.retain(|name| !adapter.tensors.contains_key(name));
        if self.policy == HeadPolicy::Require && !made_new.is_empty() {
            return Err(headless(adapter, made_new));
        }
        Ok(())
    }
}

impl Assembly<'_> {
    /// Hugging Face's initialisation of a new layer: normal with `initializer_range`, and zero bias
    /// unless the last layer's is given.
    fn new_head_value(&self, info: &ParameterInfo) -> Result<Tensor> {
        let std = self.config.encoder.initializer_range;
        let mut stream = Stream::new(self.seed, &info.name);
        let given = self.head_bias.filter(|bias| bias.len() == info.size());
        let values: Vec<f32> = match (info.role, given) {
            (Role::BIAS, Some(bias)) if is_last_layer(&info.name) => bias.to_vec(),
            (Role::BIAS, _) => vec![0f32; info.size()],
            _ => (0..info.size())
                .map(|_| (stream.normal() * std) as f32)
                .collect(),
        };
        let shape = info.shape.as_slice();
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }

    /// The order of the rows of the checkpoint's own head, if it is not that of the task's labels.
    /// A checkpoint that was trained elsewhere may have another order (`id2label`), as many MNLI
    /// models do.
    ///
    /// # Errors
    /// When the names of its outputs are not the task's labels and the head must be used as it is.
    /// In training, ids count in that case, as in Hugging Face's `run_glue`, and a warning says so.
    fn checkpoint_order(&self) -> Result<Option<Vec<u32>>> {
        if let Some(doubt) = self
            .config
            .label_doubt
            .as_ref()
            .filter(|_| !self.labels.is_empty())
        {
            tracing::warn!("{doubt}");
        }
        let what = match LabelMatch::of(&self.config.labels, self.labels) {
            LabelMatch::Differ(what) => what,
            known => return Ok(known.order()),
        };
        let origin = self.source.name();
        match self.policy {
            HeadPolicy::MakeNew => {
                tracing::warn!(
                    "{origin}: the head was trained for other labels: {what}; training continues from it, output by output"
                );
                Ok(None)
            }
            HeadPolicy::Require => Err(Error::Model(format!(
                "{origin}: the labels of the head (`id2label` in config.json) are not those of the task: {what}; pass the \
                 --task that the model was trained for, or correct the names in `id2label` (without this key, output i means label i)"
            ))),
        }
    }
}

/// The last layer of a saved head, with its outputs in the order of the task's labels.
fn in_task_order(info: &ParameterInfo, value: Tensor, order: Option<&[u32]>) -> Result<Tensor> {
    match order.filter(|_| is_last_layer(&info.name)) {
        Some(order) => {
            let order = Tensor::new(order, value.device())?;
            Ok(value.detach().index_select(&order, 0)?)
        }
        None => Ok(value),
    }
}

/// The error for evaluation without a parameter that neither base nor adapter has: random values
/// would give random numbers.
fn headless(adapter: &Adapter, missing: &[String]) -> Error {
    Error::Model(format!(
        "{}: neither the base model nor the adapter has {}; save the adapter with its head (PEFT: modules_to_save)",
        adapter.origin,
        short_list(missing, ", ")
    ))
}
