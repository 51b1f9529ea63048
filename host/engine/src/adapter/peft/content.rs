//! The tensors of a PEFT file together with the modules of the base model, and whether they agree
//! with the configuration. The formats of [`super`] call it.

use super::{
    Tensors,
    adapter_config::Config,
    folds::Fold,
    keys::TOKENS,
    matching::{Kind, Module, Targets},
};
use crate::error::{Error, Result};
use candle_core::Tensor;
use progtune_plugin_api::records::Role;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The number of names that a message lists.
const NAMED: usize = 5;

/// The content of a file.
pub(super) struct Content {
    /// The tensors by their names here.
    pub tensors: Tensors,
    /// The modules of the base model that can be adapted.
    pub modules: Vec<Module>,
    /// The base model's LayerNorms: the name here, and that in Transformers.
    pub norms: Vec<(String, String)>,
}

/// A few names for a message.
pub(super) fn some(names: &[&str]) -> String {
    let more = if names.len() > NAMED {
        format!(" and {} more", names.len() - NAMED)
    } else {
        String::new()
    };
    let named: Vec<&str> = names.iter().take(NAMED).copied().collect();
    format!("{}{more}", named.join(", "))
}

impl Content {
    /// A module of the base model.
    pub(super) fn module(&self, name: &str) -> Option<&Module> {
        self.modules.iter().find(|module| module.name == name)
    }

    /// The modules for which the file has a tensor with one of these ends.
    pub(super) fn adapted(&self, ends: &[&str]) -> BTreeSet<String> {
        let module = |name: &String| {
            let stem = name.strip_suffix(".weight").or(name.strip_suffix(".bias"));
            let stem = stem.unwrap_or(name);
            let end = ends.iter().find_map(|end| stem.strip_suffix(end));
            end?.strip_suffix('.').map(str::to_owned)
        };
        self.tensors.keys().filter_map(module).collect()
    }

    /// Refuses a file whose modules are not those of the configuration. PEFT would leave some
    /// randomly initialised, or leave them out.
    pub(super) fn agree(
        &self,
        config: &Config<'_>,
        targets: &Targets,
        found: &BTreeSet<String>,
    ) -> Result<()> {
        let fault = |what: &str, names: &[&str], advice: &str| {
            Err(Error::Model(format!(
                "{}: key `target_modules`: {what}: {}; {advice}",
                config.path.display(),
                some(names)
            )))
        };
        let wanted = |module: &&Module| targets.matches(module);
        let absent: Vec<&str> = self
            .modules
            .iter()
            .filter(|module| module.certain && !found.contains(&module.name))
            .filter(wanted)
            .map(|module| module.name.as_str())
            .collect();
        if !absent.is_empty() {
            return fault(
                "the file has no tensors for modules that the configuration names",
                &absent,
                "copy the adapter again, and check that --model is the base it was trained on",
            );
        }
        let stray: Vec<&str> = found
            .iter()
            .filter(|name| !self.module(name).as_ref().is_some_and(wanted))
            .map(String::as_str)
            .collect();
        if !stray.is_empty() {
            return fault(
                "the file has tensors for modules that the configuration does not name, or that this model lacks",
                &stray,
                "copy adapter_config.json again, and check that --model is the base it was trained on",
            );
        }
        if found.is_empty() {
            return Err(config.fault("target_modules", "modules of this model"));
        }
        Ok(())
    }

