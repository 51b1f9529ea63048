//! The layout of the model: all names of parameters and sites, resolved to ids once, so that a step
//! looks nothing up. [`super::Model`] builds it; the fused and the composed path read it.

use super::{
    config::ModelConfig,
    description::{HeadKind, head_layers},
    parameters::{ParameterId, Parameters},
    per_linear::PerLinear,
    step::program_site,
};
use crate::{
    error::{Error, Result},
    model::graph::{Program, distinct},
};
use progtune_plugin_api::records::{Mode, Rewrite};
use std::collections::HashMap;

/// The programs of the method at one site.
#[derive(Debug, Clone, Default)]
pub(super) struct Site {
    /// Programs on the output, in order.
    pub outputs: Vec<Program>,
    /// Programs on the weight, in order.
    pub weights: Vec<Program>,
    /// Programs on the rows that the linear layer reads, in order. Each sees as `x` the result of
    /// the previous one.
    pub inputs: Vec<Program>,
    /// Programs that make rows of keys and values, in order: `[prefix, 2·hidden]` each.
    pub prefixes: Vec<Program>,
}

impl Site {
    /// The parameters that its programs read, each once.
    pub(super) fn parameters(&self) -> impl Iterator<Item = ParameterId> + '_ {
        distinct(self.programs().flat_map(Program::parameters)).into_iter()
    }

    /// The programs that run on rows.
    pub(super) fn row_programs(&self) -> impl Iterator<Item = &Program> {
        self.inputs.iter().chain(&self.outputs)
    }

    /// Whether one of its programs applies dropout in training.
    pub(crate) fn drops_out(&self) -> bool {
        self.programs().any(Program::drops_out)
    }

    fn programs(&self) -> impl Iterator<Item = &Program> {
        let others = self.inputs.iter().chain(&self.prefixes);
        self.outputs.iter().chain(&self.weights).chain(others)
    }
}

/// A linear layer with its site.
#[derive(Debug, Clone)]
pub(super) struct Linear {
    /// `[out_dim, in_dim]`.
    pub weight: ParameterId,
    /// `[out_dim]`.
    pub bias: ParameterId,
    /// The number of columns of the input.
    pub in_dim: usize,
    /// The number of columns of the output.
    pub out_dim: usize,
    /// The method's programs at the layer.
    pub site: Site,
}

impl Linear {
    /// Whether the backward reads the layer's input.
    pub(crate) fn reads_input(&self, parameters: &Parameters) -> bool {
        let site = &self.site;
        self.trains_weight(parameters) || !(site.outputs.is_empty() && site.inputs.is_empty())
    }

    /// Whether the backward computes the gradient of the weight, because it is trained or the
    /// method computes it.
    pub(crate) fn trains_weight(&self, parameters: &Parameters) -> bool {
        parameters.is_trainable(self.weight) || !self.site.weights.is_empty()
    }
}

/// A LayerNorm.
#[derive(Debug, Clone, Copy)]
pub(super) struct Norm {
    /// γ.
    pub weight: ParameterId,
    /// β.
    pub bias: ParameterId,
}

/// The embeddings.
#[derive(Debug, Clone)]
pub(super) struct Embeddings {
    /// `[vocab_size, hidden]`.
    pub word: ParameterId,
    /// `[max_position_embeddings, hidden]`.
    pub position: ParameterId,
    /// `[type_vocab_size, hidden]`.
    pub token_type: ParameterId,
    /// The LayerNorm after their sum.
    pub norm: Norm,
    /// The site after LayerNorm and dropout.
    pub end: Site,
}

/// One Transformer block.
#[derive(Debug, Clone)]
pub(super) struct Block {
    /// Its number, 0 at the input.
    pub number: usize,
    /// Its linear layers.
    pub(crate) linears: PerLinear<Linear>,
    /// The site `attention.self`: additional keys and values.
    pub(crate) key_value: Site,
    /// The site `attention.output`, before the residual sum.
    pub(crate) attention_end: Site,
    /// `attention.output.LayerNorm`.
    pub(crate) attention_norm: Norm,
    /// The site `intermediate`, after the activation.
    pub activation: Site,
    /// The site `output`, before the residual sum.
    pub(crate) output_end: Site,
    /// `output.LayerNorm`.
    pub(crate) output_norm: Norm,
    /// The site of the block's output.
    pub end: Site,
}

impl Block {
    /// Whether the backward reads attention's output.
    pub(crate) fn reads_context(&self, parameters: &Parameters) -> bool {
        self.linears.attention_dense.reads_input(parameters)
    }

    /// Every site of the block.
    pub(super) fn sites(&self) -> impl Iterator<Item = &Site> {
        let ends = [
            &self.key_value,
            &self.attention_end,
            &self.activation,
            &self.output_end,
            &self.end,
        ];
        let linears = self.linears.each().into_iter();
        linears.map(|(_, linear)| &linear.site).chain(ends)
    }

    /// Every parameter that the block's computation reads, including those of the method.
    pub(super) fn parameters(&self) -> Vec<ParameterId> {
        let mut ids = Vec::new();
        for (_, linear) in self.linears.each() {
            ids.extend([linear.weight, linear.bias]);
        }
        for norm in [self.attention_norm, self.output_norm] {
            ids.extend([norm.weight, norm.bias]);
        }
        ids.extend(self.sites().flat_map(Site::parameters));
        distinct(ids)
    }
}

