//! One Transformer block on the device. The steps are those of [`crate::model::fused`]'s blocks and
//! have the same numbers, (1) to (9); each step of the backward names the step that it undoes.

use super::{
    linear::{self, LinearTape},
    pass::Pass,
    program::{self, Place, SiteTape},
};
use crate::model::lane::{
    arena::Room,
    queue::Address,
    rows::{Lane, Rows},
};
use crate::{
    error::Result,
    model::{
        key_value_prefix::key_value_prefix_of,
        layout::{Block, Norm, Site},
        pass::BlockMode,
        step::DropoutSite,
    },
};
use candle_core::Tensor;
use progtune_kernels::cuda::{self, Arguments, AttentionArgument, DropoutArgument};

/// The values that a LayerNorm leaves behind: its normalised rows and their reciprocal deviations.
pub(super) struct Normalised {
    pub x_hat: Rows,
    pub rstd: Room,
}

/// The values that a sub-layer's end leaves behind.
pub(super) struct EndTape {
    pub normalised: Normalised,
    pub programs: Vec<SiteTape>,
}

/// Everything that the backward of a block needs.
pub(super) struct BlockTape {
    pub mode: BlockMode,
    pub x: Rows,
    /// The first token's row of each sequence, in a block that computes no other.
    pub first: Option<Rows>,
    pub q: Rows,
    pub k: Rows,
    pub v: Rows,
    pub prefix: Option<Prefix>,
    pub log_sum_exp: Room,
    pub context: Rows,
    pub attention_end: EndTape,
    pub u: Rows,
    pub output_end: EndTape,
    pub linears: [LinearTape; 6],
    pub activation: Vec<SiteTape>,
    pub end: Vec<SiteTape>,
}

/// The key/value prefix of a block: the tensor that candle made, and its rows as activations.
pub(super) struct Prefix {
    pub tensor: Tensor,
    pub rows: Rows,
}

/// A block in one pass.
pub(super) struct Run<'a> {
    pub block: &'a Block,
    pub pass: &'a Pass<'a>,
    pub mode: BlockMode,
    pub lane: &'a Lane,
}

/// The block's output, `[rows, hidden]`, for its input `x`, `[T, hidden]`; with `mode.record` with
/// the tape for [`backward`].
pub(super) fn forward(
    block: &Block,
    x: Rows,
    pass: &Pass<'_>,
    mode: BlockMode,
) -> Result<(Rows, Option<BlockTape>)> {
    let run = Run {
        block,
        pass,
        mode,
        lane: pass.lane(),
    };
    run.forward(x)
}

