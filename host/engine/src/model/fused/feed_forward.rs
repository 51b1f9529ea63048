//! The feed-forward sub-layer, steps (5) to (8) of [`super::block`], with its backward. Rows are
//! independent in it.

use super::{
    context::{Backward, BackwardPlace, FeedTask, Forward, add_all, piece},
    linear::LinearRows,
    saved::{FeedForwardTapes, Normalised},
    site::{self, Place},
    sub_layer::{EndRows, EndTape},
    weight_gradients::KeptRows,
};
use crate::{error::Result, model::scratch::Buffer};
use progtune_kernels::{activation, bf16::narrow, gemm::PackedRows, matrix::Matrix};
use std::ops::Range;

/// The rows that the feed-forward sub-layer of a task writes.
pub(super) struct FeedForwardRows<'r> {
    pub u: &'r mut [f32],
    pub output: Normalised<&'r mut [f32]>,
    pub y: &'r mut [f32],
}

impl Forward<'_> {
    /// Steps (5) to (8) for the computed rows `range`, from their h to y.
    pub(super) fn feed_forward(
        &self,
        range: &Range<usize>,
        h: &[f32],
        out: FeedForwardRows<'_>,
        packed: &mut PackedRows,
        place: &mut Place<'_, '_>,
    ) -> Result<FeedForwardTapes> {
        let linears = &self.ready.linears;
        // (5) u = intermediate(h)
        packed.pack(Matrix::new(h, range.len(), self.hidden));
        let intermediate = linears.intermediate.forward(out.u, h, packed, place)?;
        // (6) g = programs(activation(u))
        let mut g: Buffer = self.scratch.take(out.u.len());
        activation::forward(&mut g, out.u, self.pass.config.activation);
        let activation = site::forward(&self.ready.activation, &mut g, [out.u, &[]], place)?;
        // (7) o = output(g)
        packed.pack(Matrix::new(&g, range.len(), self.inner()));
        let output = linears
            .output
            .forward(out.output.x_hat, &g, packed, place)?;
        // (8) y = LN(h + programs(dropout(o)))
        let rows = EndRows {
            y: out.y,
            dense: out.output.x_hat,
            rstd: out.output.rstd,
            residual: h,
        };
        let end = self.end(self.ready.output_end(), range, rows, place)?;
        Ok(FeedForwardTapes {
            intermediate,
            activation,
            output,
            end,
        })
    }
}

impl Backward<'_> {
    /// Undoes steps (8) to (5): `d` comes in as the gradient of y and leaves as that of h.
    pub(super) fn feed_forward_backward(
        &self,
        task: &FeedTask<'_>,
        h: &[f32],
        d: &mut [f32],
        kept: &mut KeptRows<'_>,
        at: &mut BackwardPlace<'_, '_, '_>,
    ) -> Result<()> {
        let (r, fed, scratch) = (self.ready, &task.values.fed, self.scratch);
        let (parameters, act) = (self.pass.parameters, self.pass.config.activation);
        let inner = r.linears.intermediate.layer.out_dim;
        let (tapes, n, u) = (&task.tapes.feed_forward, task.rows.len(), fed.u);
        let (mut own_o, mut own_g, mut own_u) = (None, None, None);
        // Undoes (8), y = LN(h + programs(dropout(o))).
        let kept_o = kept.d_outputs.output.take();
        let (d_o, kept_o) = piece(kept_o, &mut own_o, n * self.hidden, scratch);
        let tape = EndTape {
            normalised: &fed.output,
            programs: &tapes.end,
            residual: h,
        };
        self.end_backward(r.output_end(), task.rows, tape, d, d_o, at)?;
        // Undoes (7), o = output(g). If its backward reads g, step (6) is repeated.
        let g: &[f32] = if r.linears.output.layer.reads_input(parameters) {
            let (g, kept_g) = piece(kept.g.take(), &mut own_g, n * inner, scratch);
            activation::forward(g, u, act);
            site::forward(&r.activation, g, [u, &[]], &mut at.place)?;
            if let Some(kept) = kept_g {
                narrow(kept, g);
            }
            g
        } else {
            &[]
        };
        let kept_u = kept.d_outputs.intermediate.take();
        let (d_u, kept_u) = piece(kept_u, &mut own_u, n * inner, scratch);
        let rows = LinearRows {
            x: g,
            d_x: Some((d_u, false)),
            kept: kept_o,
            multiplied: kept.multiplied.output.take(),
        };
        let (output, intermediate) = (&r.linears.output, &r.linears.intermediate);
        output.backward(&tapes.output, d_o, rows, at.partials, &mut at.place)?;
        // Undoes (6), g = programs(activation(u)).
        let (programs, tape) = (&r.activation, &tapes.activation);
        let from_programs =
            site::backward(programs, tape, d_u, [u, &[]], at.partials, &mut at.place)?;
        activation::backward(d_u, u, act);
        add_all(d_u, from_programs);
        // Undoes (5), u = intermediate(h), and adds the result to the gradient of h that the
        // residual sum has left in d.
        let rows = LinearRows {
            x: h,
            d_x: Some((d, true)),
            kept: kept_u,
            multiplied: kept.multiplied.intermediate.take(),
        };
        let tape = &tapes.intermediate;
        intermediate.backward(tape, d_u, rows, at.partials, &mut at.place)
    }
}
