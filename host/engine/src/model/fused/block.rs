//! One Transformer block (Hugging Face's `BertLayer`) of the fused path: what a pass over it needs, and its tape.
//!
//! [`super::forward`] and [`super::backward`] take it from there. A block's work is cut into tasks (see
//! [`super::groups`]): *attend* is query, key, value and attention of some sequences, *feed* everything after, which
//! sees rows only. In most blocks a task does both for its rows; in a block that computes first tokens only there are
//! few rows left to feed, and they are shared out anew.

use super::{
    groups::{groups, row_groups},
    linear::{LinearTape, ReadyLinear, RewrittenWeight},
    partials::Target,
    prefix::PrefixRows,
    site::{self, ReadyProgram, SiteTape},
};
use crate::{
    error::Result,
    model::{
        gradients::Gradients,
        layout::{Block, Norm, Site},
        parameters::{HostSlice, Parameters},
        pass::{BlockMode, Pass},
        scratch::{Buffer, Direction, Scratch},
        step::DropoutSite,
    },
};
use candle_core::Tensor;
use progtune_kernels::{attention::Sequences, dropout::Dropout};
use std::ops::Range;

/// What the backward of a block needs. `[T, …]` for keys and values, the computed rows for the rest.
pub struct BlockTape {
    pub(super) mode: BlockMode,
    pub(super) x: Tensor,
    pub(super) first_rows: Option<Buffer>,
    pub(super) attended: Attended,
    pub(super) fed: Fed,
    pub(super) attend_tapes: Vec<AttendTapes>,
    pub(super) feed_tapes: Vec<FeedTapes>,
    pub(super) rewritten: Rewritten,
}

/// Weights the method computes, in the order of [`Block::linears`].
pub type Rewritten = [Option<RewrittenWeight>; 6];

/// What attending leaves behind.
pub struct Attended {
    pub q: Buffer,
    pub k: Buffer,
    pub v: Buffer,
    pub log_sum_exp: Buffer,
    pub context: Buffer,
}

/// What feeding leaves behind: the two LayerNorms' normalised rows and reciprocal deviations, and the intermediate
/// rows before the activation.
pub struct Fed {
    pub attention_x_hat: Buffer,
    pub attention_rstd: Buffer,
    pub u: Buffer,
    pub output_x_hat: Buffer,
    pub output_rstd: Buffer,
}

/// Tapes of the programs at one task's attending part.
pub struct AttendTapes {
    pub query: LinearTape,
    pub key: LinearTape,
    pub value: LinearTape,
}

/// Tapes of the programs at one task's feeding part.
pub struct FeedTapes {
    pub attention_dense: LinearTape,
    pub attention_end: Vec<SiteTape>,
    pub intermediate: LinearTape,
    pub activation: Vec<SiteTape>,
    pub output: LinearTape,
    pub output_end: Vec<SiteTape>,
    pub end: Vec<SiteTape>,
}

/// A LayerNorm's numbers.
pub struct ReadyNorm<'a> {
    pub norm: Norm,
    pub gamma: HostSlice<'a>,
    pub beta: HostSlice<'a>,
}

/// A block with everything one pass over it reads.
pub struct ReadyBlock<'a> {
    pub number: usize,
    pub query: ReadyLinear<'a>,
    pub key: ReadyLinear<'a>,
    pub value: ReadyLinear<'a>,
    pub prefix: Option<PrefixRows>,
    pub attention_dense: ReadyLinear<'a>,
    pub attention_end: Vec<ReadyProgram<'a>>,
    pub attention_norm: ReadyNorm<'a>,
    pub intermediate: ReadyLinear<'a>,
    pub activation: Vec<ReadyProgram<'a>>,
    pub output: ReadyLinear<'a>,
    pub output_end: Vec<ReadyProgram<'a>>,
    pub output_norm: ReadyNorm<'a>,
    pub end: Vec<ReadyProgram<'a>>,
}

