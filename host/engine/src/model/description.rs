//! The names of a model: every parameter and every site, derived from its configuration and task.
//!
//! `plan` calls it, which needs no weights, and so do the weight loader and the bridge, for the
//! record that a method sees. Names are checkpoint keys without the base model's prefix (`bert.`).

mod head;
mod sites;

pub(crate) use crate::task_kind::HeadKind;
pub(crate) use head::head_layers;
pub use sites::sites;

use super::{config::ModelConfig, per_linear::LinearSite};
use abi_stable::std_types::RVec;
use progtune_plugin_api::{
    graph::Graph,
    open::{Attribute, Value},
    records::{ModelRecord, ParameterRecord, Part, Role},
};

/// One parameter of the model, or one that a method added, before any weight is read.
#[derive(Debug, Clone)]
pub struct ParameterInfo {
    /// The checkpoint key without the base model's prefix.
    pub name: String,
    /// The shape as in the checkpoint.
    pub shape: Vec<usize>,
    /// The part of the model.
    pub part: Part,
    /// The block; `None` outside the blocks.
    pub block: Option<usize>,
    /// The role, such as weight or bias.
    pub role: Role,
    /// The method's factor on the learning rate.
    pub lr_scale: f64,
    /// The method's description, if the method added the parameter.
    pub added: Option<Added>,
}

/// The method's description of a parameter that it adds.
#[derive(Debug, Clone)]
pub struct Added {
    /// The graph of its first value.
    pub init: Graph,
    /// Whether it is ever trained.
    pub trainable: bool,
    /// Whether weight decay applies.
    pub weight_decay: bool,
}

impl ParameterInfo {
    /// The number of elements.
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether AdamW decays it. Biases and LayerNorms do not decay; for an added parameter the
    /// method decides.
    pub fn decays(&self) -> bool {
        match &self.added {
            Some(added) => added.weight_decay,
            None => !matches!(self.role, Role::BIAS | Role::NORM_WEIGHT | Role::NORM_BIAS),
        }
    }

    /// Whether it belongs to the task's new layers, which every method trains.
    pub fn is_classifier(&self) -> bool {
        self.added.is_none()
            && ["classifier.", "qa_outputs."]
                .iter()
                .any(|head| self.name.starts_with(head))
    }

    /// The record that a plugin sees.
    pub fn record(&self) -> ParameterRecord {
        ParameterRecord {
            name: self.name.as_str().into(),
            shape: self.shape.iter().map(|&n| n as u64).collect(),
            part: self.part,
            block: self.block.map_or(-1, |b| b as i32),
            role: self.role,
            added: self.added.is_some(),
            stack: if self.part == Part::BLOCK {
                "encoder".into()
            } else {
                "".into()
            },
            tied_to: "".into(),
            layout: if self.role == Role::WEIGHT {
                "out_in".into()
            } else {
                "".into()
            },
            quantised: "".into(),
            ext: RVec::new(),
        }
    }
}

/// The shape of a block's linear weight, `(out_dim, in_dim)`.
pub(crate) fn linear_shape(site: LinearSite, config: &ModelConfig) -> (usize, usize) {
    let hidden = config.encoder.hidden_size;
    let inner = config.encoder.intermediate_size;
    match site {
        LinearSite::Query | LinearSite::Key | LinearSite::Value | LinearSite::AttentionDense => {
            (hidden, hidden)
        }
        LinearSite::Intermediate => (inner, hidden),
        LinearSite::Output => (hidden, inner),
    }
}

/// All parameters of a model with its head, sorted by name.
pub fn parameters(config: &ModelConfig, head: HeadKind) -> Vec<ParameterInfo> {
    let mut list = embedding_parameters(config);
    for block in 0..config.blocks() {
        list.extend(block_parameters(config, block));
    }
    let place = Place {
        part: Part::HEAD,
        block: None,
    };
    for layer in head_layers(config, head) {
        list.extend(place.linear(layer.module, layer.out_dim, layer.in_dim));
    }
    list.sort_by(|a, b| a.name.cmp(&b.name));
    list
}

fn embedding_parameters(config: &ModelConfig) -> Vec<ParameterInfo> {
    let (encoder, hidden) = (&config.encoder, config.encoder.hidden_size);
    let place = Place {
        part: Part::EMBEDDINGS,
        block: None,
    };
    let table = |(name, entries): (&str, usize)| {
        let name = format!("embeddings.{name}_embeddings.weight");
        place.parameter(name, &[entries, hidden], Role::EMBEDDING)
    };
    let tables = [
        ("word", encoder.vocab_size),
        ("position", encoder.max_position_embeddings),
        ("token_type", encoder.type_vocab_size),
    ];
    let norm = place.norm("embeddings.LayerNorm", hidden);
    tables.into_iter().map(table).chain(norm).collect()
}

