//! One Transformer block (Hugging Face's `BertLayer`) of the fused path, with everything that one
//! pass over it needs. [`super::forward`] and [`super::backward`] run it.
//!
//! The steps of a block, with x for its input and `LN` for LayerNorm. Code refers to them by
//! number, and each step of the backward names the step that it undoes.
//!
//! | step | computes | in |
//! |---|---|---|
//! | (1) | q = query(x), k = key(x), v = value(x) | [`super::attention`] |
//! | (2) | c = attention(q, k, v) | [`super::attention`] |
//! | (3) | a = attention_dense(c) | [`super::attention`] |
//! | (4) | h = LN(x + programs(dropout(a))) | [`super::sub_layer`] |
//! | (5) | u = intermediate(h) | [`super::feed_forward`] |
//! | (6) | g = programs(activation(u)) | [`super::feed_forward`] |
//! | (7) | o = output(g) | [`super::feed_forward`] |
//! | (8) | y = LN(h + programs(dropout(o))) | [`super::sub_layer`] |
//! | (9) | y = programs(y) | [`super::forward`] |
//!
//! A block's work is cut into tasks (see [`super::tasks`]). To *attend* is to compute (1) and (2)
//! for some sequences. To *feed* is to compute the remaining steps, in which rows are independent.
//! In most blocks, a task does both for its rows. A block that computes first tokens only has few
//! rows left to feed, which are shared out again.

use super::{
    key_value_prefix::PrefixRows,
    linear::{ReadyLinear, RewrittenWeight},
    partials::Target,
    site::{self, ReadyProgram},
};
use crate::{
    error::Result,
    model::{
        gradients::Gradients,
        layout::{Block, Norm, Site},
        parameters::{HostSlice, Parameters},
        pass::{BlockMode, Pass},
        per_linear::PerLinear,
        scratch::{Buffer, Direction, Scratch},
        step::DropoutSite,
    },
};
use progtune_kernels::timed;

/// The weights that the method computes.
pub(super) type Rewritten = PerLinear<Option<RewrittenWeight>>;

/// A LayerNorm with its values.
pub(super) struct ReadyNorm<'a> {
    pub norm: Norm,
    pub gamma: HostSlice<'a>,
    pub beta: HostSlice<'a>,
}

impl<'a> ReadyNorm<'a> {
    pub(super) fn new(norm: Norm, parameters: &'a Parameters) -> Self {
        Self {
            norm,
            gamma: parameters.host(norm.weight),
            beta: parameters.host(norm.bias),
        }
    }
}

/// The end of a sub-layer.
pub(super) struct SubLayerEnd<'a> {
    pub programs: &'a [ReadyProgram<'a>],
    pub norm: &'a ReadyNorm<'a>,
    pub site: DropoutSite,
}

/// A block with everything that one pass over it reads.
pub(super) struct ReadyBlock<'a> {
    pub number: usize,
    pub linears: PerLinear<ReadyLinear<'a>>,
    pub prefix: Option<PrefixRows>,
    attention_end: Vec<ReadyProgram<'a>>,
    pub attention_norm: ReadyNorm<'a>,
    pub activation: Vec<ReadyProgram<'a>>,
    output_end: Vec<ReadyProgram<'a>>,
    output_norm: ReadyNorm<'a>,
    pub end: Vec<ReadyProgram<'a>>,
}

impl<'a> ReadyBlock<'a> {
    /// Packs the block for one direction.
    pub(super) fn new(
        block: &'a Block,
        rewritten: &Rewritten,
        pass: &'a Pass<'_>,
        scratch: &'a Scratch,
        mode: BlockMode,
        direction: Direction,
    ) -> Result<Self> {
        timed!("pack weights");
        let p: &Parameters = pass.parameters;
        let backward = direction == Direction::Backward;
        let linears = PerLinear::try_from_fn(|site| {
            // In the backward, query, key and value multiply only to reach the block's input.
            let multiplies = !backward || !site.feeds_attention() || mode.input_gradient;
            let (layer, rewritten) = (&block.linears[site], rewritten[site].as_ref());
            ReadyLinear::new(layer, rewritten, pass, scratch, direction, multiplies)
        })?;
        let norm = |norm: Norm| ReadyNorm::new(norm, p);
        let prepare = |site: &'a Site| site::prepare(&site.outputs, p, scratch, backward);
        Ok(Self {
            number: block.number,
            linears,
            prefix: PrefixRows::of(&block.key_value, pass)?,
            attention_end: prepare(&block.attention_end)?,
            attention_norm: norm(block.attention_norm),
            activation: prepare(&block.activation)?,
            output_end: prepare(&block.output_end)?,
            output_norm: norm(block.output_norm),
            end: prepare(&block.end)?,
        })
    }

    /// Step (4).
    pub(super) fn attention_end(&self) -> SubLayerEnd<'_> {
        SubLayerEnd {
            programs: &self.attention_end,
            norm: &self.attention_norm,
            site: DropoutSite::AttentionOutput(self.number),
        }
    }

    /// Step (8).
    pub(super) fn output_end(&self) -> SubLayerEnd<'_> {
        SubLayerEnd {
            programs: &self.output_end,
            norm: &self.output_norm,
            site: DropoutSite::Output(self.number),
        }
    }

    /// Takes the gradients of everything but parameters, added up over all tasks, back to the
    /// parameters.
    pub(super) fn derived_backward(
        &self,
        block: &Block,
        sums: &[(Target, Buffer)],
        pass: &Pass<'_>,
        gradients: &mut Gradients,
    ) -> Result<()> {
        if sums.is_empty() {
            return Ok(());
        }
        if let Some(prefix) = &self.prefix {
            prefix.backward(&block.key_value, sums, pass, gradients)?;
        }
        let linears = self.linears.each().into_iter();
        let linears = linears.flat_map(|(_, linear)| linear.programs());
        let ends = [
            &self.attention_end,
            &self.activation,
            &self.output_end,
            &self.end,
        ];
        for program in linears.chain(ends.into_iter().flatten()) {
            program.derived_backward(sums, pass.parameters, gradients)?;
        }
        Ok(())
    }

    /// Whether the backward reads h, the rows between the sub-layers.
    pub(super) fn reads_hidden(&self, parameters: &Parameters) -> bool {
        let intermediate = self.linears.intermediate.layer;
        intermediate.reads_input(parameters) || !self.output_end.is_empty()
    }
}

/// The weights that the method computes for this pass.
pub(super) fn rewrite_weights(
    block: &Block,
    pass: &Pass<'_>,
    mode: BlockMode,
) -> Result<Rewritten> {
    let rows = pass.row_context(pass.row_keys(mode), mode.dropout);
    PerLinear::try_from_fn(|site| {
        RewrittenWeight::of(&block.linears[site], pass, rows, mode.record)
    })
}
