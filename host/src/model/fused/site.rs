//! Runs a method's programs at a site of the fused path, and their backward through candle's autograd.

use crate::{
    error::Result,
    graph::{Program, RowContext},
    model::{
        gradients::Gradients,
        parameters::{HostSlice, Parameters},
    },
};
use candle_core::{Device, Tensor, Var};

/// A named input of a site: name, values, columns.
pub type Input<'a> = (&'static str, &'a [f32], usize);

/// What the backward of a site needs.
pub struct SiteTape {
    inputs: Vec<(&'static str, Tensor)>,
    output: Tensor,
    parameters: Vec<usize>,
}

/// The gradients of a site's inputs; absent for an input the graph does not read.
#[derive(Default)]
pub struct InputGradients(Vec<(&'static str, Vec<f32>)>);

impl InputGradients {
    /// Takes the gradient of `name`.
    pub fn take(&mut self, name: &str) -> Option<Vec<f32>> {
        let at = self.0.iter().position(|(input, _)| *input == name)?;
        Some(self.0.swap_remove(at).1)
    }

    /// Adds the gradient of `name` to `sum`, if there is one.
    pub fn add_to(&mut self, name: &str, sum: &mut [f32]) {
        if let Some(gradient) = self.take(name) {
            sum.iter_mut().zip(gradient).for_each(|(s, g)| *s += g);
        }
    }
}

/// Applies `programs` to the input `y` one after the other; the others (`x`, `residual`) stay.
///
/// With `record` the tapes of the backward come back, in order.
pub fn forward(
    programs: &[Program],
    mut y: Vec<f32>,
    columns: usize,
    others: &[Input<'_>],
    parameters: &Parameters,
    rows: RowContext<'_>,
    record: bool,
) -> Result<(Vec<f32>, Vec<SiteTape>)> {
    let mut tapes = Vec::new();
    for program in programs {
        let leaf = |values: Vec<f32>, columns: usize| -> Result<Tensor> {
            let shape = (values.len() / columns, columns);
            Ok(match record {
                true => Var::from_vec(values, shape, &Device::Cpu)?.into_inner(),
                false => Tensor::from_vec(values, shape, &Device::Cpu)?,
            })
        };
        let mut inputs = vec![("y", leaf(y, columns)?)];
        for &(name, values, columns) in others {
            inputs.push((name, leaf(values.to_vec(), columns)?));
        }
        let output = program.run(&inputs, parameters, rows)?.contiguous()?;
        y = HostSlice::of(&output).to_vec();
        if record {
            tapes.push(SiteTape {
                inputs,
                output,
                parameters: program.parameters().collect(),
            });
        }
    }
    Ok((y, tapes))
}

/// The backward of [`forward`]: turns `d`, the gradient of the result, into that of the original `y`, adds the
/// parameters' gradients, and returns the gradients of the other inputs.
pub fn backward(
    tapes: Vec<SiteTape>,
    d: &mut Vec<f32>,
    columns: usize,
    parameters: &Parameters,
    gradients: &mut Gradients,
) -> Result<InputGradients> {
    let mut others: Vec<(&'static str, Vec<f32>)> = Vec::new();
    for tape in tapes.into_iter().rev() {
        let rows = d.len() / columns;
        let d_output = Tensor::from_vec(std::mem::take(d), (rows, columns), &Device::Cpu)?;
        let store = (&tape.output * &d_output)?.sum_all()?.backward()?;
        for id in tape
            .parameters
            .iter()
            .copied()
            .filter(|&id| parameters.is_trainable(id))
        {
            if let Some(gradient) = store.get(parameters.variable(id)) {
                gradients.add(id, gradient)?;
            }
        }
        for (name, input) in &tape.inputs {
            let gradient = store.get(input).map(Tensor::contiguous).transpose()?;
            match (*name, gradient) {
                ("y", Some(gradient)) => *d = HostSlice::of(&gradient).to_vec(),
                ("y", None) => *d = vec![0f32; rows * columns],
                (name, Some(gradient)) => {
                    let gradient = HostSlice::of(&gradient);
                    match others.iter_mut().find(|(other, _)| *other == name) {
                        Some((_, sum)) => sum
                            .iter_mut()
                            .zip(gradient.iter())
                            .for_each(|(s, g)| *s += g),
                        None => others.push((name, gradient.to_vec())),
                    }
                }
                (_, None) => {}
            }
        }
    }
    Ok(InputGradients(others))
}
