//! A linear layer of the fused path with what the method does to its weight and to its output.

use super::site::{self, InputGradients, SiteTape};
use crate::{
    error::Result,
    graph::{RowContext, distinct},
    model::{
        gradients::Gradients,
        layout::Linear,
        parameters::{HostSlice, ParameterId, Parameters},
    },
};
use candle_core::{Tensor, Var};
use progtune_kernels::linear;

/// What the backward of a linear layer needs besides its input.
pub struct LinearTape {
    outputs: Vec<SiteTape>,
    weight: Option<RewrittenWeight>,
}

/// A weight that the method computes from the checkpoint's.
struct RewrittenWeight {
    base: Tensor,
    value: Tensor,
    parameters: Vec<ParameterId>,
}

/// `x·Wᵀ + b` and the method's programs; `x` is `[rows, in_dim]`.
pub fn forward(
    layer: &Linear,
    x: &[f32],
    parameters: &Parameters,
    rows: RowContext<'_>,
    record: bool,
) -> Result<(Vec<f32>, LinearTape)> {
    let n_rows = x.len() / layer.in_dim;
    let weight = rewrite_weight(layer, parameters, rows, record)?;
    let mut y = vec![0f32; n_rows * layer.out_dim];
    {
        let stored = parameters.host(layer.weight);
        let rewritten = weight.as_ref().map(|w| HostSlice::of(&w.value));
        let w: &[f32] = rewritten.as_deref().unwrap_or(&stored);
        linear::forward(
            &mut y,
            x,
            w,
            Some(&parameters.host(layer.bias)),
            n_rows,
            layer.in_dim,
            layer.out_dim,
        );
    }
    let others = [("x", x, layer.in_dim)];
    let (y, outputs) = match layer.site.outputs.is_empty() {
        true => (y, Vec::new()),
        false => site::forward(
            &layer.site.outputs,
            y,
            layer.out_dim,
            &others,
            parameters,
            rows,
            record,
        )?,
    };
    Ok((y, LinearTape { outputs, weight }))
}

fn rewrite_weight(
    layer: &Linear,
    parameters: &Parameters,
    rows: RowContext<'_>,
    record: bool,
) -> Result<Option<RewrittenWeight>> {
    if layer.site.weights.is_empty() {
        return Ok(None);
    }
    let stored = parameters.variable(layer.weight);
    let base = match record {
        true => Var::from_tensor(&stored.as_detached_tensor())?.into_inner(),
        false => stored.as_detached_tensor(),
    };
    let mut value = base.clone();
    for program in &layer.site.weights {
        value = program.run(&[("w", value)], parameters, rows)?;
    }
    let read = layer
        .site
        .weights
        .iter()
        .flat_map(|program| program.parameters());
    let parameters = distinct(read);
    Ok(Some(RewrittenWeight {
        base,
        value: value.contiguous()?,
        parameters,
    }))
}

/// Adds the gradients of weight, bias and method; returns that of `x` when `input_gradient`.
///
/// `d` is the gradient of the result; it leaves as that of the linear layer's own output.
pub fn backward(
    layer: &Linear,
    tape: LinearTape,
    d: &mut Vec<f32>,
    x: &[f32],
    parameters: &Parameters,
    gradients: &mut Gradients,
    input_gradient: bool,
) -> Result<Option<Vec<f32>>> {
    let mut others = match tape.outputs.is_empty() {
        true => InputGradients::default(),
        false => site::backward(tape.outputs, d, layer.out_dim, parameters, gradients)?,
    };
    let rows = x.len() / layer.in_dim;
    if let Some(d_bias) = gradients.host(layer.bias) {
        linear::backward_bias(d_bias, d, rows);
    }
    match &tape.weight {
        None => {
            if let Some(d_weight) = gradients.host(layer.weight) {
                linear::backward_weight(d_weight, d, x, rows, layer.in_dim, layer.out_dim);
            }
        }
        Some(rewritten) => weight_backward(layer, rewritten, d, x, parameters, gradients)?,
    }
    if !input_gradient {
        return Ok(None);
    }
    let stored = parameters.host(layer.weight);
    let rewritten = tape.weight.as_ref().map(|w| HostSlice::of(&w.value));
    let weight: &[f32] = rewritten.as_deref().unwrap_or(&stored);
    let (mut d_x, accumulate) = match others.take("x") {
        Some(d_x) => (d_x, true),
        None => (vec![0f32; x.len()], false),
    };
    linear::backward_input(
        &mut d_x,
        d,
        weight,
        rows,
        layer.in_dim,
        layer.out_dim,
        accumulate,
    );
    Ok(Some(d_x))
}

fn weight_backward(
    layer: &Linear,
    rewritten: &RewrittenWeight,
    d: &[f32],
    x: &[f32],
    parameters: &Parameters,
    gradients: &mut Gradients,
) -> Result<()> {
    let mut d_weight = vec![0f32; layer.in_dim * layer.out_dim];
    linear::backward_weight(
        &mut d_weight,
        d,
        x,
        x.len() / layer.in_dim,
        layer.in_dim,
        layer.out_dim,
    );
    let d_weight = Tensor::from_vec(
        d_weight,
        (layer.out_dim, layer.in_dim),
        rewritten.value.device(),
    )?;
    let store = (&rewritten.value * &d_weight)?.sum_all()?.backward()?;
    for id in rewritten
        .parameters
        .iter()
        .copied()
        .filter(|&id| parameters.is_trainable(id))
    {
        if let Some(gradient) = store.get(parameters.variable(id)) {
            gradients.add(id, gradient)?;
        }
    }
    if let Some(gradient) = store.get(&rewritten.base) {
        gradients.add(layer.weight, gradient)?;
    }
    Ok(())
}
