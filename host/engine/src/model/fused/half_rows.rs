//! The tape's rows in bfloat16, for models whose products read such numbers: half the room, written
//! and read by each task while its rows are in the cache. [`super::forward`] and
//! [`super::backward`] call it.
//!
//! Queries, keys, values, inputs of layers are rounded in any case when a product reads them. Only
//! u and the normalised rows lose something: the backward computes with them what autocast computes
//! with its bfloat16 activations. Sums over rows stay f32.

use super::{
    groups::split,
    saved::{AttendValues, Attended, Fed, FeedValues, Normalised, Qkv, Widths},
};
use crate::model::scratch::{Buffer, Scratch};
use progtune_kernels::bf16::{Bf16, narrow, widen};
use std::ops::Range;

/// The rows of a block that computes all of them.
pub(super) struct HalfRows {
    /// The block's input, `[T, hidden]`.
    pub x: Buffer<Bf16>,
    /// Attention's output, `[T, hidden]`; empty when nothing reads it.
    pub context: Buffer<Bf16>,
    /// q, k, v, the normalised rows and u: for each task, one after the other.
    rest: Buffer<Bf16>,
    /// The softmax's sums and both LayerNorms' reciprocal deviations, likewise.
    sums: Buffer,
    widths: Widths,
}

/// The rows of one task.
pub(super) struct HalfPiece<'r> {
    x: &'r mut [Bf16],
    context: &'r mut [Bf16],
    rest: &'r mut [Bf16],
    sums: &'r mut [f32],
}

impl Widths {
    /// The columns of [`HalfRows::rest`] and [`HalfRows::sums`].
    fn of_rest(self) -> (usize, usize) {
        (5 * self.hidden + self.inner, self.heads + 2)
    }
}

impl HalfRows {
    /// Room for `n` rows, with attention's output if something `reads_context`.
    pub(super) fn room(n: usize, widths: Widths, reads_context: bool, scratch: &Scratch) -> Self {
        let (rest, sums) = widths.of_rest();
        let context = if reads_context { n } else { 0 };
        Self {
            x: scratch.halves(n, widths.hidden),
            context: scratch.halves(context, widths.hidden),
            rest: scratch.halves(n, rest),
            sums: scratch.rows(n, sums),
            widths,
        }
    }

    /// The rows of each task.
    pub(super) fn split(&mut self, tasks: &[Range<usize>]) -> Vec<HalfPiece<'_>> {
        let rows = || tasks.iter().cloned();
        let (hidden, (rest, sums)) = (self.widths.hidden, self.widths.of_rest());
        let context = if self.context.is_empty() { 0 } else { hidden };
        let pieces = split(&mut self.x, rows(), hidden)
            .into_iter()
            .zip(split(&mut self.context, rows(), context))
            .zip(split(&mut self.rest, rows(), rest))
            .zip(split(&mut self.sums, rows(), sums));
        pieces
            .map(|(((x, context), rest), sums)| HalfPiece {
                x,
                context,
                rest,
                sums,
            })
            .collect()
    }

    /// The rows of a task as it computed them, apart from rounding.
    pub(super) fn widened(&self, rows: &Range<usize>, scratch: &Scratch) -> WideRows {
        let (n, hidden) = (rows.len(), self.widths.hidden);
        let (rest, sums) = self.widths.of_rest();
        let of_task = |columns: usize| rows.start * columns..rows.end * columns;
        let (mut attended, mut fed) = self.widths.task_room(n, scratch);
        let mut x = scratch.take(n * hidden);
        widen(&mut x, &self.x[of_task(hidden)]);
        if self.context.is_empty() {
            attended.context = scratch.take(0);
        } else {
            widen(&mut attended.context, &self.context[of_task(hidden)]);
        }
        let mut halves = &self.rest[of_task(rest)];
        for part in [
            &mut attended.qkv.q,
            &mut attended.qkv.k,
            &mut attended.qkv.v,
            &mut fed.attention.x_hat,
            &mut fed.output.x_hat,
            &mut fed.u,
        ] {
            widen(part, halves);
            halves = &halves[part.len()..];
        }
        let mut sums = &self.sums[of_task(sums)];
        for part in [
            &mut attended.log_sum_exp,
            &mut fed.attention.rstd,
            &mut fed.output.rstd,
        ] {
            let n = part.len();
            part.copy_from_slice(&sums[..n]);
            sums = &sums[n..];
        }
        WideRows { x, attended, fed }
    }
}

impl HalfPiece<'_> {
    /// Keeps the rows that a task has computed.
    pub(super) fn keep(mut self, x: &[f32], attended: &Attended<Buffer>, fed: &Fed<Buffer>) {
        narrow(self.x, x);
        narrow(self.context, &attended.context);
        for part in [
            &attended.qkv.q,
            &attended.qkv.k,
            &attended.qkv.v,
            &fed.attention.x_hat,
            &fed.output.x_hat,
            &fed.u,
        ] {
            let (to, after) = std::mem::take(&mut self.rest).split_at_mut(part.len());
            narrow(to, part);
            self.rest = after;
        }
        for part in [&attended.log_sum_exp, &fed.attention.rstd, &fed.output.rstd] {
            let (to, after) = std::mem::take(&mut self.sums).split_at_mut(part.len());
            to.copy_from_slice(part);
            self.sums = after;
        }
    }
}

/// The rows of one task, in room of its own.
pub(super) struct WideRows {
    x: Buffer,
    attended: Attended<Buffer>,
    fed: Fed<Buffer>,
}

impl WideRows {
    /// Those that the backward of attending reads.
    pub(super) fn attend(&self) -> AttendValues<'_> {
        AttendValues {
            x: &self.x,
            x_query: &self.x,
            qkv: Qkv {
                q: &self.attended.qkv.q,
                k: &self.attended.qkv.k,
                v: &self.attended.qkv.v,
            },
            log_sum_exp: &self.attended.log_sum_exp,
        }
    }

    /// Those that the backward of feeding reads.
    pub(super) fn feed(&self) -> FeedValues<'_> {
        fn all(of: &Normalised<Buffer>) -> Normalised<&[f32]> {
            Normalised {
                x_hat: &of.x_hat,
                rstd: &of.rstd,
            }
        }
        FeedValues {
            x: &self.x,
            context: &self.attended.context,
            fed: Fed {
                attention: all(&self.fed.attention),
                u: &self.fed.u,
                output: all(&self.fed.output),
            },
        }
    }
}
