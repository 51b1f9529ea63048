//! The messages about a checkpoint that does not fit its configuration or the task. They are made
//! when its tensors are read.

use super::{Checkpoint, ParameterInfo, keys};
use crate::error::{Error, Result};
use progtune_process::short_list;

/// The layer of a tensor of the encoder.
fn layer_of(name: &str) -> Option<usize> {
    let inside = name.strip_prefix("encoder.layer.")?;
    inside.split('.').next()?.parse().ok()
}

/// The key of `config.json` that decides the number of rows of an embedding table.
fn key_of_rows(name: &str) -> Option<&'static str> {
    match name.strip_prefix("embeddings.")? {
        "word_embeddings.weight" => Some("vocab_size"),
        "position_embeddings.weight" => Some("max_position_embeddings"),
        "token_type_embeddings.weight" => Some("type_vocab_size"),
        _ => None,
    }
}

impl Checkpoint {
    /// Checks that the checkpoint has the layers of the configuration, if it has whole layers at
    /// all. A layer is counted by its query's weight.
    ///
    /// # Errors
    /// One sentence with both numbers.
    pub(super) fn check_layers(&self, infos: &[ParameterInfo]) -> Result<()> {
        let last = infos.iter().filter_map(|info| info.block).max();
        let stated = last.map_or(0, |last| last + 1);
        let is_query = |name: &&String| name.ends_with(".attention.self.query.weight");
        let layers = self.tensors.keys().filter(is_query);
        let mut layers: Vec<usize> = layers.filter_map(|name| layer_of(name)).collect();
        layers.sort_unstable();
        let found = layers.len();
        let are_all = layers.iter().copied().eq(0..found);
        if found == stated || found == 0 || !are_all || self.is_damaged(infos, found) {
            return Ok(());
        }
        Err(Error::Model(format!(
            "{}: config.json says `num_hidden_layers` {stated}, but the weights have {found} layers; correct \
             `num_hidden_layers`, or use the weights that belong to this config.json",
            self.origin
        )))
    }

    /// Whether more than a layer's query is missing from the layers that both have. The tensors are
    /// then worth listing.
    fn is_damaged(&self, infos: &[ParameterInfo], found: usize) -> bool {
        let mut shared = infos
            .iter()
            .filter(|info| info.added.is_none() && info.block.is_some_and(|block| block < found));
        shared.any(|info| !self.tensors.contains_key(&info.name))
    }

    /// The error that lists the first of `faults` with their number.
    pub(super) fn mismatch(&self, faults: &[String]) -> Error {
        let all = |start: &str| faults.iter().all(|fault| fault.starts_with(start));
        let (what, advice) = if all("missing: classifier") {
            (
                "this model has no head yet".to_owned(),
                "Train it first and pass the run as --model, or pass the adapter of a run with --adapter",
            )
        } else if all("wrong shape: classifier") {
            (
                "the head belongs to another task".to_owned(),
                "Pass the --task that the model was trained for; with --task own, check `id2label` and `num_labels` in \
                 config.json",
            )
        } else {
            self.foreign_prefix().unwrap_or((
                "the weights do not fit config.json".to_owned(),
                "Check that config.json and the weights belong together",
            ))
        };
        Error::Model(format!(
            "{}: {what}:\n  {}\n{advice}",
            self.origin,
            short_list(faults, "\n  ")
        ))
    }

    /// The prefix that all tensors have, if it is not the model's.
    fn foreign_prefix(&self) -> Option<(String, &'static str)> {
        let table = "embeddings.word_embeddings.weight";
        let keys = self.tensors.values().map(|(_, key, _)| key.as_str());
        let mut tables = keys.filter_map(|key| key.strip_suffix(table));
        let prefix = tables.next().filter(|_| tables.next().is_none())?;
        let bare = keys::unwrapped(prefix).0;
        let own = format!("{}.", self.architecture.model_type());
        if bare.is_empty() || bare == own {
            return None;
        }
        let what = format!("the names of the tensors begin with `{prefix}`, not with `{own}`");
        let advice = match bare.as_str() {
            "bert." | "roberta." => "Check that `model_type` in config.json is that of the weights",
            _ => "Save the inner model with `save_pretrained`, or rename the tensors",
        };
        Some((what, advice))
    }

    /// The fault of a tensor with another shape. It names the key that decides its rows, where
    /// there is one.
    pub(super) fn wrong_shape(&self, info: &ParameterInfo, key: &str, shape: &[usize]) -> String {
        let mut text = format!(
            "wrong shape: {key}: expected {:?}, found {shape:?}",
            info.shape
        );
        let rows_only = shape.len() == 2 && shape[1..] == info.shape[1..];
        if let Some(of) = key_of_rows(&info.name).filter(|_| rows_only) {
            text.push_str(&format!(
                " (config.json says `{of}` {}, the weights say {})",
                info.shape[0], shape[0]
            ));
        }
        text
    }
}
