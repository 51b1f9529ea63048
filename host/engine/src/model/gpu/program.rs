//! A method's programs on rows of the device, with their backward: the steps that the fused path
//! compiles a graph to ([`RowProgram`]), each as one or two launches. Graphs that have no such form
//! are run by candle, for which rows travel to the parameters' device and back.

use super::{
    arena::Room,
    pass::Pass,
    queue::Address,
    rows::{Lane, Rows},
};
use crate::{
    error::Result,
    model::{
        fused::{Fixed, FixedMatrix, GraphStep as Step, INPUTS, RowProgram, Target},
        gradients::Gradients,
        graph::{Program, RowContext},
        parameters::HostSlice,
    },
};
use candle_core::{Device, Tensor, Var};
use progtune_kernels::cuda::{self, Arguments, DropoutArgument};

/// A site's inputs besides `y`: `x` and `residual`, where it has them.
pub type Others<'a> = [Option<&'a Rows>; 2];

/// The rows that programs run on.
#[derive(Clone, Copy)]
pub struct Place<'a> {
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
pub enum SiteTape {
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
pub struct DerivedSums(Vec<(Target, Room, usize)>);

impl DerivedSums {
    /// The sum of `n` numbers for a target, zero at first.
    pub fn sum(&mut self, lane: &Lane, target: Target, n: usize) -> Result<Address> {
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
    pub fn downloaded(
        &self,
        pass: &Pass<'_>,
    ) -> Result<Vec<(Target, crate::model::scratch::Buffer)>> {
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
pub fn forward(
    programs: &[Program],
    mut y: Rows,
    others: Others<'_>,
    place: Place<'_>,
) -> Result<(Rows, Vec<SiteTape>)> {
    let mut tapes = Vec::new();
    for program in programs {
        let tape;
        (y, tape) = match RowProgram::compile(program, place.pass.parameters)? {
            Some(compiled) => steps_forward(compiled, program, y, others, place)?,
            None => candle_forward(program, y, others, place)?,
        };
        if place.record {
            tapes.push(tape);
        }
    }
    Ok((y, tapes))
}

/// Undoes [`forward`]: turns `d`, the gradient of the result, into that of the original `y`, and
/// adds the parameters' gradients. Returns it with the gradients of the other inputs.
pub fn backward(
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
                let mut run = Backward {
                    compiled,
                    program,
                    place,
                    gradients: &mut *gradients,
                    derived: &mut *derived,
                };
                run.steps(saved, d, others)?
            }
            SiteTape::Candle { inputs, output } => {
                candle_backward(program, inputs, output, &d, place, gradients)?
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

/// The value of a step of a graph.
enum Value<'v> {
    Given(&'v Rows),
    Missing,
}

fn value<'v>(
    steps: &[Step],
    at: usize,
    saved: &'v [Option<Rows>],
    y: Option<&'v Rows>,
    others: Others<'v>,
) -> Value<'v> {
    let rows = match steps[at] {
        Step::Input(0) => y.or(saved[at].as_ref()),
        Step::Input(other) => others[other - 1],
        _ => saved[at].as_ref(),
    };
    rows.map_or(Value::Missing, Value::Given)
}

impl<'v> Value<'v> {
    /// The rows, which the graph's order and the site guarantee.
    fn rows(self) -> Result<&'v Rows> {
        match self {
            Self::Given(rows) => Ok(rows),
            Self::Missing => Err(crate::error::Error::Model(
                "internal error: a graph reads rows that its site lacks".into(),
            )),
        }
    }
}

fn steps_forward(
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
        let of = |at: usize| value(steps, at, &values, Some(&y), others).rows();
        let new = match steps[index] {
            Step::Input(_) => None,
            Step::MatMul { x, matrix } => {
                let x = of(x)?;
                let (k, n) = if matrix.transposed {
                    (matrix.columns, matrix.rows)
                } else {
                    (matrix.rows, matrix.columns)
                };
                let (weight, _kept) = place.operand(&compiled, matrix)?;
                let out = lane.rows(x.len() / k, n)?;
                lane.multiply_rows(&out, x, k, weight, matrix.transposed)?;
                let width = out.len() / x.n;
                Some(out.reshaped(width))
            }
            Step::Add { a, b, factor } => {
                let out = lane.copy(of(a)?)?;
                lane.add_scaled(&out, of(b)?, factor)?;
                Some(out)
            }
            Step::Mul { a, b } => {
                let out = lane.copy(of(a)?)?;
                lane.multiply(&out, of(b)?)?;
                Some(out)
            }
            Step::AddVector { x, vector, factor } => {
                let v = place.fixed(&compiled, vector)?;
                let (out, width) = (lane.copy(of(x)?)?, of(x)?.columns);
                let out = out.reshaped(compiled.length(vector, place.pass.parameters));
                lane.add_vector(&out, v, factor)?;
                Some(out.reshaped(width))
            }
            Step::MulVector { x, vector } => {
                let v = place.fixed(&compiled, vector)?;
                let (out, width) = (lane.copy(of(x)?)?, of(x)?.columns);
                let out = out.reshaped(compiled.length(vector, place.pass.parameters));
                lane.multiply_vector(&out, v)?;
                Some(out.reshaped(width))
            }
            Step::Scale { x, by } => {
                let out = lane.copy(of(x)?)?;
                lane.scale(&out, by)?;
                Some(out)
            }
            Step::Activate { x, activation } => Some(lane.activate(of(x)?, activation)?),
            Step::Swap { x, from } => Some(lane.swap(of(x)?, from)?),
            Step::Normalise { x, columns, eps } => {
                let (out, _) = normalise(lane, of(x)?, columns, eps)?;
                Some(out)
            }
            Step::Dropout { x, node, p } => {
                let out = lane.copy(of(x)?)?;
                lane.drop_out(&out, place.dropout(program, node, p))?;
                Some(out)
            }
        };
        values.push(new);
    }
    let last = steps.len() - 1;
    let result = match steps[last] {
        Step::Input(0) => lane.copy(&y)?,
        Step::Input(other) => lane.copy(Value::rows(
            others[other - 1].map_or(Value::Missing, Value::Given),
        )?)?,
        _ => Value::rows(values[last].as_ref().map_or(Value::Missing, Value::Given))
            .and_then(|rows| lane.copy(rows))?,
    };
    let first_input = steps.iter().position(|step| matches!(step, Step::Input(0)));
    for (at, value) in values.iter_mut().enumerate() {
        if !place.record || !compiled.is_needed(at) {
            *value = None;
        }
    }
    if let Some(at) = first_input.filter(|&at| place.record && compiled.is_needed(at)) {
        values[at] = Some(y);
    }
    let saved = values;
    Ok((result, SiteTape::Steps { compiled, saved }))
}

/// The rows of `x` with mean 0 and variance 1 in each group of columns, and their reciprocal
/// deviations.
fn normalise(lane: &Lane, x: &Rows, columns: usize, eps: f32) -> Result<(Rows, Room)> {
    let columns = if columns == 0 { x.columns } else { columns };
    let n = x.len() / columns;
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

/// The backward of one program.
struct Backward<'a, 'g> {
    compiled: &'a RowProgram,
    program: &'a Program,
    place: Place<'a>,
    gradients: &'g mut Gradients,
    derived: &'g mut DerivedSums,
}

impl Backward<'_, '_> {
    fn steps(
        &mut self,
        saved: &[Option<Rows>],
        d: Rows,
        others: Others<'_>,
    ) -> Result<(Rows, [Option<Rows>; 2])> {
        let lane = self.place.lane;
        let steps = self.compiled.steps();
        let (n, columns) = (d.n, d.columns);
        let mut gradients: Vec<Option<Rows>> = steps.iter().map(|_| None).collect();
        if let Some(last) = gradients.last_mut() {
            *last = Some(d);
        }
        let mut inputs = [None, None, None];
        for (index, step) in steps.iter().enumerate().rev() {
            let Some(g) = gradients[index].take() else {
                continue;
            };
            let of = |at: usize| value(steps, at, saved, None, others);
            match *step {
                Step::Input(input) => add_gradient(lane, &mut inputs[input], Some(g))?,
                Step::Add { a, b, factor } => {
                    let d_b = lane.copy(&g)?;
                    lane.scale(&d_b, factor)?;
                    add_gradient(lane, &mut gradients[b], Some(d_b))?;
                    add_gradient(lane, &mut gradients[a], Some(g))?;
                }
                Step::Mul { a, b } => {
                    let d_b = lane.copy(&g)?;
                    lane.multiply(&d_b, of(a).rows()?)?;
                    add_gradient(lane, &mut gradients[b], Some(d_b))?;
                    lane.multiply(&g, of(b).rows()?)?;
                    add_gradient(lane, &mut gradients[a], Some(g))?;
                }
                Step::MatMul { x, .. }
                | Step::AddVector { x, .. }
                | Step::MulVector { x, .. }
                | Step::Scale { x, .. }
                | Step::Activate { x, .. }
                | Step::Swap { x, .. }
                | Step::Normalise { x, .. }
                | Step::Dropout { x, .. } => {
                    let d_x = self.step(index, g, of(x))?;
                    add_gradient(lane, &mut gradients[x], Some(d_x))?;
                }
            }
        }
        let [d_y, d_x, d_residual] = inputs;
        let d_y = match d_y {
            Some(d_y) => d_y,
            None => {
                let zeros = lane.rows(n, columns)?;
                lane.queue
                    .clear(zeros.address(), zeros.len() * lane.number.bytes())?;
                zeros
            }
        };
        Ok((d_y, [d_x, d_residual]))
    }

    /// The gradient of the only operand with rows of a step whose result has the gradient `g`. Adds
    /// the gradient of the step's other operand, if it has one.
    fn step(&mut self, index: usize, g: Rows, x: Value<'_>) -> Result<Rows> {
        let (lane, place) = (self.place.lane, self.place);
        let width = g.columns;
        match self.compiled.steps()[index] {
            Step::MatMul { matrix, .. } => self.product(matrix, g, x.rows()?),
            Step::AddVector { vector, factor, .. } => {
                if let Some(sum) = self.sum(vector)? {
                    let length = self.compiled.length(vector, place.pass.parameters);
                    // Column sums know no factor, and a graph subtracts rarely.
                    let scaled = lane.copy(&g)?.reshaped(length);
                    lane.scale(&scaled, factor)?;
                    lane.bias_gradient(&scaled, Some(sum))?;
                }
                Ok(g)
            }
            Step::MulVector { vector, .. } => {
                let length = self.compiled.length(vector, place.pass.parameters);
                let g = g.reshaped(length);
                if let Some(sum) = self.sum(vector)? {
                    let x = lane.copy(x.rows()?)?.reshaped(length);
                    lane.product_sums(&g, &x, sum)?;
                }
                lane.multiply_vector(&g, place.fixed(self.compiled, vector)?)?;
                Ok(g.reshaped(width))
            }
            Step::Scale { by, .. } => {
                lane.scale(&g, by)?;
                Ok(g)
            }
            Step::Activate { activation, .. } => {
                lane.activation_backward(&g, x.rows()?, None, activation)?;
                Ok(g)
            }
            Step::Swap { from, .. } => lane.swap(&g, (from.1, from.0)),
            Step::Normalise { columns, eps, .. } => {
                let x = x.rows()?;
                let (x_hat, rstd) = normalise(lane, x, columns, eps)?;
                let columns = if columns == 0 { x.columns } else { columns };
                let ones = lane.bytes(&1f32.to_ne_bytes().repeat(columns))?;
                let chunked = cuda::row_chunks(g.len() / columns, columns, lane.number);
                let arguments = Arguments::default()
                    .address(g.address())
                    .address(x_hat.address())
                    .address(rstd.address())
                    .address(ones.address())
                    .address(g.address())
                    .address(0)
                    .address(0)
                    .address(0)
                    .address(0)
                    .size(g.len() / columns)
                    .size(columns)
                    .u32(chunked.rows_per_chunk)
                    .dropout(DropoutArgument::NONE);
                lane.launch_typed("layer_norm_backward", chunked.launch, arguments)?;
                Ok(g)
            }
            Step::Dropout { node, p, .. } => {
                lane.drop_out(&g, place.dropout(self.program, node, p))?;
                Ok(g)
            }
            Step::Input(_) | Step::Add { .. } | Step::Mul { .. } => {
                unreachable!("`steps` handles steps with several operands")
            }
        }
    }

    fn sum(&mut self, fixed: Fixed) -> Result<Option<Address>> {
        let (gradients, derived) = (&mut *self.gradients, &mut *self.derived);
        self.place
            .sum(self.compiled, self.program, fixed, gradients, derived)
    }

    /// Adds the gradient of a product's matrix; returns that of its rows `x`.
    fn product(&mut self, matrix: FixedMatrix, d: Rows, x: &Rows) -> Result<Rows> {
        let lane = self.place.lane;
        let (n_in, n_out) = if matrix.transposed {
            (matrix.columns, matrix.rows)
        } else {
            (matrix.rows, matrix.columns)
        };
        let (n, width) = (x.n, x.columns);
        let d = d.reshaped(n_out);
        if let Some(sum) = self.sum(matrix.source)? {
            let x = lane.copy(x)?.reshaped(n_in);
            if matrix.transposed {
                lane.add_weight_gradient(sum, &d, &x)?;
            } else {
                lane.add_weight_gradient(sum, &x, &d)?;
            }
        }
        let (weight, _kept) = self.place.operand(self.compiled, matrix)?;
        let d_x = lane.rows(d.n, n_in)?;
        lane.multiply_rows(&d_x, &d, n_out, weight, !matrix.transposed)?;
        debug_assert_eq!(d_x.len(), n * width);
        Ok(d_x.reshaped(width))
    }
}

fn candle_forward(
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

fn candle_backward(
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
    pub fn tensor_of(&self, rows: &Rows, lane: &Lane) -> Result<Tensor> {
        let f32 = lane.with(cuda::Number::F32);
        let converted = lane.converted(rows, &f32)?;
        let numbers = self.floats_at(converted.address(), rows.len())?;
        let device: &Device = self.parameters.device();
        Ok(Tensor::from_vec(numbers, (rows.n, rows.columns), device)?)
    }

    /// A tensor as rows of a lane.
    pub fn rows_of(&self, tensor: &Tensor, lane: &Lane) -> Result<Rows> {
        let n = tensor.dim(0)?;
        let columns = tensor.elem_count() / n.max(1);
        let host = tensor.to_device(&Device::Cpu)?.contiguous()?;
        let bytes: Vec<u8> = HostSlice::of(&host)
            .iter()
            .flat_map(|number| number.to_ne_bytes())
            .collect();
        let f32 = lane.with(cuda::Number::F32);
        let rows = f32.rows(n, columns)?;
        f32.queue.upload(rows.address(), &bytes)?;
        f32.converted(&rows, lane)
    }
}
