//! The names of tensors in checkpoints: the prefixes of the names of [`crate::model::description`],
//! and the other tensors of a checkpoint. It is called when a checkpoint is opened, and by the
//! writers of checkpoints and adapters.

use crate::model::config::Architecture;

/// The prefixes that training loops add to every key: `DataParallel` and DDP, `LightningModule`s
/// and classes around a model.
const BEFORE: [&str; 2] = ["module.", "model."];

/// The prefixes that PyTorch's wrappers add to the keys of any module: `torch.compile`, FSDP,
/// activation checkpointing.
const ANYWHERE: [&str; 3] = [
    "_orig_mod.",
    "_fsdp_wrapped_module.",
    "_checkpoint_wrapped_module.",
];

/// A key without the prefixes of wrappers, and these prefixes.
pub(super) fn unwrapped(key: &str) -> (String, Vec<&'static str>) {
    let (mut bare, mut taken) = (key.to_owned(), Vec::new());
    loop {
        let before = BEFORE.into_iter().find(|wrapper| bare.starts_with(wrapper));
        let inside = ANYWHERE.into_iter().find_map(|wrapper| {
            let starts = bare.match_indices(wrapper).map(|(at, _)| at);
            let mut whole = starts.filter(|&at| at == 0 || bare.as_bytes()[at - 1] == b'.');
            Some((whole.next()?, wrapper))
        });
        let (at, wrapper) = match (before, inside) {
            (Some(wrapper), _) => (0, wrapper),
            (None, Some(inside)) => inside,
            (None, None) => return (bare, taken),
        };
        bare.replace_range(at..at + wrapper.len(), "");
        taken.push(wrapper);
    }
}

/// The name of [`crate::model::description`] for a key of a checkpoint.
///
/// ```
/// use progtune_engine::model::{
///     Architecture,
///     weights::{canonical_name, checkpoint_key},
/// };
///
/// let key = "bert.embeddings.LayerNorm.gamma";
/// let name = canonical_name(key, Architecture::Bert);
/// assert_eq!(name, "embeddings.LayerNorm.weight");
/// assert_eq!(checkpoint_key(&name, Architecture::Bert), format!("bert.{name}"));
/// ```
pub fn canonical_name(key: &str, architecture: Architecture) -> String {
    let name = key
        .strip_prefix(architecture.model_type())
        .and_then(|k| k.strip_prefix('.'))
        .unwrap_or(key);
    match name.rsplit_once('.') {
        Some((module, "gamma")) if module.ends_with("LayerNorm") => format!("{module}.weight"),
        Some((module, "beta")) if module.ends_with("LayerNorm") => format!("{module}.bias"),
        _ => name.to_owned(),
    }
}

/// The key under which Hugging Face's classifier classes save a parameter.
pub fn checkpoint_key(name: &str, architecture: Architecture) -> String {
    let head = name.starts_with("classifier") || name.starts_with("qa_outputs");
    if head {
        name.to_owned()
    } else {
        format!("{}.{name}", architecture.model_type())
    }
}

/// Whether a base model may lack the parameter: those of the head, with the pooler.
pub(super) fn may_be_new(name: &str) -> bool {
    ["classifier.", "pooler.", "qa_outputs."]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// Whether a tensor belongs to a pre-training head, another task's head or a buffer, which are no
/// faults.
pub(super) fn is_other_head(name: &str) -> bool {
    let buffer = name == "embeddings.position_ids" || name == "embeddings.token_type_ids";
    buffer
        || may_be_new(name)
        || ["cls.", "lm_head."]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_canonical_and_back() {
        let bert = Architecture::Bert;
        assert_eq!(
            canonical_name("bert.embeddings.LayerNorm.gamma", bert),
            "embeddings.LayerNorm.weight"
        );
        assert_eq!(
            canonical_name("encoder.layer.0.output.LayerNorm.beta", bert),
            "encoder.layer.0.output.LayerNorm.bias"
        );
        assert_eq!(
            canonical_name("classifier.weight", bert),
            "classifier.weight"
        );
        for name in [
            "pooler.dense.bias",
            "embeddings.LayerNorm.weight",
            "classifier.bias",
        ] {
            assert_eq!(canonical_name(&checkpoint_key(name, bert), bert), name);
        }
        assert_eq!(
            checkpoint_key("encoder.layer.1.output.dense.bias", Architecture::Roberta),
            "roberta.encoder.layer.1.output.dense.bias"
        );
    }

    #[test]
    fn wrappers_are_taken_off() {
        for (key, bare, wrappers) in [
            (
                "module.bert.pooler.dense.bias",
                "bert.pooler.dense.bias",
                &["module."][..],
            ),
            (
                "_orig_mod.module.classifier.bias",
                "classifier.bias",
                &["_orig_mod.", "module."],
            ),
            (
                "model.embeddings.LayerNorm.weight",
                "embeddings.LayerNorm.weight",
                &["model."],
            ),
            (
                "module.model._orig_mod.roberta.encoder.layer.0.output.dense.bias",
                "roberta.encoder.layer.0.output.dense.bias",
                &["module.", "model.", "_orig_mod."],
            ),
            (
                "bert.encoder.layer.1._orig_mod.attention.self.key.bias",
                "bert.encoder.layer.1.attention.self.key.bias",
                &["_orig_mod."],
            ),
            ("bert.pooler.dense.bias", "bert.pooler.dense.bias", &[]),
            ("modules.x", "modules.x", &[]),
            ("bert.model.x", "bert.model.x", &[]),
        ] {
            assert_eq!(unwrapped(key), (bare.to_owned(), wrappers.to_vec()));
        }
    }
}
