//! Programs that have no fused form, run by candle: rows travel to the parameters' device and back.
//! [`super::forward`] and [`super::backward`] call it.

use super::{Others, Place, SiteTape};
use crate::{
    error::Result,
    model::{
        fused::INPUTS,
        gpu::pass::Pass,
        gradients::Gradients,
        graph::Program,
        lane::{Lane, rows::Rows},
        parameters::HostSlice,
    },
};
use candle_core::{Device, Tensor, Var};
use progtune_kernels::cuda::Number;

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
        let tensor = place.pass.tensor_of(rows, place.lane)?;
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
    let y = place.pass.rows_of(&output, place.lane)?;
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
    let d_output = pass.tensor_of(d, lane)?.reshape(output.dims())?;
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
        found[*input] = Some(pass.rows_of(&gradient, lane)?);
    }
    let [d_y, d_x, d_residual] = found;
    let d_y = match d_y {
        Some(d_y) => d_y,
        None => lane.copy(d)?,
    };
    Ok((d_y, [d_x, d_residual]))
}

impl Pass<'_> {
    /// Rows as a tensor of the parameters' device.
    pub(crate) fn tensor_of(&self, rows: &Rows, lane: &Lane) -> Result<Tensor> {
        let f32 = lane.with(Number::F32);
        let converted = lane.converted(rows, &f32)?;
        let numbers = self.floats_at(converted.address(), rows.count())?;
        let device: &Device = self.parameters.device();
        Ok(Tensor::from_vec(numbers, (rows.n, rows.columns), device)?)
    }

    /// A tensor as rows of a lane.
    pub(crate) fn rows_of(&self, tensor: &Tensor, lane: &Lane) -> Result<Rows> {
        let n = tensor.dim(0)?;
        let columns = tensor.elem_count() / n.max(1);
        let host = tensor.to_device(&Device::Cpu)?.contiguous()?;
        let bytes: Vec<u8> = HostSlice::of(&host)
            .iter()
            .flat_map(|number| number.to_ne_bytes())
            .collect();
        let f32 = lane.with(Number::F32);
        let rows = f32.rows(n, columns)?;
        f32.queue.upload(rows.address(), &bytes)?;
        f32.converted(&rows, lane)
    }
}
