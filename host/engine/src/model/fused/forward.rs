//! The forward of a block on the fused path. Called by [`crate::model::Model`].

use super::{
    block::{
        AttendTapes, AttendTask, Attended, BlockTape, Fed, FeedTapes, ReadyBlock, ReadyNorm, Tasks,
        dropout, rewrite_weights, sequences,
    },
    groups::split,
    prefix::PrefixRows,
    site::{self, Place, ReadyProgram, SiteTape},
};
use crate::{
    error::Result,
    model::{
        layout::Block,
        parameters::HostSlice,
        pass::{BlockMode, Pass},
        scratch::{Buffer, Direction, Scratch, Workspace},
        step::DropoutSite,
    },
};
use candle_core::Tensor;
use progtune_kernels::{activation, attention, dropout as masks, layer_norm, matrix::Matrix};
use rayon::prelude::*;
use std::ops::Range;

/// The block's output, `[rows, hidden]`, of its input `x`, `[T, hidden]`; with `mode.record` the tape for
/// [`super::block_backward`].
pub fn forward(
    block: &Block,
    x: Tensor,
    pass: &Pass<'_>,
    mode: BlockMode,
) -> Result<(Vec<f32>, Option<BlockTape>)> {
    let (scratch, hidden) = (pass.scratch, pass.config.encoder.hidden_size);
    let rewritten = rewrite_weights(block, pass, mode)?;
    let first_rows = mode.first_only.then(|| {
        gather(
            &HostSlice::of(&x),
            pass.batch.first_tokens(),
            hidden,
            scratch,
        )
    });
    let all = pass.batch.tokens();
    let computed = if mode.first_only {
        pass.batch.sequences()
    } else {
        all
    };
    let mut y = vec![0f32; computed * hidden];
    let (mut attended, fed, attend_tapes, feed_tapes) = {
        let ready = ReadyBlock::new(block, &rewritten, pass, scratch, mode, Direction::Forward)?;
        let run = Forward {
            ready: &ready,
            pass,
            mode,
            scratch,
            hidden,
        };
        let (tasks, values) = (Tasks::new(pass, mode), HostSlice::of(&x));
        if !mode.record && !mode.first_only {
            run.without_tape(&tasks, &values, &mut y)?;
            return Ok((y, None));
        }
        let (mut attended, mut fed) = run.room(all, computed, true);
        let (attend_tapes, feed_tapes) = match first_rows.as_deref() {
            None => run.rows_at_once(&tasks, &values, &mut attended, &mut fed, &mut y)?,
            Some(first) => {
                run.first_tokens(&tasks, &values, first, &mut attended, &mut fed, &mut y)?
            }
        };
        (attended, fed, attend_tapes, feed_tapes)
    };
    if !mode.record {
        return Ok((y, None));
    }
    if !block.reads_context(pass.parameters) {
        attended.context = scratch.take(0);
    }
    let tape = BlockTape {
        mode,
        x,
        first_rows,
        attended,
        fed,
        attend_tapes,
        feed_tapes,
        rewritten,
    };
    Ok((y, Some(tape)))
}

/// What all tasks of a block's forward share.
struct Forward<'a> {
    ready: &'a ReadyBlock<'a>,
    pass: &'a Pass<'a>,
    mode: BlockMode,
    scratch: &'a Scratch,
    hidden: usize,
}

/// Where an attending task writes.
struct AttendRows<'a> {
    q: &'a mut [f32],
    k: &'a mut [f32],
    v: &'a mut [f32],
    log_sum_exp: &'a mut [f32],
    context: &'a mut [f32],
}

/// Where a feeding task writes.
struct FeedRows<'a> {
    attention_x_hat: &'a mut [f32],
    attention_rstd: &'a mut [f32],
    u: &'a mut [f32],
    output_x_hat: &'a mut [f32],
    output_rstd: &'a mut [f32],
    y: &'a mut [f32],
}

impl Attended {
    fn rows(&mut self) -> AttendRows<'_> {
        AttendRows {
            q: &mut self.q,
            k: &mut self.k,
            v: &mut self.v,
            log_sum_exp: &mut self.log_sum_exp,
            context: &mut self.context,
        }
    }
}

