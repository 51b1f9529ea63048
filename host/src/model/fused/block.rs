//! One Transformer block (Hugging Face's `BertLayer`) of the fused path, forward and backward.

use super::{
    linear::{self, LinearTape},
    site::{self, SiteTape},
};
use crate::{
    error::Result,
    model::{
        gradients::Gradients,
        layout::{Block, Norm},
        parameters::HostSlice,
        pass::{BlockMode, Pass},
        step::DropoutSite,
    },
};
use candle_core::Tensor;
use progtune_kernels::{activation, attention, dropout, layer_norm};

/// What the backward of a block needs. `[T]` rows for keys and values, the computed rows for the rest.
pub struct BlockTape {
    mode: BlockMode,
    x: Tensor,
    x_query: Option<Vec<f32>>,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    query: LinearTape,
    key: LinearTape,
    value: LinearTape,
    log_sum_exp: Vec<f32>,
    context: Vec<f32>,
    attention_dense: LinearTape,
    attention_end: Vec<SiteTape>,
    attention_norm: layer_norm::Saved,
    h: Vec<f32>,
    intermediate: LinearTape,
    u: Vec<f32>,
    activation: Vec<SiteTape>,
    g: Vec<f32>,
    output: LinearTape,
    output_end: Vec<SiteTape>,
    output_norm: layer_norm::Saved,
    end: Vec<SiteTape>,
}

fn sequences<'a>(pass: &'a Pass<'_>, mode: BlockMode) -> attention::Sequences<'a> {
    let encoder = &pass.config.encoder;
    attention::Sequences {
        heads: encoder.num_attention_heads,
        head_dim: encoder.hidden_size / encoder.num_attention_heads,
        query_offsets: pass.query_offsets(mode),
        key_offsets: &pass.batch.offsets,
    }
}

/// The block's output, `[rows, hidden]`, of its input `x`, `[T, hidden]`.
///
/// The tape is meant for [`backward`]; without `mode.record` it is dropped by the caller.
pub fn forward(
    block: &Block,
    x: Tensor,
    pass: &Pass<'_>,
    mode: BlockMode,
) -> Result<(Vec<f32>, BlockTape)> {
    let (p, hidden, record) = (
        pass.parameters,
        pass.config.encoder.hidden_size,
        mode.record,
    );
    let all_rows = pass.row_context(&pass.batch.row_keys, mode.dropout);
    let rows = pass.row_context(pass.row_keys(mode), mode.dropout);
    let values = HostSlice::of(&x);
    let x_query = mode
        .first_only
        .then(|| gather(&values, pass.batch.first_tokens(), hidden));
    let x_rows: &[f32] = x_query.as_deref().unwrap_or(&values);

    let (q, query) = linear::forward(&block.query, x_rows, p, rows, record)?;
    let (k, key) = linear::forward(&block.key, &values, p, all_rows, record)?;
    let (v, value) = linear::forward(&block.value, &values, p, all_rows, record)?;
    let mut context = vec![0f32; q.len()];
    let site = DropoutSite::Attention(block.number);
    let drop = pass.dropout(
        pass.config.attention_dropout,
        site,
        pass.row_keys(mode),
        mode.dropout,
    );
    let log_sum_exp = attention::forward(
        &mut context,
        &q,
        &k,
        &v,
        sequences(pass, mode),
        drop.as_ref(),
    );

    let (a, attention_dense) = linear::forward(&block.attention_dense, &context, p, rows, record)?;
    let site = DropoutSite::AttentionOutput(block.number);
    let (h, attention_end, attention_norm) = sub_layer_end(
        a,
        x_rows,
        x_rows,
        &block.attention_end.outputs,
        block.attention_norm,
        site,
        pass,
        mode,
    )?;

    let (u, intermediate) = linear::forward(&block.intermediate, &h, p, rows, record)?;
    let mut g = vec![0f32; u.len()];
    activation::forward(&mut g, &u, pass.config.activation);
    let inner = block.intermediate.out_dim;
    let (g, activation) = site::forward(
        &block.activation.outputs,
        g,
        inner,
        &[("x", &u, inner)],
        p,
        rows,
        record,
    )?;
    let (o, output) = linear::forward(&block.output, &g, p, rows, record)?;
    let site = DropoutSite::Output(block.number);
    let (y, output_end, output_norm) = sub_layer_end(
        o,
        &h,
        &h,
        &block.output_end.outputs,
        block.output_norm,
        site,
        pass,
        mode,
    )?;
    let (y, end) = site::forward(
        &block.end.outputs,
        y,
        hidden,
        &[("x", x_rows, hidden)],
        p,
        rows,
        record,
    )?;

    drop_slice(values);
    let tape = BlockTape {
        mode,
        x,
        x_query,
        q,
        k,
        v,
        query,
        key,
        value,
        log_sum_exp,
        context,
        attention_dense,
        attention_end,
        attention_norm,
        h,
        intermediate,
        u,
        activation,
        g,
        output,
        output_end,
        output_norm,
        end,
    };
    Ok((y, tape))
}

