//! The sites of a model: the places where a method may rewrite the computation, as records that a
//! plugin sees.

use super::{HeadKind, head::head_layers, linear_shape};
use crate::model::{config::ModelConfig, per_linear::LinearSite};
use abi_stable::std_types::RVec;
use progtune_plugin_api::records::{Mode, SiteKind, SiteRecord};

/// A site inside a block.
struct BlockSite {
    /// The name inside the block; empty for the block itself.
    module: &'static str,
    kind: SiteKind,
    shape: Shape,
}

/// The rows that a site's rewrites read and yield.
enum Shape {
    /// Those of a linear layer.
    Linear(LinearSite),
    /// Additional keys and values; nothing is read.
    KeyValues,
    /// `[rows, hidden]`, with the residual.
    Residual,
    /// `[rows, hidden]`.
    Hidden,
    /// `[rows, intermediate]`.
    Intermediate,
}

impl BlockSite {
    const fn new(module: &'static str, kind: SiteKind, shape: Shape) -> Self {
        Self {
            module,
            kind,
            shape,
        }
    }

    const fn linear(site: LinearSite, kind: SiteKind) -> Self {
        Self::new(site.module(), kind, Shape::Linear(site))
    }
}

/// The sites of a block, from its input to its output.
const BLOCK_SITES: [BlockSite; 11] = [
    BlockSite::linear(LinearSite::Query, SiteKind::QUERY),
    BlockSite::linear(LinearSite::Key, SiteKind::KEY),
    BlockSite::linear(LinearSite::Value, SiteKind::VALUE),
    BlockSite::new("attention.self", SiteKind::KEY_VALUE, Shape::KeyValues),
    BlockSite::linear(LinearSite::AttentionDense, SiteKind::ATTENTION_DENSE),
    BlockSite::new("attention.output", SiteKind::ATTENTION_END, Shape::Residual),
    BlockSite::linear(LinearSite::Intermediate, SiteKind::INTERMEDIATE_DENSE),
    BlockSite::new("intermediate", SiteKind::ACTIVATION, Shape::Intermediate),
    BlockSite::linear(LinearSite::Output, SiteKind::OUTPUT_DENSE),
    BlockSite::new("output", SiteKind::OUTPUT_END, Shape::Residual),
    BlockSite::new("", SiteKind::BLOCK_END, Shape::Hidden),
];

/// All sites, from the input to the head.
///
/// ```
/// use progtune_engine::{
///     HeadKind,
///     model::{ModelConfig, description::sites},
/// };
///
/// let text = r#"{"model_type": "bert", "vocab_size": 9, "hidden_size": 4, "num_hidden_layers": 2,
///     "num_attention_heads": 1, "intermediate_size": 8}"#;
/// let sites = sites(&ModelConfig::parse(text, "example")?, HeadKind::Token(3));
/// assert_eq!(sites[0].name.as_str(), "embeddings");
/// assert_eq!(sites[1].name.as_str(), "encoder.layer.0.attention.self.query");
/// assert_eq!(sites.last().map(|site| site.name.as_str()), Some("classifier"));
/// # Ok::<(), progtune_engine::Error>(())
/// ```
pub fn sites(config: &ModelConfig, head: HeadKind) -> Vec<SiteRecord> {
    let hidden = config.encoder.hidden_size;
    let embeddings = Site {
        name: "embeddings".into(),
        kind: SiteKind::EMBEDDINGS_END,
        block: None,
        inputs: &["y"],
        columns: (hidden, hidden),
        is_linear: false,
    };
    let mut list = vec![embeddings.record()];
    for block in 0..config.blocks() {
        list.extend(BLOCK_SITES.iter().map(|site| site.record(config, block)));
    }
    for layer in head_layers(config, head) {
        let site = Site {
            name: layer.module.into(),
            kind: SiteKind::HEAD_DENSE,
            block: None,
            inputs: &["x", "y"],
            columns: (layer.in_dim, layer.out_dim),
            is_linear: true,
        };
        list.push(site.record());
    }
    list
}

impl BlockSite {
    fn record(&self, config: &ModelConfig, block: usize) -> SiteRecord {
        let hidden = config.encoder.hidden_size;
        let inner = config.encoder.intermediate_size;
        let (inputs, columns): (&[&str], _) = match self.shape {
            Shape::Linear(site) => {
                let (out_dim, in_dim) = linear_shape(site, config);
                (&["x", "y"], (in_dim, out_dim))
            }
            Shape::KeyValues => (&[], (0, 2 * hidden)),
            Shape::Residual => (&["x", "y", "residual"], (hidden, hidden)),
            Shape::Hidden => (&["x", "y"], (hidden, hidden)),
            Shape::Intermediate => (&["x", "y"], (inner, inner)),
        };
        let path = format!("encoder.layer.{block}");
        let site = Site {
            name: if self.module.is_empty() {
                path
            } else {
                format!("{path}.{}", self.module)
            },
            kind: self.kind,
            block: Some(block),
            inputs,
            columns,
            is_linear: matches!(self.shape, Shape::Linear(_)),
        };
        site.record()
    }
}

/// A site in this program's terms.
struct Site<'a> {
    name: String,
    kind: SiteKind,
    block: Option<usize>,
    inputs: &'a [&'a str],
    /// The numbers of columns that are read and yielded.
    columns: (usize, usize),
    is_linear: bool,
}

impl Site<'_> {
    fn record(self) -> SiteRecord {
        let parameter = |suffix| {
            if self.is_linear {
                format!("{}.{suffix}", self.name).into()
            } else {
                "".into()
            }
        };
        let modes: &[Mode] = match (self.kind, self.is_linear) {
            (SiteKind::KEY_VALUE, _) => &[Mode::KV_PREFIX],
            (SiteKind::HEAD_DENSE, _) => &[Mode::OUTPUT, Mode::WEIGHT],
            (_, true) => &[Mode::OUTPUT, Mode::WEIGHT, Mode::INPUT],
            (_, false) => &[Mode::OUTPUT],
        };
        SiteRecord {
            kind: self.kind,
            block: self.block.map_or(-1, |b| b as i32),
            inputs: self.inputs.iter().map(|&i| i.into()).collect(),
            in_dim: self.columns.0 as u32,
            out_dim: self.columns.1 as u32,
            weight: parameter("weight"),
            bias: parameter("bias"),
            modes: modes.to_vec().into(),
            ext: RVec::new(),
            name: self.name.as_str().into(),
        }
    }
}
