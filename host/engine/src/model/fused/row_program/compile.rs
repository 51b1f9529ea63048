//! From a graph to steps on slices, for one pass. Values without rows are computed here. The sites
//! of [`crate::model::fused`] call it.

use super::{Derived, Fixed, FixedMatrix, INPUTS, RowProgram, Step};
use crate::{
    error::Result,
    model::{
        graph::Program,
        parameters::{ParameterId, Parameters},
    },
};
use candle_core::Tensor;
use progtune_kernels::activation::Activation;
use progtune_plugin_api::graph::{Node, Op};

/// A value of the graph.
#[derive(Clone)]
enum Value {
    /// The value of a step, with its dimensions after the rows. The list is empty if there is only
    /// one, of any size above 1.
    Rows { step: usize, dims: Vec<usize> },
    /// A parameter, in its own shape or a different one, or transposed.
    Parameter {
        id: ParameterId,
        shape: Vec<usize>,
        transposed: bool,
    },
    /// A node without rows that is computed when a step reads it.
    Later(usize),
}

impl RowProgram {
    /// The fused form of `program` with the parameters' current values; `None` if one of its
    /// operations has none.
    pub(crate) fn compile(program: &Program, parameters: &Parameters) -> Result<Option<Self>> {
        let mut compiler = Compiler {
            program,
            parameters,
            steps: Vec::new(),
            values: Vec::new(),
            derived: Vec::new(),
            computed: vec![None; program.graph().nodes.len()],
        };
        for (index, node) in program.graph().nodes.iter().enumerate() {
            match compiler.value(index, node)? {
                Some(value) => compiler.values.push(value),
                None => return Ok(None),
            }
        }
        Ok(compiler.finish())
    }
}

struct Compiler<'a> {
    program: &'a Program,
    parameters: &'a Parameters,
    steps: Vec<Step>,
    /// One per node so far.
    values: Vec<Value>,
    derived: Vec<Derived>,
    /// The values without rows that are known, by node.
    computed: Vec<Option<Tensor>>,
}

/// The compiled form of a node; `None` when it has no fused form.
type Compiled<T> = Result<Option<T>>;

