//! The end of both sub-layers of a block, steps (4) and (8) of [`super::block`]: dropout, the
//! method's programs, residual sum and LayerNorm, with their backward.

use super::{
    block::{ReadyNorm, SubLayerEnd},
    context::{Backward, BackwardPlace, Forward, add_all},
    partials::Partials,
    saved::Normalised,
    site::{self, Place, SiteTape},
};
use crate::{
    error::Result,
    model::{
        pass::{BlockMode, Pass},
        step::DropoutSite,
    },
};
use progtune_kernels::{
    dropout::{self as masks, Dropout},
    layer_norm,
    linear::backward_bias,
};
use std::ops::Range;

/// The rows of a task at the end of a sub-layer.
pub(super) struct EndRows<'r> {
    /// Receives the result.
    pub y: &'r mut [f32],
    /// The dense layer's output, which the normalised rows replace.
    pub dense: &'r mut [f32],
    /// Receives the reciprocal deviations.
    pub rstd: &'r mut [f32],
    /// The sub-layer's input.
    pub residual: &'r [f32],
}

impl Forward<'_> {
    /// Steps (4) and (8) for the computed rows `range`.
    pub(super) fn end(
        &self,
        end: SubLayerEnd<'_>,
        range: &Range<usize>,
        rows: EndRows<'_>,
        place: &mut Place<'_, '_>,
    ) -> Result<Vec<SiteTape>> {
        let mut drop = dropout(self.pass, end.site, range, self.mode);
        let mut tapes = Vec::new();
        if !end.programs.is_empty() {
            // The programs see the rows after dropout, so it cannot be fused with the sum here.
            if let Some(drop) = drop.take() {
                masks::apply(rows.dense, self.hidden, &drop);
            }
            let others = [rows.residual, rows.residual];
            tapes = site::forward(end.programs, rows.dense, others, place)?;
        }
        layer_norm::forward(
            rows.y,
            rows.dense,
            rows.rstd,
            Some(rows.residual),
            layer_norm::Norm {
                gamma: &end.norm.gamma,
                beta: &end.norm.beta,
                eps: self.pass.config.encoder.layer_norm_eps as f32,
            },
            drop.as_ref(),
        );
        Ok(tapes)
    }
}

/// Everything that the backward of a sub-layer's end reads.
pub(super) struct EndTape<'t> {
    pub normalised: &'t Normalised<&'t [f32]>,
    pub programs: &'t [SiteTape],
    /// The sub-layer's input; empty when nothing reads it.
    pub residual: &'t [f32],
}

impl Backward<'_> {
    /// Undoes step (4) or (8) for the computed rows `range`. `d` comes in as the gradient of the
    /// result and leaves as that of the residual; `d_dense` receives that of the dense layer's
    /// output.
    pub(super) fn end_backward(
        &self,
        end: SubLayerEnd<'_>,
        range: &Range<usize>,
        tape: EndTape<'_>,
        d: &mut [f32],
        d_dense: &mut [f32],
        at: &mut BackwardPlace<'_, '_, '_>,
    ) -> Result<()> {
        // Undoes LN.
        self.norm_backward(end.norm, d, tape.normalised, at.partials);
        // Undoes the residual sum, whose gradient goes both ways.
        d_dense.copy_from_slice(d);
        // Undoes the programs, which may read the residual.
        let (others, partials) = ([tape.residual, tape.residual], &mut *at.partials);
        let (programs, place) = (end.programs, &mut at.place);
        let to_residual =
            site::backward(programs, tape.programs, d_dense, others, partials, place)?;
        add_all(d, to_residual);
        // Undoes dropout.
        if let Some(drop) = dropout(self.pass, end.site, range, self.mode()) {
            masks::apply(d_dense, self.hidden, &drop);
        }
        Ok(())
    }

    /// The backward of a LayerNorm: `d` comes in as the gradient of its result and leaves as that
    /// of the sum that it normalised.
    fn norm_backward(
        &self,
        ready: &ReadyNorm<'_>,
        d: &mut [f32],
        normalised: &Normalised<&[f32]>,
        partials: &mut Partials<'_>,
    ) {
        let x_hat = normalised.x_hat;
        if let Some(sum) = partials.sum(ready.norm.weight) {
            layer_norm::backward_gamma(sum, d, x_hat);
        }
        if let Some(sum) = partials.sum(ready.norm.bias) {
            backward_bias(sum, d);
        }
        layer_norm::backward_input(d, x_hat, normalised.rstd, &ready.gamma);
    }
}

/// The dropout of a dense layer's output for some of the computed rows.
fn dropout<'a>(
    pass: &'a Pass<'_>,
    site: DropoutSite,
    rows: &Range<usize>,
    mode: BlockMode,
) -> Option<Dropout<'a>> {
    let keys = &pass.row_keys(mode)[rows.clone()];
    let p = pass.config.encoder.hidden_dropout_prob;
    pass.dropout(p, site, keys, mode.dropout)
}
