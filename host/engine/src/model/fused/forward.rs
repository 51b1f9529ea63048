//! The forward of a block on the fused path. [`crate::model::Model`] calls it.
//!
//! [`super::block`] lists the steps; [`super::attention`] and [`super::feed_forward`] compute them
//! for one task.

use super::{
    block::{ReadyBlock, rewrite_weights},
    context::Forward,
    feed_forward::FeedForwardRows,
    groups::{rows_of, split},
    saved::{AttendTapes, Attended, BlockTape, Fed, FeedTapes, Normalised, Qkv, Saved},
    site,
    tasks::Tasks,
};
use crate::{
    error::Result,
    model::{
        layout::Block,
        pass::{BlockMode, Pass},
        scratch::{Buffer, Direction, Scratch, Workspace},
    },
};
use progtune_kernels::timed_task;
use rayon::prelude::*;
use std::{ops::Range, sync::Arc};

/// The block's output, `[rows, hidden]`, for its input `x`, `[T, hidden]`. With `mode.record` it
/// comes with the tape for [`super::block_backward`].
pub(crate) fn forward(
    block: &Block,
    x: Arc<Buffer>,
    pass: &Pass<'_>,
    mode: BlockMode,
) -> Result<(Buffer, Option<BlockTape>)> {
    let (scratch, hidden) = (pass.scratch, pass.config.encoder.hidden_size);
    let rewritten = rewrite_weights(block, pass, mode)?;
    let first = || {
        let tokens = pass.batch.first_tokens();
        gather(&x, tokens, hidden, scratch)
    };
    let first_rows = mode.first_only.then(first);
    let computed = if mode.first_only {
        pass.batch.sequences()
    } else {
        pass.batch.tokens()
    };
    let mut y = scratch.rows(computed, hidden);
    let saved = {
        let ready = ReadyBlock::new(block, &rewritten, pass, scratch, mode, Direction::Forward)?;
        let run = Forward {
            ready: &ready,
            pass,
            mode,
            scratch,
            hidden,
        };
        run.all(&x, first_rows.as_deref(), &mut y)?
    };
    let Some(mut saved) = saved.filter(|_| mode.record) else {
        return Ok((y, None));
    };
    if !block.reads_context(pass.parameters) {
        saved.attended.context = scratch.take(0);
    }
    let tape = BlockTape {
        mode,
        x,
        first_rows,
        saved,
        rewritten,
    };
    Ok((y, Some(tape)))
}

/// The rows that a feeding task writes.
struct FeedRows<'r> {
    fed: Fed<&'r mut [f32]>,
    y: &'r mut [f32],
}

impl<'r> FeedRows<'r> {
    /// The rows of each task.
    fn split(
        fed: &'r mut Fed<Buffer>,
        y: &'r mut [f32],
        tasks: &[Range<usize>],
        (hidden, inner): (usize, usize),
    ) -> impl Iterator<Item = Self> {
        let ys = split(y, tasks.iter().cloned(), hidden);
        let fed = fed.as_rows().split(tasks, hidden, inner);
        fed.into_iter().zip(ys).map(|(fed, y)| Self { fed, y })
    }
}