impl Compiler<'_> {
    fn finish(self) -> Option<RowProgram> {
        // The result must be that of the last step.
        match self.values.last()? {
            Value::Rows { step, .. } if *step + 1 == self.steps.len() => {}
            _ => return None,
        }
        let mut needed = vec![false; self.steps.len()];
        for step in &self.steps {
            match *step {
                Step::MatMul { x, .. }
                | Step::MulVector { x, .. }
                | Step::Activate { x, .. }
                | Step::Normalise { x, .. } => needed[x] = true,
                Step::Mul { a, b } => (needed[a], needed[b]) = (true, true),
                _ => {}
            }
        }
        Some(RowProgram {
            steps: self.steps,
            needed,
            derived: self.derived,
        })
    }

    fn value(&mut self, index: usize, node: &Node) -> Compiled<Value> {
        if let Some(id) = self.program.parameter_of(index) {
            return Ok(Some(Value::Parameter {
                id,
                shape: self.parameters.infos()[id].shape.clone(),
                transposed: false,
            }));
        }
        let at: Vec<usize> = node.inputs.iter().map(|&input| input as usize).collect();
        let with_rows = |at: &usize| matches!(self.values[*at], Value::Rows { .. });
        if node.op != Op::INPUT && !at.iter().any(with_rows) {
            return Ok(Some(self.without_rows(index, node, &at)));
        }
        let dims = at.iter().find_map(|&at| match &self.values[at] {
            Value::Rows { dims, .. } => Some(dims.clone()),
            _ => None,
        });
        self.with_rows(index, node, &at, dims.unwrap_or_default())
    }

    /// A parameter in another shape, or a value to compute later.
    fn without_rows(&self, index: usize, node: &Node, at: &[usize]) -> Value {
        match (node.op, at.first().map(|&at| &self.values[at])) {
            (
                Op::TRANSPOSE,
                Some(Value::Parameter {
                    id,
                    shape,
                    transposed,
                }),
            ) if shape.len() == 2 => Value::Parameter {
                id: *id,
                shape: shape.clone(),
                transposed: !transposed,
            },
            (
                Op::RESHAPE,
                Some(Value::Parameter {
                    id,
                    transposed: false,
                    ..
                }),
            ) => Value::Parameter {
                id: *id,
                shape: sizes(node),
                transposed: false,
            },
            _ => Value::Later(index),
        }
    }

    /// A step of rows; `dims` are those of its first operand with rows.
    fn with_rows(
        &mut self,
        index: usize,
        node: &Node,
        at: &[usize],
        dims: Vec<usize>,
    ) -> Compiled<Value> {
        let operand = |i: usize| at.get(i).map(|&at| self.values[at].clone());
        let x = match operand(0) {
            Some(Value::Rows { step, .. }) => Some(step),
            _ => None,
        };
        let mut dims = dims;
        let step = match node.op {
            Op::RESHAPE => {
                let shape = match sizes(node) {
                    shape if shape.len() != 1 => shape,
                    shape if shape[0] == 1 => return Ok(None),
                    _ => Vec::new(),
                };
                return Ok(x.map(|step| Value::Rows { step, dims: shape }));
            }
            Op::INPUT => {
                let name = node.text("name").unwrap_or_default();
                INPUTS.iter().position(|i| *i == name).map(Step::Input)
            }
            Op::MATMUL => match (operand(0), operand(1)) {
                (Some(Value::Rows { step: x, .. }), Some(right)) => {
                    self.product(x, &right, &mut dims)?
                }
                _ => None,
            },
            Op::ADD | Op::SUB | Op::MUL => match (operand(0), operand(1)) {
                (Some(a), Some(b)) => self.pair(node.op, a, b)?,
                _ => None,
            },
            Op::TRANSPOSE => match (x, dims.as_mut_slice()) {
                (Some(x), [n, m]) => {
                    let from = (*n, *m);
                    std::mem::swap(n, m);
                    Some(Step::Swap { x, from })
                }
                _ => None,
            },
            _ => x.and_then(|x| of_rows(index, node, x, &dims)),
        };
        let Some(step) = step else { return Ok(None) };
        self.steps.push(step);
        let step = self.steps.len() - 1;
        Ok(Some(Value::Rows { step, dims }))
    }

    /// The product of rows with a matrix, which sets the last of their dimensions.
    fn product(&mut self, x: usize, right: &Value, dims: &mut [usize]) -> Compiled<Step> {
        let Some(matrix) = self.matrix(right)? else {
            return Ok(None);
        };
        let columns = if matrix.transposed {
            matrix.rows
        } else {
            matrix.columns
        };
        if let Some(last) = dims.last_mut() {
            *last = columns;
        }
        // Later operations would broadcast a single column.
        Ok((columns > 1).then_some(Step::MatMul { x, matrix }))
    }

    /// An operation on two values, of which at least one has rows.
    fn pair(&mut self, op: Op, a: Value, b: Value) -> Compiled<Step> {
        let factor = if op == Op::SUB { -1.0 } else { 1.0 };
        Ok(match (op, a, b) {
            (
                _,
                Value::Rows {
                    step: a,
                    dims: left,
                },
                Value::Rows {
                    step: b,
                    dims: right,
                },
            ) => match (left == right, op) {
                (false, _) => None,
                (true, Op::MUL) => Some(Step::Mul { a, b }),
                (true, _) => Some(Step::Add { a, b, factor }),
            },
            (Op::MUL, Value::Rows { step: x, dims }, v)
            | (Op::MUL, v, Value::Rows { step: x, dims }) => self
                .vector(&v, &dims)?
                .map(|vector| Step::MulVector { x, vector }),
            (_, Value::Rows { step: x, dims }, v) | (Op::ADD, v, Value::Rows { step: x, dims }) => {
                self.vector(&v, &dims)?
                    .map(|vector| Step::AddVector { x, vector, factor })
            }
            _ => None,
        })
    }

    /// A vector in an operation with rows: one number per column. One number for all columns is
    /// left to candle.
    fn vector(&mut self, value: &Value, dims: &[usize]) -> Compiled<Fixed> {
        let Some((source, shape, false)) = self.fixed(value)? else {
            return Ok(None);
        };
        Ok(match shape[..] {
            [n] | [1, n] if n > 1 && dims.last().is_none_or(|&last| last == n) => Some(source),
            _ => None,
        })
    }

    fn matrix(&mut self, value: &Value) -> Compiled<FixedMatrix> {
        let Some((source, shape, transposed)) = self.fixed(value)? else {
            return Ok(None);
        };
        Ok(match shape[..] {
            [rows, columns] => Some(FixedMatrix {
                source,
                rows,
                columns,
                transposed,
            }),
            _ => None,
        })
    }

    /// A value without rows as a step reads it: source, shape, and whether it is transposed.
    fn fixed(&mut self, value: &Value) -> Compiled<(Fixed, Vec<usize>, bool)> {
        match value {
            Value::Rows { .. } => Ok(None),
            Value::Parameter {
                id,
                shape,
                transposed,
            } => Ok(Some((Fixed::Parameter(*id), shape.clone(), *transposed))),
            Value::Later(node) => {
                let known = self.derived.iter().position(|d| d.node == *node);
                let at = match known {
                    Some(at) => at,
                    None => {
                        let value = self.compute(*node)?.contiguous()?;
                        self.derived.push(Derived { node: *node, value });
                        self.derived.len() - 1
                    }
                };
                let shape = self.derived[at].value.dims().to_vec();
                Ok(Some((Fixed::Derived(at), shape, false)))
            }
        }
    }

    /// Computes a node without rows with candle, after the nodes that it reads.
    fn compute(&mut self, node: usize) -> Result<Tensor> {
        let inputs = self.program.graph().nodes[node].inputs.clone();
        for input in inputs {
            if self.computed[input as usize].is_none() {
                self.compute(input as usize)?;
            }
        }
        let value = self
            .program
            .fixed_value(node, &self.computed, self.parameters)?;
        self.computed[node] = Some(value.clone());
        Ok(value)
    }
}

/// An operation on rows that has no other operand and keeps their dimensions.
fn of_rows(index: usize, node: &Node, x: usize, dims: &[usize]) -> Option<Step> {
    let activate = |activation| Step::Activate { x, activation };
    Some(match node.op {
        Op::SCALE => Step::Scale {
            x,
            by: node.float("by").unwrap_or(1.0) as f32,
        },
        Op::GELU => activate(Activation::Gelu),
        Op::SILU => activate(Activation::Silu),
        Op::RELU => activate(Activation::Relu),
        Op::TANH => activate(Activation::Tanh),
        Op::LAYER_NORM => Step::Normalise {
            x,
            columns: dims.last().copied().unwrap_or(0),
            eps: node.float("eps").unwrap_or(1e-12) as f32,
        },
        Op::DROPOUT => Step::Dropout {
            x,
            node: index,
            p: node.float("p").unwrap_or(0.0) as f32,
        },
        _ => return None,
    })
}

fn sizes(node: &Node) -> Vec<usize> {
    let sizes = node.shape().unwrap_or_default();
    sizes.iter().map(|&size| size as usize).collect()
}
