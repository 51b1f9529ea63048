//! The head on the fused path: first tokens' vectors to logits and loss, and back. Called by [`crate::model::Model`].
//!
//! The equations are those of [`crate::model::head`]. There is one row a sequence: one thread does it.

use super::{
    linear::{LinearRows, LinearTape, ReadyLinear, RewrittenWeight},
    partials::Partials,
    scratch::{Buffer, Direction, Workspace},
    site::Place,
};
use crate::{
    batch::Labels,
    error::{Error, Result},
    model::{
        gradients::Gradients,
        layout::{Head, Linear},
        pass::Pass,
        step::DropoutSite,
    },
};
use progtune_kernels::{
    activation::{self, Activation},
    cross_entropy, dropout,
    linear::{WeightGradient, backward_weights},
    matrix::Matrix,
};

/// What the backward of the head needs.
struct Tape {
    rewritten: [Option<RewrittenWeight>; 2],
    /// The input of the dense layer, its output, and the input of the last layer.
    x: Buffer,
    z: Buffer,
    t: Buffer,
    dense: LinearTape,
    output: LinearTape,
}

/// Logits, `[S, outputs]`, of the first tokens' vectors, `[S, hidden]`.
pub fn logits(head: &Head, hidden: &[f32], pass: &Pass<'_>) -> Result<Vec<f32>> {
    let (logits, _) = pass
        .scratch
        .with_workspace(|w| forward(head, hidden, pass, w, false))?;
    Ok(logits.to_vec())
}

/// Loss (Σ over the examples / `denominator`), with the gradients of the head's trainable parameters added; and, if
/// `below` says that it is wanted, the gradient of `hidden`.
pub fn train(
    head: &Head,
    hidden: &[f32],
    pass: &Pass<'_>,
    denominator: usize,
    below: bool,
    gradients: &mut Gradients,
) -> Result<(f64, Option<Vec<f32>>)> {
    pass.scratch.with_workspace(|w| {
        let (logits, tape) = forward(head, hidden, pass, w, true)?;
        let mut d_logits = pass.scratch.take(logits.len());
        let loss = loss(&mut d_logits, &logits, &pass.batch.labels, denominator)?;
        let d_hidden = backward(head, &tape, &mut d_logits, pass, below, w, gradients)?;
        Ok((f64::from(loss), d_hidden.map(|d| d.to_vec())))
    })
}

fn forward(
    head: &Head,
    hidden: &[f32],
    pass: &Pass<'_>,
    workspace: &mut Workspace,
    record: bool,
) -> Result<(Buffer, Tape)> {
    let scratch = pass.scratch;
    let rows = pass.row_context(&pass.first_row_keys, true);
    let rewritten = [
        RewrittenWeight::of(&head.dense, pass, rows, record)?,
        RewrittenWeight::of(&head.output, pass, rows, record)?,
    ];
    let ready = |layer, rewritten: &Option<RewrittenWeight>| {
        ReadyLinear::new(
            layer,
            rewritten.as_ref(),
            pass,
            scratch,
            Direction::Forward,
            true,
        )
    };
    let (dense, output) = (
        ready(&head.dense, &rewritten[0])?,
        ready(&head.output, &rewritten[1])?,
    );
    let mut packed = std::mem::take(&mut workspace.more_rows);
    let place = &mut place(pass, workspace, record);
    let n = pass.first_row_keys.len();
    let mut x = scratch.copy(hidden);
    if head.dropout_first {
        drop_out(&mut x, 0, head.dense.in_dim, pass);
    }
    packed.pack(Matrix::new(&x, n, head.dense.in_dim));
    let mut z = scratch.take(n * head.dense.out_dim);
    let dense = dense.forward(&mut z, &x, &packed, place)?;
    let mut t = scratch.take(z.len());
    activation::forward(&mut t, &z, Activation::Tanh);
    drop_out(&mut t, 1, head.output.in_dim, pass);
    packed.pack(Matrix::new(&t, n, head.output.in_dim));
    let mut logits = scratch.take(n * head.output.out_dim);
    let output = output.forward(&mut logits, &t, &packed, place)?;
    workspace.more_rows = packed;
    Ok((
        logits,
        Tape {
            rewritten,
            x,
            z,
            t,
            dense,
            output,
        },
    ))
}