fn block_parameters(config: &ModelConfig, block: usize) -> Vec<ParameterInfo> {
    let place = Place {
        part: Part::BLOCK,
        block: Some(block),
    };
    let path = format!("encoder.layer.{block}");
    let mut list = Vec::new();
    for site in LinearSite::ALL {
        let (out_dim, in_dim) = linear_shape(site, config);
        let module = format!("{path}.{}", site.module());
        list.extend(place.linear(&module, out_dim, in_dim));
    }
    for module in ["attention.output", "output"] {
        let module = format!("{path}.{module}.LayerNorm");
        list.extend(place.norm(&module, config.encoder.hidden_size));
    }
    list
}

/// The part of the model to which parameters belong.
#[derive(Clone, Copy)]
struct Place {
    part: Part,
    block: Option<usize>,
}

impl Place {
    fn parameter(self, name: String, shape: &[usize], role: Role) -> ParameterInfo {
        ParameterInfo {
            name,
            shape: shape.to_vec(),
            part: self.part,
            block: self.block,
            role,
            lr_scale: 1.0,
            added: None,
        }
    }

    /// Weight and bias of a linear layer.
    fn linear(self, module: &str, out_dim: usize, in_dim: usize) -> [ParameterInfo; 2] {
        [
            self.parameter(format!("{module}.weight"), &[out_dim, in_dim], Role::WEIGHT),
            self.parameter(format!("{module}.bias"), &[out_dim], Role::BIAS),
        ]
    }

    /// γ and β of a LayerNorm.
    fn norm(self, module: &str, columns: usize) -> [ParameterInfo; 2] {
        [
            self.parameter(format!("{module}.weight"), &[columns], Role::NORM_WEIGHT),
            self.parameter(format!("{module}.bias"), &[columns], Role::NORM_BIAS),
        ]
    }
}

/// The record that a method sees.
pub fn model_record(
    config: &ModelConfig,
    parameters: &[ParameterInfo],
    head: HeadKind,
) -> ModelRecord {
    ModelRecord {
        architecture: config.architecture.model_type().into(),
        blocks: config.blocks() as u32,
        hidden_size: config.encoder.hidden_size as u32,
        intermediate_size: config.encoder.intermediate_size as u32,
        num_attention_heads: config.encoder.num_attention_heads as u32,
        parameters: parameters.iter().map(ParameterInfo::record).collect(),
        sites: sites(config, head).into(),
        ext: config_values(config),
    }
}

/// The scalars of config.json, which a method reads with `ModelRecord::config`.
fn config_values(config: &ModelConfig) -> RVec<Attribute> {
    let scalar = |value: &serde_json::Value| -> Option<Value> {
        match value {
            serde_json::Value::Bool(v) => Some(Value::Bool(*v)),
            serde_json::Value::String(v) => Some(v.as_str().into()),
            serde_json::Value::Number(v) => {
                v.as_i64().map(Value::Int).or(v.as_f64().map(Value::Float))
            }
            _ => None,
        }
    };
    let entries = config
        .raw
        .iter()
        .filter_map(|(key, value)| Some((key, scalar(value)?)));
    entries
        .map(|(key, value)| Attribute {
            key: format!("config.{key}").into(),
            value,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The counts of the published models (`BertModel` without and with pooler).
    #[test]
    fn published_parameter_counts() {
        let config = |hidden: usize, blocks: usize, heads: usize, inner: usize| {
            let text = format!(
                r#"{{"model_type":"bert","vocab_size":30522,"hidden_size":{hidden},"num_hidden_layers":{blocks},"num_attention_heads":{heads},"intermediate_size":{inner}}}"#
            );
            ModelConfig::parse(&text, "test").unwrap()
        };
        let count = |config: &ModelConfig, keep: &dyn Fn(&ParameterInfo) -> bool| -> usize {
            parameters(config, HeadKind::Sequence(2))
                .iter()
                .filter(|p| keep(p))
                .map(ParameterInfo::size)
                .sum()
        };
        let base = config(768, 12, 12, 3072);
        assert_eq!(count(&base, &|p| p.block == Some(3)), 7_087_872);
        assert_eq!(count(&base, &|p| p.part == Part::EMBEDDINGS), 23_837_184);
        assert_eq!(count(&base, &|p| p.name.starts_with("pooler")), 590_592);
        assert_eq!(
            count(&base, &|p| p.name.ends_with(".bias") && !p.is_classifier()),
            102_912
        );
        assert_eq!(
            count(&config(1024, 24, 16, 4096), &|p| p.block == Some(0)),
            12_596_224
        );
    }
}
