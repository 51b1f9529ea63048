//! Programs that have no fused form, run by candle: rows travel to the parameters' device and back.
//! [`super::forward`] and [`super::backward`] call it.

use super::{Others, Place, SiteTape};
use crate::{
    error::Result,
    model::{fused::INPUTS, gradients::Gradients, graph::Program, lane::rows::Rows},
};
use candle_core::{Tensor, Var};

/// Computes the graph; returns its result and its tape.
pub(super) fn forward(
    program: &Program,
    y: Rows,
    others: Others<'_>,
    place: Place<'_>,
) -> Result<(Rows, SiteTape)> {
    let mut inputs = Vec::new();
    for (input, rows) in [Some(&y), others[0], others[1]].into_iter().enumerate() {
        let Some(rows) = rows else { continue };
        let tensor = place.lane.tensor_of(rows, place.pass.parameters.device())?;
        let tensor = if place.record {
            Var::from_tensor(&tensor)?.into_inner()
        } else {
            tensor
        };
        inputs.push((input, tensor));
    }
    let named: Vec<(&str, Tensor)> = inputs
        .iter()
        .map(|(input, tensor)| (INPUTS[*input], tensor.clone()))
        .collect();
    let output = program
        .run(&named, place.pass.parameters, place.rows_context())?
        .contiguous()?;
    let y = place.lane.rows_of(&output)?;
    Ok((y, SiteTape::Candle { inputs, output }))
}

/// Undoes [`forward`]; returns the gradients of `y` and of the other inputs.
pub(super) fn backward(
    program: &Program,
    inputs: &[(usize, Tensor)],
    output: &Tensor,
    d: &Rows,
    place: Place<'_>,
    gradients: &mut Gradients,
) -> Result<(Rows, [Option<Rows>; 2])> {
    let (pass, lane) = (place.pass, place.lane);
    let d_output = lane.tensor_of(d, pass.parameters.device())?;
    let d_output = d_output.reshape(output.dims())?;
    let store = (output * &d_output)?.sum_all()?.backward()?;
    for id in program.parameters() {
        let trained = pass.parameters.is_trainable(id);
        if let Some(gradient) = store.get(pass.parameters.variable(id)).filter(|_| trained) {
            gradients.add(id, gradient)?;
        }
    }
    let mut found = [None, None, None];
    for (input, tensor) in inputs {
        let gradient = match store.get(tensor) {
            Some(gradient) => gradient.contiguous()?,
            None if *input == 0 => tensor.zeros_like()?,
            None => continue,
        };
        found[*input] = Some(lane.rows_of(&gradient)?);
    }
    let [d_y, d_x, d_residual] = found;
    let d_y = match d_y {
        Some(d_y) => d_y,
        None => lane.copy(d)?,
    };
    Ok((d_y, [d_x, d_residual]))
}