impl Fed {
    fn rows<'a>(&'a mut self, y: &'a mut [f32]) -> FeedRows<'a> {
        FeedRows {
            attention_x_hat: &mut self.attention_x_hat,
            attention_rstd: &mut self.attention_rstd,
            u: &mut self.u,
            output_x_hat: &mut self.output_x_hat,
            output_rstd: &mut self.output_rstd,
            y,
        }
    }
}

impl<'a> AttendRows<'a> {
    fn split(self, tasks: &[AttendTask], hidden: usize, heads: usize) -> Vec<Self> {
        let rows = || tasks.iter().map(|task| task.rows.clone());
        let computed = || tasks.iter().map(|task| task.computed.clone());
        let (k, v) = (split(self.k, rows(), hidden), split(self.v, rows(), hidden));
        let q = split(self.q, computed(), hidden);
        let sums = split(self.log_sum_exp, computed(), heads);
        let context = split(self.context, computed(), hidden);
        let pieces = q.into_iter().zip(k).zip(v).zip(sums).zip(context);
        pieces
            .map(|((((q, k), v), log_sum_exp), context)| Self {
                q,
                k,
                v,
                log_sum_exp,
                context,
            })
            .collect()
    }
}

impl<'a> FeedRows<'a> {
    fn split(self, tasks: &[Range<usize>], hidden: usize, inner: usize) -> Vec<Self> {
        let rows = || tasks.iter().cloned();
        let x_hats = split(self.attention_x_hat, rows(), hidden);
        let rstds = split(self.attention_rstd, rows(), 1);
        let us = split(self.u, rows(), inner);
        let output_x_hats = split(self.output_x_hat, rows(), hidden);
        let output_rstds = split(self.output_rstd, rows(), 1);
        let ys = split(self.y, rows(), hidden);
        let pieces = x_hats
            .into_iter()
            .zip(rstds)
            .zip(us)
            .zip(output_x_hats)
            .zip(output_rstds)
            .zip(ys);
        pieces
            .map(
                |(((((attention_x_hat, attention_rstd), u), output_x_hat), output_rstd), y)| Self {
                    attention_x_hat,
                    attention_rstd,
                    u,
                    output_x_hat,
                    output_rstd,
                    y,
                },
            )
            .collect()
    }
}

