//! A row-wise graph as an affine function, found by its structure, operation by operation, and
//! computed exactly. [`super::merge`] calls it.
//!
//! A value with rows is an affine function of one row u of n numbers, value(u) = u·L + c. L holds
//! the images of the unit vectors, and c the image of zero. Every operation that keeps a value
//! affine acts on both. A value without rows is a constant, to which all operations apply.

use crate::{
    error::Result,
    model::{graph::evaluate, parameters::Parameters},
};
use candle_core::{DType, Device, Tensor};
use progtune_plugin_api::graph::{Graph, Node, Op};

/// An affine function of one row.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    /// L, `[n, …]`.
    pub linear: Tensor,
    /// c, `[1, …]`.
    pub constant: Tensor,
}

impl Rows {
    /// The row itself, with `n` numbers.
    pub(super) fn identity(n: usize, device: &Device) -> Result<Self> {
        Ok(Self {
            linear: Tensor::eye(n, DType::F32, device)?,
            constant: Tensor::zeros((1, n), DType::F32, device)?,
        })
    }
}

/// A node's value.
enum Value {
    Constant(Tensor),
    Rows(Rows),
}

/// The graph's result as an affine function, or the reason why it is none. `inputs` are those that
/// it may read.
pub(super) fn fold(
    graph: &Graph,
    inputs: &[(&str, Rows)],
    parameters: &Parameters,
) -> Result<std::result::Result<Rows, String>> {
    let mut values: Vec<Value> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let operands: Vec<&Value> = node.inputs.iter().map(|&i| &values[i as usize]).collect();
        let value = match node.op {
            Op::INPUT => {
                let name = node.text("name").unwrap_or_default();
                match inputs.iter().find(|(input, _)| *input == name) {
                    Some((_, rows)) => Value::Rows(rows.clone()),
                    None => {
                        return Ok(Err(format!(
                            "it reads `{name}`, which no linear layer next to it has as input or output"
                        )));
                    }
                }
            }
            Op::PARAMETER | Op::BASE => {
                let id = parameters.id(node.text("name").unwrap_or_default())?;
                Value::Constant(parameters.variable(id).as_detached_tensor())
            }
            _ => match operation(node, &operands, parameters.device())? {
                Ok(value) => value,
                Err(reason) => return Ok(Err(reason)),
            },
        };
        values.push(value);
    }
    Ok(match values.pop() {
        Some(Value::Rows(rows)) => Ok(rows),
        _ => Err("its result is the same for every row, which no linear layer yields".into()),
    })
}

fn operation(
    node: &Node,
    operands: &[&Value],
    device: &Device,
) -> Result<std::result::Result<Value, String>> {
    let constants: Option<Vec<&Tensor>> = operands
        .iter()
        .map(|value| match value {
            Value::Constant(value) => Some(value),
            Value::Rows(_) => None,
        })
        .collect();
    if let Some(constants) = constants {
        let value = evaluate(node, &constants, 0, device)?;
        return Ok(Ok(Value::Constant(value)));
    }
    let first_has_rows = matches!(operands.first(), Some(Value::Rows(_)));
    let n_rows = operands.iter().filter(|v| matches!(v, Value::Rows(_)));
    let n_rows = n_rows.count();
    match node.op {
        // These act in training only, and change nothing here.
        Op::DROPOUT | Op::DETACH => {
            if let Some(Value::Rows(rows)) = operands.first() {
                return Ok(Ok(Value::Rows(rows.clone())));
            }
        }
        // A constant summand appears only in c.
        Op::ADD | Op::SUB => return both(node, operands, device, |value| value.zeros_like()),
        Op::SCALE | Op::RESHAPE | Op::TRANSPOSE | Op::SLICE | Op::SUM | Op::MEAN | Op::CONCAT
            if n_rows == operands.len() =>
        {
            return both(node, operands, device, |value| Ok(value.clone()));
        }
        Op::MUL if n_rows == 1 => {
            return both(node, operands, device, |value| Ok(value.clone()));
        }
        Op::DIV | Op::MATMUL if n_rows == 1 && first_has_rows => {
            return both(node, operands, device, |value| Ok(value.clone()));
        }
        Op::MUL | Op::DIV => {
            return Ok(Err(format!(
                "{} of two values of the row is not linear",
                node.op
            )));
        }
        _ => {}
    }
    Ok(Err(format!("{} of the row is not linear", node.op)))
}

/// Applies the operation to L and to c; `in_linear` gives the form of a constant operand beside L.
fn both(
    node: &Node,
    operands: &[&Value],
    device: &Device,
    in_linear: impl Fn(&Tensor) -> candle_core::Result<Tensor>,
) -> Result<std::result::Result<Value, String>> {
    let mut linear = Vec::with_capacity(operands.len());
    let mut constant = Vec::with_capacity(operands.len());
    for operand in operands {
        match operand {
            Value::Rows(rows) => {
                linear.push(rows.linear.clone());
                constant.push(rows.constant.clone());
            }
            Value::Constant(value) => {
                linear.push(in_linear(value)?);
                constant.push(value.clone());
            }
        }
    }
    let run = |operands: &[Tensor]| {
        let operands: Vec<&Tensor> = operands.iter().collect();
        evaluate(node, &operands, 1, device)
    };
    Ok(Ok(Value::Rows(Rows {
        linear: run(&linear)?,
        constant: run(&constant)?,
    })))
}

#[cfg(test)]
mod tests;
