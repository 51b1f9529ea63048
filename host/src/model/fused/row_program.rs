//! A method's graph on slices, with its own backward: the fused form of what most published methods are made of
//! (low-rank updates, bottlenecks, scalings). Called by [`super::site`]; other graphs run through candle there.

use super::{
    partials::Partials,
    scratch::{Buffer, Columns, Scratch, Workspace},
};
use crate::{
    graph::{Program, RowContext},
    model::parameters::{ParameterId, Parameters},
};
use progtune_kernels::{
    activation::{self, Activation},
    dropout::{self, Dropout},
    elementwise,
    gemm::{PackedColumns, Start, multiply},
    matrix::Matrix,
};
use progtune_plugin_api::graph::Op;

/// A graph whose every value is `[rows, columns]`, in evaluation order; the last step is the result.
#[derive(Debug, Clone)]
pub struct RowProgram {
    steps: Vec<Step>,
    /// Whether the backward reads the value of a step.
    needed: Vec<bool>,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// An input of the site, by its place in [`INPUTS`].
    Input(usize),
    /// `x·Pᵀ` for `transposed`, else `x·P`.
    MatMul {
        x: usize,
        matrix: ParameterId,
        transposed: bool,
    },
    /// `a + factor·b`.
    Add {
        a: usize,
        b: usize,
        factor: f32,
    },
    /// `a ⊙ b`.
    Mul {
        a: usize,
        b: usize,
    },
    /// `x + factor·v`, row by row.
    AddVector {
        x: usize,
        vector: ParameterId,
        factor: f32,
    },
    /// `x ⊙ v`, row by row.
    MulVector {
        x: usize,
        vector: ParameterId,
    },
    Scale {
        x: usize,
        by: f32,
    },
    Activate {
        x: usize,
        activation: Activation,
    },
    /// The mask is that of graph node `node`.
    Dropout {
        x: usize,
        node: usize,
        p: f32,
    },
}

/// The names a site's inputs have, in the order of [`Inputs`].
pub const INPUTS: [&str; 3] = ["y", "x", "residual"];

/// The values of a site's inputs besides `y`: `x`, `residual`. Empty where the site has none.
pub type Others<'a> = [&'a [f32]; 2];

/// A value of the graph while compiling.
#[derive(Clone, Copy)]
enum Value {
    Rows(usize),
    Parameter { id: ParameterId, transposed: bool },
}