/// A layer of the head.
#[derive(Debug, Clone)]
pub(super) struct HeadLayer {
    /// The layer.
    pub linear: Linear,
    /// Whether dropout applies to its input.
    pub(crate) drops_out: bool,
    /// Whether tanh follows.
    pub tanh: bool,
}

/// The head: the layers between the encoder's rows and the logits.
#[derive(Debug, Clone)]
pub(super) struct Head {
    /// The layers in the order in which they are computed. There is at least one.
    pub layers: Vec<HeadLayer>,
    /// Whether it reads every token's row. Otherwise it reads the first row of each sequence.
    pub every_token: bool,
}

impl Head {
    /// The number of logits in a row.
    pub(super) fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.linear.out_dim)
    }
}

/// The whole model.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// The embeddings.
    pub embeddings: Embeddings,
    /// The blocks, in order from the input.
    pub blocks: Vec<Block>,
    /// The head.
    pub head: Head,
}

impl Layout {
    /// Resolves every name of the model and of the method's rewrites.
    pub(super) fn new(
        config: &ModelConfig,
        head: HeadKind,
        rewrites: &[Rewrite],
        parameters: &Parameters,
    ) -> Result<Self> {
        let mut resolver = Resolver {
            parameters,
            sites: HashMap::new(),
        };
        resolver.compile(rewrites)?;
        let embeddings = Embeddings {
            word: parameters.id("embeddings.word_embeddings.weight")?,
            position: parameters.id("embeddings.position_embeddings.weight")?,
            token_type: parameters.id("embeddings.token_type_embeddings.weight")?,
            norm: resolver.norm("embeddings.LayerNorm")?,
            end: resolver.site("embeddings"),
        };
        let blocks = (0..config.blocks())
            .map(|number| resolver.block(number))
            .collect::<Result<_>>()?;
        let head = resolver.head(config, head)?;
        match resolver.sites.keys().next() {
            Some(site) => Err(Error::Model(format!(
                "the method rewrites {site}, which this model does not run"
            ))),
            None => Ok(Self {
                embeddings,
                blocks,
                head,
            }),
        }
    }
}

struct Resolver<'a> {
    parameters: &'a Parameters,
    sites: HashMap<String, Site>,
}

impl Resolver<'_> {
    fn compile(&mut self, rewrites: &[Rewrite]) -> Result<()> {
        for (number, rewrite) in rewrites.iter().enumerate() {
            let program = Program::new(&rewrite.graph, program_site(number), self.parameters)?;
            let site = self.sites.entry(rewrite.site.to_string()).or_default();
            match rewrite.mode {
                Mode::OUTPUT => site.outputs.push(program),
                Mode::WEIGHT => site.weights.push(program),
                Mode::INPUT => site.inputs.push(program),
                Mode::KV_PREFIX => site.prefixes.push(program),
                other => {
                    return Err(Error::Model(format!(
                        "{}: this version does not run {other} rewrites",
                        rewrite.site
                    )));
                }
            }
        }
        Ok(())
    }

    fn site(&mut self, name: &str) -> Site {
        self.sites.remove(name).unwrap_or_default()
    }

    fn linear(&mut self, module: &str) -> Result<Linear> {
        let weight = self.parameters.id(&format!("{module}.weight"))?;
        let shape = &self.parameters.infos()[weight].shape;
        Ok(Linear {
            weight,
            bias: self.parameters.id(&format!("{module}.bias"))?,
            in_dim: shape[1],
            out_dim: shape[0],
            site: self.site(module),
        })
    }

    fn norm(&self, module: &str) -> Result<Norm> {
        Ok(Norm {
            weight: self.parameters.id(&format!("{module}.weight"))?,
            bias: self.parameters.id(&format!("{module}.bias"))?,
        })
    }

    fn block(&mut self, number: usize) -> Result<Block> {
        let path = format!("encoder.layer.{number}");
        Ok(Block {
            number,
            linears: PerLinear::try_from_fn(|site| {
                self.linear(&format!("{path}.{}", site.module()))
            })?,
            key_value: self.site(&format!("{path}.attention.self")),
            attention_end: self.site(&format!("{path}.attention.output")),
            attention_norm: self.norm(&format!("{path}.attention.output.LayerNorm"))?,
            activation: self.site(&format!("{path}.intermediate")),
            output_end: self.site(&format!("{path}.output")),
            output_norm: self.norm(&format!("{path}.output.LayerNorm"))?,
            end: self.site(&path),
        })
    }

    fn head(&mut self, config: &ModelConfig, head: HeadKind) -> Result<Head> {
        let layers = head_layers(config, head).into_iter();
        let layers = layers.map(|layer| {
            Ok(HeadLayer {
                linear: self.linear(layer.module)?,
                drops_out: layer.drops_out,
                tanh: layer.tanh,
            })
        });
        Ok(Head {
            layers: layers.collect::<Result<_>>()?,
            every_token: head.reads_every_token(),
        })
    }
}
