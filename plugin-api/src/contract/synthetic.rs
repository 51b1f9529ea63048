//! Synthetic hosts, models and runs: records shaped like the host's, without any weights behind
//! them.
//!
//! Names and shapes are those of Hugging Face checkpoints, so a test can count the parameters of a
//! real model.

use crate::{
    extensions::{LR_SCALES, POSITION_SHIFT, understands},
    graph::Op,
    host::{HostApi, HostApi_Ref},
    manifest::ABI_MINOR,
    open::{Attribute, Value},
    records::{
        HostRecord, Mode, ModelRecord, ParameterRecord, Part, Role, RunRecord, ScheduleTraits,
        SignalRecord, SiteKind, SiteRecord,
    },
};
use abi_stable::{
    prefix_type::PrefixTypeTrait,
    std_types::{RStr, RString, RVec},
};
use std::sync::OnceLock;

/// The sizes of a synthetic model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dimensions {
    /// `hidden_size`.
    pub hidden_size: u32,
    /// `intermediate_size`.
    pub intermediate_size: u32,
    /// `vocab_size`.
    pub vocab_size: u32,
    /// `max_position_embeddings`.
    pub max_position_embeddings: u32,
    /// `type_vocab_size`.
    pub type_vocab_size: u32,
}

impl Dimensions {
    /// These widths with a small vocabulary.
    pub const fn of(hidden_size: u32, intermediate_size: u32) -> Self {
        Self {
            hidden_size,
            intermediate_size,
            vocab_size: 100,
            max_position_embeddings: 64,
            type_vocab_size: 2,
        }
    }

    /// The dimensions of `bert-base-uncased`.
    pub const BERT_BASE: Self = Self {
        vocab_size: 30_522,
        max_position_embeddings: 512,
        ..Self::of(768, 3072)
    };

    /// The dimensions of `roberta-base`.
    pub const ROBERTA_BASE: Self = Self {
        vocab_size: 50_265,
        max_position_embeddings: 514,
        type_vocab_size: 1,
        ..Self::of(768, 3072)
    };
}