impl<'a> Run<'a> {
    /// The place of rows that are computed for all tokens.
    pub(super) fn everywhere(&self) -> Place<'a> {
        self.place((self.pass.device.row_keys, &self.pass.batch.row_keys))
    }

    /// The place of the computed rows.
    pub(super) fn computed(&self) -> Place<'a> {
        self.place(self.pass.row_keys(self.mode))
    }

    fn place(&self, keys: (Address, &'a [u64])) -> Place<'a> {
        Place {
            pass: self.pass,
            keys,
            drop: self.mode.dropout,
            record: self.mode.record,
            lane: self.lane,
        }
    }

    fn forward(&self, x: Rows) -> Result<(Rows, Option<BlockTape>)> {
        let (block, pass, lane, mode) = (self.block, self.pass, self.lane, self.mode);
        let linears = &block.linears;
        let first = if mode.first_only {
            let n = pass.batch.sequences();
            Some(lane.gather(&x, pass.device.offsets, n)?)
        } else {
            None
        };
        let residual = first.as_ref().unwrap_or(&x);
        // (1) q = query(x), k = key(x), v = value(x)
        let (q, query) = linear::forward(&linears.query, residual, true, self.computed())?;
        let (k, key) = linear::forward(&linears.key, &x, true, self.everywhere())?;
        let (v, value) = linear::forward(&linears.value, &x, true, self.everywhere())?;
        // (2) c = attention(q, k, v)
        let prefix = self.prefix()?;
        let context = lane.rows(q.n, q.columns)?;
        let log_sum_exp = lane.floats(q.n * self.heads())?;
        let argument = self.attention((&q, &k, &v), prefix.as_ref());
        let arguments = Arguments::default()
            .attention(&argument)
            .address(context.address())
            .address(log_sum_exp.address());
        self.launch_attention("attention_forward", self.queries(), arguments)?;
        // (3) a = attention_dense(c)
        let (a, dense) =
            linear::forward(&linears.attention_dense, &context, true, self.computed())?;
        // (4) h = LN(x + programs(dropout(a)))
        let site = DropoutSite::AttentionOutput(block.number);
        let end = (&block.attention_end, block.attention_norm, site);
        let (h, attention_end) = self.end(end, a, residual)?;
        // (5) u = intermediate(h), whose bias (6) adds unless programs read it
        let is_plain = linears.intermediate.site.outputs.is_empty();
        let (u, intermediate) =
            linear::forward(&linears.intermediate, &h, !is_plain, self.computed())?;
        // (6) g = programs(activation(u))
        let bias = if is_plain {
            pass.value(linears.intermediate.bias)?
        } else {
            0
        };
        let g = lane.rows(u.n, u.columns)?;
        lane.bias_activation(&u, bias, Some(&g), pass.config.activation)?;
        let others = [Some(&h), None];
        let (g, activation) =
            program::forward(&block.activation.outputs, g, others, self.computed())?;
        // (7) o = output(g)
        let (o, output) = linear::forward(&linears.output, &g, true, self.computed())?;
        // (8) y = LN(h + programs(dropout(o)))
        let site = DropoutSite::Output(block.number);
        let (y, output_end) = self.end((&block.output_end, block.output_norm, site), o, &h)?;
        // (9) y = programs(y)
        let (y, end) = program::forward(
            &block.end.outputs,
            y,
            [Some(residual), None],
            self.computed(),
        )?;
        let tape = BlockTape {
            mode,
            first,
            x,
            q,
            k,
            v,
            prefix,
            log_sum_exp,
            context,
            attention_end,
            u,
            output_end,
            linears: [query, key, value, dense, intermediate, output],
            activation,
            end,
        };
        Ok((y, mode.record.then_some(tape)))
    }

    /// The end of a sub-layer, steps (4) and (8): `LN(residual + programs(dropout(x)))`.
    fn end(
        &self,
        (site, norm, dropout): (&Site, Norm, DropoutSite),
        x: Rows,
        residual: &Rows,
    ) -> Result<(Rows, EndTape)> {
        let (lane, pass) = (self.lane, self.pass);
        let mut mask = self.hidden_dropout(dropout);
        let (mut x, mut tapes) = (x, Vec::new());
        if !site.outputs.is_empty() {
            // The programs see the rows after dropout, so it cannot be fused with the sum here.
            lane.drop_out(&x, mask)?;
            mask = DropoutArgument::NONE;
            let others = [Some(residual), Some(residual)];
            (x, tapes) = program::forward(&site.outputs, x, others, self.computed())?;
        }
        let (y, rstd) = (lane.rows(x.n, x.columns)?, lane.floats(x.n)?);
        let arguments = Arguments::default()
            .address(x.address())
            .address(residual.address())
            .address(pass.value(norm.weight)?)
            .address(pass.value(norm.bias)?)
            .address(y.address())
            .address(x.address())
            .address(rstd.address())
            .size(x.n)
            .size(x.columns)
            .f32(pass.config.encoder.layer_norm_eps as f32)
            .dropout(mask);
        let launch = cuda::rows(x.n, x.columns, lane.number);
        lane.launch_typed("layer_norm_forward", launch, arguments)?;
        let normalised = Normalised { x_hat: x, rstd };
        let tape = EndTape {
            normalised,
            programs: tapes,
        };
        Ok((y, tape))
    }

    pub(super) fn hidden_dropout(&self, site: DropoutSite) -> DropoutArgument {
        let keys = self.pass.row_keys(self.mode).0;
        let p = self.pass.config.encoder.hidden_dropout_prob;
        self.pass.dropout(p, site, keys, self.mode.dropout)
    }

    pub(super) fn heads(&self) -> usize {
        self.pass.config.encoder.num_attention_heads
    }

    pub(super) fn head_dim(&self) -> usize {
        self.pass.config.encoder.hidden_size / self.heads()
    }

    fn prefix(&self) -> Result<Option<Prefix>> {
        let tensor = key_value_prefix_of(&self.block.key_value, self.pass.parameters)?;
        let prefix = tensor.map(|tensor| {
            let rows = self.lane.rows_of(&tensor)?;
            Ok(Prefix { tensor, rows })
        });
        prefix.transpose()
    }

    /// The rows that attention reads.
    pub(super) fn attention(
        &self,
        (q, k, v): (&Rows, &Rows, &Rows),
        prefix: Option<&Prefix>,
    ) -> AttentionArgument {
        let (pass, device) = (self.pass, &self.pass.device);
        let keys = pass.row_keys(self.mode).0;
        let site = DropoutSite::Attention(self.block.number);
        AttentionArgument {
            q: q.address(),
            k: k.address(),
            v: v.address(),
            prefix: prefix.map_or(0, |prefix| prefix.rows.address()),
            query_offsets: if self.mode.first_only {
                device.first_offsets
            } else {
                device.offsets
            },
            key_offsets: device.offsets,
            q_stride: q.columns as u32,
            kv_stride: k.columns as u32,
            n_prefix: prefix.map_or(0, |prefix| prefix.rows.n as u32),
            head_dim: self.head_dim() as u32,
            window: -1,
            unused: 0,
            dropout: pass.dropout(pass.config.attention_dropout, site, keys, self.mode.dropout),
        }
    }

    /// The launch of attention over queries.
    pub(super) fn queries(&self) -> cuda::Launch {
        let longest = if self.mode.first_only {
            1
        } else {
            self.pass.device.longest
        };
        let sequences = self.pass.batch.sequences();
        let (heads, size) = (self.heads(), self.head_dim());
        cuda::attention_queries(longest, heads, sequences, size, self.lane.number)
    }

    /// Launches a kernel of attention, whose name ends in the size of its heads.
    pub(super) fn launch_attention(
        &self,
        kernel: &str,
        launch: cuda::Launch,
        arguments: Arguments,
    ) -> Result<()> {
        let size = cuda::attention_head(self.head_dim()).unwrap_or(128);
        let name = format!("{kernel}_{}_{size}", self.lane.number.suffix());
        self.lane.launch_named(&name, launch, arguments)
    }
}
