//! The embeddings of the fused path: look-up, sum, LayerNorm, dropout, and their backward.

use super::site::{self, SiteTape};
use crate::{
    error::Result,
    model::{gradients::Gradients, layout::Embeddings, pass::Pass, step::DropoutSite},
};
use progtune_kernels::{dropout, embedding, layer_norm};

/// What the backward needs.
pub struct EmbeddingsTape {
    norm: layer_norm::Saved,
    end: Vec<SiteTape>,
}

/// The input of the first block, `[T, hidden]`. `drop`: whether dropout is on here.
pub fn forward(
    layer: &Embeddings,
    pass: &Pass<'_>,
    record: bool,
    drop: bool,
) -> Result<(Vec<f32>, EmbeddingsTape)> {
    let (p, batch, hidden) = (pass.parameters, pass.batch, pass.config.encoder.hidden_size);
    let mut sum = vec![0f32; batch.tokens() * hidden];
    let (word, position, kind) = (
        p.host(layer.word),
        p.host(layer.position),
        p.host(layer.token_type),
    );
    let tables: [(&[f32], &[u32]); 3] = [
        (&word, &batch.input_ids),
        (&position, &batch.position_ids),
        (&kind, &batch.token_type_ids),
    ];
    embedding::forward(&mut sum, hidden, &tables);
    let mut y = vec![0f32; sum.len()];
    let (gamma, beta) = (p.host(layer.norm.weight), p.host(layer.norm.bias));
    let eps = pass.config.encoder.layer_norm_eps as f32;
    let norm = layer_norm::forward(&mut y, sum, None, &gamma, &beta, eps, None);
    let probability = pass.config.encoder.hidden_dropout_prob;
    if let Some(dropout) = pass.dropout(probability, DropoutSite::Embeddings, &batch.row_keys, drop)
    {
        dropout::apply(&mut y, hidden, &dropout);
    }
    let rows = pass.row_context(&batch.row_keys, drop);
    let (y, end) = site::forward(&layer.end.outputs, y, hidden, &[], p, rows, record)?;
    Ok((y, EmbeddingsTape { norm, end }))
}

/// Adds the gradients of the tables, the LayerNorm and the method; `d` is that of the output.
pub fn backward(
    layer: &Embeddings,
    tape: EmbeddingsTape,
    mut d: Vec<f32>,
    pass: &Pass<'_>,
    gradients: &mut Gradients,
    drop: bool,
) -> Result<()> {
    let (p, batch, hidden) = (pass.parameters, pass.batch, pass.config.encoder.hidden_size);
    site::backward(tape.end, &mut d, hidden, p, gradients)?;
    let probability = pass.config.encoder.hidden_dropout_prob;
    if let Some(dropout) = pass.dropout(probability, DropoutSite::Embeddings, &batch.row_keys, drop)
    {
        dropout::apply(&mut d, hidden, &dropout);
    }
    layer_norm::backward_parameters(gradients.host(layer.norm.weight), None, &d, &tape.norm);
    layer_norm::backward_parameters(None, gradients.host(layer.norm.bias), &d, &tape.norm);
    let tables = [
        (layer.word, &batch.input_ids),
        (layer.position, &batch.position_ids),
        (layer.token_type, &batch.token_type_ids),
    ];
    if tables.iter().all(|(id, _)| !p.is_trainable(*id)) {
        return Ok(());
    }
    layer_norm::backward_input(&mut d, &tape.norm, &p.host(layer.norm.weight));
    for (id, ids) in tables {
        if let Some(d_table) = gradients.host(id) {
            embedding::backward(d_table, ids, &d, hidden);
        }
    }
    Ok(())
}