impl Forward<'_> {
    fn heads(&self) -> usize {
        self.pass.config.encoder.num_attention_heads
    }

    fn inner(&self) -> usize {
        self.ready.intermediate.layer.out_dim
    }

    /// Room for what `all` rows of keys and values and `computed` rows of the rest leave behind.
    /// A whole batch's buffers are kept apart from those of single tasks.
    fn room(&self, all: usize, computed: usize, whole: bool) -> (Attended, Fed) {
        let h = self.hidden;
        let room = |rows: usize, columns: usize| match whole {
            true => self.scratch.rows(rows, columns),
            false => self.scratch.take(rows * columns),
        };
        let attended = Attended {
            q: room(computed, h),
            k: room(all, h),
            v: room(all, h),
            log_sum_exp: room(computed, self.heads()),
            context: room(computed, h),
        };
        let fed = Fed {
            attention_x_hat: room(computed, h),
            attention_rstd: room(computed, 1),
            u: room(computed, self.inner()),
            output_x_hat: room(computed, h),
            output_rstd: room(computed, 1),
        };
        (attended, fed)
    }

    /// Nothing is kept: every task works in room of its own, which stays in its core's cache.
    fn without_tape(&self, tasks: &Tasks, x: &[f32], y: &mut [f32]) -> Result<()> {
        let ys = split(y, tasks.feed.iter().cloned(), self.hidden);
        tasks.attend.par_iter().zip(ys).try_for_each(|(task, y)| {
            let x = &x[task.rows.start * self.hidden..task.rows.end * self.hidden];
            let (mut attended, mut fed) = self.room(task.rows.len(), task.rows.len(), false);
            self.scratch.with_workspace(|w| {
                self.attend(task, x, x, attended.rows(), w)?;
                self.feed(&task.computed, &attended.context, x, fed.rows(y), w)
            })?;
            Ok(())
        })
    }

    /// Attends and feeds the same rows in one task.
    fn rows_at_once(
        &self,
        tasks: &Tasks,
        x: &[f32],
        attended: &mut Attended,
        fed: &mut Fed,
        y: &mut [f32],
    ) -> Result<(Vec<AttendTapes>, Vec<FeedTapes>)> {
        let attended = attended
            .rows()
            .split(&tasks.attend, self.hidden, self.heads());
        let fed = fed.rows(y).split(&tasks.feed, self.hidden, self.inner());
        let work = tasks.attend.par_iter().zip(attended).zip(fed);
        let tapes: Result<Vec<_>> = work
            .map(|((task, attended), fed)| {
                let x = &x[task.rows.start * self.hidden..task.rows.end * self.hidden];
                self.scratch.with_workspace(|w| {
                    let (context, tapes) = self.attend(task, x, x, attended, w)?;
                    Ok((tapes, self.feed(&task.computed, context, x, fed, w)?))
                })
            })
            .collect();
        Ok(tapes?.into_iter().unzip())
    }

    /// Attends for the first tokens, then shares these out and feeds them.
    fn first_tokens(
        &self,
        tasks: &Tasks,
        x: &[f32],
        first: &[f32],
        attended: &mut Attended,
        fed: &mut Fed,
        y: &mut [f32],
    ) -> Result<(Vec<AttendTapes>, Vec<FeedTapes>)> {
        let h = self.hidden;
        let pieces = attended.rows().split(&tasks.attend, h, self.heads());
        let attend_tapes: Result<Vec<_>> = tasks
            .attend
            .par_iter()
            .zip(pieces)
            .map(|(task, attended)| {
                let rows = &x[task.rows.start * h..task.rows.end * h];
                let queries = &first[task.computed.start * h..task.computed.end * h];
                self.scratch
                    .with_workspace(|w| Ok(self.attend(task, rows, queries, attended, w)?.1))
            })
            .collect();
        let context: &[f32] = &attended.context;
        let feed_tapes: Result<Vec<_>> = tasks
            .feed
            .par_iter()
            .zip(fed.rows(y).split(&tasks.feed, h, self.inner()))
            .map(|(rows, fed)| {
                let of = |data| -> &[f32] { rows_of(data, rows, h) };
                self.scratch
                    .with_workspace(|w| self.feed(rows, of(context), of(first), fed, w))
            })
            .collect();
        Ok((attend_tapes?, feed_tapes?))
    }

    fn place<'w>(&'w self, keys: &'w [u64], workspace: &'w mut Workspace) -> Place<'w, 'w> {
        Place {
            parameters: self.pass.parameters,
            rows: self.pass.row_context(keys, self.mode.dropout),
            scratch: self.scratch,
            workspace,
            record: self.mode.record,
        }
    }

    /// Query, key, value and attention; `x` are the task's rows, `x_query` those that are computed.
    fn attend<'r>(
        &self,
        task: &AttendTask,
        x: &[f32],
        x_query: &[f32],
        out: AttendRows<'r>,
        workspace: &mut Workspace,
    ) -> Result<(&'r [f32], AttendTapes)> {
        let (r, pass, h) = (self.ready, self.pass, self.hidden);
        let all_keys = &pass.batch.row_keys[task.rows.clone()];
        let keys = &pass.row_keys(self.mode)[task.computed.clone()];
        let mut packed = std::mem::take(&mut workspace.more_rows);
        packed.pack(Matrix::new(x, x.len() / h, h));
        let place = &mut self.place(all_keys, workspace);
        let key = r.key.forward(out.k, x, &packed, place)?;
        let value = r.value.forward(out.v, x, &packed, place)?;
        if self.mode.first_only {
            packed.pack(Matrix::new(x_query, x_query.len() / h, h));
        }
        let query = r
            .query
            .forward(out.q, x_query, &packed, &mut self.place(keys, workspace))?;
        workspace.more_rows = packed;
        let drop = pass.dropout(
            pass.config.attention_dropout,
            DropoutSite::Attention(r.number),
            keys,
            self.mode.dropout,
        );
        let prefix = r.prefix.as_ref().map(PrefixRows::values);
        attention::forward(
            out.context,
            out.log_sum_exp,
            attention::Qkv {
                q: out.q,
                k: out.k,
                v: out.v,
                prefix: prefix.as_deref().map(|rows| attention::Prefix { rows }),
            },
            sequences(pass, self.mode, task),
            drop.as_ref(),
            &mut workspace.attention,
        );
        Ok((out.context, AttendTapes { query, key, value }))
    }

    /// Everything after attention, for the computed rows `rows`; `x` is their residual.
    fn feed(
        &self,
        rows: &Range<usize>,
        context: &[f32],
        x: &[f32],
        out: FeedRows<'_>,
        workspace: &mut Workspace,
    ) -> Result<FeedTapes> {
        let (r, h, inner) = (self.ready, self.hidden, self.inner());
        let keys = &self.pass.row_keys(self.mode)[rows.clone()];
        let mut packed = std::mem::take(&mut workspace.more_rows);
        let place = &mut self.place(keys, workspace);
        packed.pack(Matrix::new(context, rows.len(), h));
        let attention_dense =
            r.attention_dense
                .forward(out.attention_x_hat, context, &packed, place)?;
        let mut hidden = self.scratch.take(rows.len() * h);
        let end = SubLayerEnd {
            programs: &r.attention_end,
            norm: &r.attention_norm,
            site: DropoutSite::AttentionOutput(r.number),
        };
        let attention_end = self.end(
            end,
            rows,
            &mut hidden,
            out.attention_x_hat,
            out.attention_rstd,
            x,
            place,
        )?;

        packed.pack(Matrix::new(&hidden, rows.len(), h));
        let intermediate = r.intermediate.forward(out.u, &hidden, &packed, place)?;
        let mut g: Buffer = self.scratch.take(out.u.len());
        activation::forward(&mut g, out.u, self.pass.config.activation);
        let activation = site::forward(&r.activation, &mut g, [out.u, &[]], place)?;
        packed.pack(Matrix::new(&g, rows.len(), inner));
        let output = r.output.forward(out.output_x_hat, &g, &packed, place)?;
        let end = SubLayerEnd {
            programs: &r.output_end,
            norm: &r.output_norm,
            site: DropoutSite::Output(r.number),
        };
        let output_end = self.end(
            end,
            rows,
            out.y,
            out.output_x_hat,
            out.output_rstd,
            &hidden,
            place,
        )?;
        let end = site::forward(&r.end, out.y, [x, &[]], place)?;
        workspace.more_rows = packed;
        Ok(FeedTapes {
            attention_dense,
            attention_end,
            intermediate,
            activation,
            output,
            output_end,
            end,
        })
    }

    /// Dropout, the method's programs, residual sum and LayerNorm: the end of both sub-layers. `rows` come in as the
    /// dense layer's output and leave normalised; `y` is the result.
    #[allow(clippy::too_many_arguments)]
    fn end(
        &self,
        end: SubLayerEnd<'_>,
        range: &Range<usize>,
        y: &mut [f32],
        rows: &mut [f32],
        rstd: &mut [f32],
        residual: &[f32],
        place: &mut Place<'_, '_>,
    ) -> Result<Vec<SiteTape>> {
        let encoder = &self.pass.config.encoder;
        let mut drop = dropout(
            self.pass,
            encoder.hidden_dropout_prob,
            end.site,
            range,
            self.mode,
        );
        let mut tapes = Vec::new();
        if !end.programs.is_empty() {
            // The programs see the rows after dropout, so it cannot be fused with the sum here.
            if let Some(drop) = drop.take() {
                masks::apply(rows, self.hidden, &drop);
            }
            tapes = site::forward(end.programs, rows, [residual, residual], place)?;
        }
        let norm = layer_norm::Norm {
            gamma: &end.norm.gamma,
            beta: &end.norm.beta,
            eps: encoder.layer_norm_eps as f32,
        };
        layer_norm::forward(y, rows, rstd, Some(residual), norm, drop.as_ref());
        Ok(tapes)
    }
}

struct SubLayerEnd<'a> {
    programs: &'a [ReadyProgram<'a>],
    norm: &'a ReadyNorm<'a>,
    site: DropoutSite,
}

/// Some rows of `data`, `[_, columns]`.
pub fn rows_of<'a>(data: &'a [f32], rows: &Range<usize>, columns: usize) -> &'a [f32] {
    &data[rows.start * columns..rows.end * columns]
}

/// The rows of `x` (`[T, columns]`) at `rows`.
fn gather(x: &[f32], rows: &[u32], columns: usize, scratch: &Scratch) -> Buffer {
    let mut out = scratch.take(rows.len() * columns);
    for (&row, out) in rows.iter().zip(out.chunks_mut(columns)) {
        out.copy_from_slice(&x[row as usize * columns..(row as usize + 1) * columns]);
    }
    out
}
