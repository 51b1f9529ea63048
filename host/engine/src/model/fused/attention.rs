//! The attention sub-layer, steps (1) to (4) of [`super::block`], with its backward. The first two
//! steps belong to attending tasks, which have whole sequences, the other two to feeding tasks.

use super::{
    context::{Backward, BackwardPlace, FeedGradients, FeedTask, Forward, piece},
    key_value_prefix::PrefixRows,
    linear::{LinearRows, LinearTape},
    partials::Partials,
    saved::{AttendTapes, AttendValues, Attended, AttentionOutputTapes, Normalised, Qkv},
    site::{self, Place},
    sub_layer::{EndRows, EndTape},
    tasks::AttendTask,
    weight_gradients::KeptRows,
};
use crate::{
    error::Result,
    model::{
        pass::{BlockMode, Pass},
        scratch::{Buffer, Workspace},
        step::DropoutSite,
    },
};
use progtune_kernels::{
    attention::{self, Sequences},
    gemm::PackedRows,
    matrix::Matrix,
};
use std::ops::Range;

/// The assignment of a task's rows to its sequences.
fn sequences<'a>(pass: &'a Pass<'_>, mode: BlockMode, task: &AttendTask) -> Sequences<'a> {
    let encoder = &pass.config.encoder;
    let offsets = task.sequences.start..task.sequences.end + 1;
    Sequences {
        heads: encoder.num_attention_heads,
        head_dim: encoder.hidden_size / encoder.num_attention_heads,
        query_offsets: &pass.query_offsets(mode)[offsets.clone()],
        key_offsets: &pass.batch.offsets[offsets],
    }
}

impl Forward<'_> {
    /// Steps (1) and (2). `x` are the task's rows, and `x_query` those that are computed. Returns
    /// c.
    pub(super) fn attend<'r>(
        &self,
        task: &AttendTask,
        x: &[f32],
        x_query: &[f32],
        out: Attended<&'r mut [f32]>,
        workspace: &mut Workspace,
    ) -> Result<(&'r [f32], AttendTapes)> {
        let (linears, pass, h) = (&self.ready.linears, self.pass, self.hidden);
        let all_keys = &pass.batch.row_keys[task.rows.clone()];
        let keys = &pass.row_keys(self.mode)[task.computed.clone()];
        // (1) q = query(x), k = key(x), v = value(x), which share the packed form of x.
        let mut packed = std::mem::take(&mut workspace.more_rows);
        packed.pack(Matrix::new(x, x.len() / h, h));
        let place = &mut self.place(all_keys, workspace);
        let k = linears.key.forward(out.qkv.k, x, &packed, place)?;
        let v = linears.value.forward(out.qkv.v, x, &packed, place)?;
        if self.mode.first_only {
            packed.pack(Matrix::new(x_query, x_query.len() / h, h));
        }
        let place = &mut self.place(keys, workspace);
        let q = linears.query.forward(out.qkv.q, x_query, &packed, place)?;
        workspace.more_rows = packed;
        // (2) c = attention(q, k, v)
        let drop = pass.dropout(
            pass.config.attention_dropout,
            DropoutSite::Attention(self.ready.number),
            keys,
            self.mode.dropout,
        );
        let prefix = self.ready.prefix.as_ref().map(PrefixRows::values);
        attention::forward(
            out.context,
            out.log_sum_exp,
            attention::Qkv {
                q: out.qkv.q,
                k: out.qkv.k,
                v: out.qkv.v,
                prefix: prefix.as_deref().map(|rows| attention::Prefix { rows }),
            },
            sequences(pass, self.mode, task),
            drop.as_ref(),
            &mut workspace.attention,
        );
        Ok((out.context, Qkv { q, k, v }))
    }

    /// Steps (3) and (4) for the computed rows `range`: writes h. `x` is their residual.
    pub(super) fn attention_output(
        &self,
        range: &Range<usize>,
        (context, x): (&[f32], &[f32]),
        h: &mut [f32],
        out: Normalised<&mut [f32]>,
        packed: &mut PackedRows,
        place: &mut Place<'_, '_>,
    ) -> Result<AttentionOutputTapes> {
        // (3) a = attention_dense(c)
        packed.pack(Matrix::new(context, range.len(), self.hidden));
        let layer = &self.ready.linears.attention_dense;
        let dense = layer.forward(out.x_hat, context, packed, place)?;
        // (4) h = LN(x + programs(dropout(a)))
        let rows = EndRows {
            y: h,
            dense: out.x_hat,
            rstd: out.rstd,
            residual: x,
        };
        let end = self.end(self.ready.attention_end(), range, rows, place)?;
        Ok(AttentionOutputTapes { dense, end })
    }
}

