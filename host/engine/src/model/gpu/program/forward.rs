//! The forward of a program's steps on the device. [`super::forward`] calls it.

use super::{Others, Place, SiteTape, Step, given, value};
use crate::{
    error::Result,
    model::{
        fused::RowProgram,
        graph::Program,
        lane::{Lane, arena::Room, rows::Rows},
    },
};
use progtune_kernels::cuda::{self, Arguments, DropoutArgument};

/// Computes all steps; returns the last one's rows, and the values that the backward reads.
pub(super) fn forward(
    compiled: RowProgram,
    program: &Program,
    y: Rows,
    others: Others<'_>,
    place: Place<'_>,
) -> Result<(Rows, SiteTape)> {
    let lane = place.lane;
    let steps = compiled.steps();
    let mut values: Vec<Option<Rows>> = Vec::with_capacity(steps.len());
    for index in 0..steps.len() {
        let new = step(index, &compiled, program, &values, (&y, others), place)?;
        values.push(new);
    }
    let last = steps.len() - 1;
    let result = lane.copy(given(value(steps, last, &values, Some(&y), others))?)?;
    for (at, value) in values.iter_mut().enumerate() {
        if !place.record || !compiled.is_needed(at) {
            *value = None;
        } else if matches!(steps[at], Step::Input(0)) {
            *value = Some(lane.copy(&y)?);
        }
    }
    let saved = values;
    Ok((result, SiteTape::Steps { compiled, saved }))
}

/// The value of a step; `None` for an input, which exists already.
fn step(
    index: usize,
    compiled: &RowProgram,
    program: &Program,
    values: &[Option<Rows>],
    (y, others): (&Rows, Others<'_>),
    place: Place<'_>,
) -> Result<Option<Rows>> {
    let (lane, steps) = (place.lane, compiled.steps());
    let of = |at: usize| given(value(steps, at, values, Some(y), others));
    let length = |vector| compiled.length(vector, place.pass.parameters);
    Ok(Some(match steps[index] {
        Step::Input(_) => return Ok(None),
        Step::MatMul { x, matrix } => {
            let x = of(x)?;
            let (k, n) = if matrix.transposed {
                (matrix.columns, matrix.rows)
            } else {
                (matrix.rows, matrix.columns)
            };
            let (weight, _kept) = place.operand(compiled, matrix)?;
            let out = lane.rows(x.count() / k, n)?;
            lane.multiply_rows(&out, x, k, weight, matrix.transposed)?;
            let width = out.count() / x.n;
            out.reshaped(width)
        }
        Step::Add { a, b, factor } => {
            let out = lane.copy(of(a)?)?;
            lane.add_scaled(&out, of(b)?, factor)?;
            out
        }
        Step::Mul { a, b } => {
            let out = lane.copy(of(a)?)?;
            lane.multiply(&out, of(b)?)?;
            out
        }
        Step::AddVector { x, vector, factor } => {
            let v = place.fixed(compiled, vector)?;
            let (out, width) = (lane.copy(of(x)?)?, of(x)?.columns);
            let out = out.reshaped(length(vector));
            lane.add_vector(&out, v, factor)?;
            out.reshaped(width)
        }
        Step::MulVector { x, vector } => {
            let v = place.fixed(compiled, vector)?;
            let (out, width) = (lane.copy(of(x)?)?, of(x)?.columns);
            let out = out.reshaped(length(vector));
            lane.multiply_vector(&out, v)?;
            out.reshaped(width)
        }
        Step::Scale { x, by } => {
            let out = lane.copy(of(x)?)?;
            lane.scale(&out, by)?;
            out
        }
        Step::Activate { x, activation } => lane.activate(of(x)?, activation)?,
        Step::Swap { x, from } => lane.swap(of(x)?, from)?,
        Step::Normalise { x, columns, eps } => normalise(lane, of(x)?, columns, eps)?.0,
        Step::Dropout { x, node, p } => {
            let out = lane.copy(of(x)?)?;
            lane.drop_out(&out, place.dropout(program, node, p))?;
            out
        }
    }))
}

/// The rows of `x` with mean 0 and variance 1 in each group of columns, and their reciprocal
/// deviations.
pub(super) fn normalise(lane: &Lane, x: &Rows, columns: usize, eps: f32) -> Result<(Rows, Room)> {
    let columns = if columns == 0 { x.columns } else { columns };
    let n = x.count() / columns;
    let ones = lane.bytes(&1f32.to_ne_bytes().repeat(columns))?;
    let zeros = lane.bytes(&0f32.to_ne_bytes().repeat(columns))?;
    let (y, x_hat, rstd) = (lane.rows(x.n, x.columns)?, lane.copy(x)?, lane.floats(n)?);
    let arguments = Arguments::default()
        .address(x_hat.address())
        .address(0)
        .address(ones.address())
        .address(zeros.address())
        .address(y.address())
        .address(x_hat.address())
        .address(rstd.address())
        .size(n)
        .size(columns)
        .f32(eps)
        .dropout(DropoutArgument::NONE);
    let launch = cuda::rows(n, columns, lane.number);
    lane.launch_typed("layer_norm_forward", launch, arguments)?;
    Ok((y, rstd))
}
