//! The names of a model: every parameter and every site, from its configuration and task alone.
//!
//! Called by `plan` (which needs no weights), by the weight loader, and to fill the record a method sees.
//! Names are checkpoint keys without the base model's prefix (`bert.`).

use super::config::{Architecture, ModelConfig};
use abi_stable::std_types::RVec;
use progtune_datasets::{ProblemType, Task};
use progtune_plugin_api::{
    graph::Graph,
    open::{Attribute, Value},
    records::{Mode, ModelRecord, ParameterRecord, Part, Role, SiteKind, SiteRecord},
};

/// One parameter of the model or one that a method added, before any weight is read.
#[derive(Debug, Clone)]
pub struct ParameterInfo {
    /// Checkpoint key without the base model's prefix.
    pub name: String,
    /// Shape as in the checkpoint.
    pub shape: Vec<usize>,
    /// The part of the model.
    pub part: Part,
    /// The block; `None` outside the blocks.
    pub block: Option<usize>,
    /// What it is.
    pub role: Role,
    /// Factor on the learning rate, by the method.
    pub lr_scale: f64,
    /// `Some` when the method added it.
    pub added: Option<Added>,
}

/// What the method said of a parameter that it adds.
#[derive(Debug, Clone)]
pub struct Added {
    /// How it starts.
    pub init: Graph,
    /// Whether it is trained at all.
    pub trainable: bool,
    /// Whether weight decay applies.
    pub weight_decay: bool,
}

impl ParameterInfo {
    /// Number of elements.
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether AdamW decays it: not biases, not LayerNorm; an added one as its method says.
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

    /// The record a plugin sees.
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

/// The head above the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadKind {
    /// One vector a sequence: classification or regression with this many outputs.
    Sequence(usize),
    /// Start and end logits of every token: question answering. Has no pooler.
    QuestionAnswering,
    /// This many logits of every token: token classification. Has no pooler.
    Token(usize),
}

impl HeadKind {
    /// The head of a task.
    pub fn of(task: &Task) -> Self {
        match task.problem_type {
            ProblemType::SingleLabelClassification
            | ProblemType::MultiLabelClassification
            | ProblemType::Regression => Self::Sequence(task.num_labels()),
            ProblemType::TokenClassification => Self::Token(task.num_labels()),
            ProblemType::QuestionAnswering => Self::QuestionAnswering,
        }
    }

    /// Whether it reads every token's row; else each sequence's first.
    pub fn reads_every_token(self) -> bool {
        matches!(self, Self::QuestionAnswering | Self::Token(_))
    }
}

/// All parameters of a model with its head, sorted by name.
pub fn parameters(config: &ModelConfig, head: HeadKind) -> Vec<ParameterInfo> {
    let mut list = Vec::new();
    let encoder = &config.encoder;
    let (hidden, inner) = (encoder.hidden_size, encoder.intermediate_size);
    let mut add = |name: String, shape: &[usize], part: Part, block: Option<usize>, role: Role| {
        list.push(ParameterInfo {
            name,
            shape: shape.to_vec(),
            part,
            block,
            role,
            lr_scale: 1.0,
            added: None,
        });
    };
    for (table, entries) in [
        ("word", encoder.vocab_size),
        ("position", encoder.max_position_embeddings),
        ("token_type", encoder.type_vocab_size),
    ] {
        let name = format!("embeddings.{table}_embeddings.weight");
        add(
            name,
            &[entries, hidden],
            Part::EMBEDDINGS,
            None,
            Role::EMBEDDING,
        );
    }
    add(
        "embeddings.LayerNorm.weight".into(),
        &[hidden],
        Part::EMBEDDINGS,
        None,
        Role::NORM_WEIGHT,
    );
    add(
        "embeddings.LayerNorm.bias".into(),
        &[hidden],
        Part::EMBEDDINGS,
        None,
        Role::NORM_BIAS,
    );
    for block in 0..config.blocks() {
        for (module, n, k) in [
            ("attention.self.query", hidden, hidden),
            ("attention.self.key", hidden, hidden),
            ("attention.self.value", hidden, hidden),
            ("attention.output.dense", hidden, hidden),
            ("intermediate.dense", inner, hidden),
            ("output.dense", hidden, inner),
        ] {
            let prefix = format!("encoder.layer.{block}.{module}");
            add(
                format!("{prefix}.weight"),
                &[n, k],
                Part::BLOCK,
                Some(block),
                Role::WEIGHT,
            );
            add(
                format!("{prefix}.bias"),
                &[n],
                Part::BLOCK,
                Some(block),
                Role::BIAS,
            );
        }
        for module in ["attention.output", "output"] {
            let prefix = format!("encoder.layer.{block}.{module}.LayerNorm");
            add(
                format!("{prefix}.weight"),
                &[hidden],
                Part::BLOCK,
                Some(block),
                Role::NORM_WEIGHT,
            );
            add(
                format!("{prefix}.bias"),
                &[hidden],
                Part::BLOCK,
                Some(block),
                Role::NORM_BIAS,
            );
        }
    }
    for (module, n, k) in head_layers(config, head) {
        add(
            format!("{module}.weight"),
            &[n, k],
            Part::HEAD,
            None,
            Role::WEIGHT,
        );
        add(format!("{module}.bias"), &[n], Part::HEAD, None, Role::BIAS);
    }
    list.sort_by(|a, b| a.name.cmp(&b.name));
    list
}