fn backward(
    head: &Head,
    tape: &Tape,
    d_logits: &mut [f32],
    pass: &Pass<'_>,
    below: bool,
    workspace: &mut Workspace,
    gradients: &mut Gradients,
) -> Result<Option<Buffer>> {
    let scratch = pass.scratch;
    let ready = |layer, rewritten: &Option<RewrittenWeight>, multiplies| {
        ReadyLinear::new(
            layer,
            rewritten.as_ref(),
            pass,
            scratch,
            Direction::Backward,
            multiplies,
        )
    };
    let output = ready(&head.output, &tape.rewritten[1], true)?;
    let dense = ready(&head.dense, &tape.rewritten[0], below)?;
    let mut partials = Partials::new(pass.parameters, scratch);
    let place = &mut place(pass, workspace, false);
    let mut d_t = scratch.take(tape.t.len());
    let at_output = LinearRows {
        x: &tape.t,
        d_x: Some((&mut d_t, false)),
        multiplied: None,
    };
    output.backward(&tape.output, d_logits, at_output, &mut partials, place)?;
    drop_out(&mut d_t, 1, head.output.in_dim, pass);
    activation::backward(&mut d_t, &tape.z, Activation::Tanh);
    let mut d_x = below.then(|| scratch.take(tape.x.len()));
    let at_dense = LinearRows {
        x: &tape.x,
        d_x: d_x.as_deref_mut().map(|d_x| (d_x, false)),
        multiplied: None,
    };
    dense.backward(&tape.dense, &mut d_t, at_dense, &mut partials, place)?;
    let sums = Partials::collect(vec![partials], gradients);
    for program in dense.programs().chain(output.programs()) {
        program.derived_backward(&sums, pass.parameters, gradients)?;
    }
    drop((output, dense));
    weight_gradient(
        &head.output,
        &tape.rewritten[1],
        d_logits,
        &tape.t,
        pass,
        gradients,
    )?;
    weight_gradient(
        &head.dense,
        &tape.rewritten[0],
        &d_t,
        &tape.x,
        pass,
        gradients,
    )?;
    if let Some(d_x) = d_x.as_deref_mut().filter(|_| head.dropout_first) {
        drop_out(d_x, 0, head.dense.in_dim, pass);
    }
    Ok(d_x)
}

fn place<'w>(pass: &'w Pass<'_>, workspace: &'w mut Workspace, record: bool) -> Place<'w, 'w> {
    Place {
        parameters: pass.parameters,
        rows: pass.row_context(&pass.first_row_keys, true),
        scratch: pass.scratch,
        workspace,
        record,
    }
}

fn drop_out(x: &mut [f32], layer: usize, columns: usize, pass: &Pass<'_>) {
    let (p, keys) = (pass.config.classifier_dropout, &pass.first_row_keys);
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
    let mut columns = pass.scratch.columns(rows, layer.in_dim);
    columns
        .space()
        .pack(Matrix::new(x, x.len() / layer.in_dim, layer.in_dim));
    let add = |d_weight: &mut [f32]| {
        backward_weights(vec![WeightGradient {
            d_weight,
            d_y,
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

/// Cross-entropy for classes, squared error for scores; `d_logits` receives the gradient.
fn loss(d_logits: &mut [f32], logits: &[f32], labels: &Labels, denominator: usize) -> Result<f32> {
    let denominator = denominator as f32;
    match labels {
        Labels::Classes(classes) => Ok(cross_entropy::forward_backward(
            d_logits,
            logits,
            classes,
            denominator,
        )),
        Labels::Scores(scores) => {
            let mut total = 0f64;
            for ((d, logit), score) in d_logits.iter_mut().zip(logits).zip(scores) {
                let error = logit - score;
                total += f64::from(error) * f64::from(error);
                *d = 2.0 * error / denominator;
            }
            Ok((total / f64::from(denominator)) as f32)
        }
        Labels::None => Err(Error::Training(
            "the batch has examples without a label".into(),
        )),
    }
}
