//! The same model from candle's own differentiable primitives: the path for CUDA, and the oracle
//! for the fused path.
//!
//! [`super::Model`] calls it through [`run`]. Each block is a graph of its own between two detached
//! tensors. Its backward is candle's, seeded with Σ y·dy. Attention pads inside, because primitives
//! need rectangles.

mod activation;
mod head;
mod run;

pub(super) use run::{logits, prefix, train};

use super::{
    gradients::Gradients,
    key_value_prefix::key_value_prefix,
    layout::{Block, Embeddings, Linear, Norm, Site},
    parameters::{ParameterId, Parameters},
    pass::{BlockMode, Pass},
    step::DropoutSite,
};
use crate::{
    error::Result,
    model::graph::{RowContext, normalise},
};
use candle_core::{D, Device, Tensor, Var};
use progtune_kernels::dropout;

/// The graph between input and output that the backward of a block or of the embeddings needs.
struct Tape {
    input: Option<Tensor>,
    output: Tensor,
}

impl Tape {
    /// Adds the gradients of the parameters `ids`; returns that of the input, if the forward
    /// tracked it.
    fn backward(
        self,
        d_output: &Tensor,
        ids: &[ParameterId],
        parameters: &Parameters,
        gradients: &mut Gradients,
    ) -> Result<Option<Tensor>> {
        let store = (&self.output * d_output)?.sum_all()?.backward()?;
        for &id in ids.iter().filter(|&&id| parameters.is_trainable(id)) {
            if let Some(gradient) = store.get(parameters.variable(id)) {
                gradients.add(id, gradient)?;
            }
        }
        let input = self.input.as_ref().and_then(|input| store.get(input));
        Ok(input.map(Tensor::detach))
    }
}

/// A linear layer with the method's programs.
pub(super) fn linear(
    layer: &Linear,
    x: &Tensor,
    p: &Parameters,
    rows: RowContext<'_>,
) -> Result<Tensor> {
    let mut weight = p.tensor(layer.weight);
    for program in &layer.site.weights {
        weight = program.run(&[("w", weight)], p, rows)?;
    }
    let mut x = x.clone();
    for program in &layer.site.inputs {
        x = program.run(&[("x", x)], p, rows)?;
    }
    let y = x
        .matmul(&weight.t()?)?
        .broadcast_add(&p.tensor(layer.bias))?;
    at_site(&layer.site, y, &[("x", &x)], p, rows)
}