/// Ends a borrow before the tensor moves into the tape.
fn drop_slice(slice: HostSlice<'_>) {
    drop(slice);
}

/// Dropout, the method's programs, residual sum and LayerNorm: the end of both sub-layers.
#[allow(clippy::too_many_arguments)]
fn sub_layer_end(
    mut y: Vec<f32>,
    x: &[f32],
    residual: &[f32],
    programs: &[crate::graph::Program],
    norm: Norm,
    site: DropoutSite,
    pass: &Pass<'_>,
    mode: BlockMode,
) -> Result<(Vec<f32>, Vec<SiteTape>, layer_norm::Saved)> {
    let (p, hidden) = (pass.parameters, pass.config.encoder.hidden_size);
    let keys = pass.row_keys(mode);
    let mut drop = pass.dropout(
        pass.config.encoder.hidden_dropout_prob,
        site,
        keys,
        mode.dropout,
    );
    let mut tapes = Vec::new();
    if !programs.is_empty() {
        // The programs see the rows after dropout, so it cannot be fused with the sum here.
        if let Some(drop) = drop.take() {
            dropout::apply(&mut y, hidden, &drop);
        }
        let others = [("x", x, hidden), ("residual", residual, hidden)];
        let rows = pass.row_context(keys, mode.dropout);
        (y, tapes) = site::forward(programs, y, hidden, &others, p, rows, mode.record)?;
    }
    let mut out = vec![0f32; y.len()];
    let eps = pass.config.encoder.layer_norm_eps as f32;
    let (gamma, beta) = (p.host(norm.weight), p.host(norm.bias));
    let saved = layer_norm::forward(
        &mut out,
        y,
        Some(residual),
        &gamma,
        &beta,
        eps,
        drop.as_ref(),
    );
    Ok((out, tapes, saved))
}

/// The backward of [`sub_layer_end`]: turns `d` (of the output) into that of the dense layer's output, and
/// returns that of the sub-layer's input and residual, which are the same rows in BERT.
#[allow(clippy::too_many_arguments)]
fn sub_layer_end_backward(
    d: &mut Vec<f32>,
    tapes: Vec<SiteTape>,
    saved: layer_norm::Saved,
    norm: Norm,
    site: DropoutSite,
    pass: &Pass<'_>,
    mode: BlockMode,
    gradients: &mut Gradients,
) -> Result<Vec<f32>> {
    let (p, hidden) = (pass.parameters, pass.config.encoder.hidden_size);
    layer_norm::backward_parameters(gradients.host(norm.weight), None, d, &saved);
    layer_norm::backward_parameters(None, gradients.host(norm.bias), d, &saved);
    layer_norm::backward_input(d, &saved, &p.host(norm.weight));
    let mut d_residual = d.clone();
    if !tapes.is_empty() {
        let mut others = site::backward(tapes, d, hidden, p, gradients)?;
        others.add_to("x", &mut d_residual);
        others.add_to("residual", &mut d_residual);
    }
    let probability = pass.config.encoder.hidden_dropout_prob;
    if let Some(drop) = pass.dropout(probability, site, pass.row_keys(mode), mode.dropout) {
        dropout::apply(d, hidden, &drop);
    }
    Ok(d_residual)
}

