//! The keys of a PEFT file as names here. [`super::read`] calls it.
//!
//! PEFT writes `base_model.model.` and a checkpoint's key. Its additions (`lora_A`) follow the
//! module, and the parts that it keeps of the base are under `base_layer`, `modules_to_save` and
//! `original_module`. Files of older versions, or of a training loop that saved a wrapped model,
//! have the adapter's name in the keys (`lora_A.default.weight`) or the prefix `module.`.

use super::Provenance;
use crate::{
    error::{Error, Result},
    model::{config::Architecture, weights::canonical_name},
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// PEFT's additions to a module.
const ADDED: [&str; 8] = [
    "lora_A",
    "lora_B",
    "lora_embedding_A",
    "lora_embedding_B",
    "lora_magnitude_vector",
    "ia3_l",
    "vera_lambda_b",
    "vera_lambda_d",
];
/// The rows of trained tokens, below an embedding.
pub(super) const TOKENS: &str = "token_adapter.trainable_tokens_delta";
/// The prefixes that wrappers of the training loop add to keys.
const WRAPPERS: [&str; 3] = ["module.", "_orig_mod.", "_fsdp_wrapped_module."];

/// VeRA's shared projections, which are beside the model.
pub(super) const PROJECTIONS: [&str; 2] = ["vera_A", "vera_B"];
/// The prefix of their keys.
pub(super) const BEFORE: &str = "base_model.";

/// Whether this is the name of a projection.
pub(super) fn is_projection(name: &str) -> bool {
    PROJECTIONS.contains(&name)
}

/// The key of a projection, if the adapter holds it.
pub(super) fn projection_key(name: &str, about: Provenance<'_>) -> Option<String> {
    let saved = about.option("save_projection") != json!(false);
    saved.then(|| format!("{BEFORE}{name}"))
}

/// The name of a projection's key.
pub(super) fn projection_of(key: &str) -> Option<&str> {
    key.strip_prefix(BEFORE).filter(|name| is_projection(name))
}

/// The keys of a file.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Key in the file by the name here.
    pub by_name: BTreeMap<String, String>,
    /// Whether the base's encoder has a prefix, as in classes with a head.
    pub is_wrapped: bool,
}

/// The rank of a key among those with the same name. A copy that PEFT keeps beside the effective
/// value gives way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Copy,
    Value,
}

impl Keys {
    /// Names the keys of the file `origin`.
    ///
    /// # Errors
    /// When a key is not PEFT's, two keys mean the same, or there are several adapters in the file.
    pub(super) fn of<'a>(
        keys: impl Iterator<Item = &'a str>,
        architecture: Architecture,
        origin: &str,
    ) -> Result<Self> {
        let (mut found, mut adapters) = (Self::default(), BTreeSet::new());
        let mut ranks: BTreeMap<String, Rank> = BTreeMap::new();
        for key in keys {
            let Some(inner) = inside(key) else {
                return Err(Error::Model(format!(
                    "{origin}: unexpected key {key}: expected keys of PEFT, which begin with base_model.model."
                )));
            };
            if let Some(other) = other_encoder(inner, architecture) {
                return Err(Error::Model(format!(
                    "{origin}: the keys of the adapter are for an encoder `{other}`, this model has an encoder `{}`; check \
                     that --model is the base it was trained on",
                    architecture.model_type()
                )));
            }
            found.is_wrapped |= inner
                .strip_prefix(architecture.model_type())
                .is_some_and(|rest| rest.starts_with('.'));
            let Some((name, rank, adapter)) = parse(&canonical_name(inner, architecture)) else {
                continue;
            };
            adapters.extend(adapter);
            match ranks.get(&name) {
                Some(&other) if other == rank => {
                    return Err(Error::Model(format!(
                        "{origin}: both {} and {key} hold {name}; keep one of them",
                        found.by_name[&name]
                    )));
                }
                Some(&other) if other > rank => continue,
                _ => {
                    ranks.insert(name.clone(), rank);
                    found.by_name.insert(name, key.to_owned());
                }
            }
        }
        if adapters.len() > 1 {
            let names: Vec<String> = adapters.into_iter().take(5).collect();
            return Err(Error::Model(format!(
                "{origin}: expected one adapter, found several in the keys: {}; save the intended one with PEFT",
                names.join(", ")
            )));
        }
        Ok(found)
    }
}

/// The prefix of the blocks in a key, if it is another model's name.
fn other_encoder(inner: &str, architecture: Architecture) -> Option<&str> {
    let (before, _) = inner.split_once(".layer.")?;
    let before = before
        .strip_suffix(".encoder")
        .or(before.strip_suffix(".transformer"))?;
    (before != architecture.model_type()).then_some(before)
}

fn unwrapped(mut key: &str) -> &str {
    while let Some(rest) = WRAPPERS
        .iter()
        .find_map(|wrapper| key.strip_prefix(wrapper))
    {
        key = rest;
    }
    key
}

