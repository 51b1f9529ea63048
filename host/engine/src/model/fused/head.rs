//! The head on the fused path: from the rows that it reads to logits and loss, and back.
//! [`crate::model::Model`] calls it.
//!
//! The equations are those of [`crate::model::composed::head`]. Each layer has three steps: (1)
//! dropout, (2) the linear layer, (3) tanh. A head has few outputs, so one thread computes it.

use super::{
    linear::{LinearRows, LinearTape, ReadyLinear, RewrittenWeight},
    partials::Partials,
    site::Place,
};
use crate::{
    batch::Labels,
    error::{Error, Result},
    model::{
        gradients::Gradients,
        layout::{Head, Linear},
        pass::Pass,
        scratch::{Buffer, Direction, Workspace},
        step::DropoutSite,
    },
};
use progtune_kernels::{
    activation::{self, Activation},
    binary_cross_entropy,
    cross_entropy::{self, Weighting},
    dropout,
    linear::{Rows, WeightGradient, backward_weights},
    matrix::Matrix,
};

/// The values that the backward of a layer needs.
struct LayerTape {
    rewritten: Option<RewrittenWeight>,
    /// The layer's input, after dropout.
    x: Buffer,
    /// The layer's output, where tanh follows.
    z: Option<Buffer>,
    linear: LinearTape,
}

/// Logits, `[rows, outputs]`, for the rows that the head reads, `[rows, hidden]`.
pub(crate) fn logits(head: &Head, hidden: &[f32], pass: &Pass<'_>) -> Result<Vec<f32>> {
    let (logits, _) = pass
        .head_scratch
        .with_workspace(|w| forward(head, hidden, pass, w, false))?;
    Ok(logits.to_vec())
}

/// The loss (Σ over the examples / `denominator`) and, if `below` says that it is wanted, the
/// gradient of `hidden`. Adds the gradients of the head's trainable parameters.
pub(crate) fn train(
    head: &Head,
    hidden: &[f32],
    pass: &Pass<'_>,
    denominator: f64,
    below: bool,
    gradients: &mut Gradients,
) -> Result<(f64, Option<Buffer>)> {
    pass.head_scratch.with_workspace(|w| {
        let (logits, tapes) = forward(head, hidden, pass, w, true)?;
        let mut d_logits = pass.head_scratch.take(logits.len());
        let loss = loss(&mut d_logits, &logits, pass, denominator)?;
        let d_hidden = backward(head, &tapes, d_logits, pass, below, w, gradients)?;
        Ok((loss, d_hidden))
    })
}

fn forward(
    head: &Head,
    hidden: &[f32],
    pass: &Pass<'_>,
    workspace: &mut Workspace,
    record: bool,
) -> Result<(Buffer, Vec<LayerTape>)> {
    let scratch = pass.head_scratch;
    let keys = pass.head_row_keys(head);
    let rows = pass.row_context(keys, true);
    let mut packed = std::mem::take(&mut workspace.more_rows);
    let mut tapes = Vec::with_capacity(head.layers.len());
    let mut y = scratch.copy(hidden);
    for (number, layer) in head.layers.iter().enumerate() {
        let linear = &layer.linear;
        let rewritten = RewrittenWeight::of(linear, pass, rows, record)?;
        let ready = ReadyLinear::new(
            linear,
            rewritten.as_ref(),
            pass,
            scratch,
            Direction::Forward,
            true,
        )?;
        let mut x = y;
        // (1)
        if layer.drops_out {
            drop_out(&mut x, number, linear.in_dim, keys, pass);
        }
        // (2)
        packed.pack(Matrix::new(&x, keys.len(), linear.in_dim));
        let mut z = scratch.take(keys.len() * linear.out_dim);
        let tape = ready.forward(
            &mut z,
            &x,
            &packed,
            &mut place(pass, keys, workspace, record),
        )?;
        let mut before = None;
        // (3)
        if layer.tanh {
            y = scratch.take(z.len());
            activation::forward(&mut y, &z, Activation::Tanh);
            before = Some(z);
        } else {
            y = z;
        }
        drop(ready);
        tapes.push(LayerTape {
            rewritten,
            x,
            z: before,
            linear: tape,
        });
    }
    workspace.more_rows = packed;
    Ok((y, tapes))
}

/// Goes down from the gradient of the logits; returns that of the head's input, if it is wanted.
fn backward(
    head: &Head,
    tapes: &[LayerTape],
    d_logits: Buffer,
    pass: &Pass<'_>,
    below: bool,
    workspace: &mut Workspace,
    gradients: &mut Gradients,
) -> Result<Option<Buffer>> {
    let scratch = pass.head_scratch;
    let keys = pass.head_row_keys(head);
    let mut d = d_logits;
    for (number, (layer, tape)) in head.layers.iter().zip(tapes).enumerate().rev() {
        let linear = &layer.linear;
        // Undoes (3).
        if let Some(z) = &tape.z {
            activation::backward(&mut d, z, Activation::Tanh);
        }
        // Undoes (2).
        let wanted = number > 0 || below;
        let ready = ReadyLinear::new(
            linear,
            tape.rewritten.as_ref(),
            pass,
            scratch,
            Direction::Backward,
            wanted,
        )?;
        let mut d_x = wanted.then(|| scratch.take(tape.x.len()));
        let at_layer = LinearRows {
            x: &tape.x,
            d_x: d_x.as_deref_mut().map(|d_x| (d_x, false)),
            kept: None,
            multiplied: None,
        };
        let mut partials = Partials::new(pass.parameters, scratch);
        let place = &mut place(pass, keys, workspace, false);
        ready.backward(&tape.linear, &mut d, at_layer, &mut partials, place)?;
        let sums = Partials::collect(vec![partials], gradients);
        for program in ready.programs() {
            program.derived_backward(&sums, pass.parameters, gradients)?;
        }
        drop(ready);
        weight_gradient(linear, &tape.rewritten, &d, &tape.x, pass, gradients)?;
        let Some(mut d_x) = d_x else {
            return Ok(None);
        };
        // Undoes (1).
        if layer.drops_out {
            drop_out(&mut d_x, number, linear.in_dim, keys, pass);
        }
        d = d_x;
    }
    Ok(below.then_some(d))
}

