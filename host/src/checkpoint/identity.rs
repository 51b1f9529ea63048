//! The identity of everything that a run was given, by hashes: a run continues only with the same.

use progtune_engine::{
    Result,
    model::{Model, fingerprint},
};
use progtune_pipeline::token_store::Examples;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

use crate::{
    config::MachineConfig,
    digest::{hex, of_bytes},
    hardware::simd_name,
};

/// The identity of a run's inputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The version of progtune.
    pub version: String,
    /// The hash of the parameters that no epoch may train.
    pub model: String,
    /// The hash of the model's sizes and of its method's graphs.
    pub computation: String,
    /// The fingerprint of each split's tokens and labels.
    pub data: BTreeMap<String, String>,
    /// Id, version and hash of each plugin, by kind.
    pub plugins: BTreeMap<String, String>,
    /// The device.
    pub device: String,
    /// The precision of the computation.
    pub precision: String,
    /// The instruction set of the kernels.
    pub simd: String,
}

impl Identity {
    /// The identity of a run. `candidates` are the parameters that may be trained, ascending;
    /// `plugins` those of the run's records.
    ///
    /// # Errors
    /// Fails if a parameter cannot be copied from its device.
    pub fn new<'a>(
        model: &Model,
        candidates: &[usize],
        splits: impl IntoIterator<Item = (String, &'a Examples)>,
        plugins: &Value,
        machine: &MachineConfig,
    ) -> Result<Self> {
        let parameters = &model.parameters;
        let is_frozen = |id: &usize| candidates.binary_search(id).is_err();
        let frozen = (0..parameters.len()).filter(is_frozen);
        let data = splits.into_iter().map(|(name, examples)| {
            let hash = hex(&examples.summary().fingerprint);
            (name, format!("{} examples, {hash}", examples.len()))
        });
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let plugins = plugins.as_array().into_iter().flatten().map(|plugin| {
            let [kind, id, version, hash] =
                ["kind", "id", "version", "sha256"].map(|key| text(&plugin[key]));
            (kind, format!("{id} {version}, {hash}"))
        });
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").into(),
            model: hex(&fingerprint::of_parameters(parameters, frozen)?),
            computation: of_bytes(model.computation().as_bytes()),
            data: data.collect(),
            plugins: plugins.collect(),
            device: model.device_name(),
            precision: machine.precision_name(),
            simd: simd_name(machine.precision).into(),
        })
    }

    /// The inputs with their identities, under the names that `--allow-changed` knows.
    pub fn inputs(&self) -> BTreeMap<String, &str> {
        let single = [
            ("version", &self.version),
            ("model_weights", &self.model),
            ("computation", &self.computation),
            ("device", &self.device),
            ("precision", &self.precision),
            ("simd", &self.simd),
        ];
        let single = single.map(|(name, value)| (name.to_owned(), value.as_str()));
        let data = self
            .data
            .iter()
            .map(|(split, value)| (format!("data_{split}"), value.as_str()));
        let plugins = self.plugins.iter();
        let plugins = plugins.map(|(kind, value)| (format!("plugin_{kind}"), value.as_str()));
        single.into_iter().chain(data).chain(plugins).collect()
    }
}