impl<'a> ReadyBlock<'a> {
    /// Packs the block for one direction.
    pub fn new(
        block: &'a Block,
        rewritten: &Rewritten,
        pass: &'a Pass<'_>,
        scratch: &'a Scratch,
        mode: BlockMode,
        direction: Direction,
    ) -> Result<Self> {
        let p: &Parameters = pass.parameters;
        let linears = block.linears();
        let backward = direction == Direction::Backward;
        let linear = |at: usize| {
            // On the way back the first three only multiply to reach the block's input.
            let multiplies = !backward || at > 2 || mode.input_gradient;
            let rewritten = rewritten[at].as_ref();
            ReadyLinear::new(linears[at], rewritten, pass, scratch, direction, multiplies)
        };
        let norm = |norm: Norm| ReadyNorm {
            norm,
            gamma: p.host(norm.weight),
            beta: p.host(norm.bias),
        };
        let prepare = |site: &'a Site| site::prepare(&site.outputs, p, scratch, backward);
        Ok(Self {
            number: block.number,
            query: linear(0)?,
            key: linear(1)?,
            value: linear(2)?,
            prefix: PrefixRows::of(&block.key_value, pass)?,
            attention_dense: linear(3)?,
            attention_end: prepare(&block.attention_end)?,
            attention_norm: norm(block.attention_norm),
            intermediate: linear(4)?,
            activation: prepare(&block.activation)?,
            output: linear(5)?,
            output_end: prepare(&block.output_end)?,
            output_norm: norm(block.output_norm),
            end: prepare(&block.end)?,
        })
    }

    /// Takes what the tasks added up for anything but parameters back to these.
    pub fn derived_backward(
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
        let linears = (0..6).flat_map(|at| self.linear(at).programs());
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

    /// A linear layer by its place in [`Block::linears`].
    pub fn linear(&self, at: usize) -> &ReadyLinear<'a> {
        [
            &self.query,
            &self.key,
            &self.value,
            &self.attention_dense,
            &self.intermediate,
            &self.output,
        ][at]
    }

    /// Whether the backward reads the rows between the sub-layers.
    pub fn reads_hidden(&self, parameters: &Parameters) -> bool {
        self.intermediate.layer.reads_input(parameters) || !self.output_end.is_empty()
    }
}

/// How a pass over a block is cut into tasks.
pub struct Tasks {
    /// Sequences, all rows and computed rows of each attending task.
    pub attend: Vec<AttendTask>,
    /// Computed rows of each feeding task; those of the attending ones unless first tokens only are computed.
    pub feed: Vec<Range<usize>>,
}

/// The rows of an attending task.
#[derive(Clone)]
pub struct AttendTask {
    pub sequences: Range<usize>,
    /// Rows of keys and values.
    pub rows: Range<usize>,
    /// Rows of queries, and of everything after.
    pub computed: Range<usize>,
}

impl Tasks {
    /// The tasks of a batch.
    pub fn new(pass: &Pass<'_>, mode: BlockMode) -> Self {
        let attend: Vec<AttendTask> = groups(&pass.batch.offsets)
            .into_iter()
            .map(|group| AttendTask {
                computed: match mode.first_only {
                    true => group.sequences.clone(),
                    false => group.rows.clone(),
                },
                sequences: group.sequences,
                rows: group.rows,
            })
            .collect();
        let feed = match mode.first_only {
            true => row_groups(pass.batch.sequences()),
            false => attend.iter().map(|task| task.computed.clone()).collect(),
        };
        Self { attend, feed }
    }
}

/// What attention must know of a task's sequences.
pub fn sequences<'a>(pass: &'a Pass<'_>, mode: BlockMode, task: &AttendTask) -> Sequences<'a> {
    let encoder = &pass.config.encoder;
    let offsets = task.sequences.start..task.sequences.end + 1;
    Sequences {
        heads: encoder.num_attention_heads,
        head_dim: encoder.hidden_size / encoder.num_attention_heads,
        query_offsets: &pass.query_offsets(mode)[offsets.clone()],
        key_offsets: &pass.batch.offsets[offsets],
    }
}

/// The dropout of a place for some of the computed rows.
pub fn dropout<'a>(
    pass: &'a Pass<'_>,
    p: f64,
    site: DropoutSite,
    rows: &Range<usize>,
    mode: BlockMode,
) -> Option<Dropout<'a>> {
    let keys = &pass.row_keys(mode)[rows.clone()];
    pass.dropout(p, site, keys, mode.dropout)
}

/// The weights the method computes for this pass.
pub fn rewrite_weights(block: &Block, pass: &Pass<'_>, mode: BlockMode) -> Result<Rewritten> {
    let rows = pass.row_context(pass.row_keys(mode), mode.dropout);
    let mut rewritten: Rewritten = Default::default();
    for (slot, layer) in rewritten.iter_mut().zip(block.linears()) {
        *slot = RewrittenWeight::of(layer, pass, rows, mode.record)?;
    }
    Ok(rewritten)
}
