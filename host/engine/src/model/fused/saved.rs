//! The values that a block's forward leaves behind for its backward, whole or cut into the rows of
//! tasks. [`super::block`] lists the steps that compute them.

use super::{
    block::Rewritten, groups::split, linear::LinearTape, site::SiteTape, tasks::AttendTask,
};
use crate::model::{pass::BlockMode, scratch::Buffer};
use std::{ops::Range, sync::Arc};

/// Everything that the backward of a block needs.
pub(crate) struct BlockTape {
    pub(super) mode: BlockMode,
    pub(super) x: Arc<Buffer>,
    /// The first token's row of each sequence, in a block that computes no other.
    pub(super) first_rows: Option<Buffer>,
    pub(super) saved: Saved,
    pub(super) rewritten: Rewritten,
}

/// The values that a forward leaves behind: `[T, …]` for keys and values, the computed rows for the
/// rest.
pub(super) struct Saved {
    pub attended: Attended<Buffer>,
    pub fed: Fed<Buffer>,
    /// For each attending task.
    pub attend_tapes: Vec<AttendTapes>,
    /// For each feeding task.
    pub feed_tapes: Vec<FeedTapes>,
}

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
    pub(super) fn split(self, tasks: &[AttendTask], hidden: usize, heads: usize) -> Vec<Self> {
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
    pub(super) fn split(self, tasks: &[Range<usize>], hidden: usize, inner: usize) -> Vec<Self> {
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
