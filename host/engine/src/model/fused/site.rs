//! Runs a method's programs at a site for the rows of one task, and their backward. The linear
//! layers, the sub-layer ends and the embeddings of the fused path call it.

use super::{
    partials::{Partials, Target},
    row_program::{INPUTS, Others, PackedMatrix, RowProgram, Run},
};
use crate::{
    error::Result,
    model::{
        gradients::Gradients,
        graph::{Program, RowContext},
        parameters::{HostSlice, Parameters},
        scratch::{Buffer, Scratch, Workspace},
    },
};
use candle_core::{Device, Tensor, Var};

/// A program ready for one pass.
pub(super) struct ReadyProgram<'a> {
    program: &'a Program,
    /// Its fused form with the matrices packed for this direction; `None` if candle runs it.
    fused: Option<(RowProgram, Vec<PackedMatrix<'a>>)>,
}

/// Prepares the programs of a site for the forward or, with `backward`, for the backward.
pub(super) fn prepare<'a>(
    programs: &'a [Program],
    parameters: &Parameters,
    scratch: &'a Scratch,
    backward: bool,
) -> Result<Vec<ReadyProgram<'a>>> {
    let ready = programs.iter().map(|program| {
        let fused = RowProgram::compile(program, parameters)?.map(|fused| {
            let packed = fused.pack(parameters, scratch, backward);
            (fused, packed)
        });
        Ok(ReadyProgram { program, fused })
    });
    ready.collect()
}

impl ReadyProgram<'_> {
    /// Takes the gradients of the values that the program computes without rows back to the
    /// parameters. The sums are those of all tasks.
    pub(super) fn derived_backward(
        &self,
        sums: &[(Target, Buffer)],
        parameters: &Parameters,
        gradients: &mut Gradients,
    ) -> Result<()> {
        match &self.fused {
            Some((fused, _)) => fused.derived_backward(self.program, sums, parameters, gradients),
            None => Ok(()),
        }
    }
}

/// The values that the backward of one program needs.
pub(super) enum SiteTape {
    /// Values of its steps.
    Fused(Vec<Option<Buffer>>),
    /// candle's graph from the inputs to the output.
    Candle {
        /// The inputs by name.
        inputs: Vec<(&'static str, Tensor)>,
        /// `[rows, columns]`.
        output: Tensor,
    },
}

/// The rows and the memory with which a task runs programs.
pub(super) struct Place<'a, 'w> {
    /// The parameters.
    pub parameters: &'a Parameters,
    /// The step, and the keys of the task's rows.
    pub rows: RowContext<'a>,
    /// The shared memory.
    pub scratch: &'a Scratch,
    /// The task's own memory.
    pub workspace: &'w mut Workspace,
    /// Whether a backward follows.
    pub record: bool,
}

impl<'a> Place<'a, '_> {
    fn run<'r>(&'r mut self, program: &'r Program, packed: &'r [PackedMatrix<'r>]) -> Run<'r, 'r> {
        Run {
            program,
            packed,
            parameters: self.parameters,
            rows: self.rows,
            scratch: self.scratch,
            workspace: self.workspace,
        }
    }
}

/// Applies `programs` to `y` one after the other; the other inputs stay the same.
pub(super) fn forward(
    programs: &[ReadyProgram<'_>],
    y: &mut [f32],
    others: Others<'_>,
    place: &mut Place<'_, '_>,
) -> Result<Vec<SiteTape>> {
    let mut tapes = Vec::new();
    for ready in programs {
        let tape = match &ready.fused {
            Some((fused, packed)) => {
                let record = place.record;
                let run = &mut place.run(ready.program, packed);
                SiteTape::Fused(fused.forward(y, others, run, record))
            }
            None => run_candle(ready.program, y, others, place)?,
        };
        if place.record {
            tapes.push(tape);
        }
    }
    Ok(tapes)
}

fn run_candle(
    program: &Program,
    y: &mut [f32],
    others: Others<'_>,
    place: &Place<'_, '_>,
) -> Result<SiteTape> {
    let n_rows = place.rows.row_keys.len();
    let mut inputs = Vec::new();
    for (name, values) in INPUTS.into_iter().zip([&*y, others[0], others[1]]) {
        if values.is_empty() && name != "y" {
            continue;
        }
        let shape = (n_rows, values.len().checked_div(n_rows).unwrap_or(0));
        let tensor = if place.record {
            Var::from_slice(values, shape, &Device::Cpu)?.into_inner()
        } else {
            Tensor::from_slice(values, shape, &Device::Cpu)?
        };
        inputs.push((name, tensor));
    }
    let output = program
        .run(&inputs, place.parameters, place.rows)?
        .contiguous()?;
    y.copy_from_slice(&HostSlice::of(&output));
    Ok(SiteTape::Candle { inputs, output })
}

/// Undoes [`forward`]: turns `d`, the gradient of the result, into that of the original `y`, and
/// adds the parameters' gradients. Returns the gradients of the other inputs, in the order of
/// [`Others`].
pub(super) fn backward(
    programs: &[ReadyProgram<'_>],
    tapes: &[SiteTape],
    d: &mut [f32],
    others: Others<'_>,
    partials: &mut Partials<'_>,
    place: &mut Place<'_, '_>,
) -> Result<[Option<Buffer>; 2]> {
    let mut sums: [Option<Buffer>; 2] = [None, None];
    for (ready, tape) in programs.iter().zip(tapes).rev() {
        let more = match (&ready.fused, tape) {
            (Some((fused, packed)), SiteTape::Fused(saved)) => {
                let run = &mut place.run(ready.program, packed);
                fused.backward(saved, d, others, partials, run)
            }
            (_, SiteTape::Candle { inputs, output }) => {
                candle_backward(ready.program, inputs, output, d, partials, place)?
            }
            (None, SiteTape::Fused(_)) => unreachable!("a program has one form"),
        };
        for (sum, more) in sums.iter_mut().zip(more) {
            match (sum.as_mut(), more) {
                (Some(sum), Some(more)) => add(sum, &more),
                (None, Some(more)) => *sum = Some(more),
                (_, None) => {}
            }
        }
    }
    Ok(sums)
}

fn candle_backward(
    program: &Program,
    inputs: &[(&'static str, Tensor)],
    output: &Tensor,
    d: &mut [f32],
    partials: &mut Partials<'_>,
    place: &Place<'_, '_>,
) -> Result<[Option<Buffer>; 2]> {
    let d_output = Tensor::from_slice(d, output.dims(), &Device::Cpu)?;
    let store = (output * &d_output)?.sum_all()?.backward()?;
    for id in program.parameters() {
        let gradient = store.get(place.parameters.variable(id));
        if let (Some(gradient), Some(sum)) = (gradient, partials.sum(id)) {
            add(sum, &HostSlice::of(&gradient.contiguous()?));
        }
    }
    let mut others = [None, None];
    d.fill(0.0);
    for (name, input) in inputs {
        let Some(gradient) = store.get(input) else {
            continue;
        };
        let gradient = gradient.contiguous()?;
        let gradient = HostSlice::of(&gradient);
        match INPUTS.iter().position(|input| input == name) {
            Some(0) | None => d.copy_from_slice(&gradient),
            Some(other) => others[other - 1] = Some(place.scratch.copy(&gradient)),
        }
    }
    Ok(others)
}

/// `sum += more`.
pub(super) fn add(sum: &mut [f32], more: &[f32]) {
    progtune_kernels::elementwise::add_scaled(sum, more, 1.0);
}