    /// Refuses a file that lacks parts of the encoder that `modules_to_save` names.
    pub(super) fn has_saved(&self, config: &Config<'_>) -> Result<()> {
        let names = config.names("modules_to_save")?;
        let is_saved = |path: &str| {
            let ends = path
                .match_indices('.')
                .map(|(at, _)| at)
                .chain([path.len()]);
            let mut parents = ends.map(|end| &path[..end]);
            parents.any(|parent| names.iter().any(|name| parent.ends_with(name.as_str())))
        };
        let modules = self.modules.iter().filter(|module| module.certain);
        let modules = modules.map(|module| (&module.name, &module.path, module.kind));
        let norms = self.norms.iter();
        let norms = norms.map(|(name, path)| (name, path, Kind::Linear));
        for (name, path, kind) in modules.chain(norms) {
            let ends: &[&str] = match kind {
                Kind::Linear => &["weight", "bias"],
                Kind::Embedding => &["weight"],
            };
            for end in ends {
                let parameter = format!("{name}.{end}");
                if is_saved(path) && !self.tensors.contains_key(&parameter) {
                    return Err(config.fault(
                        "modules_to_save",
                        &format!("modules that are in the file, which has no {parameter}"),
                    ));
                }
            }
        }
        Ok(())
    }

    /// Takes a tensor out of the file's content.
    pub(super) fn take(&mut self, config: &Config<'_>, name: &str) -> Result<Tensor> {
        self.tensors.remove(name).ok_or_else(|| {
            Error::Model(format!(
                "{}: the adapter's tensors lack {name}; copy the adapter again",
                config.path.display()
            ))
        })
    }

    /// The rows of trained tokens, as replacements of rows of the tables.
    pub(super) fn token_rows(&mut self, config: &Config<'_>) -> Result<BTreeMap<String, Fold>> {
        const KEY: &str = "trainable_token_indices";
        let names: Vec<String> = self.tensors.keys().cloned().collect();
        let mut folds = BTreeMap::new();
        for name in names.iter().filter(|name| name.ends_with(TOKENS)) {
            let module = name.trim_end_matches(TOKENS).trim_end_matches('.');
            let expected = "token ids for the embeddings whose rows are in the file";
            let found = match (config.get(KEY), self.module(module)) {
                (Some(list @ Value::Array(_)), _) if module == "embeddings.word_embeddings" => {
                    Some(list)
                }
                (Some(Value::Object(map)), Some(module)) => map
                    .iter()
                    .find(|(key, _)| module.path.ends_with(key.as_str()))
                    .map(|(_, list)| list),
                _ => None,
            };
            let ids = found.and_then(Value::as_array);
            let ids =
                ids.and_then(|list| list.iter().map(|id| Some(id.as_u64()? as u32)).collect());
            let ids: Vec<u32> = ids.ok_or_else(|| config.fault(KEY, expected))?;
            let rows = self.take(config, name)?;
            if rows.rank() != 2 || rows.dims()[0] != ids.len() {
                return Err(config.fault(KEY, expected));
            }
            folds.insert(format!("{module}.weight"), Fold::Rows { ids, rows });
        }
        if folds.is_empty() && config.set(KEY).is_some() {
            return Err(config.fault(KEY, "null, as the file has no rows of tokens"));
        }
        Ok(folds)
    }

    /// The base's parameters that the file replaces and that no option can express. Heads and the
    /// pooler are not among them, because every method trains and saves these.
    pub(super) fn replaced(&self) -> Vec<&str> {
        const HEADS: [&str; 4] = ["classifier", "qa_outputs", "pooler", "vera_"];
        let is_added = |name: &str| {
            let parts = ["lora_", "ia3_", "vera_", "prefix"];
            name.split('.')
                .any(|part| parts.iter().any(|start| part.starts_with(start)))
        };
        let names = self.tensors.keys().map(String::as_str);
        names
            .filter(|name| !is_added(name) && !HEADS.iter().any(|head| name.starts_with(head)))
            .collect()
    }
}

/// The LayerNorms of a model.
pub(super) fn norms(
    parameters: &[crate::model::description::ParameterInfo],
    before: &str,
) -> Vec<(String, String)> {
    let norms = parameters
        .iter()
        .filter(|info| info.role == Role::NORM_WEIGHT);
    let name = |name: &str| name.trim_end_matches(".weight").to_owned();
    let names = norms.map(|info| name(&info.name));
    names
        .map(|name| (name.clone(), format!("{before}{name}")))
        .collect()
}