/// The linear layers of the head: module, outputs, inputs.
fn head_layers(config: &ModelConfig, head: HeadKind) -> Vec<(&'static str, usize, usize)> {
    let hidden = config.encoder.hidden_size;
    match (head, config.architecture) {
        (HeadKind::QuestionAnswering, _) => vec![("qa_outputs", 2, hidden)],
        (HeadKind::Token(n), _) => vec![("classifier", n, hidden)],
        (HeadKind::Sequence(n), Architecture::Bert) => {
            vec![("pooler.dense", hidden, hidden), ("classifier", n, hidden)]
        }
        (HeadKind::Sequence(n), Architecture::Roberta) => {
            vec![
                ("classifier.dense", hidden, hidden),
                ("classifier.out_proj", n, hidden),
            ]
        }
    }
}

/// All sites, from the input to the head.
pub fn sites(config: &ModelConfig, head: HeadKind) -> Vec<SiteRecord> {
    let (hidden, inner) = (config.encoder.hidden_size, config.encoder.intermediate_size);
    let mut list = vec![site(
        "embeddings".into(),
        SiteKind::EMBEDDINGS_END,
        None,
        &["y"],
        hidden,
        hidden,
        false,
    )];
    for block in 0..config.blocks() {
        let mut add = |module: &str, kind, inputs: &[&str], k, n, linear| {
            let path = format!("encoder.layer.{block}");
            let name = if module.is_empty() {
                path
            } else {
                format!("{path}.{module}")
            };
            list.push(site(name, kind, Some(block), inputs, k, n, linear));
        };
        let (xy, xyr) = (["x", "y"], ["x", "y", "residual"]);
        add(
            "attention.self.query",
            SiteKind::QUERY,
            &xy,
            hidden,
            hidden,
            true,
        );
        add(
            "attention.self.key",
            SiteKind::KEY,
            &xy,
            hidden,
            hidden,
            true,
        );
        add(
            "attention.self.value",
            SiteKind::VALUE,
            &xy,
            hidden,
            hidden,
            true,
        );
        add(
            "attention.self",
            SiteKind::KEY_VALUE,
            &[],
            0,
            2 * hidden,
            false,
        );
        add(
            "attention.output.dense",
            SiteKind::ATTENTION_DENSE,
            &xy,
            hidden,
            hidden,
            true,
        );
        add(
            "attention.output",
            SiteKind::ATTENTION_END,
            &xyr,
            hidden,
            hidden,
            false,
        );
        add(
            "intermediate.dense",
            SiteKind::INTERMEDIATE_DENSE,
            &xy,
            hidden,
            inner,
            true,
        );
        add(
            "intermediate",
            SiteKind::ACTIVATION,
            &xy,
            inner,
            inner,
            false,
        );
        add(
            "output.dense",
            SiteKind::OUTPUT_DENSE,
            &xy,
            inner,
            hidden,
            true,
        );
        add("output", SiteKind::OUTPUT_END, &xyr, hidden, hidden, false);
        add("", SiteKind::BLOCK_END, &xy, hidden, hidden, false);
    }
    for (module, n, k) in head_layers(config, head) {
        list.push(site(
            module.into(),
            SiteKind::HEAD_DENSE,
            None,
            &["x", "y"],
            k,
            n,
            true,
        ));
    }
    list
}

fn site(
    name: String,
    kind: SiteKind,
    block: Option<usize>,
    inputs: &[&str],
    in_dim: usize,
    out_dim: usize,
    linear: bool,
) -> SiteRecord {
    let parameter = |suffix| {
        if linear {
            format!("{name}.{suffix}").into()
        } else {
            "".into()
        }
    };
    let modes: &[Mode] = match (kind, linear) {
        (SiteKind::KEY_VALUE, _) => &[Mode::KV_PREFIX],
        (SiteKind::HEAD_DENSE, _) => &[Mode::OUTPUT, Mode::WEIGHT],
        (_, true) => &[Mode::OUTPUT, Mode::WEIGHT, Mode::INPUT],
        (_, false) => &[Mode::OUTPUT],
    };
    SiteRecord {
        kind,
        block: block.map_or(-1, |b| b as i32),
        inputs: inputs.iter().map(|&i| i.into()).collect(),
        in_dim: in_dim as u32,
        out_dim: out_dim as u32,
        weight: parameter("weight"),
        bias: parameter("bias"),
        modes: modes.to_vec().into(),
        ext: RVec::new(),
        name: name.as_str().into(),
    }
}

/// The record a method sees.
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
