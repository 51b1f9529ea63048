//! The parameters of a model in memory: one store in name order, with a flag for each that says
//! whether it is trainable. Every part of the model and the optimizer call it.

use super::description::ParameterInfo;
use crate::error::{Error, Result};
use candle_core::{CpuStorage, Device, Storage, StorageRef, Tensor, Var};
use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

/// The index of a parameter in [`Parameters`], whose order is that of the names.
pub type ParameterId = usize;

/// All parameters of the model, its head and its method, sorted by name.
#[derive(Debug)]
pub struct Parameters {
    infos: Vec<ParameterInfo>,
    variables: Vec<Var>,
    trainable: Vec<bool>,
    versions: Vec<AtomicU64>,
    ids: HashMap<String, ParameterId>,
}

impl Parameters {
    /// The store of `infos`, which are sorted by name, with their values, each f32 of the declared
    /// shape.
    ///
    /// ```
    /// use candle_core::{DType, Device, Tensor};
    /// use progtune_engine::{
    ///     HeadKind,
    ///     model::{ModelConfig, Parameters, description},
    /// };
    ///
    /// let text = r#"{"model_type": "bert", "vocab_size": 9, "hidden_size": 4,
    ///     "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}"#;
    /// let config = ModelConfig::parse(text, "example")?;
    /// let infos = description::parameters(&config, HeadKind::Token(3));
    /// let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu);
    /// let values: Result<Vec<_>, _> = infos.iter().map(|info| zeros(&info.shape)).collect();
    /// let mut parameters = Parameters::new(infos, values?)?;
    ///
    /// let bias = parameters.id("classifier.bias")?;
    /// parameters.set_trainable(&[bias]);
    /// assert_eq!(parameters.trainable().count(), 1);
    /// # Ok::<(), progtune_engine::Error>(())
    /// ```
    pub fn new(infos: Vec<ParameterInfo>, values: Vec<Tensor>) -> Result<Self> {
        debug_assert!(infos.windows(2).all(|pair| pair[0].name < pair[1].name));
        let variables = values
            .iter()
            .map(Var::from_tensor)
            .collect::<Result<Vec<_>, _>>()?;
        let ids = infos
            .iter()
            .enumerate()
            .map(|(id, info)| (info.name.clone(), id))
            .collect();
        Ok(Self {
            trainable: vec![false; infos.len()],
            versions: infos.iter().map(|_| AtomicU64::new(0)).collect(),
            infos,
            variables,
            ids,
        })
    }

    /// The number of parameters.
    pub fn len(&self) -> usize {
        self.infos.len()
    }

    /// Whether there are no parameters.
    pub fn is_empty(&self) -> bool {
        self.infos.is_empty()
    }

    /// The description of every parameter (name, shape, part and more), in id order.
    pub fn infos(&self) -> &[ParameterInfo] {
        &self.infos
    }

    /// The id of a name.
    ///
    /// # Errors
    /// When there is no such parameter: an internal error, since names come from the description.
    pub fn id(&self, name: &str) -> Result<ParameterId> {
        self.ids
            .get(name)
            .copied()
            .ok_or_else(|| Error::Model(format!("the model has no parameter {name}")))
    }

    /// The variable that holds the values.
    pub fn variable(&self, id: ParameterId) -> &Var {
        &self.variables[id]
    }

    /// The values for candle's autograd: tracked if the parameter is trainable, a plain tensor
    /// otherwise.
    pub fn tensor(&self, id: ParameterId) -> Tensor {
        if self.trainable[id] {
            self.variables[id].as_tensor().clone()
        } else {
            self.variables[id].as_detached_tensor()
        }
    }

    /// The values as a slice on the CPU.
    pub fn host(&self, id: ParameterId) -> HostSlice<'_> {
        HostSlice::of(&self.variables[id])
    }

    /// The number of times that the values have changed. Anything derived from them is up to date
    /// while this stays the same.
    pub fn version(&self, id: ParameterId) -> u64 {
        self.versions[id].load(Ordering::Relaxed)
    }

    /// Notes that the values have changed. Code that writes to a [`Parameters::variable`] must call
    /// it.
    pub fn changed(&self, id: ParameterId) {
        self.versions[id].fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the current epoch trains the parameter.
    pub fn is_trainable(&self, id: ParameterId) -> bool {
        self.trainable[id]
    }

    /// The ids that the current epoch trains, in name order.
    pub fn trainable(&self) -> impl Iterator<Item = ParameterId> + '_ {
        (0..self.len()).filter(|&id| self.trainable[id])
    }

    /// Makes exactly `ids` trainable.
    pub fn set_trainable(&mut self, ids: &[ParameterId]) {
        self.trainable.fill(false);
        for &id in ids {
            self.trainable[id] = true;
        }
    }

    /// The ids of trainable parameters with a value that is NaN or infinite.
    ///
    /// # Errors
    /// When values cannot be copied from their device.
    pub fn trainable_not_finite(&self) -> Result<Vec<ParameterId>> {
        let mut found = Vec::new();
        for id in self.trainable() {
            let values = self.variables[id].as_detached_tensor();
            let values = values.to_device(&Device::Cpu)?.contiguous()?;
            if HostSlice::of(&values)
                .iter()
                .any(|value| !value.is_finite())
            {
                found.push(id);
            }
        }
        Ok(found)
    }

    /// The device that holds the values.
    pub fn device(&self) -> &Device {
        self.variables[0].device()
    }

    /// Replaces the values of one parameter.
    ///
    /// # Errors
    /// When the shape differs.
    pub fn set(&self, id: ParameterId, value: &Tensor) -> Result<()> {
        if value.dims() != self.infos[id].shape {
            return Err(Error::Model(format!(
                "{}: expected shape {:?}, found {:?}",
                self.infos[id].name,
                self.infos[id].shape,
                value.dims()
            )));
        }
        self.variables[id].set(
            &value
                .to_device(self.device())?
                .to_dtype(candle_core::DType::F32)?,
        )?;
        self.changed(id);
        Ok(())
    }
}

/// A contiguous f32 tensor on the CPU, borrowed as a slice.
pub struct HostSlice<'a> {
    storage: StorageRef<'a>,
    range: std::ops::Range<usize>,
}

impl<'a> HostSlice<'a> {
    /// Borrows `tensor`.
    ///
    /// # Panics
    /// When it is not f32, contiguous and on the CPU. The fused path makes no other tensors.
    pub fn of(tensor: &'a Tensor) -> Self {
        let (storage, layout) = tensor.storage_and_layout();
        let (start, end) = layout
            .contiguous_offsets()
            .expect("activations and parameters are contiguous");
        assert!(
            matches!(&*storage, Storage::Cpu(CpuStorage::F32(_))),
            "the fused kernels read f32 on the CPU"
        );
        Self {
            storage,
            range: start..end,
        }
    }
}

impl std::ops::Deref for HostSlice<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => &values[self.range.clone()],
            _ => unreachable!("checked when it was made"),
        }
    }
}
