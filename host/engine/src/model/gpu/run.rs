//! Forward and backward of a whole batch on the device, as [`super::super::Model`] runs them on the
//! other paths.

use super::{
    backward,
    block::{self, BlockTape},
    embeddings::{self, EmbeddingsTape},
    head,
    pass::{Gpu, Pass},
};
use crate::model::lane::rows::Rows;
use crate::{
    batch::Batch,
    error::Result,
    model::{
        Hidden, Model, Start, depth::Depth, gradients::Gradients, pass::BlockMode, step::Step,
    },
};
use candle_core::Tensor;

/// The values that a block's backward needs.
enum Tape {
    Whole(Box<BlockTape>),
    /// The block's input and mode, from which the tape can be made again.
    Recompute {
        x: Rows,
        mode: BlockMode,
    },
}

/// The rows that the head reads, and the tapes.
struct Encoded {
    hidden: Rows,
    blocks: Vec<Tape>,
    embeddings: Option<EmbeddingsTape>,
}

/// Logits without dropout, `[rows, outputs]`.
pub(crate) fn logits(
    model: &Model,
    gpu: &Gpu,
    batch: &Batch,
    start: Option<Start>,
) -> Result<Tensor> {
    let pass = Pass::new(model, gpu, batch, None)?;
    let blocks = model.layout.blocks.len();
    let encoded = encode(model, &pass, Depth::Block(blocks), start, blocks)?;
    let logits = head::logits(&model.layout.head, &encoded.hidden, &pass)?;
    let outputs = model.layout.head.outputs();
    let shape = (logits.len() / outputs, outputs);
    Ok(Tensor::from_vec(logits, shape, model.parameters.device())?)
}

/// The rows at boundary `end`, without dropout.
pub(crate) fn prefix(
    model: &Model,
    gpu: &Gpu,
    batch: &Batch,
    start: Option<Start>,
    end: usize,
) -> Result<Hidden> {
    let pass = Pass::new(model, gpu, batch, None)?;
    let no_tape = Depth::Block(model.layout.blocks.len());
    let encoded = encode(model, &pass, no_tape, start, end)?;
    Ok(Hidden::on_gpu(encoded.hidden, pass.lane()))
}

/// One micro-batch: forward, loss, and backward, added to `gradients`.
pub(crate) fn train(
    model: &Model,
    gpu: &Gpu,
    batch: &Batch,
    start: Option<Start>,
    (step, denominator): (Step, f64),
    gradients: &mut Gradients,
) -> Result<()> {
    let pass = Pass::new(model, gpu, batch, Some(step))?;
    let (depth, layout) = (model.depth(), &model.layout);
    let blocks = layout.blocks.len();
    let mut encoded = encode(model, &pass, depth, start, blocks)?;
    let below = depth < Depth::Block(blocks);
    let (head, hidden) = (&layout.head, &encoded.hidden);
    let d = head::train(head, hidden, &pass, denominator, below, gradients)?;
    let Some(mut d) = d else { return Ok(()) };
    for block in layout.blocks.iter().rev() {
        let Some(tape) = encoded.blocks.pop() else {
            return Ok(());
        };
        let tape = match tape {
            Tape::Whole(tape) => Some(*tape),
            Tape::Recompute { x, mode } => block::forward(block, x, &pass, mode)?.1,
        };
        let Some(tape) = tape else { return Ok(()) };
        match backward::backward(block, tape, d, &pass, gradients)? {
            Some(next) => d = next,
            None => return Ok(()),
        }
    }
    if let Some(tape) = encoded.embeddings {
        embeddings::backward(&layout.embeddings, tape, d, &pass, gradients, true)?;
    }
    Ok(())
}

/// The rows below block `end` and the tapes from `depth` on.
fn encode(
    model: &Model,
    pass: &Pass<'_>,
    depth: Depth,
    start: Option<Start>,
    end: usize,
) -> Result<Encoded> {
    let first = start.as_ref().map_or(0, |start| start.block);
    let (mut x, embeddings) = match start {
        Some(start) => (start.hidden.rows(pass.lane())?, None),
        None => {
            let record = depth == Depth::Embeddings;
            let dropout = model.embeddings_drop_out(depth);
            let layer = &model.layout.embeddings;
            let (x, tape) = embeddings::forward(layer, pass, record, dropout)?;
            (x, record.then_some(tape))
        }
    };
    let mut blocks = Vec::new();
    let last = model.layout.blocks.len() - 1;
    for block in &model.layout.blocks[first..end] {
        let mode = model.block_mode(block, depth);
        // The backward takes the topmost tape first, so keeping it costs no memory at the peak.
        if mode.record && model.recompute && block.number != last {
            let kept = pass.lane().copy(&x)?;
            let without = BlockMode {
                record: false,
                ..mode
            };
            (x, _) = block::forward(block, x, pass, without)?;
            blocks.push(Tape::Recompute { x: kept, mode });
            continue;
        }
        let tape;
        (x, tape) = block::forward(block, x, pass, mode)?;
        blocks.extend(tape.map(|tape| Tape::Whole(Box::new(tape))));
    }
    Ok(Encoded {
        hidden: x,
        blocks,
        embeddings,
    })
}
