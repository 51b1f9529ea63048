//! The backward of a block on the fused path. Called by [`crate::model::Model`].
//!
//! First every task takes its rows down through the block (input gradients, and the sums of small parameters); then the
//! weight gradients, which read all rows, are computed together.

use super::{
    block::{AttendTask, BlockTape, ReadyBlock, ReadyNorm, Tasks, dropout, sequences},
    forward::rows_of,
    groups::split,
    linear::LinearRows,
    partials::Partials,
    prefix::PrefixRows,
    site::{self, Place},
    weight_gradients::{Kept, KeptRows},
};
use crate::{
    error::Result,
    model::{
        gradients::Gradients,
        layout::Block,
        parameters::HostSlice,
        pass::{BlockMode, Pass},
        scratch::{Buffer, Direction, Scratch, Workspace},
        step::DropoutSite,
    },
};
use progtune_kernels::{
    activation, attention, dropout as masks, layer_norm, linear::backward_bias,
};
use rayon::prelude::*;
use std::ops::Range;

/// Adds the gradients of the block's trainable parameters; returns that of its input when the mode asks for it.
///
/// `d` is the gradient of the block's output, `[computed rows, hidden]`.
pub fn backward(
    block: &Block,
    tape: BlockTape,
    mut d: Vec<f32>,
    pass: &Pass<'_>,
    gradients: &mut Gradients,
) -> Result<Option<Vec<f32>>> {
    let (scratch, hidden, mode) = (pass.scratch, pass.config.encoder.hidden_size, tape.mode);
    let ready = ReadyBlock::new(
        block,
        &tape.rewritten,
        pass,
        scratch,
        mode,
        Direction::Backward,
    )?;
    let values = HostSlice::of(&tape.x);
    let values: &[f32] = &values;
    let tasks = Tasks::new(pass, mode);
    let run = Backward {
        ready: &ready,
        tape: &tape,
        x: values,
        first: tape.first_rows.as_deref(),
        pass,
        scratch,
        hidden,
    };
    let mut kept = Kept::new(block, pass, values.len() / hidden, d.len() / hidden);
    let mut d_x = mode.input_gradient.then(|| vec![0f32; values.len()]);
    let partials = match mode.first_only {
        false => run.rows_at_once(&tasks, &mut d, d_x.as_deref_mut(), &mut kept)?,
        true => run.first_tokens(&tasks, &mut d, d_x.as_deref_mut(), &mut kept)?,
    };
    let sums = Partials::collect(partials, gradients);
    ready.derived_backward(block, &sums, pass, gradients)?;
    drop(ready);
    kept.weight_gradients(block, &tape, values, pass, gradients)?;
    Ok(d_x)
}

/// What all tasks of a block's backward share.
struct Backward<'a> {
    ready: &'a ReadyBlock<'a>,
    tape: &'a BlockTape,
    x: &'a [f32],
    first: Option<&'a [f32]>,
    pass: &'a Pass<'a>,
    scratch: &'a Scratch,
    hidden: usize,
}

/// A kept piece, or room of the task's own.
fn piece<'k>(
    kept: &'k mut Option<&mut [f32]>,
    own: &'k mut Option<Buffer>,
    n: usize,
    scratch: &Scratch,
) -> &'k mut [f32] {
    match kept {
        Some(kept) => kept,
        None => own.insert(scratch.take(n)),
    }
}

impl<'a> Backward<'a> {
    fn mode(&self) -> BlockMode {
        self.tape.mode
    }

