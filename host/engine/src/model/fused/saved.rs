//! The values that a block's forward leaves behind for its backward, whole or cut into the rows of
//! tasks. [`super::block`] lists the steps that compute them, and [`super::tape`] keeps them.

use super::{
    groups::{rows_of, split},
    linear::LinearTape,
    site::SiteTape,
    tasks::AttendTask,
};
use crate::model::scratch::{Buffer, Scratch};
use std::ops::Range;

/// The rows that the backward of an attending task reads.
pub(super) struct AttendValues<'t> {
    /// The input of key and value.
    pub x: &'t [f32],
    /// The input of query.
    pub x_query: &'t [f32],
    pub qkv: Qkv<&'t [f32]>,
    pub log_sum_exp: &'t [f32],
}

/// The rows that the backward of a feeding task reads.
pub(super) struct FeedValues<'t> {
    /// The computed rows of the block's input.
    pub x: &'t [f32],
    /// Attention's output; empty when nothing reads it.
    pub context: &'t [f32],
    pub fed: Fed<&'t [f32]>,
}

/// The numbers in a row of the tape's values.
#[derive(Clone, Copy)]
pub(super) struct Widths {
    pub hidden: usize,
    /// `intermediate_size`.
    pub inner: usize,
    pub heads: usize,
}

impl Widths {
    /// Room for the values that `all` rows of keys and values and `computed` rows of the rest leave
    /// behind. `room` gives so many rows of so many columns.
    pub(super) fn room(
        self,
        (all, computed): (usize, usize),
        room: impl Fn(usize, usize) -> Buffer,
    ) -> Computed {
        let h = self.hidden;
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
            log_sum_exp: room(computed, self.heads),
            context: room(computed, h),
        };
        let fed = Fed {
            attention: normalised(),
            u: room(computed, self.inner),
            output: normalised(),
        };
        (attended, fed)
    }

    /// Room for a task of `n` rows, which stays in its core's cache.
    pub(super) fn task_room(self, n: usize, scratch: &Scratch) -> Computed {
        self.room((n, n), |rows, columns| scratch.take(rows * columns))
    }
}

/// The values that attending and feeding leave behind, as they are computed.
pub(super) type Computed = (Attended<Buffer>, Fed<Buffer>);

/// Something for each of query, key and value.
#[derive(Default)]
pub(super) struct Qkv<T> {
    pub q: T,
    pub k: T,
    pub v: T,
}

/// The tapes of the programs at query, key and value, for one task.
pub(super) type AttendTapes = Qkv<LinearTape>;

/// The values that attending leaves behind.
pub(super) struct Attended<T> {
    pub qkv: Qkv<T>,
    /// The logarithm of the softmax's denominator, `[computed rows, heads]`.
    pub log_sum_exp: T,
    /// Attention's output, `[computed rows, hidden]`.
    pub context: T,
}

impl Attended<Buffer> {
    pub(super) fn as_rows(&mut self) -> Attended<&mut [f32]> {
        Attended {
            qkv: Qkv {
                q: &mut self.qkv.q,
                k: &mut self.qkv.k,
                v: &mut self.qkv.v,
            },
            log_sum_exp: &mut self.log_sum_exp,
            context: &mut self.context,
        }
    }
}

impl Attended<&mut [f32]> {
    /// The rows of each task.
    pub(super) fn split(self, tasks: &[AttendTask], widths: Widths) -> Vec<Self> {
        let Widths { hidden, heads, .. } = widths;
        let rows = || tasks.iter().map(|task| task.rows.clone());
        let computed = || tasks.iter().map(|task| task.computed.clone());
        let q = split(self.qkv.q, computed(), hidden);
        let k = split(self.qkv.k, rows(), hidden);
        let v = split(self.qkv.v, rows(), hidden);
        let sums = split(self.log_sum_exp, computed(), heads);
        let context = split(self.context, computed(), hidden);
        let pieces = q.into_iter().zip(k).zip(v).zip(sums).zip(context);
        pieces
            .map(|((((q, k), v), log_sum_exp), context)| Attended {
                qkv: Qkv { q, k, v },
                log_sum_exp,
                context,
            })
            .collect()
    }
}

/// The tapes of the programs at the attention output, for one task.
pub(super) struct AttentionOutputTapes {
    pub dense: LinearTape,
    pub end: Vec<SiteTape>,
}

/// The values that a LayerNorm leaves behind: its normalised rows, `[rows, hidden]`, and their
/// reciprocal deviations.
pub(super) struct Normalised<T> {
    pub x_hat: T,
    pub rstd: T,
}

impl Normalised<Buffer> {
    pub(super) fn as_rows(&mut self) -> Normalised<&mut [f32]> {
        Normalised {
            x_hat: &mut self.x_hat,
            rstd: &mut self.rstd,
        }
    }

    /// Some of the rows, for reading.
    pub(super) fn rows(&self, rows: &Range<usize>, hidden: usize) -> Normalised<&[f32]> {
        Normalised {
            x_hat: rows_of(&self.x_hat, rows, hidden),
            rstd: &self.rstd[rows.clone()],
        }
    }
}

/// The values that feeding leaves behind: those of both LayerNorms, and u, `[rows, intermediate]`.
pub(super) struct Fed<T> {
    pub attention: Normalised<T>,
    pub u: T,
    pub output: Normalised<T>,
}

impl Fed<Buffer> {
    pub(super) fn as_rows(&mut self) -> Fed<&mut [f32]> {
        Fed {
            attention: self.attention.as_rows(),
            u: &mut self.u,
            output: self.output.as_rows(),
        }
    }
}

impl Fed<&mut [f32]> {
    /// The rows of each task.
    pub(super) fn split(self, tasks: &[Range<usize>], widths: Widths) -> Vec<Self> {
        let Widths { hidden, inner, .. } = widths;
        let rows = || tasks.iter().cloned();
        let normalised = |of: Normalised<_>| {
            let x_hats = split(of.x_hat, rows(), hidden).into_iter();
            let pairs = x_hats.zip(split(of.rstd, rows(), 1));
            pairs.map(|(x_hat, rstd)| Normalised { x_hat, rstd })
        };
        let pieces = normalised(self.attention)
            .zip(split(self.u, rows(), inner))
            .zip(normalised(self.output));
        pieces
            .map(|((attention, u), output)| Fed {
                attention,
                u,
                output,
            })
            .collect()
    }
}

/// The tapes of the programs at the feed-forward sub-layer, for one task.
pub(super) struct FeedForwardTapes {
    pub intermediate: LinearTape,
    pub activation: Vec<SiteTape>,
    pub output: LinearTape,
    pub end: Vec<SiteTape>,
}

/// The tapes of the programs at one feeding task.
pub(super) struct FeedTapes {
    pub attention_output: AttentionOutputTapes,
    pub feed_forward: FeedForwardTapes,
    pub end: Vec<SiteTape>,
}