impl RowProgram {
    /// The fused form of `program`, if all its operations have one.
    pub fn compile(program: &Program, parameters: &Parameters) -> Option<Self> {
        let mut steps = Vec::new();
        let mut values: Vec<Value> = Vec::new();
        let shape = |id: ParameterId| parameters.infos()[id].shape.as_slice();
        // A vector in a row-wise operation: one number a column (one number for all columns is left to candle).
        let vector = |value: Value| match value {
            Value::Parameter {
                id,
                transposed: false,
            } => match *shape(id) {
                [n] | [1, n] if n > 1 => Some(id),
                _ => None,
            },
            _ => None,
        };
        for (index, node) in program.graph().nodes.iter().enumerate() {
            let operand = |i: usize| {
                node.inputs
                    .get(i)
                    .and_then(|&at| values.get(at as usize))
                    .copied()
            };
            let rows = |i: usize| match operand(i) {
                Some(Value::Rows(step)) => Some(step),
                _ => None,
            };
            if let Some(id) = program.parameter_of(index) {
                values.push(Value::Parameter {
                    id,
                    transposed: false,
                });
                continue;
            }
            let step = match node.op {
                Op::TRANSPOSE => match operand(0)? {
                    Value::Parameter { id, transposed } if shape(id).len() == 2 => {
                        values.push(Value::Parameter {
                            id,
                            transposed: !transposed,
                        });
                        continue;
                    }
                    _ => return None,
                },
                Op::INPUT => {
                    let name = node.text("name")?;
                    Step::Input(INPUTS.iter().position(|input| *input == name)?)
                }
                Op::MATMUL => match operand(1)? {
                    // A single column would be broadcast by later operations.
                    Value::Parameter { id, transposed }
                        if shape(id).len() == 2 && shape(id)[usize::from(!transposed)] > 1 =>
                    {
                        Step::MatMul {
                            x: rows(0)?,
                            matrix: id,
                            transposed,
                        }
                    }
                    _ => return None,
                },
                Op::ADD | Op::SUB => {
                    let factor = if node.op == Op::SUB { -1.0 } else { 1.0 };
                    match (operand(0)?, operand(1)?) {
                        (Value::Rows(a), Value::Rows(b)) => Step::Add { a, b, factor },
                        (Value::Rows(x), v) => Step::AddVector {
                            x,
                            vector: vector(v)?,
                            factor,
                        },
                        (v, Value::Rows(x)) if node.op == Op::ADD => Step::AddVector {
                            x,
                            vector: vector(v)?,
                            factor,
                        },
                        _ => return None,
                    }
                }
                Op::MUL => match (operand(0)?, operand(1)?) {
                    (Value::Rows(a), Value::Rows(b)) => Step::Mul { a, b },
                    (Value::Rows(x), v) | (v, Value::Rows(x)) => Step::MulVector {
                        x,
                        vector: vector(v)?,
                    },
                    _ => return None,
                },
                Op::SCALE => Step::Scale {
                    x: rows(0)?,
                    by: node.float("by")? as f32,
                },
                Op::GELU => Step::Activate {
                    x: rows(0)?,
                    activation: Activation::Gelu,
                },
                Op::SILU => Step::Activate {
                    x: rows(0)?,
                    activation: Activation::Silu,
                },
                Op::RELU => Step::Activate {
                    x: rows(0)?,
                    activation: Activation::Relu,
                },
                Op::DROPOUT => Step::Dropout {
                    x: rows(0)?,
                    node: index,
                    p: node.float("p")? as f32,
                },
                _ => return None,
            };
            values.push(Value::Rows(steps.len()));
            steps.push(step);
        }
        // The result must be the last value, and one of rows.
        match values.last()? {
            Value::Rows(last) if *last + 1 == steps.len() => {}
            _ => return None,
        }
        let mut needed = vec![false; steps.len()];
        for step in &steps {
            match *step {
                Step::MatMul { x, .. } | Step::MulVector { x, .. } | Step::Activate { x, .. } => {
                    needed[x] = true
                }
                Step::Mul { a, b } => (needed[a], needed[b]) = (true, true),
                _ => {}
            }
        }
        Some(Self { steps, needed })
    }

