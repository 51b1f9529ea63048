//! Writes a model as Hugging Face's classes read it, at the end of a run and for `progtune merge`.

use crate::{
    error::{Error, Result},
    labels::is_last_layer,
    model::{
        Model,
        parameters::{ParameterId, Parameters},
        tensor_writer::{self, Content, Entry, WriteError},
        weights::checkpoint_key,
    },
};
use candle_core::{DType, Tensor};
use progtune_datasets::Task;
use progtune_process::files::{AtomicFile, write_atomically};
use std::path::Path;

/// The type of the numbers in saved weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightDtype {
    /// The computed numbers.
    F32,
    /// Rounded to half precision.
    F16,
    /// Rounded to bfloat16.
    Bf16,
}

impl WeightDtype {
    /// The names of the flag's values.
    pub const NAMES: &'static [(&'static str, Self)] =
        &[("f32", Self::F32), ("f16", Self::F16), ("bf16", Self::Bf16)];
}

/// Writes `model.safetensors` and `config.json`, which
/// `AutoModelForSequenceClassification.from_pretrained` loads. The tokenizer writes its own files.
///
/// ```no_run
/// use progtune_engine::export::{WeightDtype, save_checkpoint};
/// # fn save(model: &progtune_engine::model::Model, task: &progtune_datasets::Task)
/// #     -> Result<(), progtune_engine::Error> {
/// save_checkpoint("merged".as_ref(), model, task, WeightDtype::F16)?;
/// # Ok(())
/// # }
/// ```
pub fn save_checkpoint(
    directory: &Path,
    model: &Model,
    task: &Task,
    dtype: WeightDtype,
) -> Result<()> {
    let architecture = model.config.architecture;
    let ids: Vec<usize> = (0..model.parameters.len()).collect();
    let key = |name: &str| checkpoint_key(name, architecture);
    write_safetensors(
        &directory.join("model.safetensors"),
        &model.parameters,
        &ids,
        key,
        None,
        dtype,
    )?;
    let mut config = model.config.to_json(task);
    config["dtype"] = dtype.torch_name().into();
    let mut config =
        serde_json::to_string_pretty(&config).map_err(|e| Error::Model(e.to_string()))?;
    config.push('\n');
    Ok(write_atomically(
        &directory.join("config.json"),
        config.as_bytes(),
    )?)
}

impl WeightDtype {
    /// PyTorch's name, as in `config.json`.
    fn torch_name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
        }
    }

    /// Rounds every value of a model to the type, in place.
    ///
    /// # Errors
    /// When a value cannot be written.
    pub fn round(self, parameters: &Parameters) -> Result<()> {
        if self == Self::F32 {
            return Ok(());
        }
        for id in 0..parameters.len() {
            let value = parameters.variable(id).as_detached_tensor();
            parameters.set(id, &value.to_dtype(self.in_file())?)?;
        }
        Ok(())
    }

    fn in_file(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::Bf16 => DType::BF16,
        }
    }
}

/// Writes parameters under the keys that `key` makes of their names. If there is a `head_order`,
/// the rows of the head's last layer are in that order.
pub fn write_safetensors(
    path: &Path,
    parameters: &Parameters,
    ids: &[usize],
    key: impl Fn(&str) -> String,
    head_order: Option<&[u32]>,
    dtype: WeightDtype,
) -> Result<()> {
    let tensors: Vec<(String, Tensor)> = ids
        .iter()
        .map(|&id| {
            let name = key(&parameters.infos()[id].name);
            Ok((name, value_of(parameters, id, head_order)?))
        })
        .collect::<Result<_>>()?;
    write_tensors(path, tensors, dtype)
}

/// The value of a parameter. If there is a `head_order`, the rows of the head's last layer are in
/// that order.
pub(crate) fn value_of(
    parameters: &Parameters,
    id: ParameterId,
    head_order: Option<&[u32]>,
) -> Result<Tensor> {
    let value = parameters.variable(id).as_detached_tensor();
    let name = &parameters.infos()[id].name;
    Ok(match head_order.filter(|_| is_last_layer(name)) {
        Some(order) => value.index_select(&Tensor::new(order, value.device())?, 0)?,
        None => value,
    })
}

/// Writes tensors under these keys.
pub(crate) fn write_tensors(
    path: &Path,
    mut tensors: Vec<(String, Tensor)>,
    dtype: WeightDtype,
) -> Result<()> {
    tensors.sort_by(|(one, _), (other, _)| one.cmp(other));
    let entries = tensors.into_iter().map(|(name, tensor)| Entry {
        name,
        shape: tensor.dims().to_vec(),
        content: Content::Tensor(tensor, dtype.in_file()),
    });
    let mut file = AtomicFile::create(path)?;
    tensor_writer::write(&mut file, &[("format", "pt")], entries.collect())
        .map_err(WriteError::at(path))?;
    Ok(file.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use safetensors::tensor::{Dtype, TensorView, serialize};

    /// Reference: the crate safetensors 0.8, byte by byte.
    #[test]
    fn the_file_is_the_one_that_safetensors_writes() {
        let values: Vec<f32> = (0..12).map(|i| (i as f32 - 5.0) / 3.0).collect();
        let tensor = Tensor::from_slice(&values, (3, 4), &Device::Cpu).unwrap();
        let tensors = vec![
            ("z.weight".to_owned(), tensor.t().unwrap()),
            ("a.bias".to_owned(), tensor.get(1).unwrap()),
            ("ä".to_owned(), tensor.get(2).unwrap().get(0).unwrap()),
        ];
        let f16 = |v: f32| half::f16::from_f32(v).to_le_bytes().to_vec();
        let bf16 = |v: f32| half::bf16::from_f32(v).to_le_bytes().to_vec();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        for (dtype, named, bytes) in [
            (
                WeightDtype::F32,
                Dtype::F32,
                &(|v: f32| v.to_le_bytes().to_vec()) as &dyn Fn(f32) -> Vec<u8>,
            ),
            (WeightDtype::F16, Dtype::F16, &f16),
            (WeightDtype::Bf16, Dtype::BF16, &bf16),
        ] {
            let data: Vec<Vec<u8>> = tensors
                .iter()
                .map(|(_, tensor)| {
                    let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                    values.into_iter().flat_map(bytes).collect()
                })
                .collect();
            let views = tensors.iter().zip(&data).map(|((name, tensor), data)| {
                let shape = tensor.dims().to_vec();
                (name, TensorView::new(named, shape, data).unwrap())
            });
            let metadata = [("format".to_owned(), "pt".to_owned())];
            let expected = serialize(views, Some(metadata.into())).unwrap();
            write_tensors(&path, tensors.clone(), dtype).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), expected, "{dtype:?}");
        }
    }
}
