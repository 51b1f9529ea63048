//! The embeddings of the fused path, with their backward. Each task computes its rows in four
//! steps: (1) the sum of the three tables' rows, (2) LayerNorm, (3) dropout, (4) the method's
//! programs.

use super::{
    groups::{Group, groups, split},
    partials::Partials,
    site::{self, Place, ReadyProgram, SiteTape},
};
use crate::{
    batch::Batch,
    error::{Error, Result},
    model::{
        gradients::Gradients,
        layout::Embeddings,
        parameters::{ParameterId, Parameters},
        pass::Pass,
        scratch::{Buffer, Scratch, Workspace},
        step::DropoutSite,
    },
};
use progtune_kernels::{dropout, embedding, layer_norm, linear::backward_bias, timed_task};
use rayon::prelude::*;

/// The values that the backward needs: the LayerNorm's normalised rows and reciprocal deviations,
/// and the tapes of every task.
pub(crate) struct EmbeddingsTape {
    x_hat: Buffer,
    rstd: Buffer,
    end: Vec<Vec<SiteTape>>,
}

fn place<'w>(
    pass: &'w Pass<'_>,
    group: &Group,
    drop: bool,
    record: bool,
    scratch: &'w Scratch,
    workspace: &'w mut Workspace,
) -> Place<'w, 'w> {
    Place {
        parameters: pass.parameters,
        rows: pass.row_context(&pass.batch.row_keys[group.rows.clone()], drop),
        scratch,
        workspace,
        record,
    }
}

