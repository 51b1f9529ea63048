//! Writes a model as Hugging Face's classes read it. Called at the end of a run.

use crate::{
    error::{Error, Result},
    files::write_atomically,
    labels::is_last_layer,
    model::{
        Model,
        parameters::{ParameterId, Parameters},
        weights::checkpoint_key,
    },
    tokenizer::Tokenizer,
};
use candle_core::Tensor;
use progtune_datasets::Task;
use safetensors::{Dtype, tensor::TensorView};
use std::{collections::HashMap, path::Path};

/// Writes `model.safetensors`, `config.json` and the tokenizer's files: what
/// `AutoModelForSequenceClassification.from_pretrained` loads.
pub fn save_checkpoint(
    directory: &Path,
    model: &Model,
    tokenizer: &Tokenizer,
    task: &Task,
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
    )?;
    let mut config = serde_json::to_string_pretty(&model.config.to_json(task))
        .map_err(|e| Error::Model(e.to_string()))?;
    config.push('\n');
    write_atomically(&directory.join("config.json"), config.as_bytes())?;
    tokenizer.save(directory)
}

/// Writes parameters as f32 under the keys that `key` gives their names; the rows of the head's last layer in
/// `head_order`, if there is one.
pub fn write_safetensors(
    path: &Path,
    parameters: &Parameters,
    ids: &[usize],
    key: impl Fn(&str) -> String,
    head_order: Option<&[u32]>,
) -> Result<()> {
    let tensors: Vec<(String, Tensor)> = ids
        .iter()
        .map(|&id| {
            let name = key(&parameters.infos()[id].name);
            Ok((name, value_of(parameters, id, head_order)?))
        })
        .collect::<Result<_>>()?;
    write_tensors(path, &tensors)
}

/// The value of a parameter, the rows of the head's last layer in `head_order`, if there is one.
pub fn value_of(
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

/// Writes tensors as f32 under these keys.
pub fn write_tensors(path: &Path, tensors: &[(String, Tensor)]) -> Result<()> {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, tensor)| little_endian(tensor))
        .collect::<Result<_>>()?;
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, tensor), bytes)| {
            let shape = tensor.dims().to_vec();
            Ok((name.as_str(), TensorView::new(Dtype::F32, shape, bytes)?))
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
    write_atomically(path, &bytes)
}

fn little_endian(tensor: &Tensor) -> Result<Vec<u8>> {
    let values = tensor.flatten_all()?.to_vec1::<f32>()?;
    Ok(values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect())
}
