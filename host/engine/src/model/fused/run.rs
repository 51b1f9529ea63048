//! Forward and backward of a whole batch on the CPU path. [`super::super::Model`] calls it; the
//! other paths have the same functions.

use super::{
    backward::backward as block_backward,
    embeddings::{self, EmbeddingsTape},
    forward::forward as block_forward,
    head,
    tape::BlockTape,
};
use crate::{
    batch::Batch,
    error::Result,
    model::{
        Hidden, Model, Start,
        depth::Depth,
        gradients::Gradients,
        pass::Pass,
        scratch::Buffer,
        step::Step,
        walk::{self, Forward, Tape},
    },
};
use candle_core::Tensor;
use progtune_kernels::timed;
use std::sync::Arc;

/// The rows that the head reads, and the tapes.
struct Encoded {
    hidden: Arc<Buffer>,
    blocks: Vec<Tape<Arc<Buffer>, BlockTape>>,
    embeddings: Option<EmbeddingsTape>,
}

/// Logits without dropout, `[rows, outputs]`.
pub(crate) fn logits(model: &Model, batch: &Batch, start: Option<Start>) -> Result<Tensor> {
    let pass = Pass::new(model, batch, None);
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
    batch: &Batch,
    start: Option<Start>,
    end: usize,
) -> Result<Hidden> {
    let pass = Pass::new(model, batch, None);
    let no_tape = Depth::Block(model.layout.blocks.len());
    let encoded = encode(model, &pass, no_tape, start, end)?;
    let columns = model.config.encoder.hidden_size;
    Ok(Hidden::on_cpu(encoded.hidden, columns))
}

/// One micro-batch: forward, loss, and backward, added to `gradients`.
pub(crate) fn train(
    model: &Model,
    batch: &Batch,
    start: Option<Start>,
    (step, denominator): (Step, f64),
    gradients: &mut Gradients,
) -> Result<()> {
    let pass = Pass::new(model, batch, Some(step));
    let (depth, layout) = (model.depth(), &model.layout);
    let blocks = layout.blocks.len();
    let encoded = encode(model, &pass, depth, start, blocks)?;
    let below = depth < Depth::Block(blocks);
    let (loss, d) = {
        timed!("head");
        let hidden = &encoded.hidden;
        head::train(&layout.head, hidden, &pass, denominator, below, gradients)?
    };
    gradients.add_loss(loss);
    drop(encoded.hidden);
    let Some(d) = d else { return Ok(()) };
    let d = walk::down(
        model,
        encoded.blocks,
        d,
        &forward(&pass),
        |block, tape, d| block_backward(block, tape, d, &pass, gradients),
    )?;
    if let (Some(tape), Some(d)) = (encoded.embeddings, d) {
        timed!("embeddings backward");
        embeddings::backward(&layout.embeddings, tape, d, &pass, gradients, true)?;
    }
    Ok(())
}

/// The rows below block `end` and the tapes from `depth` on. Above the last block, these are the
/// rows that the head reads.
fn encode(
    model: &Model,
    pass: &Pass<'_>,
    depth: Depth,
    start: Option<Start>,
    end: usize,
) -> Result<Encoded> {
    let first = start.as_ref().map_or(0, |start| start.block);
    let (x, embeddings) = match start {
        Some(start) => (start.hidden.buffer(pass.scratch)?, None),
        None => {
            timed!("embeddings forward");
            let record = depth == Depth::Embeddings;
            let dropout = model.embeddings_drop_out(depth);
            let layer = &model.layout.embeddings;
            let (x, tape) = embeddings::forward(layer, pass, record, dropout)?;
            (Arc::new(x), record.then_some(tape))
        }
    };
    let share = |x: &Arc<Buffer>| Ok(Arc::clone(x));
    let (hidden, blocks) = walk::up(model, (depth, first..end), x, &forward(pass), share)?;
    Ok(Encoded {
        hidden,
        blocks,
        embeddings,
    })
}

fn forward<'a>(pass: &'a Pass<'a>) -> impl Forward<Arc<Buffer>, BlockTape> + 'a {
    |block, x, mode| {
        let (y, tape) = block_forward(block, x, pass, mode)?;
        Ok((Arc::new(y), tape))
    }
}
