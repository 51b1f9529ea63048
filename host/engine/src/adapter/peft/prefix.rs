//! The format of `PrefixTuningConfig`: the key/value prefixes of all blocks in one tensor,
//! `[num_virtual_tokens, layers · 2 · hidden]`, with a block's keys before its values. [`super`]
//! calls it.
//!
//! PEFT saves the rows even if a network makes them (`prefix_projection`), so rows are read and
//! written, and the written configuration says so.

use super::{Provenance, Recognised, Tensors, adapter_config::Config, with};
use crate::{
    error::{Error, Result},
    model::{
        config::{Architecture, ModelConfig},
        graph::{Program, RowContext},
        parameters::Parameters,
        tensor_file::TensorFile,
        weights::canonical_name,
    },
};
use candle_core::Tensor;
use progtune_plugin_api::records::{Mode, Rewrite};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The key of the rows.
pub(super) const ROWS: &str = "prompt_embeddings";
/// The ends of the names of parameters that the method adds.
pub(super) const ENDS: &[&str] = &[
    ".attention.self.prefix",
    ".prefix_transform.weight",
    ".prefix_transform.bias",
    "prefix_encoder.embedding.weight",
    "prefix_encoder.transform.0.weight",
    "prefix_encoder.transform.0.bias",
];

fn site(block: usize) -> String {
    format!("encoder.layer.{block}.attention.self")
}

const KNOWN: [&str; 9] = [
    "num_virtual_tokens",
    "token_dim",
    "num_transformer_submodules",
    "num_attention_heads",
    "num_layers",
    "encoder_hidden_size",
    "prefix_projection",
    "encoder_dropout",
    "init_weights",
];

pub(super) fn recognise(config: &Config<'_>) -> Result<Recognised> {
    config.refuse_unknown(&[&KNOWN])?;
    config.expect("num_transformer_submodules", &json!(1))?;
    config.flag("prefix_projection")?;
    Ok(Recognised {
        method: "prefix",
        options: vec![config.number("num_virtual_tokens", None)?],
        carried: None,
        folds: BTreeMap::new(),
        unsaid: Vec::new(),
    })
}

/// The tensors of a file by their names here.
pub(super) fn read(file: &mut TensorFile, architecture: Architecture) -> Result<Tensors> {
    let keys: Vec<String> = file.shapes().map(|(key, _)| key.to_owned()).collect();
    let name = |key: &str| match key.strip_prefix("base_model.") {
        _ if key == ROWS => Ok(key.to_owned()),
        Some(key) => Ok(canonical_name(key, architecture)),
        None => Err(Error::Model(format!(
            "{}: unexpected key {key}: PEFT's begin with base_model.",
            file.origin()
        ))),
    };
    let names: Vec<String> = keys.iter().map(|key| name(key)).collect::<Result<_>>()?;
    let each = names.into_iter().zip(&keys);
    each.map(|(name, key)| Ok((name, file.read(key)?)))
        .collect()
}

/// The tensors with the rows of each block instead of those of all blocks.
pub(super) fn cut(mut tensors: Tensors, config: &Config<'_>) -> Result<Tensors> {
    let rows = tensors.remove(ROWS).ok_or_else(|| {
        Error::Model(format!(
            "{}: the adapter's tensors lack {ROWS}; copy the adapter again",
            config.path.display()
        ))
    })?;
    let number = |key| {
        let value = config.get(key).and_then(Value::as_u64).filter(|&n| n > 0);
        value.ok_or_else(|| config.fault(key, "a number of at least 1"))
    };
    let (layers, width) = (
        number("num_layers")? as usize,
        2 * number("token_dim")? as usize,
    );
    if rows.rank() != 2 || Some(rows.dims()[1]) != layers.checked_mul(width) {
        return Err(Error::Model(format!(
            "{}: keys `num_layers` {layers} and `token_dim` {}: expected {ROWS} of {layers} · 2 · {} columns, found the shape {:?}",
            config.path.display(),
            width / 2,
            width / 2,
            rows.dims()
        )));
    }
    for block in 0..layers {
        let part = rows.narrow(1, block * width, width)?.contiguous()?;
        tensors.insert(format!("{}.prefix", site(block)), part);
    }
    Ok(tensors)
}

/// The rows of all blocks.
pub(super) fn rows(
    parameters: &Parameters,
    config: &ModelConfig,
    rewrites: &[Rewrite],
) -> Result<Tensor> {
    let no_rows = RowContext {
        step: None,
        row_keys: &[],
    };
    let parts: Vec<Tensor> = (0..config.blocks())
        .map(|block| {
            let name = site(block);
            let rewrite = rewrites
                .iter()
                .find(|rewrite| rewrite.mode == Mode::KV_PREFIX && rewrite.site == name.as_str());
            let rewrite = rewrite.ok_or_else(|| Error::Model(format!("{name} has no prefix")))?;
            let program = Program::new(&rewrite.graph, 0, parameters)?;
            Ok(program.run(&[], parameters, no_rows)?.detach())
        })
        .collect::<Result<_>>()?;
    Ok(Tensor::cat(&parts, 1)?)
}

pub(super) fn config(config: &ModelConfig, about: Provenance<'_>) -> Value {
    let encoder = &config.encoder;
    with(
        about.options(["num_virtual_tokens"]),
        json!({
            "token_dim": encoder.hidden_size,
            "num_transformer_submodules": 1,
            "num_attention_heads": encoder.num_attention_heads,
            "num_layers": config.blocks(),
            "encoder_hidden_size": encoder.hidden_size,
            "prefix_projection": false,
            "init_weights": Value::Null,
        }),
    )
}