/// The output programs of a site.
fn at_site(
    site: &Site,
    mut y: Tensor,
    others: &[(&'static str, &Tensor)],
    p: &Parameters,
    rows: RowContext<'_>,
) -> Result<Tensor> {
    for program in &site.outputs {
        let mut inputs = vec![("y", y)];
        inputs.extend(others.iter().map(|&(name, tensor)| (name, tensor.clone())));
        y = program.run(&inputs, p, rows)?;
    }
    Ok(y)
}

fn layer_norm(x: &Tensor, norm: Norm, eps: f64, p: &Parameters) -> Result<Tensor> {
    Ok(normalise(x, eps)?
        .broadcast_mul(&p.tensor(norm.weight))?
        .broadcast_add(&p.tensor(norm.bias))?)
}

/// Dropout on `[rows, columns]` with the counter-based mask.
pub(super) fn drop_out(x: Tensor, drop: Option<dropout::Dropout<'_>>) -> Result<Tensor> {
    let Some(drop) = drop else { return Ok(x) };
    let (rows, columns) = x.dims2()?;
    let mask = Tensor::from_vec(
        dropout::mask(rows, columns, &drop),
        (rows, columns),
        x.device(),
    )?;
    Ok((x * mask)?)
}

fn indices(ids: &[u32], device: &Device) -> Result<Tensor> {
    Ok(Tensor::from_slice(ids, ids.len(), device)?)
}

/// The input of the first block, `[T, hidden]`.
fn embeddings(layer: &Embeddings, pass: &Pass<'_>, on: bool) -> Result<(Tensor, Tape)> {
    let (p, batch, encoder) = (pass.parameters, pass.batch, &pass.config.encoder);
    let look_up = |id, ids: &[u32]| -> Result<Tensor> {
        Ok(p.tensor(id).index_select(&indices(ids, p.device())?, 0)?)
    };
    let sum = ((look_up(layer.word, &batch.input_ids)?
        + look_up(layer.position, &batch.position_ids)?)?
        + look_up(layer.token_type, &batch.token_type_ids)?)?;
    let y = layer_norm(&sum, layer.norm, encoder.layer_norm_eps, p)?;
    let drop = pass.dropout(
        encoder.hidden_dropout_prob,
        DropoutSite::Embeddings,
        &batch.row_keys,
        on,
    );
    let y = drop_out(y, drop)?;
    let y = at_site(&layer.end, y, &[], p, pass.row_context(&batch.row_keys, on))?;
    Ok((
        y.detach(),
        Tape {
            input: None,
            output: y,
        },
    ))
}

/// The block's output, `[rows, hidden]`, for its input `x`, `[T, hidden]`.
fn block(block: &Block, x: &Tensor, pass: &Pass<'_>, mode: BlockMode) -> Result<(Tensor, Tape)> {
    let p = pass.parameters;
    let input = if mode.input_gradient {
        Some(Var::from_tensor(x)?.into_inner())
    } else {
        None
    };
    let x = input.as_ref().unwrap_or(x);
    let all_rows = pass.row_context(&pass.batch.row_keys, mode.dropout);
    let rows = pass.row_context(pass.row_keys(mode), mode.dropout);
    let x_rows = if mode.first_only {
        x.index_select(&indices(pass.batch.first_tokens(), p.device())?, 0)?
    } else {
        x.clone()
    };
    let q = linear(&block.linears.query, &x_rows, p, rows)?;
    let k = linear(&block.linears.key, x, p, all_rows)?;
    let v = linear(&block.linears.value, x, p, all_rows)?;
    let prefix = key_value_prefix(&block.key_value, pass)?;
    let context = attention(&q, &k, &v, prefix.as_ref(), block.number, pass, mode)?;
    let a = linear(&block.linears.attention_dense, &context, p, rows)?;
    let site = DropoutSite::AttentionOutput(block.number);
    let h = sub_layer_end(
        a,
        &x_rows,
        &block.attention_end,
        block.attention_norm,
        site,
        pass,
        mode,
    )?;
    let u = linear(&block.linears.intermediate, &h, p, rows)?;
    let g = activation::forward(&u, pass.config.activation)?;
    let g = at_site(&block.activation, g, &[("x", &u)], p, rows)?;
    let o = linear(&block.linears.output, &g, p, rows)?;
    let site = DropoutSite::Output(block.number);
    let y = sub_layer_end(
        o,
        &h,
        &block.output_end,
        block.output_norm,
        site,
        pass,
        mode,
    )?;
    let y = at_site(&block.end, y, &[("x", &x_rows)], p, rows)?;
    Ok((y.detach(), Tape { input, output: y }))
}

fn sub_layer_end(
    y: Tensor,
    x: &Tensor,
    end: &Site,
    norm: Norm,
    site: DropoutSite,
    pass: &Pass<'_>,
    mode: BlockMode,
) -> Result<Tensor> {
    let (p, encoder, keys) = (pass.parameters, &pass.config.encoder, pass.row_keys(mode));
    let y = drop_out(
        y,
        pass.dropout(encoder.hidden_dropout_prob, site, keys, mode.dropout),
    )?;
    let y = at_site(
        end,
        y,
        &[("x", x), ("residual", x)],
        p,
        pass.row_context(keys, mode.dropout),
    )?;
    layer_norm(&(y + x)?, norm, encoder.layer_norm_eps, p)
}

/// Attention by padding: gathers rows into `[S, heads, longest, head_dim]`, masks, and gathers
/// back. The rows of `prefix` come before every sequence's own keys and values.
fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    prefix: Option<&Tensor>,
    block: usize,
    pass: &Pass<'_>,
    mode: BlockMode,
) -> Result<Tensor> {
    let encoder = &pass.config.encoder;
    let (heads, hidden, device) = (encoder.num_attention_heads, encoder.hidden_size, q.device());
    let (query_offsets, key_offsets) = (pass.query_offsets(mode), &pass.batch.offsets);
    let n = pass.batch.sequences();
    let (n_q, n_own) = (longest(query_offsets), longest(key_offsets));
    let q = padded(q, query_offsets, heads)?;
    let k = with_prefix(padded(k, key_offsets, heads)?, prefix, 0)?;
    let v = with_prefix(padded(v, key_offsets, heads)?, prefix, 1)?;
    let n_prefix = prefix.map_or(Ok(0), |rows| rows.dim(0))?;
    let n_k = n_prefix + n_own;
    let visible = visible(key_offsets, n_prefix, n_own);
    let visible = Tensor::from_vec(visible, (n, 1, 1, n_k), device)?;
    let scale = 1.0 / ((hidden / heads) as f64).sqrt();
    let scores = (q.matmul(&k.t()?)? * scale)?.broadcast_add(&visible)?;
    let mut probabilities = candle_nn::ops::softmax(&scores, D::Minus1)?;
    let (site, keys) = (DropoutSite::Attention(block), pass.row_keys(mode));
    if let Some(drop) = pass.dropout(pass.config.attention_dropout, site, keys, mode.dropout) {
        let offsets: (&[u32], &[u32]) = (query_offsets, key_offsets);
        let mask = attention_mask(&drop, offsets, n_prefix, heads, (n_q, n_k));
        probabilities = (probabilities * Tensor::from_vec(mask, (n, heads, n_q, n_k), device)?)?;
    }
    let context = probabilities
        .matmul(&v)?
        .transpose(1, 2)?
        .reshape((n * n_q, hidden))?;
    let sequences = query_offsets.windows(2).enumerate();
    let rows: Vec<u32> = sequences
        .flat_map(|(s, o)| (0..o[1] - o[0]).map(move |i| (s * n_q) as u32 + i))
        .collect();
    Ok(context.index_select(&indices(&rows, device)?, 0)?)
}

/// The number of rows of the longest sequence.
fn longest(offsets: &[u32]) -> usize {
    let lengths = offsets.windows(2).map(|o| (o[1] - o[0]) as usize);
    lengths.max().unwrap_or(0)
}

/// The rows of every sequence by heads, `[S, heads, longest, head_dim]`. Shorter sequences repeat
/// their first row.
fn padded(x: &Tensor, offsets: &[u32], heads: usize) -> Result<Tensor> {
    let (n, length, hidden) = (offsets.len() - 1, longest(offsets), x.dim(1)?);
    let sequences = offsets.windows(2);
    let rows: Vec<u32> = sequences
        .flat_map(|o| {
            (0..length as u32).map(move |i| if o[0] + i < o[1] { o[0] + i } else { o[0] })
        })
        .collect();
    let x = x.index_select(&indices(&rows, x.device())?, 0)?;
    Ok(x.reshape((n, length, heads, hidden / heads))?
        .transpose(1, 2)?
        .contiguous()?)
}

/// A half of the rows of `prefix` (0: keys, 1: values) before every sequence's own, `[S, heads,
/// longest, head_dim]`.
fn with_prefix(own: Tensor, prefix: Option<&Tensor>, half: usize) -> Result<Tensor> {
    let Some(rows) = prefix else { return Ok(own) };
    let (n, heads, _, head_dim) = own.dims4()?;
    let (n_prefix, hidden) = (rows.dim(0)?, heads * head_dim);
    let rows = rows.narrow(1, half * hidden, hidden)?;
    let rows = rows.reshape((1, n_prefix, heads, head_dim))?;
    let shape = (n, heads, n_prefix, head_dim);
    let rows = rows.transpose(1, 2)?.broadcast_as(shape)?;
    Ok(Tensor::cat(&[&rows.contiguous()?, &own], 2)?)
}

/// The summand that hides padding from attention, for every sequence and key.
fn visible(key_offsets: &[u32], n_prefix: usize, n_own: usize) -> Vec<f32> {
    let sequences = key_offsets.windows(2);
    sequences
        .flat_map(|o| {
            let own = (0..n_own as u32).map(move |j| if o[0] + j < o[1] { 0.0 } else { -1e30 });
            std::iter::repeat_n(0.0, n_prefix).chain(own)
        })
        .collect()
}

/// The mask that the fused attention draws, laid out with padding.
fn attention_mask(
    drop: &dropout::Dropout<'_>,
    (query_offsets, key_offsets): (&[u32], &[u32]),
    n_prefix: usize,
    heads: usize,
    (n_q, n_k): (usize, usize),
) -> Vec<f32> {
    let n = query_offsets.len() - 1;
    let mut mask = vec![1f32; n * heads * n_q * n_k];
    for s in 0..n {
        let keys = n_prefix + (key_offsets[s + 1] - key_offsets[s]) as usize;
        for head in 0..heads {
            for (i, row) in (query_offsets[s]..query_offsets[s + 1]).enumerate() {
                let start = ((s * heads + head) * n_q + i) * n_k;
                let row_key = drop.row_keys[row as usize];
                let channel = progtune_kernels::attention::first_channel(head);
                dropout::apply_row(
                    &mut mask[start..start + keys],
                    drop.p,
                    drop.site_key,
                    row_key,
                    channel,
                );
            }
        }
    }
    mask
}
