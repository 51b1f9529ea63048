//! The context of a task: the inputs that all tasks of a block's forward or backward share, and the
//! place where each of them works.

use super::{
    block::ReadyBlock,
    partials::Partials,
    saved::BlockTape,
    site::{self, Place},
};
use crate::model::{
    pass::{BlockMode, Pass},
    scratch::{Buffer, Scratch, Workspace},
};

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

/// The inputs that all tasks of a block's backward share.
pub(super) struct Backward<'a> {
    pub ready: &'a ReadyBlock<'a>,
    pub tape: &'a BlockTape,
    pub x: &'a [f32],
    pub first: Option<&'a [f32]>,
    pub pass: &'a Pass<'a>,
    pub scratch: &'a Scratch,
    pub hidden: usize,
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

/// The task's piece of a buffer that is kept, or else room of its own.
pub(super) fn piece<'k>(
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

/// Adds the gradients that programs have for their other inputs.
pub(super) fn add_all(sum: &mut [f32], more: [Option<Buffer>; 2]) {
    for more in more.into_iter().flatten() {
        site::add(sum, &more);
    }
}