/// The input of the first block, `[T, hidden]`; `drop` says whether dropout applies.
pub(crate) fn forward(
    layer: &Embeddings,
    pass: &Pass<'_>,
    record: bool,
    drop: bool,
) -> Result<(Buffer, EmbeddingsTape)> {
    let (p, batch, scratch) = (pass.parameters, pass.batch, pass.scratch);
    let (hidden, tokens) = (pass.config.encoder.hidden_size, batch.tokens());
    let (word, position, kind) = (
        p.host(layer.word),
        p.host(layer.position),
        p.host(layer.token_type),
    );
    let (word, position, kind): (&[f32], &[f32], &[f32]) = (&word, &position, &kind);
    check_ids(p, layer, batch)?;
    let (gamma, beta) = (p.host(layer.norm.weight), p.host(layer.norm.bias));
    let norm = layer_norm::Norm {
        gamma: &gamma,
        beta: &beta,
        eps: pass.config.encoder.layer_norm_eps as f32,
    };
    let programs: &[ReadyProgram<'_>] = &site::prepare(&layer.end.outputs, p, scratch, false)?;
    let mut y = scratch.rows(tokens, hidden);
    let (mut x_hat, mut rstd) = (scratch.rows(tokens, hidden), scratch.rows(tokens, 1));
    let groups = groups(&batch.offsets);
    let rows = || groups.iter().map(|group| group.rows.clone());
    let pieces = split(&mut y, rows(), hidden)
        .into_iter()
        .zip(split(&mut x_hat, rows(), hidden));
    let pieces: Vec<_> = pieces.zip(split(&mut rstd, rows(), 1)).collect();
    let tapes: Result<Vec<_>> = groups
        .par_iter()
        .zip(pieces)
        .map(|(group, ((y, x_hat), rstd))| {
            timed_task!("embeddings");
            let rows = group.rows.clone();
            let tables = [
                (word, &batch.input_ids[rows.clone()]),
                (position, &batch.position_ids[rows.clone()]),
                (kind, &batch.token_type_ids[rows.clone()]),
            ];
            // (1)
            embedding::forward(x_hat, hidden, &tables);
            // (2)
            layer_norm::forward(y, x_hat, rstd, None, norm, None);
            let keys = &batch.row_keys[group.rows.clone()];
            let probability = pass.config.encoder.hidden_dropout_prob;
            // (3)
            if let Some(dropout) = pass.dropout(probability, DropoutSite::Embeddings, keys, drop) {
                dropout::apply(y, hidden, &dropout);
            }
            // (4)
            scratch.with_workspace(|w| {
                site::forward(
                    programs,
                    y,
                    [&[], &[]],
                    &mut place(pass, group, drop, record, scratch, w),
                )
            })
        })
        .collect();
    let tape = EmbeddingsTape {
        x_hat,
        rstd,
        end: tapes?,
    };
    Ok((y, tape))
}

/// Checks that every id of `batch` has a row in its table. The tokenizer gives no others, but a
/// file of tokenised examples may.
pub(crate) fn check_ids(parameters: &Parameters, layer: &Embeddings, batch: &Batch) -> Result<()> {
    let rows = |table: ParameterId| parameters.infos()[table].shape[0];
    check_table(rows(layer.word), &batch.input_ids, "token")?;
    check_table(rows(layer.position), &batch.position_ids, "position")?;
    check_table(rows(layer.token_type), &batch.token_type_ids, "token type")
}

/// [`check_ids`] for one table of `rows` rows, whose ids are called `name`.
fn check_table(rows: usize, ids: &[u32], name: &str) -> Result<()> {
    match ids.iter().max() {
        Some(&largest) if largest as usize >= rows => Err(Error::Model(format!(
            "the tokenised examples have the {name} {largest}, but the model has only {rows}; run once with \
             --token-cache overwrite to tokenise the data again"
        ))),
        _ => Ok(()),
    }
}

/// Adds the gradients of the tables, the LayerNorm and the method; `d` is the gradient of the
/// output.
pub(crate) fn backward(
    layer: &Embeddings,
    tape: EmbeddingsTape,
    mut d: Buffer,
    pass: &Pass<'_>,
    gradients: &mut Gradients,
    drop: bool,
) -> Result<()> {
    let (p, batch, scratch) = (pass.parameters, pass.batch, pass.scratch);
    let hidden = pass.config.encoder.hidden_size;
    let gamma = p.host(layer.norm.weight);
    let gamma: &[f32] = &gamma;
    let programs: &[ReadyProgram<'_>] = &site::prepare(&layer.end.outputs, p, scratch, true)?;
    let groups = groups(&batch.offsets);
    let pieces = split(
        &mut d,
        groups.iter().map(|group| group.rows.clone()),
        hidden,
    );
    let partials: Result<Vec<_>> = groups
        .par_iter()
        .zip(pieces)
        .zip(&tape.end)
        .map(|((group, d), tapes)| {
            timed_task!("embeddings");
            let mut partials = Partials::new(p, scratch);
            // Undoes (4).
            scratch.with_workspace(|w| {
                let place = &mut place(pass, group, drop, false, scratch, w);
                site::backward(programs, tapes, d, [&[], &[]], &mut partials, place)
            })?;
            let keys = &batch.row_keys[group.rows.clone()];
            let probability = pass.config.encoder.hidden_dropout_prob;
            // Undoes (3).
            if let Some(dropout) = pass.dropout(probability, DropoutSite::Embeddings, keys, drop) {
                dropout::apply(d, hidden, &dropout);
            }
            // Undoes (2).
            let x_hat = &tape.x_hat[group.rows.start * hidden..group.rows.end * hidden];
            if let Some(sum) = partials.sum(layer.norm.weight) {
                layer_norm::backward_gamma(sum, d, x_hat);
            }
            if let Some(sum) = partials.sum(layer.norm.bias) {
                backward_bias(sum, d);
            }
            layer_norm::backward_input(d, x_hat, &tape.rstd[group.rows.clone()], gamma);
            Ok(partials)
        })
        .collect();
    let sums = Partials::collect(partials?, gradients);
    for program in programs {
        program.derived_backward(&sums, p, gradients)?;
    }
    // Undoes (1): `d` is now the gradient of the sum, and of the rows in each table.
    let tables = [
        (layer.word, &batch.input_ids),
        (layer.position, &batch.position_ids),
        (layer.token_type, &batch.token_type_ids),
    ];
    for (id, ids) in tables {
        if let Some(table) = gradients.rows(id) {
            table.add(ids, &d);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_table;

    #[test]
    fn ids_without_a_row_are_named() {
        assert!(check_table(3, &[0, 2], "token").is_ok());
        assert!(check_table(1, &[], "token type").is_ok());
        let error = check_table(3, &[0, 3], "token").unwrap_err();
        assert!(
            error
                .to_string()
                .contains("the token 3, but the model has only 3")
        );
    }
}