/// The gradients at an attending task.
pub(super) struct AttendGradients<'d> {
    /// That of c, `[computed rows, hidden]`.
    pub d_context: &'d [f32],
    /// The gradient that reaches the computed rows of x through the residual sums.
    pub d_rows: &'d [f32],
    /// Receives the gradient of x, `[rows, hidden]`, if it is wanted.
    pub d_x: Option<&'d mut [f32]>,
}

impl Backward<'_> {
    /// Undoes steps (4) and (3). `d` comes in as the gradient of h and leaves as that of x through
    /// the residual sum; that of c is written.
    pub(super) fn attention_output_backward(
        &self,
        task: &FeedTask<'_>,
        gradients: &mut FeedGradients<'_>,
        kept: &mut KeptRows<'_>,
        at: &mut BackwardPlace<'_, '_, '_>,
    ) -> Result<()> {
        let (r, values, tapes) = (self.ready, &task.values, &task.tapes.attention_output);
        let mut own = None;
        let kept_a = kept.d_outputs.attention_dense.take();
        let (d_a, kept_a) = piece(
            kept_a,
            &mut own,
            task.rows.len() * self.hidden,
            self.scratch,
        );
        // Undoes (4), h = LN(x + programs(dropout(a))).
        let tape = EndTape {
            normalised: &values.fed.attention,
            programs: &tapes.end,
            residual: values.x,
        };
        self.end_backward(r.attention_end(), task.rows, tape, gradients.d, d_a, at)?;
        // Undoes (3), a = attention_dense(c).
        let rows = LinearRows {
            x: values.context,
            d_x: Some((gradients.d_context, false)),
            kept: kept_a,
            multiplied: kept.multiplied.attention_dense.take(),
        };
        let layer = &r.linears.attention_dense;
        layer.backward(&tapes.dense, d_a, rows, at.partials, &mut at.place)
    }

    /// Undoes steps (2) and (1): from attention's output to the block's input.
    pub(super) fn attention_backward(
        &self,
        i: usize,
        task: &AttendTask,
        values: AttendValues<'_>,
        gradients: AttendGradients<'_>,
        mut kept: KeptRows<'_>,
        (partials, workspace): (&mut Partials<'_>, &mut Workspace),
    ) -> Result<()> {
        let (linears, h) = (&self.ready.linears, self.hidden);
        let tapes = &self.tape.attend_tapes[i];
        let (computed, all) = (task.computed.len() * h, task.rows.len() * h);
        let mut own: Qkv<Option<Buffer>> = Qkv::default();
        let outputs = &mut kept.d_outputs;
        let (q, kept_q) = piece(outputs.query.take(), &mut own.q, computed, self.scratch);
        let (k, kept_k) = piece(outputs.key.take(), &mut own.k, all, self.scratch);
        let (v, kept_v) = piece(outputs.value.take(), &mut own.v, all, self.scratch);
        let mut d_qkv = Qkv { q, k, v };
        let AttendGradients {
            d_context,
            d_rows,
            mut d_x,
        } = gradients;
        // Undoes (2), c = attention(q, k, v).
        self.scores_backward(task, &values, d_context, &mut d_qkv, partials, workspace);
        // Undoes (1), q = query(x).
        let rows = LinearRows {
            x: values.x_query,
            d_x: None,
            kept: kept_q,
            multiplied: kept.multiplied.query.take(),
        };
        let keys = &self.pass.row_keys(self.mode())[task.computed.clone()];
        let at = &mut BackwardPlace {
            partials,
            place: self.place(keys, workspace),
        };
        let d_x_query = d_x.as_deref_mut();
        self.query_backward(task, &tapes.q, d_qkv.q, rows, (d_rows, d_x_query), at)?;
        // Undoes (1), k = key(x).
        let x = values.x;
        let all_keys = &self.pass.batch.row_keys[task.rows.clone()];
        let place = &mut self.place(all_keys, workspace);
        let rows = LinearRows {
            x,
            d_x: d_x.as_deref_mut().map(|d_x| (d_x, true)),
            kept: kept_k,
            multiplied: kept.multiplied.key.take(),
        };
        let layer = &linears.key;
        layer.backward(&tapes.k, d_qkv.k, rows, partials, place)?;
        // Undoes (1), v = value(x).
        let rows = LinearRows {
            x,
            d_x: d_x.map(|d_x| (d_x, true)),
            kept: kept_v,
            multiplied: kept.multiplied.value.take(),
        };
        let layer = &linears.value;
        layer.backward(&tapes.v, d_qkv.v, rows, partials, place)
    }

    /// Undoes step (2): writes the gradients of q, k and v.
    fn scores_backward(
        &self,
        task: &AttendTask,
        values: &AttendValues<'_>,
        d_context: &[f32],
        d_qkv: &mut Qkv<&mut [f32]>,
        partials: &mut Partials<'_>,
        workspace: &mut Workspace,
    ) {
        let (r, mode) = (self.ready, self.mode());
        let keys = &self.pass.row_keys(mode)[task.computed.clone()];
        let p = self.pass.config.attention_dropout;
        let site = DropoutSite::Attention(r.number);
        let drop = self.pass.dropout(p, site, keys, mode.dropout);
        let prefix = r.prefix.as_ref().map(PrefixRows::values);
        attention::backward(
            attention::QkvGradients {
                d_q: d_qkv.q,
                d_k: d_qkv.k,
                d_v: d_qkv.v,
                d_prefix: r.prefix.as_ref().and_then(|prefix| prefix.sum(partials)),
            },
            d_context,
            attention::Qkv {
                q: values.qkv.q,
                k: values.qkv.k,
                v: values.qkv.v,
                prefix: prefix.as_deref().map(|rows| attention::Prefix { rows }),
            },
            values.log_sum_exp,
            sequences(self.pass, mode, task),
            drop.as_ref(),
            &mut workspace.attention,
        );
    }

    /// Undoes q = query(x). `d_rows` reaches the computed rows of x through the residual sums; the
    /// gradient of x is written to `d_x`, if that is wanted.
    fn query_backward(
        &self,
        task: &AttendTask,
        tape: &LinearTape,
        d_q: &mut [f32],
        rows: LinearRows<'_>,
        (d_rows, d_x): (&[f32], Option<&mut [f32]>),
        at: &mut BackwardPlace<'_, '_, '_>,
    ) -> Result<()> {
        let (layer, h) = (&self.ready.linears.query, self.hidden);
        let Some(d_x) = d_x else {
            return layer.backward(tape, d_q, rows, at.partials, &mut at.place);
        };
        if !self.mode().first_only {
            d_x.copy_from_slice(d_rows);
            let rows = LinearRows {
                d_x: Some((d_x, true)),
                ..rows
            };
            return layer.backward(tape, d_q, rows, at.partials, &mut at.place);
        }
        // Only first tokens have a query; their gradients go to their rows of x.
        let mut d_first = self.scratch.copy(d_rows);
        let rows = LinearRows {
            d_x: Some((&mut d_first, true)),
            ..rows
        };
        layer.backward(tape, d_q, rows, at.partials, &mut at.place)?;
        d_x.fill(0.0);
        let tokens = &self.pass.batch.first_tokens()[task.sequences.clone()];
        for (&token, d) in tokens.iter().zip(d_first.chunks(h)) {
            let row = token as usize - task.rows.start;
            site::add(&mut d_x[row * h..(row + 1) * h], d);
        }
        Ok(())
    }
}
