//! The context of a task: the inputs that all tasks of a block's forward or backward share, and the
//! place where each of them works.

use super::{
    block::ReadyBlock,
    kept_rows::Piece,
    partials::Partials,
    saved::{FeedTapes, FeedValues, Widths},
    site::{self, Place},
    tape::BlockTape,
};
use crate::model::{
    pass::{BlockMode, Pass},
    scratch::{Buffer, Scratch, Workspace},
};
use progtune_kernels::bf16::Bf16;
use std::ops::Range;

/// The inputs that all tasks of a block's forward share.
pub(super) struct Forward<'a> {
    pub ready: &'a ReadyBlock<'a>,
    pub pass: &'a Pass<'a>,
    pub mode: BlockMode,
    pub scratch: &'a Scratch,
    pub hidden: usize,
}

impl Forward<'_> {
    /// `intermediate_size`.
    pub(super) fn inner(&self) -> usize {
        self.ready.linears.intermediate.layer.out_dim
    }

    pub(super) fn widths(&self) -> Widths {
        widths(self.ready, self.pass)
    }

    pub(super) fn place<'w>(
        &'w self,
        keys: &'w [u64],
        workspace: &'w mut Workspace,
    ) -> Place<'w, 'w> {
        Place {
            parameters: self.pass.parameters,
            rows: self.pass.row_context(keys, self.mode.dropout),
            scratch: self.scratch,
            workspace,
            record: self.mode.record,
        }
    }
}

/// The widths of the rows that a block leaves behind.
fn widths(ready: &ReadyBlock<'_>, pass: &Pass<'_>) -> Widths {
    Widths {
        hidden: pass.config.encoder.hidden_size,
        inner: ready.linears.intermediate.layer.out_dim,
        heads: pass.config.encoder.num_attention_heads,
    }
}

/// The inputs that all tasks of a block's backward share.
pub(super) struct Backward<'a> {
    pub ready: &'a ReadyBlock<'a>,
    pub tape: &'a BlockTape,
    pub pass: &'a Pass<'a>,
    pub scratch: &'a Scratch,
    pub hidden: usize,
}

/// A feeding task of the backward.
pub(super) struct FeedTask<'t> {
    /// Its computed rows.
    pub rows: &'t Range<usize>,
    pub tapes: &'t FeedTapes,
    pub values: FeedValues<'t>,
}

/// The rows and the memory of a task of the backward, and the sums to which it adds parameter
/// gradients.
pub(super) struct BackwardPlace<'t, 'p, 'w> {
    pub partials: &'t mut Partials<'p>,
    pub place: Place<'w, 'w>,
}

/// The gradients at a feeding task.
pub(super) struct FeedGradients<'d> {
    /// Comes in as the gradient of the block's output, and leaves as that of its input through the
    /// residual sums.
    pub d: &'d mut [f32],
    /// Receives the gradient of attention's output.
    pub d_context: &'d mut [f32],
}

impl Backward<'_> {
    pub(super) fn widths(&self) -> Widths {
        widths(self.ready, self.pass)
    }

    pub(super) fn mode(&self) -> BlockMode {
        self.tape.mode
    }

    pub(super) fn place<'w>(
        &'w self,
        keys: &'w [u64],
        workspace: &'w mut Workspace,
    ) -> Place<'w, 'w> {
        Place {
            parameters: self.pass.parameters,
            rows: self.pass.row_context(keys, self.mode().dropout),
            scratch: self.scratch,
            workspace,
            record: false,
        }
    }
}

/// Room for a task's rows: those that are kept as they are computed, or else room of its own,
/// beside the room in which they are kept rounded.
pub(super) fn piece<'k>(
    kept: Option<Piece<'k>>,
    own: &'k mut Option<Buffer>,
    n: usize,
    scratch: &Scratch,
) -> (&'k mut [f32], Option<&'k mut [Bf16]>) {
    match kept {
        Some(Piece::F32(rows)) => (rows, None),
        Some(Piece::Bf16(kept)) => (own.insert(scratch.take(n)), Some(kept)),
        None => (own.insert(scratch.take(n)), None),
    }
}

/// Adds the gradients that programs have for their other inputs.
pub(super) fn add_all(sum: &mut [f32], more: [Option<Buffer>; 2]) {
    for more in more.into_iter().flatten() {
        site::add(sum, &more);
    }
}
