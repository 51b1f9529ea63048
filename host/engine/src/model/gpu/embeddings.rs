//! The embeddings on the device, with their backward: (1) the sum of the three tables' rows, (2)
//! LayerNorm, (3) dropout, (4) the method's programs.

use super::{
    pass::Pass,
    program::{self, DerivedSums, Place, SiteTape},
};
use crate::model::lane::{arena::Room, rows::Rows};
use crate::{
    error::Result,
    model::{
        fused::{check_ids, derived_backward_of},
        gradients::Gradients,
        layout::Embeddings,
        step::DropoutSite,
    },
};
use progtune_kernels::cuda::{self, Arguments, DropoutArgument};

/// The values that the backward needs.
pub(super) struct EmbeddingsTape {
    x_hat: Rows,
    rstd: Room,
    end: Vec<SiteTape>,
}

fn place<'a>(pass: &'a Pass<'a>, drop: bool, record: bool) -> Place<'a> {
    Place {
        pass,
        keys: (pass.device.row_keys, &pass.batch.row_keys),
        drop,
        record,
        lane: pass.lane(),
    }
}

fn dropout(pass: &Pass<'_>, on: bool) -> DropoutArgument {
    let p = pass.config.encoder.hidden_dropout_prob;
    pass.dropout(p, DropoutSite::Embeddings, pass.device.row_keys, on)
}

/// The input of the first block, `[T, hidden]`; `drop` says whether dropout applies.
pub(super) fn forward(
    layer: &Embeddings,
    pass: &Pass<'_>,
    record: bool,
    drop: bool,
) -> Result<(Rows, EmbeddingsTape)> {
    let (lane, batch, device) = (pass.lane(), pass.batch, &pass.device);
    check_ids(pass.parameters, layer, batch)?;
    let (n, hidden) = (batch.tokens(), pass.config.encoder.hidden_size);
    // (1)
    let x_hat = lane.rows(n, hidden)?;
    let chunked = cuda::columns(n, hidden, lane.number);
    let arguments = Arguments::default()
        .address(pass.value(layer.word)?)
        .address(pass.value(layer.position)?)
        .address(pass.value(layer.token_type)?)
        .address(device.input_ids)
        .address(device.position_ids)
        .address(device.token_type_ids)
        .address(x_hat.address())
        .size(n)
        .size(hidden)
        .u32(chunked.rows_per_chunk);
    lane.launch_typed("embedding_forward", chunked.launch, arguments)?;
    // (2)
    let (y, rstd) = (lane.rows(n, hidden)?, lane.floats(n)?);
    let arguments = Arguments::default()
        .address(x_hat.address())
        .address(0)
        .address(pass.value(layer.norm.weight)?)
        .address(pass.value(layer.norm.bias)?)
        .address(y.address())
        .address(x_hat.address())
        .address(rstd.address())
        .size(n)
        .size(hidden)
        .f32(pass.config.encoder.layer_norm_eps as f32)
        .dropout(DropoutArgument::NONE);
    lane.launch_typed(
        "layer_norm_forward",
        cuda::rows(n, hidden, lane.number),
        arguments,
    )?;
    // (3)
    lane.drop_out(&y, dropout(pass, drop))?;
    // (4)
    let programs = &layer.end.outputs;
    let (y, end) = program::forward(programs, y, [None, None], place(pass, drop, record))?;
    Ok((y, EmbeddingsTape { x_hat, rstd, end }))
}

/// Adds the gradients of the tables, the LayerNorm and the method; `d` is the gradient of the
/// output.
pub(super) fn backward(
    layer: &Embeddings,
    tape: EmbeddingsTape,
    d: Rows,
    pass: &Pass<'_>,
    gradients: &mut Gradients,
    drop: bool,
) -> Result<()> {
    let lane = pass.lane();
    let mut derived = DerivedSums::default();
    // Undoes (4).
    let programs = &layer.end.outputs;
    let place = place(pass, drop, false);
    let (d, _) = program::backward(
        programs,
        &tape.end,
        d,
        [None, None],
        place,
        gradients,
        &mut derived,
    )?;
    let sums = derived.downloaded(pass)?;
    for program in programs {
        derived_backward_of(program, &sums, pass.parameters, gradients)?;
    }
    // Undoes (3).
    lane.drop_out(&d, dropout(pass, drop))?;
    // Undoes (2).
    let chunked = cuda::row_chunks(d.n, d.columns, lane.number);
    let targets = [layer.norm.weight, layer.norm.bias].map(|id| gradients.address(id));
    let [gamma, beta] = targets;
    let partial = |target| lane.partial(target, &chunked, d.columns);
    let partials = [partial(gamma)?, partial(beta)?];
    let at = |partial: &Option<Room>| partial.as_ref().map_or(0, Room::address);
    let arguments = Arguments::default()
        .address(d.address())
        .address(tape.x_hat.address())
        .address(tape.rstd.address())
        .address(pass.value(layer.norm.weight)?)
        .address(d.address())
        .address(0)
        .address(at(&partials[0]))
        .address(at(&partials[1]))
        .address(0)
        .size(d.n)
        .size(d.columns)
        .u32(chunked.rows_per_chunk)
        .dropout(DropoutArgument::NONE);
    lane.launch_typed("layer_norm_backward", chunked.launch, arguments)?;
    let sums: Vec<_> = partials.into_iter().zip(targets).collect();
    lane.complete(&sums, d.columns, chunked.n_chunks)?;
    // Undoes (1): `d` is now the gradient of the sum, and of the rows in each table.
    let tables = [layer.word, layer.position, layer.token_type];
    for (id, rows) in tables.into_iter().zip(&pass.device.tables) {
        if let (Some(table), Some(rows)) = (gradients.address(id), rows) {
            rows.add_gradient(table, &d, lane)?;
        }
    }
    Ok(())
}