fn place<'w>(
    pass: &'w Pass<'_>,
    keys: &'w [u64],
    workspace: &'w mut Workspace,
    record: bool,
) -> Place<'w, 'w> {
    Place {
        parameters: pass.parameters,
        rows: pass.row_context(keys, true),
        scratch: pass.head_scratch,
        workspace,
        record,
    }
}

fn drop_out(x: &mut [f32], layer: usize, columns: usize, keys: &[u64], pass: &Pass<'_>) {
    let p = pass.config.classifier_dropout;
    if let Some(drop) = pass.dropout(p, DropoutSite::Head(layer), keys, true) {
        dropout::apply(x, columns, &drop);
    }
}

fn weight_gradient(
    layer: &Linear,
    rewritten: &Option<RewrittenWeight>,
    d_y: &[f32],
    x: &[f32],
    pass: &Pass<'_>,
    gradients: &mut Gradients,
) -> Result<()> {
    if !layer.trains_weight(pass.parameters) {
        return Ok(());
    }
    let rows = x.len() / layer.in_dim;
    let mut columns = pass.head_scratch.columns(rows, layer.in_dim);
    columns
        .space()
        .pack(Matrix::new(x, x.len() / layer.in_dim, layer.in_dim));
    let add = |d_weight: &mut [f32]| {
        backward_weights(vec![WeightGradient {
            d_weight,
            adds: true,
            d_y: Rows::F32(d_y),
            x: &columns,
        }])
    };
    match rewritten {
        Some(rewritten) => {
            let mut d_weight = vec![0f32; layer.in_dim * layer.out_dim];
            add(&mut d_weight);
            rewritten.backward(layer, &d_weight, pass, gradients)
        }
        None => {
            if let Some(d_weight) = gradients.host(layer.weight) {
                add(d_weight);
            }
            Ok(())
        }
    }
}

/// The loss of [`crate::model::composed::head::loss`]; `d_logits` receives the gradient.
fn loss(d_logits: &mut [f32], logits: &[f32], pass: &Pass<'_>, denominator: f64) -> Result<f64> {
    let denominator = denominator as f32;
    let (batch, weighting) = (pass.batch, pass.weighting);
    match &batch.labels {
        Labels::Classes(classes) => Ok(f64::from(cross_entropy::forward_backward(
            d_logits,
            logits,
            classes,
            weighting.weighting(),
            denominator,
        ))),
        Labels::Sets(sets) => Ok(f64::from(binary_cross_entropy::forward_backward(
            d_logits,
            logits,
            sets,
            weighting.weights(),
            denominator,
        ))),
        Labels::Scores(scores) => {
            let mut total = 0f64;
            for ((d, logit), score) in d_logits.iter_mut().zip(logits).zip(scores) {
                let error = logit - score;
                total += f64::from(error) * f64::from(error);
                *d = 2.0 * error / denominator;
            }
            Ok(total / f64::from(denominator))
        }
        Labels::Tags(tags) => Ok(tag_loss(
            d_logits,
            logits,
            tags,
            weighting.weighting(),
            denominator,
        )),
        Labels::Spans(spans) => Ok(span_loss(
            d_logits,
            logits,
            &batch.offsets,
            spans,
            denominator,
        )),
        Labels::None => Err(Error::Training(
            "the batch has examples without a label".into(),
        )),
    }
}

/// The cross-entropy of the tokens that have a tag.
fn tag_loss(
    d_logits: &mut [f32],
    logits: &[f32],
    tags: &[Option<u32>],
    weighting: Weighting<'_>,
    denominator: f32,
) -> f64 {
    let n = logits.len() / tags.len().max(1);
    let rows = d_logits.chunks_mut(n).zip(logits.chunks(n)).zip(tags);
    rows.map(|((d, logits), tag)| match tag {
        Some(tag) => f64::from(cross_entropy::forward_backward(
            d,
            logits,
            &[*tag],
            weighting,
            denominator,
        )),
        None => {
            d.fill(0.0);
            0.0
        }
    })
    .sum()
}

/// The mean of the cross-entropies of start and end, over the tokens of the sequence.
fn span_loss(
    d_logits: &mut [f32],
    logits: &[f32],
    offsets: &[u32],
    spans: &[[u32; 2]],
    denominator: f32,
) -> f64 {
    let (mut column, mut d_column) = (Vec::new(), Vec::new());
    let mut total = 0f64;
    for (sequence, span) in offsets.windows(2).zip(spans) {
        let rows = sequence[0] as usize..sequence[1] as usize;
        for (end, &token) in span.iter().enumerate() {
            column.clear();
            column.extend(rows.clone().map(|row| logits[2 * row + end]));
            d_column.resize(column.len(), 0.0);
            let loss = cross_entropy::forward_backward(
                &mut d_column,
                &column,
                &[token],
                Weighting::default(),
                2.0 * denominator,
            );
            total += f64::from(loss);
            for (row, d) in rows.clone().zip(&d_column) {
                d_logits[2 * row + end] = *d;
            }
        }
    }
    total
}