extern "C" fn log(_level: u32, _message: RStr<'_>) {}
extern "C" fn cancelled() -> bool {
    false
}

/// A host that offers everything that this version of the interface names.
pub fn host_record() -> HostRecord {
    static API: OnceLock<HostApi_Ref> = OnceLock::new();
    HostRecord {
        name: "contract".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        abi_minor: ABI_MINOR,
        ops: Op::KNOWN.to_vec().into(),
        site_kinds: SiteKind::KNOWN.to_vec().into(),
        modes: Mode::KNOWN.to_vec().into(),
        signals: ["train_loss", "eval_metric", "block_grad_norm"]
            .map(RString::from)
            .to_vec()
            .into(),
        api: *API.get_or_init(|| HostApi { log, cancelled }.leak_into_prefix()),
        ext: vec![understands(&[POSITION_SHIFT, LR_SCALES])].into(),
    }
}

/// A host that offers only a log.
pub fn bare_host() -> HostRecord {
    HostRecord {
        name: "bare".into(),
        abi_minor: 0,
        ops: RVec::new(),
        site_kinds: RVec::new(),
        modes: RVec::new(),
        signals: RVec::new(),
        ext: RVec::new(),
        ..host_record()
    }
}

/// A model of `architecture` `bert` (with pooler) or `roberta` (without), with a head for two
/// labels.
pub fn model_record(architecture: &str, blocks: u32, dimensions: Dimensions) -> ModelRecord {
    let mut model = Model {
        parameters: Vec::new(),
        sites: Vec::new(),
        dimensions,
    };
    model.embeddings();
    for block in 0..blocks {
        model.block(block);
    }
    let hidden = dimensions.hidden_size;
    let head: &[(&str, u32)] = match architecture {
        "roberta" => &[("classifier.dense", hidden), ("classifier.out_proj", 2)],
        _ => &[("pooler.dense", hidden), ("classifier", 2)],
    };
    for (name, out_dim) in head {
        model.linear(
            name,
            SiteKind::HEAD_DENSE,
            Part::HEAD,
            -1,
            (hidden, *out_dim),
        );
    }
    model.parameters.sort_by(|a, b| a.name.cmp(&b.name));
    ModelRecord {
        architecture: architecture.into(),
        blocks,
        hidden_size: hidden,
        intermediate_size: dimensions.intermediate_size,
        num_attention_heads: (hidden / 16).max(1),
        parameters: model.parameters.into(),
        sites: model.sites.into(),
        ext: vec![
            Attribute::new("config.layer_norm_eps", 1e-12),
            Attribute {
                key: "config.hidden_act".into(),
                value: Value::from("gelu"),
            },
        ]
        .into(),
    }
}

/// A run of `epochs` epochs over a BERT-like model of `blocks` blocks. An empty `method` means full
/// fine-tuning; otherwise the candidates are the biases and the classifier. Without `embeddings`,
/// no embedding parameter is a candidate.
pub fn run_record(blocks: u32, epochs: u32, method: &str, embeddings: bool) -> RunRecord {
    let model = model_record("bert", blocks, Dimensions::of(32, 64));
    let wanted = |parameter: &ParameterRecord| {
        (embeddings || parameter.part != Part::EMBEDDINGS)
            && (method.is_empty()
                || parameter.name.ends_with(".bias")
                || parameter.name.starts_with("classifier"))
    };
    RunRecord {
        blocks,
        epochs,
        steps_per_epoch: 10,
        seed: 42,
        method: method.into(),
        candidates: model.parameters.into_iter().filter(wanted).collect(),
        ext: RVec::new(),
    }
}

/// A history of the signals to which a schedule subscribed: three observations in each earlier
/// epoch.
pub(super) fn synthetic_history(
    traits: &ScheduleTraits,
    run: &RunRecord,
    epoch: u32,
) -> RVec<SignalRecord> {
    let mut history = RVec::new();
    for past in 1..epoch {
        for part in 1..=3u64 {
            for name in &traits.signals {
                let count = if name.starts_with("block_") {
                    run.blocks
                } else {
                    1
                };
                let value =
                    |index: u32| f64::from(index + 1) / (f64::from(past) + part as f64 / 4.0);
                history.push(SignalRecord {
                    name: name.clone(),
                    epoch: past,
                    step: u64::from(past - 1) * run.steps_per_epoch + part * 3,
                    values: (0..count).map(value).collect(),
                    ext: RVec::new(),
                });
            }
        }
    }
    history
}

struct Model {
    parameters: Vec<ParameterRecord>,
    sites: Vec<SiteRecord>,
    dimensions: Dimensions,
}

impl Model {
    fn parameter(&mut self, name: String, shape: &[u32], part: Part, block: i32, role: Role) {
        self.parameters.push(ParameterRecord {
            name: name.into(),
            shape: shape.iter().map(|&size| u64::from(size)).collect(),
            part,
            block,
            role,
            added: false,
            stack: if part == Part::BLOCK { "encoder" } else { "" }.into(),
            tied_to: RString::new(),
            layout: if role == Role::WEIGHT { "out_in" } else { "" }.into(),
            quantised: RString::new(),
            ext: RVec::new(),
        });
    }

    fn site(&mut self, name: &str, kind: SiteKind, block: i32, inputs: &[&str], dims: (u32, u32)) {
        let mode = if kind == SiteKind::KEY_VALUE {
            Mode::KV_PREFIX
        } else {
            Mode::OUTPUT
        };
        self.sites.push(SiteRecord {
            name: name.into(),
            kind,
            block,
            inputs: inputs.iter().map(|&input| input.into()).collect(),
            in_dim: dims.0,
            out_dim: dims.1,
            weight: RString::new(),
            bias: RString::new(),
            modes: vec![mode].into(),
            ext: RVec::new(),
        });
    }

    fn linear(&mut self, name: &str, kind: SiteKind, part: Part, block: i32, dims: (u32, u32)) {
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        self.parameter(weight.clone(), &[dims.1, dims.0], part, block, Role::WEIGHT);
        self.parameter(bias.clone(), &[dims.1], part, block, Role::BIAS);
        self.site(name, kind, block, &["x", "y"], dims);
        if let Some(site) = self.sites.last_mut() {
            site.weight = weight.into();
            site.bias = bias.into();
            site.modes.push(Mode::WEIGHT);
            if part == Part::BLOCK {
                site.modes.push(Mode::INPUT);
            }
        }
    }

    fn norm(&mut self, name: &str, part: Part, block: i32) {
        let hidden = self.dimensions.hidden_size;
        self.parameter(
            format!("{name}.weight"),
            &[hidden],
            part,
            block,
            Role::NORM_WEIGHT,
        );
        self.parameter(
            format!("{name}.bias"),
            &[hidden],
            part,
            block,
            Role::NORM_BIAS,
        );
    }

    fn embeddings(&mut self) {
        let sizes = self.dimensions;
        let tables = [
            ("word", sizes.vocab_size),
            ("position", sizes.max_position_embeddings),
            ("token_type", sizes.type_vocab_size),
        ];
        for (name, entries) in tables {
            let name = format!("embeddings.{name}_embeddings.weight");
            self.parameter(
                name,
                &[entries, sizes.hidden_size],
                Part::EMBEDDINGS,
                -1,
                Role::EMBEDDING,
            );
        }
        self.norm("embeddings.LayerNorm", Part::EMBEDDINGS, -1);
        self.site(
            "embeddings",
            SiteKind::EMBEDDINGS_END,
            -1,
            &["y"],
            (0, sizes.hidden_size),
        );
    }

    fn block(&mut self, index: u32) {
        let hidden = self.dimensions.hidden_size;
        let path = format!("encoder.layer.{index}");
        self.attention(&path, index as i32);
        self.feed_forward(&path, index as i32);
        self.site(
            &path,
            SiteKind::BLOCK_END,
            index as i32,
            &["x", "y"],
            (hidden, hidden),
        );
    }

    fn attention(&mut self, path: &str, block: i32) {
        let hidden = self.dimensions.hidden_size;
        let square = (hidden, hidden);
        for (name, kind) in [
            ("query", SiteKind::QUERY),
            ("key", SiteKind::KEY),
            ("value", SiteKind::VALUE),
        ] {
            let name = format!("{path}.attention.self.{name}");
            self.linear(&name, kind, Part::BLOCK, block, square);
        }
        self.site(
            &format!("{path}.attention.self"),
            SiteKind::KEY_VALUE,
            block,
            &[],
            (0, 2 * hidden),
        );
        let output = format!("{path}.attention.output");
        self.linear(
            &format!("{output}.dense"),
            SiteKind::ATTENTION_DENSE,
            Part::BLOCK,
            block,
            square,
        );
        let inputs = ["x", "y", "residual"];
        self.site(&output, SiteKind::ATTENTION_END, block, &inputs, square);
        self.norm(&format!("{output}.LayerNorm"), Part::BLOCK, block);
    }

    fn feed_forward(&mut self, path: &str, block: i32) {
        let hidden = self.dimensions.hidden_size;
        let wide = self.dimensions.intermediate_size;
        let intermediate = format!("{path}.intermediate");
        self.linear(
            &format!("{intermediate}.dense"),
            SiteKind::INTERMEDIATE_DENSE,
            Part::BLOCK,
            block,
            (hidden, wide),
        );
        let size = (wide, wide);
        self.site(
            &intermediate,
            SiteKind::ACTIVATION,
            block,
            &["x", "y"],
            size,
        );
        let output = format!("{path}.output");
        self.linear(
            &format!("{output}.dense"),
            SiteKind::OUTPUT_DENSE,
            Part::BLOCK,
            block,
            (wide, hidden),
        );
        let (inputs, size) = (["x", "y", "residual"], (hidden, hidden));
        self.site(&output, SiteKind::OUTPUT_END, block, &inputs, size);
        self.norm(&format!("{output}.LayerNorm"), Part::BLOCK, block);
    }
}