/// Adds the gradients of the block's trainable parameters; returns that of its input when the mode asks for it.
pub fn backward(
    block: &Block,
    tape: BlockTape,
    mut d: Vec<f32>,
    pass: &Pass<'_>,
    gradients: &mut Gradients,
) -> Result<Option<Vec<f32>>> {
    let (p, hidden, mode) = (pass.parameters, pass.config.encoder.hidden_size, tape.mode);
    let mut d_end = site::backward(tape.end, &mut d, hidden, p, gradients)?;

    let site = DropoutSite::Output(block.number);
    let mut d_h = sub_layer_end_backward(
        &mut d,
        tape.output_end,
        tape.output_norm,
        block.output_norm,
        site,
        pass,
        mode,
        gradients,
    )?;
    let d_g = linear::backward(
        &block.output,
        tape.output,
        &mut d,
        &tape.g,
        p,
        gradients,
        true,
    )?;
    drop(tape.g);
    let mut d_u = d_g.unwrap_or_default();
    let inner = block.intermediate.out_dim;
    let mut d_activation = site::backward(tape.activation, &mut d_u, inner, p, gradients)?;
    activation::backward(&mut d_u, &tape.u, pass.config.activation);
    d_activation.add_to("x", &mut d_u);
    drop(tape.u);
    if let Some(more) = linear::backward(
        &block.intermediate,
        tape.intermediate,
        &mut d_u,
        &tape.h,
        p,
        gradients,
        true,
    )? {
        add(&mut d_h, &more);
    }
    drop((d_u, tape.h));

    let mut d = d_h;
    let site = DropoutSite::AttentionOutput(block.number);
    let mut d_rows = sub_layer_end_backward(
        &mut d,
        tape.attention_end,
        tape.attention_norm,
        block.attention_norm,
        site,
        pass,
        mode,
        gradients,
    )?;
    d_end.add_to("x", &mut d_rows);
    let dense = &block.attention_dense;
    let d_context = linear::backward(
        dense,
        tape.attention_dense,
        &mut d,
        &tape.context,
        p,
        gradients,
        true,
    )?;
    let d_context = d_context.unwrap_or_default();
    let (mut d_q, mut d_k, mut d_v) = (d, vec![0f32; tape.k.len()], vec![0f32; tape.v.len()]);
    let site = DropoutSite::Attention(block.number);
    let drop = pass.dropout(
        pass.config.attention_dropout,
        site,
        pass.row_keys(mode),
        mode.dropout,
    );
    attention::backward(
        &mut d_q,
        &mut d_k,
        &mut d_v,
        &d_context,
        &tape.q,
        &tape.k,
        &tape.v,
        &tape.log_sum_exp,
        sequences(pass, mode),
        drop.as_ref(),
    );

    let values = HostSlice::of(&tape.x);
    let x_rows: &[f32] = tape.x_query.as_deref().unwrap_or(&values);
    let wanted = mode.input_gradient;
    let from_q = linear::backward(
        &block.query,
        tape.query,
        &mut d_q,
        x_rows,
        p,
        gradients,
        wanted,
    )?;
    let from_k = linear::backward(
        &block.key, tape.key, &mut d_k, &values, p, gradients, wanted,
    )?;
    let from_v = linear::backward(
        &block.value,
        tape.value,
        &mut d_v,
        &values,
        p,
        gradients,
        wanted,
    )?;
    let (Some(from_q), Some(mut d_x), Some(from_v)) = (from_q, from_k, from_v) else {
        return Ok(None);
    };
    add(&mut d_x, &from_v);
    add(&mut d_rows, &from_q);
    match mode.first_only {
        false => add(&mut d_x, &d_rows),
        true => scatter_add(&mut d_x, &d_rows, pass.batch.first_tokens(), hidden),
    }
    Ok(Some(d_x))
}

fn add(sum: &mut [f32], more: &[f32]) {
    sum.iter_mut().zip(more).for_each(|(s, m)| *s += m);
}

/// The rows of `x` (`[T, columns]`) at `rows`.
pub fn gather(x: &[f32], rows: &[u32], columns: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(rows.len() * columns);
    for &row in rows {
        out.extend_from_slice(&x[row as usize * columns..(row as usize + 1) * columns]);
    }
    out
}

fn scatter_add(x: &mut [f32], values: &[f32], rows: &[u32], columns: usize) {
    for (&row, values) in rows.iter().zip(values.chunks(columns)) {
        add(
            &mut x[row as usize * columns..(row as usize + 1) * columns],
            values,
        );
    }
}
