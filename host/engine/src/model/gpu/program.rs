//! A method's programs on rows of the device, with their backward: the steps that the fused path
//! compiles a graph to ([`RowProgram`]), each as one or two launches. Graphs that have no such form
//! are run by candle, for which rows travel to the parameters' device and back.

mod backward;
mod candle;
mod forward;

use super::pass::Pass;
use crate::model::lane::{
    arena::Room,
    queue::Address,
    rows::{Lane, Rows},
};
use crate::{
    error::{Error, Result},
    model::{
        fused::{Fixed, FixedMatrix, GraphStep as Step, RowProgram, Target},
        gradients::Gradients,
        graph::{Program, RowContext},
        scratch::Buffer,
    },
};
use candle_core::Tensor;
use progtune_kernels::cuda::DropoutArgument;

/// A site's inputs besides `y`: `x` and `residual`, where it has them.
pub(super) type Others<'a> = [Option<&'a Rows>; 2];

/// The rows that programs run on.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// The pass.
    pub pass: &'a Pass<'a>,
    /// The keys of the rows: on the device, and here.
    pub keys: (Address, &'a [u64]),
    /// Whether dropout applies.
    pub drop: bool,
    /// Whether a backward follows.
    pub record: bool,
    /// The number type of the rows.
    pub lane: &'a Lane,
}

/// The values that the backward of one program needs.
pub(super) enum SiteTape {
    /// Values of its steps.
    Steps {
        compiled: RowProgram,
        saved: Vec<Option<Rows>>,
    },
    /// candle's graph from the inputs to the output.
    Candle {
        inputs: Vec<(usize, Tensor)>,
        output: Tensor,
    },
}

/// The gradients of values without rows that are no parameters, to be taken further by candle.
#[derive(Default)]
pub(super) struct DerivedSums(Vec<(Target, Room, usize)>);

impl DerivedSums {
    /// The sum of `n` numbers for a target, zero at first.
    pub(super) fn sum(&mut self, lane: &Lane, target: Target, n: usize) -> Result<Address> {
        if let Some((_, room, _)) = self.0.iter().find(|(other, ..)| *other == target) {
            return Ok(room.address());
        }
        let room = lane.floats(n)?;
        lane.queue.clear(room.address(), 4 * n)?;
        let address = room.address();
        self.0.push((target, room, n));
        Ok(address)
    }

    /// The sums here.
    pub(super) fn downloaded(&self, pass: &Pass<'_>) -> Result<Vec<(Target, Buffer)>> {
        let each = self.0.iter().map(|(target, room, n)| {
            let numbers = pass.floats_at(room.address(), *n)?;
            Ok((*target, pass.scratch.copy(&numbers)))
        });
        each.collect()
    }
}

impl<'a> Place<'a> {
    fn rows_context(&self) -> RowContext<'a> {
        self.pass.row_context(self.keys.1, self.drop)
    }

    /// The dropout of a graph's node for rows of these keys.
    fn dropout(&self, program: &Program, node: usize, p: f32) -> DropoutArgument {
        match self.pass.step.filter(|_| self.drop && p > 0.0) {
            Some(step) => DropoutArgument::new(p, program.dropout_key(node, step), self.keys.0),
            None => DropoutArgument::NONE,
        }
    }

    /// The address of a value without rows, in f32.
    fn fixed(&self, compiled: &RowProgram, fixed: Fixed) -> Result<Address> {
        match fixed {
            Fixed::Parameter(id) => self.pass.value(id),
            Fixed::Derived(at) => self.lane.queue.address_of(compiled.derived_value(at)),
        }
    }

    /// The address of a matrix as an operand beside the rows, and what keeps it there.
    fn operand(
        &self,
        compiled: &RowProgram,
        matrix: FixedMatrix,
    ) -> Result<(Address, Option<Room>)> {
        if let Fixed::Parameter(id) = matrix.source {
            return Ok((self.pass.operand_as(id, self.lane.number)?, None));
        }
        let address = self.fixed(compiled, matrix.source)?;
        self.pass
            .converted(address, matrix.rows * matrix.columns, self.lane)
    }

    /// The sum for the gradient of a value without rows; `None` if it depends on nothing trained.
    fn sum(
        &self,
        compiled: &RowProgram,
        program: &Program,
        fixed: Fixed,
        gradients: &mut Gradients,
        derived: &mut DerivedSums,
    ) -> Result<Option<Address>> {
        match fixed {
            Fixed::Parameter(id) => Ok(gradients.address(id)),
            Fixed::Derived(at) => {
                let value = compiled.derived_value(at);
                if !value.track_op() {
                    return Ok(None);
                }
                let target = compiled.derived_target(program, at);
                derived.sum(self.lane, target, value.elem_count()).map(Some)
            }
        }
    }
}

/// Applies `programs` to `y` one after the other; the other inputs stay the same.
pub(super) fn forward(
    programs: &[Program],
    mut y: Rows,
    others: Others<'_>,
    place: Place<'_>,
) -> Result<(Rows, Vec<SiteTape>)> {
    let mut tapes = Vec::new();
    for program in programs {
        let tape;
        (y, tape) = match RowProgram::compile(program, place.pass.parameters)? {
            Some(compiled) => forward::forward(compiled, program, y, others, place)?,
            None => candle::forward(program, y, others, place)?,
        };
        if place.record {
            tapes.push(tape);
        }
    }
    Ok((y, tapes))
}

/// Undoes [`forward`]: turns `d`, the gradient of the result, into that of the original `y`, and
/// adds the parameters' gradients. Returns it with the gradients of the other inputs.
pub(super) fn backward(
    programs: &[Program],
    tapes: &[SiteTape],
    mut d: Rows,
    others: Others<'_>,
    place: Place<'_>,
    gradients: &mut Gradients,
    derived: &mut DerivedSums,
) -> Result<(Rows, [Option<Rows>; 2])> {
    let mut sums: [Option<Rows>; 2] = [None, None];
    for (program, tape) in programs.iter().zip(tapes).rev() {
        let more;
        (d, more) = match tape {
            SiteTape::Steps { compiled, saved } => {
                let mut run = backward::Backward {
                    compiled,
                    program,
                    place,
                    gradients: &mut *gradients,
                    derived: &mut *derived,
                };
                run.steps(saved, d, others)?
            }
            SiteTape::Candle { inputs, output } => {
                candle::backward(program, inputs, output, &d, place, gradients)?
            }
        };
        for (sum, more) in sums.iter_mut().zip(more) {
            add_gradient(place.lane, sum, more)?;
        }
    }
    Ok((d, sums))
}

fn add_gradient(lane: &Lane, sum: &mut Option<Rows>, more: Option<Rows>) -> Result<()> {
    match (sum.as_ref(), more) {
        (Some(sum), Some(more)) => lane.add_scaled(sum, &more, 1.0)?,
        (None, more) => *sum = more,
        (Some(_), None) => {}
    }
    Ok(())
}

/// The rows of a step or an input.
fn value<'v>(
    steps: &[Step],
    at: usize,
    saved: &'v [Option<Rows>],
    y: Option<&'v Rows>,
    others: Others<'v>,
) -> Option<&'v Rows> {
    match steps[at] {
        Step::Input(0) => y.or(saved[at].as_ref()),
        Step::Input(other) => others[other - 1],
        _ => saved[at].as_ref(),
    }
}

/// Rows that the graph's order and the site guarantee.
fn given(rows: Option<&Rows>) -> Result<&Rows> {
    rows.ok_or_else(|| {
        Error::Model("internal error: a graph reads rows that its site lacks".into())
    })
}
