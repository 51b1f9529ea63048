//! The forward of a block on the fused path. [`crate::model::Model`] calls it.
//!
//! [`super::block`] lists the steps; [`super::attention`] and [`super::feed_forward`] compute them
//! for one task.

use super::{
    block::{ReadyBlock, rewrite_weights},
    context::Forward,
    feed_forward::FeedForwardRows,
    groups::{rows_of, split},
    half_rows::HalfRows,
    saved::{AttendTapes, Attended, Computed, Fed, FeedTapes, Widths},
    site,
    tape::{BlockTape, TapeRows, WholeRows},
    tasks::{AttendTask, Tasks},
};
use crate::{
    error::{Error, Result},
    model::{
        layout::Block,
        pass::{BlockMode, Pass},
        scratch::{Buffer, Direction, Scratch, Workspace},
    },
};
use progtune_kernels::{gemm::Operands, timed_task};
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
        let tasks = Tasks::new(pass, mode);
        let halves = scratch.operands() == Operands::Bf16;
        match (mode.record, first_rows) {
            (false, None) => run.without_tape(&tasks, &x, &mut y)?,
            (true, None) if halves => {
                let reads_context = block.reads_context(pass.parameters);
                let saved = run.halves(&tasks, &x, &mut y, reads_context)?;
                Some(saved)
            }
            (_, first_rows) => Some(run.whole(&tasks, x, first_rows, &mut y)?),
        }
    };
    let Some((mut rows, tapes)) = saved.filter(|_| mode.record) else {
        return Ok((y, None));
    };
    if let TapeRows::Whole(rows) = &mut rows
        && !block.reads_context(pass.parameters)
    {
        rows.attended.context = scratch.take(0);
    }
    let (attend_tapes, feed_tapes) = tapes;
    let tape = BlockTape {
        mode,
        rows,
        attend_tapes,
        feed_tapes,
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
        widths: Widths,
    ) -> Vec<Self> {
        let ys = split(y, tasks.iter().cloned(), widths.hidden);
        let fed = fed.as_rows().split(tasks, widths).into_iter();
        fed.zip(ys).map(|(fed, y)| Self { fed, y }).collect()
    }
}

/// The tapes of the programs at all tasks.
type Tapes = (Vec<AttendTapes>, Vec<FeedTapes>);

impl Forward<'_> {
    /// Runs all steps for all rows, writes y, and keeps the rows as they are computed.
    fn whole(
        &self,
        tasks: &Tasks,
        x: Arc<Buffer>,
        first_rows: Option<Buffer>,
        y: &mut [f32],
    ) -> Result<(TapeRows, Tapes)> {
        let (all, computed) = (self.pass.batch.tokens(), y.len() / self.hidden);
        let room = |rows, columns| self.scratch.rows(rows, columns);
        let (mut attended, mut fed) = self.widths().room((all, computed), room);
        let tapes = match &first_rows {
            None => self.rows_at_once(tasks, &x, &mut attended, &mut fed, y)?,
            Some(first) => self.first_tokens(tasks, (&x, first), &mut attended, &mut fed, y)?,
        };
        let rows = WholeRows {
            x,
            first_rows,
            attended,
            fed,
        };
        Ok((TapeRows::Whole(Box::new(rows)), tapes))
    }

    /// The same, keeping the rows in half the room.
    fn halves(
        &self,
        tasks: &Tasks,
        x: &[f32],
        y: &mut [f32],
        reads_context: bool,
    ) -> Result<(TapeRows, Tapes)> {
        let n = self.pass.batch.tokens();
        let mut kept = HalfRows::room(n, self.widths(), reads_context, self.scratch);
        let pieces = kept.split(&tasks.feed);
        let ys = split(y, tasks.feed.iter().cloned(), self.hidden);
        let work = tasks.attend.par_iter().zip(ys).zip(pieces);
        let tapes: Result<Vec<_>> = work
            .map(|((task, y), piece)| {
                timed_task!("forward");
                let x = rows_of(x, &task.rows, self.hidden);
                let ((attended, fed), tapes) = self.in_own_room(task, x, y)?;
                piece.keep(x, &attended, &fed);
                Ok(tapes)
            })
            .collect();
        Ok((TapeRows::Halves(Box::new(kept)), tapes?.into_iter().unzip()))
    }

    /// Attends and feeds without keeping anything.
    fn without_tape(
        &self,
        tasks: &Tasks,
        x: &[f32],
        y: &mut [f32],
    ) -> Result<Option<(TapeRows, Tapes)>> {
        let ys = split(y, tasks.feed.iter().cloned(), self.hidden);
        tasks.attend.par_iter().zip(ys).try_for_each(|(task, y)| {
            timed_task!("forward");
            let x = rows_of(x, &task.rows, self.hidden);
            self.in_own_room(task, x, y).map(drop)
        })?;
        Ok(None)
    }

    /// Attends and feeds the rows of one task in room of its own, which stays in its core's cache.
    fn in_own_room(
        &self,
        task: &AttendTask,
        x: &[f32],
        y: &mut [f32],
    ) -> Result<(Computed, (AttendTapes, FeedTapes))> {
        let (mut attended, mut fed) = self.widths().task_room(task.rows.len(), self.scratch);
        let tapes = self.scratch.with_workspace(|w| {
            let (_, attend_tapes) = self.attend(task, x, x, attended.as_rows(), w)?;
            let out = FeedRows {
                fed: fed.as_rows(),
                y,
            };
            let feed_tapes = self.feed(&task.computed, &attended.context, x, out, w)?;
            Ok::<_, Error>((attend_tapes, feed_tapes))
        })?;
        Ok(((attended, fed), tapes))
    }

    /// Attends and feeds the same rows in one task.
    fn rows_at_once(
        &self,
        tasks: &Tasks,
        x: &[f32],
        attended: &mut Attended<Buffer>,
        fed: &mut Fed<Buffer>,
        y: &mut [f32],
    ) -> Result<Tapes> {
        let h = self.hidden;
        let attended = attended.as_rows().split(&tasks.attend, self.widths());
        let fed = FeedRows::split(fed, y, &tasks.feed, self.widths());
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
    ) -> Result<Tapes> {
        let h = self.hidden;
        let pieces = attended.as_rows().split(&tasks.attend, self.widths());
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
        let fed = FeedRows::split(fed, y, &tasks.feed, self.widths());
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