    /// The matrices of the program, packed for one pass; one for each step that multiplies.
    pub fn pack<'s>(
        &self,
        parameters: &Parameters,
        scratch: &'s Scratch,
        backward: bool,
    ) -> Vec<PackedMatrix<'s>> {
        let pack = |id: ParameterId, flip: bool| {
            let (values, shape) = (parameters.host(id), &parameters.infos()[id].shape);
            let matrix = Matrix::new(&values, shape[0], shape[1]);
            let mut columns = scratch.columns(shape[0].min(shape[1]), shape[0].max(shape[1]));
            columns
                .space()
                .pack_here(if flip { matrix.transposed() } else { matrix });
            columns
        };
        let matrices = self
            .steps
            .iter()
            .enumerate()
            .filter_map(|(step, kind)| match *kind {
                Step::MatMul {
                    matrix, transposed, ..
                } => Some(PackedMatrix {
                    step,
                    columns: pack(matrix, transposed != backward),
                }),
                _ => None,
            });
        matrices.collect()
    }

    /// Replaces `y` by the graph's result; returns what the backward reads, when it will be called.
    #[allow(clippy::too_many_arguments)]
    pub fn forward(
        &self,
        program: &Program,
        y: &mut [f32],
        others: Others<'_>,
        packed: &[PackedMatrix<'_>],
        parameters: &Parameters,
        rows: RowContext<'_>,
        scratch: &Scratch,
        workspace: &mut Workspace,
        record: bool,
    ) -> Vec<Option<Buffer>> {
        let n_rows = rows.row_keys.len();
        let mut values: Vec<Option<Buffer>> = Vec::with_capacity(self.steps.len());
        for (index, step) in self.steps.iter().enumerate() {
            let value = |at: usize| -> &[f32] {
                match self.steps[at] {
                    Step::Input(0) => y,
                    Step::Input(other) => others[other - 1],
                    _ => values[at].as_deref().unwrap_or_default(),
                }
            };
            let new = match *step {
                Step::Input(_) => None,
                Step::MatMul { x, .. } => {
                    let b = packed_of(packed, index);
                    let mut out = scratch.take(n_rows * b.columns());
                    workspace.rows.pack(Matrix::new(value(x), n_rows, b.k()));
                    multiply(&mut out, b.columns(), &workspace.rows, b, Start::Zero);
                    Some(out)
                }
                Step::Add { a, b, factor } => {
                    let mut out = scratch.copy(value(a));
                    elementwise::add_scaled(&mut out, value(b), factor);
                    Some(out)
                }
                Step::Mul { a, b } => {
                    let mut out = scratch.copy(value(a));
                    elementwise::multiply(&mut out, value(b));
                    Some(out)
                }
                Step::AddVector { x, vector, factor } => {
                    let mut out = scratch.copy(value(x));
                    by_row(&mut out, &parameters.host(vector), |row, v| {
                        elementwise::add_scaled(row, v, factor)
                    });
                    Some(out)
                }
                Step::MulVector { x, vector } => {
                    let mut out = scratch.copy(value(x));
                    by_row(&mut out, &parameters.host(vector), elementwise::multiply);
                    Some(out)
                }
                Step::Scale { x, by } => {
                    let mut out = scratch.copy(value(x));
                    elementwise::scale(&mut out, by);
                    Some(out)
                }
                Step::Activate { x, activation } => {
                    let mut out = scratch.take(value(x).len());
                    activation::forward(&mut out, value(x), activation);
                    Some(out)
                }
                Step::Dropout { x, node, p } => {
                    let mut out = scratch.copy(value(x));
                    drop_out(&mut out, program, node, p, rows);
                    Some(out)
                }
            };
            values.push(new);
        }
        let last = self.steps.len() - 1;
        let result = match self.steps[last] {
            Step::Input(0) => None,
            Step::Input(other) => Some(scratch.copy(others[other - 1])),
            _ => values[last].take(),
        };
        let Some(result) = result else {
            return values;
        };
        for (at, value) in values.iter_mut().enumerate() {
            match self.steps[at] {
                Step::Input(0) if record && self.needed[at] => *value = Some(scratch.copy(y)),
                _ if !record || !self.needed[at] => *value = None,
                _ => {}
            }
        }
        y.copy_from_slice(&result);
        values
    }

    /// Turns `d`, the gradient of the result, into that of `y`; adds the parameters' gradients; returns those of the
    /// other inputs.
    #[allow(clippy::too_many_arguments)]
    pub fn backward(
        &self,
        program: &Program,
        saved: &[Option<Buffer>],
        d: &mut [f32],
        others: Others<'_>,
        packed: &[PackedMatrix<'_>],
        partials: &mut Partials<'_>,
        parameters: &Parameters,
        rows: RowContext<'_>,
        scratch: &Scratch,
        workspace: &mut Workspace,
    ) -> [Option<Buffer>; 2] {
        let n_rows = rows.row_keys.len();
        let value = |at: usize| -> &[f32] {
            match self.steps[at] {
                Step::Input(other @ 1..) => others[other - 1],
                _ => saved[at].as_deref().unwrap_or_default(),
            }
        };
        let mut gradients: Vec<Option<Buffer>> = self.steps.iter().map(|_| None).collect();
        if let Some(last) = gradients.last_mut() {
            *last = Some(scratch.copy(d));
        }
        let mut inputs = [None, None, None];
        for (index, step) in self.steps.iter().enumerate().rev() {
            let Some(mut g) = gradients[index].take() else {
                continue;
            };
            match *step {
                Step::Input(input) => add_gradient(&mut inputs[input], g),
                Step::MatMul {
                    x,
                    matrix,
                    transposed,
                } => {
                    let b = packed_of(packed, index);
                    let (n_in, n_out) = (b.columns(), b.k());
                    let d_rows = Matrix::new(&g, n_rows, n_out);
                    if let Some(sum) = partials.sum(matrix) {
                        let x_rows = Matrix::new(value(x), n_rows, n_in);
                        let (left, right) = if transposed {
                            (d_rows, x_rows)
                        } else {
                            (x_rows, d_rows)
                        };
                        let width = right.columns();
                        workspace.rows.pack(left.transposed());
                        workspace.columns.pack_here(right);
                        multiply(
                            sum,
                            width,
                            &workspace.rows,
                            &workspace.columns,
                            Start::Stored,
                        );
                    }
                    let mut d_x = scratch.take(n_rows * n_in);
                    workspace.rows.pack(d_rows);
                    multiply(&mut d_x, n_in, &workspace.rows, b, Start::Zero);
                    add_gradient(&mut gradients[x], d_x);
                }
                Step::Add { a, b, factor } => {
                    let mut d_b = scratch.copy(&g);
                    elementwise::scale(&mut d_b, factor);
                    add_gradient(&mut gradients[b], d_b);
                    add_gradient(&mut gradients[a], g);
                }
                Step::Mul { a, b } => {
                    let mut d_b = scratch.copy(&g);
                    elementwise::multiply(&mut d_b, value(a));
                    add_gradient(&mut gradients[b], d_b);
                    elementwise::multiply(&mut g, value(b));
                    add_gradient(&mut gradients[a], g);
                }
                Step::AddVector { x, vector, factor } => {
                    if let Some(sum) = partials.sum(vector) {
                        for row in g.chunks_exact(sum.len()) {
                            elementwise::add_scaled(sum, row, factor);
                        }
                    }
                    add_gradient(&mut gradients[x], g);
                }
                Step::MulVector { x, vector } => {
                    if let Some(sum) = partials.sum(vector) {
                        let n = sum.len();
                        for (row, x) in g.chunks_exact(n).zip(value(x).chunks_exact(n)) {
                            elementwise::add_products(sum, row, x);
                        }
                    }
                    by_row(&mut g, &parameters.host(vector), elementwise::multiply);
                    add_gradient(&mut gradients[x], g);
                }
                Step::Scale { x, by } => {
                    elementwise::scale(&mut g, by);
                    add_gradient(&mut gradients[x], g);
                }
                Step::Activate { x, activation } => {
                    activation::backward(&mut g, value(x), activation);
                    add_gradient(&mut gradients[x], g);
                }
                Step::Dropout { x, node, p } => {
                    drop_out(&mut g, program, node, p, rows);
                    add_gradient(&mut gradients[x], g);
                }
            }
        }
        let [d_y, d_x, d_residual] = inputs;
        match d_y {
            Some(d_y) => d.copy_from_slice(&d_y),
            None => d.fill(0.0),
        }
        [d_x, d_residual]
    }
}

/// A matrix of a program, packed for the forward or the backward.
pub struct PackedMatrix<'s> {
    step: usize,
    columns: Columns<'s>,
}

fn packed_of<'p>(packed: &'p [PackedMatrix<'_>], step: usize) -> &'p PackedColumns {
    let found = packed.iter().find(|matrix| matrix.step == step);
    &found.expect("`pack` makes one for every product").columns
}

fn by_row(data: &mut [f32], vector: &[f32], f: impl Fn(&mut [f32], &[f32])) {
    for row in data.chunks_exact_mut(vector.len()) {
        f(row, vector);
    }
}

fn drop_out(data: &mut [f32], program: &Program, node: usize, p: f32, rows: RowContext<'_>) {
    let Some(step) = rows.step.filter(|_| p > 0.0 && !rows.row_keys.is_empty()) else {
        return;
    };
    let dropout = Dropout {
        p,
        site_key: program.dropout_key(node, step),
        row_keys: rows.row_keys,
    };
    dropout::apply(data, data.len() / rows.row_keys.len(), &dropout);
}

fn add_gradient(sum: &mut Option<Buffer>, gradient: Buffer) {
    match sum {
        Some(sum) => elementwise::add_scaled(sum, &gradient, 1.0),
        None => *sum = Some(gradient),
    }
}
