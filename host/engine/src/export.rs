//! Writes a model as Hugging Face's classes read it, at the end of a run and for `progtune merge`.

use crate::{
    error::{Error, Result},
    labels::is_last_layer,
    model::{
        Model,
        parameters::{ParameterId, Parameters},
        weights::checkpoint_key,
    },
};
use candle_core::{DType, Tensor};
use progtune_datasets::Task;
use progtune_process::files::write_atomically;
use safetensors::{Dtype, tensor::TensorView};
use std::{collections::HashMap, path::Path};

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
        let dtype = match self {
            Self::F32 => return Ok(()),
            Self::F16 => DType::F16,
            Self::Bf16 => DType::BF16,
        };
        for id in 0..parameters.len() {
            let value = parameters.variable(id).as_detached_tensor();
            parameters.set(id, &value.to_dtype(dtype)?)?;
        }
        Ok(())
    }

    fn in_file(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
        }
    }

    /// The numbers of a tensor in the file's form.
    fn bytes(self, tensor: &Tensor) -> Result<Vec<u8>> {
        let flat = tensor.flatten_all()?;
        Ok(match self {
            Self::F32 => {
                let values = flat.to_vec1::<f32>()?;
                values.iter().flat_map(|v| v.to_le_bytes()).collect()
            }
            Self::F16 => {
                let values = flat.to_dtype(DType::F16)?.to_vec1::<half::f16>()?;
                values.iter().flat_map(|v| v.to_le_bytes()).collect()
            }
            Self::Bf16 => {
                let values = flat.to_dtype(DType::BF16)?.to_vec1::<half::bf16>()?;
                values.iter().flat_map(|v| v.to_le_bytes()).collect()
            }
        })
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
    write_tensors(path, &tensors, dtype)
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
    tensors: &[(String, Tensor)],
    dtype: WeightDtype,
) -> Result<()> {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, tensor)| dtype.bytes(tensor))
        .collect::<Result<_>>()?;
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, tensor), bytes)| {
            let shape = tensor.dims().to_vec();
            let view = TensorView::new(dtype.in_file(), shape, bytes)?;
            Ok((name.as_str(), view))
        })
        .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>();
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let bytes = views
        .and_then(|views| safetensors::serialize(views, Some(metadata)))
        .map_err(|e| {
            Error::Model(format!(
                "{}: cannot be written as safetensors: {e}",
                path.display()
            ))
        })?;
    Ok(write_atomically(path, &bytes)?)
}
