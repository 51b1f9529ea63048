//! The backward of a block on the fused path. [`crate::model::Model`] calls it.
//!
//! First, every task takes its rows down through the block, which gives input gradients and the
//! sums of small parameters. Then the weight gradients, which read all rows, are computed together.

use super::{
    attention::AttendGradients,
    block::ReadyBlock,
    context::{Backward, BackwardPlace, FeedGradients, FeedTask, add_all, piece},
    groups::{rows_of, split},
    kept_rows::Piece,
    partials::Partials,
    saved::{FeedValues, Normalised},
    site,
    tape::{BlockTape, TapeRows, WholeRows},
    tasks::Tasks,
    weight_gradients::{Kept, KeptRows},
};
use crate::{
    error::Result,
    model::{
        gradients::Gradients,
        layout::Block,
        pass::Pass,
        scratch::{Buffer, Direction, Workspace},
    },
};
use progtune_kernels::{bf16::narrow, layer_norm, timed, timed_task};
use rayon::prelude::*;
use std::ops::Range;

/// Adds the gradients of the block's trainable parameters; returns that of its input if the mode
/// asks for it.
///
/// `d` is the gradient of the block's output, `[computed rows, hidden]`.
pub(crate) fn backward(
    block: &Block,
    tape: BlockTape,
    mut d: Buffer,
    pass: &Pass<'_>,
    gradients: &mut Gradients,
) -> Result<Option<Buffer>> {
    let (scratch, hidden, mode) = (pass.scratch, pass.config.encoder.hidden_size, tape.mode);
    let ready = ReadyBlock::new(
        block,
        &tape.rewritten,
        pass,
        scratch,
        mode,
        Direction::Backward,
    )?;
    let (tasks, rows) = (Tasks::new(pass, mode), pass.batch.tokens());
    let run = Backward {
        ready: &ready,
        tape: &tape,
        pass,
        scratch,
        hidden,
    };
    let mut kept = Kept::new(block, pass, rows, d.len() / hidden);
    // Undoing (1) writes all of it first.
    let mut d_x = mode.input_gradient.then(|| scratch.rows(rows, hidden));
    let partials = match &tape.rows {
        TapeRows::Whole(rows) if mode.first_only => {
            run.first_tokens(&tasks, rows, &mut d, d_x.as_deref_mut(), &mut kept)?
        }
        _ => run.rows_at_once(&tasks, &mut d, d_x.as_deref_mut(), &mut kept)?,
    };
    timed!("sums of gradients");
    let sums = Partials::collect(partials, gradients);
    ready.derived_backward(block, &sums, pass, gradients)?;
    drop(ready);
    kept.weight_gradients(block, &tape, pass, gradients)?;
    Ok(d_x)
}

