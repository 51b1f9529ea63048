//! The backward of a block on the fused path. [`crate::model::Model`] calls it.
//!
//! First, every task takes its rows down through the block, which gives input gradients and the
//! sums of small parameters. Then the weight gradients, which read all rows, are computed together.

use super::{
    attention::AttendGradients,
    block::ReadyBlock,
    context::{Backward, BackwardPlace, FeedGradients, add_all, piece},
    groups::{rows_of, split},
    partials::Partials,
    saved::BlockTape,
    site,
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
use progtune_kernels::{layer_norm, timed, timed_task};
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
    let values: &[f32] = &tape.x;
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
    // Undoing (1) writes all of it first.
    let rows = values.len() / hidden;
    let mut d_x = mode.input_gradient.then(|| scratch.rows(rows, hidden));
    let partials = if mode.first_only {
        run.first_tokens(&tasks, &mut d, d_x.as_deref_mut(), &mut kept)?
    } else {
        run.rows_at_once(&tasks, &mut d, d_x.as_deref_mut(), &mut kept)?
    };
    timed!("sums of gradients");
    let sums = Partials::collect(partials, gradients);
    ready.derived_backward(block, &sums, pass, gradients)?;
    drop(ready);
    kept.weight_gradients(block, &tape, values, pass, gradients)?;
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
            self.scratch.with_workspace(|w| {
                let gradients = FeedGradients {
                    d: &mut *d,
                    d_context: &mut d_context,
                };
                self.feed(i, &tasks.feed[i], gradients, kept_feed, &mut partials, w)?;
                let gradients = AttendGradients {
                    d_context: &d_context,
                    d_rows: d,
                    d_x,
                };
                let task = &tasks.attend[i];
                self.attention_backward(i, task, gradients, kept_attend, &mut partials, w)
            })?;
            Ok(partials)
        })
        .collect()
    }

    /// Undoes the feeding steps for the first tokens, then the attending steps for all sequences.
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
                timed_task!("backward");
                let mut partials = Partials::new(self.pass.parameters, self.scratch);
                let gradients = FeedGradients { d, d_context };
                self.scratch.with_workspace(|w| {
                    self.feed(i, &tasks.feed[i], gradients, kept, &mut partials, w)
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
                timed_task!("backward");
                let mut partials = Partials::new(self.pass.parameters, self.scratch);
                let task = &tasks.attend[i];
                let gradients = AttendGradients {
                    d_context: rows_of(&d_context, &task.computed, h),
                    d_rows: rows_of(d, &task.computed, h),
                    d_x,
                };
                self.scratch.with_workspace(|w| {
                    self.attention_backward(i, task, gradients, kept, &mut partials, w)
                })?;
                Ok(partials)
            })
            .collect();
        Ok(fed?.into_iter().chain(attended?).collect())
    }

    /// Undoes steps (9) to (3) for the rows of a feeding task.
    fn feed(
        &self,
        i: usize,
        range: &Range<usize>,
        mut gradients: FeedGradients<'_>,
        mut kept: KeptRows<'_>,
        partials: &mut Partials<'_>,
        workspace: &mut Workspace,
    ) -> Result<()> {
        let (r, tapes) = (self.ready, &self.tape.saved.feed_tapes[i]);
        let keys = &self.pass.row_keys(self.mode())[range.clone()];
        let at = &mut BackwardPlace {
            partials,
            place: self.place(keys, workspace),
        };
        let x = rows_of(self.first.unwrap_or(self.x), range, self.hidden);
        let (mut kept_h, mut own_h) = (kept.h.take(), None);
        let h = self.hidden_rows(range, &mut kept_h, &mut own_h);
        // Undoes (9), y = programs(y), which may read x.
        let (programs, others) = (&r.end, [x, &[][..]]);
        let (d, partials) = (&mut *gradients.d, &mut *at.partials);
        let [d_x, _] = site::backward(programs, &tapes.end, d, others, partials, &mut at.place)?;
        let feed_forward = &tapes.feed_forward;
        self.feed_forward_backward(range, feed_forward, h, gradients.d, &mut kept, at)?;
        let output = &tapes.attention_output;
        self.attention_output_backward(range, output, x, &mut gradients, &mut kept, at)?;
        add_all(gradients.d, [d_x, None]);
        Ok(())
    }

    /// h, computed again from the tape's normalised rows; empty when nothing reads it.
    fn hidden_rows<'k>(
        &self,
        range: &Range<usize>,
        kept: &'k mut Option<&mut [f32]>,
        own: &'k mut Option<Buffer>,
    ) -> &'k [f32] {
        if !self.ready.reads_hidden(self.pass.parameters) {
            return &[];
        }
        let (norm, n) = (&self.ready.attention_norm, range.len() * self.hidden);
        let h = piece(kept, own, n, self.scratch);
        let x_hat = rows_of(&self.tape.saved.fed.attention.x_hat, range, self.hidden);
        layer_norm::affine(h, x_hat, &norm.gamma, &norm.beta);
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