/// The rest of a key after `base_model.model.`, or the name of a shared projection.
fn inside(key: &str) -> Option<&str> {
    let key = unwrapped(key);
    if let Some(name) = projection_of(key) {
        return Some(name);
    }
    key.strip_prefix("base_model.model.").map(unwrapped)
}

/// The name of a key, its rank, and the adapter's name in it; `None` for a key that is irrelevant.
fn parse(name: &str) -> Option<(String, Rank, Option<String>)> {
    let parts: Vec<&str> = name.split('.').collect();
    if parts.contains(&"original_module") || name.ends_with(".position_ids") {
        return None;
    }
    if let Some(at) = name.find(TOKENS) {
        let adapter = name[at + TOKENS.len()..].strip_prefix('.');
        let name = name[..at + TOKENS.len()].to_owned();
        return Some((name, Rank::Value, adapter.map(str::to_owned)));
    }
    // These are the frozen rows beside them.
    if parts.contains(&"token_adapter") {
        return None;
    }
    if let Some(at) = parts.iter().position(|part| ADDED.contains(part)) {
        let (module, added) = (parts[..at].join("."), parts[at]);
        let mut tail = &parts[at + 1..];
        let mut adapter = None;
        if let [first, rest @ ..] = tail
            && !["weight", "bias"].contains(first)
        {
            (adapter, tail) = (Some((*first).to_owned()), rest);
        }
        let is_layer = ["lora_A", "lora_B"].contains(&added);
        let end = match tail {
            [end] if is_layer => format!(".{end}"),
            [] if is_layer => ".weight".to_owned(),
            ["weight"] | [] => String::new(),
            // This is no part of PEFT's; it is listed as unexpected.
            rest => format!(".{}", rest.join(".")),
        };
        return Some((format!("{module}.{added}{end}"), Rank::Value, adapter));
    }
    if let Some(at) = parts.iter().position(|&part| part == "modules_to_save") {
        let mut tail = &parts[at + 1..];
        let mut adapter = None;
        if let [first, rest @ ..] = tail
            && !is_of_a_model(first)
        {
            (adapter, tail) = (Some((*first).to_owned()), rest);
        }
        let all: Vec<&str> = parts[..at].iter().chain(tail).copied().collect();
        return Some((all.join("."), Rank::Copy, adapter));
    }
    let own: Vec<&str> = parts
        .into_iter()
        .filter(|&part| part != "base_layer")
        .collect();
    let own = match own.as_slice() {
        // This is a projection of VeRA with the adapter's name.
        [projection, _] if is_projection(projection) => (*projection).to_owned(),
        _ => own.join("."),
    };
    Some((own, Rank::Value, None))
}

/// Whether a part of a key belongs to a model and is not the name of an adapter.
fn is_of_a_model(part: &str) -> bool {
    const PARTS: [&str; 18] = [
        "weight",
        "bias",
        "dense",
        "out_proj",
        "LayerNorm",
        "word_embeddings",
        "position_embeddings",
        "token_type_embeddings",
        "self",
        "query",
        "key",
        "value",
        "output",
        "attention",
        "intermediate",
        "layer",
        "encoder",
        "embeddings",
    ];
    PARTS.contains(&part) || part.parse::<u32>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(keys: &[&str]) -> Result<Vec<String>> {
        let keys = Keys::of(keys.iter().copied(), Architecture::Bert, "a.safetensors")?;
        Ok(keys.by_name.into_keys().collect())
    }

    #[test]
    fn keys_of_every_age_have_the_same_names() {
        let site = "encoder.layer.0.attention.self.query";
        for key in [
            "base_model.model.bert.SITE.lora_A.weight",
            "base_model.model.bert.SITE.lora_A.default.weight",
            "module.base_model.model.bert.SITE.lora_A.weight",
            "base_model.model.module.bert.SITE.lora_A.weight",
            "_orig_mod.base_model.model.SITE.lora_A.weight",
        ] {
            let key = key.replace("SITE", site);
            assert_eq!(names(&[&key]).unwrap(), [format!("{site}.lora_A.weight")]);
        }
        let saved = names(&[
            "base_model.model.classifier.original_module.bias",
            "base_model.model.classifier.modules_to_save.bias",
            "base_model.model.classifier.bias",
            "base_model.model.classifier.modules_to_save.default.weight",
        ]);
        assert_eq!(saved.unwrap(), ["classifier.bias", "classifier.weight"]);
    }

    #[test]
    fn what_is_not_one_adapter_is_refused() {
        let two = [
            "base_model.model.bert.pooler.dense.lora_A.first.weight",
            "base_model.model.bert.pooler.dense.lora_B.second.weight",
        ];
        let error = names(&two).unwrap_err().to_string();
        assert!(error.contains("expected one adapter"), "{error}");
        let error = names(&["encoder.layer.0.weight"]).unwrap_err().to_string();
        assert!(error.contains("begin with base_model.model."), "{error}");
        let twice = [
            "base_model.model.bert.pooler.dense.bias",
            "base_model.model.bert.pooler.dense.base_layer.bias",
        ];
        let error = names(&twice).unwrap_err().to_string();
        assert!(error.contains("keep one of them"), "{error}");
    }
}