impl<'a> Backward<'a> {
    /// Undoes all steps in one task for the same rows.
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
            timed_task!("backward");
            let mut partials = Partials::new(self.pass.parameters, self.scratch);
            let mut d_context = self.scratch.take(d.len());
            let (task, rows) = (&tasks.attend[i], &tasks.feed[i]);
            let widened;
            let (attend, feed) = match &self.tape.rows {
                TapeRows::Whole(whole) => {
                    let widths = self.widths();
                    (whole.attend(task, widths), whole.feed(rows, widths))
                }
                TapeRows::Halves(halves) => {
                    widened = halves.widened(rows, self.scratch);
                    (widened.attend(), widened.feed())
                }
            };
            self.scratch.with_workspace(|w| {
                let gradients = FeedGradients {
                    d: &mut *d,
                    d_context: &mut d_context,
                };
                let feed = self.feed_task(i, rows, feed);
                self.feed(feed, gradients, kept_feed, &mut partials, w)?;
                let gradients = AttendGradients {
                    d_context: &d_context,
                    d_rows: d,
                    d_x,
                };
                let to = (&mut partials, w);
                self.attention_backward(i, task, attend, gradients, kept_attend, to)
            })?;
            Ok(partials)
        })
        .collect()
    }

    /// Undoes the feeding steps for the first tokens, then the attending steps for all sequences.
    fn first_tokens(
        &self,
        tasks: &Tasks,
        rows: &WholeRows,
        d: &mut [f32],
        d_x: Option<&mut [f32]>,
        kept: &mut Kept,
    ) -> Result<Vec<Partials<'a>>> {
        let (h, widths) = (self.hidden, self.widths());
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
                timed_task!("backward");
                let mut partials = Partials::new(self.pass.parameters, self.scratch);
                let gradients = FeedGradients { d, d_context };
                let values = rows.feed(&tasks.feed[i], widths);
                let task = self.feed_task(i, &tasks.feed[i], values);
                self.scratch
                    .with_workspace(|w| self.feed(task, gradients, kept, &mut partials, w))?;
                Ok(partials)
            })
            .collect();
        let work = (0..tasks.attend.len())
            .into_par_iter()
            .zip(split_optional(d_x, tasks, h))
            .zip(kept_attend);
        let attended: Result<Vec<Partials<'a>>> = work
            .map(|((i, d_x), kept)| {
                timed_task!("backward");
                let mut partials = Partials::new(self.pass.parameters, self.scratch);
                let task = &tasks.attend[i];
                let gradients = AttendGradients {
                    d_context: rows_of(&d_context, &task.computed, h),
                    d_rows: rows_of(d, &task.computed, h),
                    d_x,
                };
                let values = rows.attend(task, widths);
                self.scratch.with_workspace(|w| {
                    self.attention_backward(i, task, values, gradients, kept, (&mut partials, w))
                })?;
                Ok(partials)
            })
            .collect();
        Ok(fed?.into_iter().chain(attended?).collect())
    }

    /// Feeding task `i`.
    fn feed_task<'t>(
        &'t self,
        i: usize,
        rows: &'t Range<usize>,
        values: FeedValues<'t>,
    ) -> FeedTask<'t> {
        FeedTask {
            rows,
            tapes: &self.tape.feed_tapes[i],
            values,
        }
    }

    /// Undoes steps (9) to (3) for the rows of a feeding task.
    fn feed(
        &self,
        task: FeedTask<'_>,
        mut gradients: FeedGradients<'_>,
        mut kept: KeptRows<'_>,
        partials: &mut Partials<'_>,
        workspace: &mut Workspace,
    ) -> Result<()> {
        let (r, x) = (self.ready, task.values.x);
        let keys = &self.pass.row_keys(self.mode())[task.rows.clone()];
        let at = &mut BackwardPlace {
            partials,
            place: self.place(keys, workspace),
        };
        let mut own_h = None;
        let h = self.hidden_rows(&task.values.fed.attention, kept.h.take(), &mut own_h);
        // Undoes (9), y = programs(y), which may read x.
        let (programs, others) = (&r.end, [x, &[][..]]);
        let (d, partials) = (&mut *gradients.d, &mut *at.partials);
        let [d_x, _] = site::backward(
            programs,
            &task.tapes.end,
            d,
            others,
            partials,
            &mut at.place,
        )?;
        self.feed_forward_backward(&task, h, gradients.d, &mut kept, at)?;
        self.attention_output_backward(&task, &mut gradients, &mut kept, at)?;
        add_all(gradients.d, [d_x, None]);
        Ok(())
    }

    /// h, computed again from the tape's normalised rows; empty when nothing reads it.
    fn hidden_rows<'k>(
        &self,
        normalised: &Normalised<&[f32]>,
        kept: Option<Piece<'k>>,
        own: &'k mut Option<Buffer>,
    ) -> &'k [f32] {
        if !self.ready.reads_hidden(self.pass.parameters) {
            return &[];
        }
        let norm = &self.ready.attention_norm;
        let (h, kept) = piece(kept, own, normalised.x_hat.len(), self.scratch);
        layer_norm::affine(h, normalised.x_hat, &norm.gamma, &norm.beta);
        if let Some(kept) = kept {
            narrow(kept, h);
        }
        h
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
