//! The way up through the blocks and down again, which is the same on every path. The files `run`
//! of the fused, the GPU and the composed path call it with their own rows and tapes.

use super::{Model, depth::Depth, layout::Block, pass::BlockMode};
use crate::error::Result;
use progtune_kernels::timed;
use std::ops::Range;

/// The values that a block's backward needs.
pub(super) enum Tape<X, T> {
    Whole(T),
    /// The block's input and mode, from which the tape can be made again.
    Recompute {
        x: X,
        mode: BlockMode,
    },
}

/// A path's forward of a block: its output, and its tape if the mode records.
pub(super) trait Forward<X, T>: Fn(&Block, X, BlockMode) -> Result<(X, Option<T>)> {}
impl<X, T, F: Fn(&Block, X, BlockMode) -> Result<(X, Option<T>)>> Forward<X, T> for F {}

/// The output of some blocks for the input `x` of the first, and their tapes from `depth` on;
/// `again` gives the same rows a second time.
pub(super) fn up<X, T>(
    model: &Model,
    (depth, blocks): (Depth, Range<usize>),
    mut x: X,
    forward: &impl Forward<X, T>,
    again: impl Fn(&X) -> Result<X>,
) -> Result<(X, Vec<Tape<X, T>>)> {
    let mut tapes = Vec::new();
    let last = model.layout.blocks.len() - 1;
    for block in &model.layout.blocks[blocks] {
        timed!("block forward", block.number);
        let mode = model.block_mode(block, depth);
        // The backward takes the topmost tape first, so keeping it costs no memory at the peak.
        if mode.record && model.recompute && block.number != last {
            let kept = again(&x)?;
            let without = BlockMode {
                record: false,
                ..mode
            };
            (x, _) = forward(block, x, without)?;
            tapes.push(Tape::Recompute { x: kept, mode });
            continue;
        }
        let tape;
        (x, tape) = forward(block, x, mode)?;
        tapes.extend(tape.map(Tape::Whole));
    }
    Ok((x, tapes))
}

/// Undoes the blocks from the top down, from the gradient `d` of the last one's output. Returns the
/// gradient of the first one's input, or `None` if a block needed none below it.
pub(super) fn down<X, T, D>(
    model: &Model,
    mut tapes: Vec<Tape<X, T>>,
    mut d: D,
    forward: &impl Forward<X, T>,
    mut backward: impl FnMut(&Block, T, D) -> Result<Option<D>>,
) -> Result<Option<D>> {
    for block in model.layout.blocks.iter().rev() {
        timed!("block backward", block.number);
        let tape = match tapes.pop() {
            Some(Tape::Whole(tape)) => Some(tape),
            Some(Tape::Recompute { x, mode }) => forward(block, x, mode)?.1,
            None => None,
        };
        let Some(tape) = tape else { return Ok(None) };
        match backward(block, tape, d)? {
            Some(next) => d = next,
            None => return Ok(None),
        }
    }
    Ok(Some(d))
}
