//! Forward and backward of a whole batch on the composed path. [`super::super::Model`] calls it;
//! the other paths have the same functions.

use super::{Tape as Graph, block, embeddings, head};
use crate::{
    batch::Batch,
    error::Result,
    model::{
        Hidden, Model, Start,
        depth::Depth,
        gradients::Gradients,
        pass::Pass,
        step::Step,
        walk::{self, Forward, Tape},
    },
};
use candle_core::{Tensor, Var};
use progtune_kernels::timed;

/// The rows that the head reads, and the tapes.
struct Encoded {
    hidden: Tensor,
    blocks: Vec<Tape<Tensor, Graph>>,
    embeddings: Option<Graph>,
}

/// Logits without dropout, `[rows, outputs]`.
pub(crate) fn logits(model: &Model, batch: &Batch, start: Option<Start>) -> Result<Tensor> {
    let pass = Pass::new(model, batch, None);
    let blocks = model.layout.blocks.len();
    let encoded = encode(model, &pass, Depth::Block(blocks), start, blocks)?;
    Ok(head::logits(&model.layout.head, &encoded.hidden, &pass)?.detach())
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
    Ok(Hidden::from(encoded.hidden.detach()))
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
    let (depth, parameters) = (model.depth(), &model.parameters);
    let blocks = model.layout.blocks.len();
    let encoded = encode(model, &pass, depth, start, blocks)?;
    let below = depth < Depth::Block(blocks);
    let (loss, d) = train_head(model, &pass, encoded.hidden, denominator, below, gradients)?;
    gradients.add_loss(loss);
    let Some(d) = d else { return Ok(()) };
    let d = walk::down(
        model,
        encoded.blocks,
        d,
        &forward(&pass),
        |block, graph, d| graph.backward(&d, &block.parameters(), parameters, gradients),
    )?;
    if let (Some(graph), Some(d)) = (encoded.embeddings, d) {
        timed!("embeddings backward");
        graph.backward(&d, &model.embedding_parameters(), parameters, gradients)?;
    }
    Ok(())
}

/// The loss and, with `below`, the gradient of `hidden`, the rows that the head reads.
fn train_head(
    model: &Model,
    pass: &Pass<'_>,
    hidden: Tensor,
    denominator: f64,
    below: bool,
    gradients: &mut Gradients,
) -> Result<(f64, Option<Tensor>)> {
    timed!("head");
    let hidden = if below {
        Var::from_tensor(&hidden)?.into_inner()
    } else {
        hidden
    };
    let logits = head::logits(&model.layout.head, &hidden, pass)?;
    let loss = head::loss(&logits, pass.batch, &model.loss_weighting, denominator)?;
    let store = loss.backward()?;
    for id in model.head_parameters() {
        let trained = model.parameters.is_trainable(id);
        if let Some(gradient) = store.get(model.parameters.variable(id)).filter(|_| trained) {
            gradients.add(id, gradient)?;
        }
    }
    let d = store.get(&hidden).filter(|_| below).map(Tensor::detach);
    Ok((f64::from(loss.to_scalar::<f32>()?), d))
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
    let (x, below) = match start {
        Some(start) => (start.hidden.tensor(model.parameters.device())?, None),
        None => {
            timed!("embeddings forward");
            let record = depth == Depth::Embeddings;
            let dropout = model.embeddings_drop_out(depth);
            let (x, graph) = embeddings(&model.layout.embeddings, pass, dropout)?;
            (x, record.then_some(graph))
        }
    };
    let share = |x: &Tensor| Ok(x.clone());
    let (hidden, blocks) = walk::up(model, (depth, first..end), x, &forward(pass), share)?;
    Ok(Encoded {
        hidden,
        blocks,
        embeddings: below,
    })
}

fn forward<'a>(pass: &'a Pass<'a>) -> impl Forward<Tensor, Graph> + 'a {
    |layer, x, mode| {
        let (y, graph) = block(layer, &x, pass, mode)?;
        Ok((y, mode.record.then_some(graph)))
    }
}