    /// Feeding's and attending's backward in one task for the same rows.
    fn rows_at_once(
        &self,
        tasks: &Tasks,
        d: &mut [f32],
        d_x: Option<&mut [f32]>,
        kept: &mut Kept,
    ) -> Result<Vec<Partials<'a>>> {
        let h = self.hidden;
        let (kept_attend, kept_feed) = kept.split(tasks, self.ready);
        let d = split(d, tasks.feed.iter().cloned(), h);
        let d_x = split_optional(d_x, tasks, h);
        let work = (0..tasks.feed.len())
            .into_par_iter()
            .zip(d)
            .zip(d_x)
            .zip(kept_feed)
            .zip(kept_attend);
        work.map(|((((i, d), d_x), kept_feed), kept_attend)| {
            let mut partials = Partials::new(self.pass.parameters, self.scratch);
            let mut d_context = self.scratch.take(d.len());
            self.scratch.with_workspace(|w| {
                self.feed(
                    i,
                    &tasks.feed[i],
                    d,
                    &mut d_context,
                    kept_feed,
                    &mut partials,
                    w,
                )?;
                self.attend(
                    i,
                    &tasks.attend[i],
                    &d_context,
                    d,
                    d_x,
                    kept_attend,
                    &mut partials,
                    w,
                )
            })?;
            Ok(partials)
        })
        .collect()
    }

    /// Feeding's backward of the first tokens, then attending's of all sequences.
    fn first_tokens(
        &self,
        tasks: &Tasks,
        d: &mut [f32],
        d_x: Option<&mut [f32]>,
        kept: &mut Kept,
    ) -> Result<Vec<Partials<'a>>> {
        let h = self.hidden;
        let (kept_attend, kept_feed) = kept.split(tasks, self.ready);
        let mut d_context = self.scratch.take(d.len());
        let pieces = split(d, tasks.feed.iter().cloned(), h);
        let contexts = split(&mut d_context, tasks.feed.iter().cloned(), h);
        let work = (0..tasks.feed.len())
            .into_par_iter()
            .zip(pieces)
            .zip(contexts)
            .zip(kept_feed);
        let fed: Result<Vec<Partials<'a>>> = work
            .map(|(((i, d), d_context), kept)| {
                let mut partials = Partials::new(self.pass.parameters, self.scratch);
                self.scratch.with_workspace(|w| {
                    self.feed(i, &tasks.feed[i], d, d_context, kept, &mut partials, w)
                })?;
                Ok(partials)
            })
            .collect();
        let work = (0..tasks.attend.len())
            .into_par_iter()
            .zip(split_optional(d_x, tasks, h))
            .zip(kept_attend);
        let attended: Result<Vec<Partials<'a>>> = work
            .map(|((i, d_x), kept)| {
                let mut partials = Partials::new(self.pass.parameters, self.scratch);
                let task = &tasks.attend[i];
                let of = |data| -> &[f32] { rows_of(data, &task.computed, h) };
                self.scratch.with_workspace(|w| {
                    self.attend(i, task, of(&d_context), of(d), d_x, kept, &mut partials, w)
                })?;
                Ok(partials)
            })
            .collect();
        Ok(fed?.into_iter().chain(attended?).collect())
    }

    fn place<'w>(&'w self, keys: &'w [u64], workspace: &'w mut Workspace) -> Place<'w, 'w> {
        Place {
            parameters: self.pass.parameters,
            rows: self.pass.row_context(keys, self.mode().dropout),
            scratch: self.scratch,
            workspace,
            record: false,
        }
    }

    /// From the block's output to attention's: `d` comes in as the gradient of the output rows and leaves as that of
    /// the block's input rows by the residual way; `d_context` is written.
    #[allow(clippy::too_many_arguments)]
    fn feed(
        &self,
        i: usize,
        rows: &Range<usize>,
        d: &mut [f32],
        d_context: &mut [f32],
        mut kept: KeptRows<'_>,
        partials: &mut Partials<'_>,
        workspace: &mut Workspace,
    ) -> Result<()> {
        let (r, h, inner) = (
            self.ready,
            self.hidden,
            self.ready.intermediate.layer.out_dim,
        );
        let (tapes, fed, mode) = (&self.tape.feed_tapes[i], &self.tape.fed, self.mode());
        let n = rows.len();
        let keys = &self.pass.row_keys(mode)[rows.clone()];
        let place = &mut self.place(keys, workspace);
        let x = rows_of(self.first.unwrap_or(self.x), rows, h);
        let u = rows_of(&fed.u, rows, inner);
        let probability = self.pass.config.encoder.hidden_dropout_prob;
        let mut own: [Option<Buffer>; 5] = Default::default();
        let [own_h, own_g, own_o, own_u, own_a] = &mut own;
        let [_, _, _, kept_a, kept_u, kept_o] = &mut kept.d_outputs;
        let [_, _, _, multiplied_a, multiplied_u, multiplied_o] = &mut kept.multiplied;

        let hidden_rows = match r.reads_hidden(self.pass.parameters) {
            true => {
                let hidden = piece(&mut kept.h, own_h, n * h, self.scratch);
                let x_hat = rows_of(&fed.attention_x_hat, rows, h);
                layer_norm::affine(
                    hidden,
                    x_hat,
                    &r.attention_norm.gamma,
                    &r.attention_norm.beta,
                );
                &*hidden
            }
            false => &[],
        };
        let [d_end, _] = site::backward(&r.end, &tapes.end, d, [x, &[]], partials, place)?;
        self.norm_backward(
            &r.output_norm,
            d,
            &fed.output_x_hat,
            &fed.output_rstd,
            rows,
            partials,
        );
        let d_o = piece(kept_o, own_o, n * h, self.scratch);
        d_o.copy_from_slice(d);
        let others = [hidden_rows, hidden_rows];
        add_all(
            d,
            site::backward(
                &r.output_end,
                &tapes.output_end,
                d_o,
                others,
                partials,
                place,
            )?,
        );
        if let Some(drop) = dropout(
            self.pass,
            probability,
            DropoutSite::Output(r.number),
            rows,
            mode,
        ) {
            masks::apply(d_o, h, &drop);
        }

        let g = match r.output.layer.reads_input(self.pass.parameters) {
            true => {
                let g = piece(&mut kept.g, own_g, n * inner, self.scratch);
                activation::forward(g, u, self.pass.config.activation);
                site::forward(&r.activation, g, [u, &[]], place)?;
                &*g
            }
            false => &[],
        };
        let d_u = piece(kept_u, own_u, n * inner, self.scratch);
        let at_output = LinearRows {
            x: g,
            d_x: Some((d_u, false)),
            multiplied: multiplied_o.as_deref_mut(),
        };
        r.output
            .backward(&tapes.output, d_o, at_output, partials, place)?;
        let from_programs = site::backward(
            &r.activation,
            &tapes.activation,
            d_u,
            [u, &[]],
            partials,
            place,
        )?;
        activation::backward(d_u, u, self.pass.config.activation);
        add_all(d_u, from_programs);
        let at_intermediate = LinearRows {
            x: hidden_rows,
            d_x: Some((d, true)),
            multiplied: multiplied_u.as_deref_mut(),
        };
        r.intermediate
            .backward(&tapes.intermediate, d_u, at_intermediate, partials, place)?;

        self.norm_backward(
            &r.attention_norm,
            d,
            &fed.attention_x_hat,
            &fed.attention_rstd,
            rows,
            partials,
        );
        let d_a = piece(kept_a, own_a, n * h, self.scratch);
        d_a.copy_from_slice(d);
        add_all(
            d,
            site::backward(
                &r.attention_end,
                &tapes.attention_end,
                d_a,
                [x, x],
                partials,
                place,
            )?,
        );
        add_all(d, [d_end, None]);
        if let Some(drop) = dropout(
            self.pass,
            probability,
            DropoutSite::AttentionOutput(r.number),
            rows,
            mode,
        ) {
            masks::apply(d_a, h, &drop);
        }
        let context = match self.tape.attended.context.is_empty() {
            true => &[],
            false => rows_of(&self.tape.attended.context, rows, h),
        };
        let at_dense = LinearRows {
            x: context,
            d_x: Some((d_context, false)),
            multiplied: multiplied_a.as_deref_mut(),
        };
        r.attention_dense
            .backward(&tapes.attention_dense, d_a, at_dense, partials, place)
    }

    /// A LayerNorm's backward: `d` comes in as the gradient of its result and leaves as that of the sum it normalised.
    fn norm_backward(
        &self,
        ready: &ReadyNorm<'_>,
        d: &mut [f32],
        x_hat: &[f32],
        rstd: &[f32],
        rows: &Range<usize>,
        partials: &mut Partials<'_>,
    ) {
        let x_hat = rows_of(x_hat, rows, self.hidden);
        if let Some(sum) = partials.sum(ready.norm.weight) {
            layer_norm::backward_gamma(sum, d, x_hat);
        }
        if let Some(sum) = partials.sum(ready.norm.bias) {
            backward_bias(sum, d);
        }
        layer_norm::backward_input(d, x_hat, &rstd[rows.clone()], &ready.gamma);
    }

    /// From attention's output to the block's input. `d_rows` is what the residual way brings to the computed rows.
    #[allow(clippy::too_many_arguments)]
    fn attend(
        &self,
        i: usize,
        task: &AttendTask,
        d_context: &[f32],
        d_rows: &[f32],
        mut d_x: Option<&mut [f32]>,
        mut kept: KeptRows<'_>,
        partials: &mut Partials<'_>,
        workspace: &mut Workspace,
    ) -> Result<()> {
        let (r, h, mode) = (self.ready, self.hidden, self.mode());
        let (tapes, attended) = (&self.tape.attend_tapes[i], &self.tape.attended);
        let all_keys = &self.pass.batch.row_keys[task.rows.clone()];
        let keys = &self.pass.row_keys(mode)[task.computed.clone()];
        let mut own: [Option<Buffer>; 3] = Default::default();
        let [own_q, own_k, own_v] = &mut own;
        let [kept_q, kept_k, kept_v, ..] = &mut kept.d_outputs;
        let [multiplied_q, multiplied_k, multiplied_v, ..] = &mut kept.multiplied;
        let d_q = piece(kept_q, own_q, task.computed.len() * h, self.scratch);
        let d_k = piece(kept_k, own_k, task.rows.len() * h, self.scratch);
        let d_v = piece(kept_v, own_v, task.rows.len() * h, self.scratch);
        let p = self.pass.config.attention_dropout;
        let drop = self
            .pass
            .dropout(p, DropoutSite::Attention(r.number), keys, mode.dropout);
        let prefix = r.prefix.as_ref().map(PrefixRows::values);
        attention::backward(
            attention::QkvGradients {
                d_q,
                d_k,
                d_v,
                d_prefix: r.prefix.as_ref().and_then(|prefix| prefix.sum(partials)),
            },
            d_context,
            attention::Qkv {
                q: rows_of(&attended.q, &task.computed, h),
                k: rows_of(&attended.k, &task.rows, h),
                v: rows_of(&attended.v, &task.rows, h),
                prefix: prefix.as_deref().map(|rows| attention::Prefix { rows }),
            },
            rows_of(
                &attended.log_sum_exp,
                &task.computed,
                self.pass.config.encoder.num_attention_heads,
            ),
            sequences(self.pass, mode, task),
            drop.as_ref(),
            &mut workspace.attention,
        );
        let x = rows_of(self.x, &task.rows, h);
        let x_query = rows_of(self.first.unwrap_or(self.x), &task.computed, h);
        let mut query = |d_x: Option<&mut [f32]>, workspace: &mut Workspace| {
            let rows = LinearRows {
                x: x_query,
                d_x: d_x.map(|d_x| (d_x, true)),
                multiplied: multiplied_q.as_deref_mut(),
            };
            let place = &mut self.place(keys, workspace);
            r.query.backward(&tapes.query, d_q, rows, partials, place)
        };
        match (d_x.as_deref_mut(), mode.first_only) {
            (None, _) => query(None, workspace)?,
            (Some(d_x), false) => {
                d_x.copy_from_slice(d_rows);
                query(Some(d_x), workspace)?;
            }
            (Some(d_x), true) => {
                let mut d_first = self.scratch.copy(d_rows);
                query(Some(&mut d_first), workspace)?;
                d_x.fill(0.0);
                let tokens = &self.pass.batch.first_tokens()[task.sequences.clone()];
                for (&token, d) in tokens.iter().zip(d_first.chunks(h)) {
                    let row = token as usize - task.rows.start;
                    site::add(&mut d_x[row * h..(row + 1) * h], d);
                }
            }
        }
        let place = &mut self.place(all_keys, workspace);
        let at_key = LinearRows {
            x,
            d_x: d_x.as_deref_mut().map(|d_x| (d_x, true)),
            multiplied: multiplied_k.as_deref_mut(),
        };
        r.key.backward(&tapes.key, d_k, at_key, partials, place)?;
        let at_value = LinearRows {
            x,
            d_x: d_x.map(|d_x| (d_x, true)),
            multiplied: multiplied_v.as_deref_mut(),
        };
        r.value
            .backward(&tapes.value, d_v, at_value, partials, place)
    }
}

/// The rows of `d_x` of every attending task, if there is a `d_x`.
fn split_optional<'d>(
    d_x: Option<&'d mut [f32]>,
    tasks: &Tasks,
    hidden: usize,
) -> Vec<Option<&'d mut [f32]>> {
    match d_x {
        None => tasks.attend.iter().map(|_| None).collect(),
        Some(d_x) => {
            let rows = tasks.attend.iter().map(|task| task.rows.clone());
            split(d_x, rows, hidden).into_iter().map(Some).collect()
        }
    }
}

fn add_all(sum: &mut [f32], more: [Option<Buffer>; 2]) {
    for more in more.into_iter().flatten() {
        site::add(sum, &more);
    }
}