impl Forward<'_> {
    /// Runs all steps for all rows and writes y. Returns the values that a backward reads, unless
    /// they were not kept.
    fn all(&self, x: &[f32], first: Option<&[f32]>, y: &mut [f32]) -> Result<Option<Saved>> {
        let tasks = Tasks::new(self.pass, self.mode);
        if !self.mode.record && !self.mode.first_only {
            self.without_tape(&tasks, x, y)?;
            return Ok(None);
        }
        let (all, computed) = (self.pass.batch.tokens(), y.len() / self.hidden);
        let (mut attended, mut fed) = self.room(all, computed, true);
        let (attend_tapes, feed_tapes) = match first {
            None => self.rows_at_once(&tasks, x, &mut attended, &mut fed, y)?,
            Some(first) => self.first_tokens(&tasks, (x, first), &mut attended, &mut fed, y)?,
        };
        Ok(Some(Saved {
            attended,
            fed,
            attend_tapes,
            feed_tapes,
        }))
    }

    fn heads(&self) -> usize {
        self.pass.config.encoder.num_attention_heads
    }

    /// Room for the values that `all` rows of keys and values and `computed` rows of the rest leave
    /// behind. The buffers of a `whole` batch are kept apart from those of single tasks.
    fn room(&self, all: usize, computed: usize, whole: bool) -> (Attended<Buffer>, Fed<Buffer>) {
        let h = self.hidden;
        let room = |rows: usize, columns: usize| {
            if whole {
                self.scratch.rows(rows, columns)
            } else {
                self.scratch.take(rows * columns)
            }
        };
        let normalised = || Normalised {
            x_hat: room(computed, h),
            rstd: room(computed, 1),
        };
        let attended = Attended {
            qkv: Qkv {
                q: room(computed, h),
                k: room(all, h),
                v: room(all, h),
            },
            log_sum_exp: room(computed, self.heads()),
            context: room(computed, h),
        };
        let fed = Fed {
            attention: normalised(),
            u: room(computed, self.inner()),
            output: normalised(),
        };
        (attended, fed)
    }

    /// Attends and feeds without keeping anything. Every task works in room of its own, which stays
    /// in its core's cache.
    fn without_tape(&self, tasks: &Tasks, x: &[f32], y: &mut [f32]) -> Result<()> {
        let ys = split(y, tasks.feed.iter().cloned(), self.hidden);
        tasks.attend.par_iter().zip(ys).try_for_each(|(task, y)| {
            timed_task!("forward");
            let x = rows_of(x, &task.rows, self.hidden);
            let (mut attended, mut fed) = self.room(task.rows.len(), task.rows.len(), false);
            self.scratch.with_workspace(|w| {
                self.attend(task, x, x, attended.as_rows(), w)?;
                let fed = fed.as_rows();
                let out = FeedRows { fed, y };
                self.feed(&task.computed, &attended.context, x, out, w)
            })?;
            Ok(())
        })
    }

    /// Attends and feeds the same rows in one task.
    fn rows_at_once(
        &self,
        tasks: &Tasks,
        x: &[f32],
        attended: &mut Attended<Buffer>,
        fed: &mut Fed<Buffer>,
        y: &mut [f32],
    ) -> Result<(Vec<AttendTapes>, Vec<FeedTapes>)> {
        let h = self.hidden;
        let attended = attended.as_rows().split(&tasks.attend, h, self.heads());
        let fed = FeedRows::split(fed, y, &tasks.feed, (h, self.inner()));
        let fed: Vec<_> = fed.collect();
        let work = tasks.attend.par_iter().zip(attended).zip(fed);
        let tapes: Result<Vec<_>> = work
            .map(|((task, attended), fed)| {
                timed_task!("forward");
                let x = rows_of(x, &task.rows, h);
                self.scratch.with_workspace(|w| {
                    let (context, tapes) = self.attend(task, x, x, attended, w)?;
                    Ok((tapes, self.feed(&task.computed, context, x, fed, w)?))
                })
            })
            .collect();
        Ok(tapes?.into_iter().unzip())
    }

    /// Attends for the first tokens, then divides these among new tasks and feeds them.
    fn first_tokens(
        &self,
        tasks: &Tasks,
        (x, first): (&[f32], &[f32]),
        attended: &mut Attended<Buffer>,
        fed: &mut Fed<Buffer>,
        y: &mut [f32],
    ) -> Result<(Vec<AttendTapes>, Vec<FeedTapes>)> {
        let h = self.hidden;
        let pieces = attended.as_rows().split(&tasks.attend, h, self.heads());
        let work = tasks.attend.par_iter().zip(pieces);
        let attend_tapes: Result<Vec<_>> = work
            .map(|(task, attended)| {
                timed_task!("forward");
                let rows = rows_of(x, &task.rows, h);
                let queries = rows_of(first, &task.computed, h);
                self.scratch
                    .with_workspace(|w| Ok(self.attend(task, rows, queries, attended, w)?.1))
            })
            .collect();
        let context: &[f32] = &attended.context;
        let fed = FeedRows::split(fed, y, &tasks.feed, (h, self.inner()));
        let fed: Vec<_> = fed.collect();
        let work = tasks.feed.par_iter().zip(fed);
        let feed_tapes: Result<Vec<_>> = work
            .map(|(rows, fed)| {
                timed_task!("forward");
                let (context, x) = (rows_of(context, rows, h), rows_of(first, rows, h));
                self.scratch
                    .with_workspace(|w| self.feed(rows, context, x, fed, w))
            })
            .collect();
        Ok((attend_tapes?, feed_tapes?))
    }

    /// Steps (3) to (9) for the computed rows `range`; `x` is their residual.
    fn feed(
        &self,
        range: &Range<usize>,
        context: &[f32],
        x: &[f32],
        out: FeedRows<'_>,
        workspace: &mut Workspace,
    ) -> Result<FeedTapes> {
        let keys = &self.pass.row_keys(self.mode)[range.clone()];
        let mut packed = std::mem::take(&mut workspace.more_rows);
        let place = &mut self.place(keys, workspace);
        let mut h = self.scratch.take(range.len() * self.hidden);
        let (fed, y) = (out.fed, out.y);
        let input = (context, x);
        let attention_output =
            self.attention_output(range, input, &mut h, fed.attention, &mut packed, place)?;
        let rows = FeedForwardRows {
            u: fed.u,
            output: fed.output,
            y: &mut *y,
        };
        let feed_forward = self.feed_forward(range, &h, rows, &mut packed, place)?;
        // (9) y = programs(y)
        let end = site::forward(&self.ready.end, y, [x, &[]], place)?;
        workspace.more_rows = packed;
        Ok(FeedTapes {
            attention_output,
            feed_forward,
            end,
        })
    }
}

/// The rows of `x` (`[T, columns]`) at `rows`.
fn gather(x: &[f32], rows: &[u32], columns: usize, scratch: &Scratch) -> Buffer {
    let mut out = scratch.take(rows.len() * columns);
    for (&row, out) in rows.iter().zip(out.chunks_mut(columns)) {
        out.copy_from_slice(&x[row as usize * columns..(row as usize + 1) * columns]);
    }
    out
}
