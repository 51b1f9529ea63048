//! One program of a method on given rows, forward and backward, as a task of the fused path runs
//! it. `progtune plugins check` calls it and compares the numbers with those of the reference
//! interpreter.

use super::{
    partials::Partials,
    row_program::{INPUTS, RowProgram},
    site::{Place, backward, forward, prepare},
};
use crate::{
    error::Result,
    model::{
        gradients::Gradients,
        graph::{Program, RowContext},
        parameters::Parameters,
        scratch::Scratch,
    },
};
use std::slice::from_ref;

/// The outcome of a program.
pub struct Outcome {
    /// Whether the program has a fused form. Otherwise candle ran it here too.
    pub fused: bool,
    /// The result, `[rows, columns]`.
    pub y: Vec<f32>,
    /// The gradients of `y`, `x` and `residual`, in the order of [`INPUTS`]; empty for an input
    /// that the site lacks.
    pub d_inputs: [Vec<f32>; 3],
    /// The gradients of the trainable parameters.
    pub gradients: Gradients,
}

/// Runs the program. `inputs` are `y`, `x` and `residual`, empty for an input that the site lacks;
/// `d` is the gradient of the result.
pub fn run(
    program: &Program,
    inputs: [&[f32]; 3],
    d: &[f32],
    row_keys: &[u64],
    parameters: &Parameters,
) -> Result<Outcome> {
    let scratch = Scratch::default();
    let rows = RowContext {
        step: None,
        row_keys,
    };
    let programs = from_ref(program);
    let others = [inputs[1], inputs[2]];
    let mut partials = Partials::new(parameters, &scratch);
    let (mut y, mut d_y) = (inputs[0].to_vec(), d.to_vec());
    let ready = prepare(programs, parameters, &scratch, false)?;
    let ready_back = prepare(programs, parameters, &scratch, true)?;
    let d_others = scratch.with_workspace(|workspace| {
        let mut place = Place {
            parameters,
            rows,
            scratch: &scratch,
            workspace,
            record: true,
        };
        let tapes = forward(&ready, &mut y, others, &mut place)?;
        let (d, partials) = (&mut d_y, &mut partials);
        backward(&ready_back, &tapes, d, others, partials, &mut place)
    })?;
    let mut gradients = Gradients::new(parameters);
    let sums = Partials::collect(vec![partials], &mut gradients);
    for program in &ready_back {
        program.derived_backward(&sums, parameters, &mut gradients)?;
    }
    let mut d_inputs = [d_y, Vec::new(), Vec::new()];
    for (at, d_other) in d_others.into_iter().enumerate() {
        d_inputs[at + 1] = match d_other {
            Some(d_other) => d_other.to_vec(),
            None => vec![0.0; others[at].len()],
        };
    }
    debug_assert_eq!(INPUTS.len(), d_inputs.len());
    Ok(Outcome {
        fused: RowProgram::compile(program, parameters)?.is_some(),
        y,
        d_inputs,
        gradients,
    })
}
