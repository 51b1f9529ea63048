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
        Hidden, Model, Start,
        depth::Depth,
        gradients::Gradients,
        step::Step,
        walk::{self, Forward, Tape},
    },
};
use candle_core::Tensor;

/// The rows that the head reads, and the tapes.
struct Encoded {
    hidden: Rows,
    blocks: Vec<Tape<Rows, BlockTape>>,
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
    let encoded = encode(model, &pass, depth, start, blocks)?;
    let below = depth < Depth::Block(blocks);
    let (head, hidden) = (&layout.head, &encoded.hidden);
    let d = head::train(head, hidden, &pass, denominator, below, gradients)?;
    let Some(d) = d else { return Ok(()) };
    let d = walk::down(
        model,
        encoded.blocks,
        d,
        &forward(&pass),
        |block, tape, d| backward::backward(block, tape, d, &pass, gradients),
    )?;
    if let (Some(tape), Some(d)) = (encoded.embeddings, d) {
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
    let (x, embeddings) = match start {
        Some(start) => (start.hidden.rows(pass.lane())?, None),
        None => {
            let record = depth == Depth::Embeddings;
            let dropout = model.embeddings_drop_out(depth);
            let layer = &model.layout.embeddings;
            let (x, tape) = embeddings::forward(layer, pass, record, dropout)?;
            (x, record.then_some(tape))
        }
    };
    let copy = |x: &Rows| pass.lane().copy(x);
    let (hidden, blocks) = walk::up(model, (depth, first..end), x, &forward(pass), copy)?;
    Ok(Encoded {
        hidden,
        blocks,
        embeddings,
    })
}

fn forward<'a>(pass: &'a Pass<'a>) -> impl Forward<Rows, BlockTape> + 'a {
    |block, x, mode| block::forward(block, x, pass, mode)
}
