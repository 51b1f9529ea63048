//! Runs a method's tensor graphs with candle's own differentiable primitives, on any device.
//!
//! The model calls [`Program::run`] at its sites. [`initial_value`] is called once for every new
//! parameter. Graphs arrive validated: the bridge has checked the order, shapes and attributes of
//! all nodes.

use crate::rng::Stream;
use crate::{
    error::{Error, Result},
    model::{
        parameters::{ParameterId, Parameters},
        step::Step,
    },
};
use candle_core::{D, Device, Tensor};
use progtune_kernels::dropout::{Dropout, mask};
use progtune_plugin_api::{
    graph::{Graph, Node, Op},
    infer::dimension,
    mersenne::MersenneTwister,
};

/// A graph with its parameters resolved.
#[derive(Debug, Clone)]
pub struct Program {
    graph: Graph,
    /// The parameter that each node reads, if it reads one.
    parameters: Vec<Option<ParameterId>>,
    /// The key of this program's dropout masks.
    site: u64,
}

/// The rows of a program, as dropout masks need them.
#[derive(Clone, Copy)]
pub struct RowContext<'a> {
    /// The training step; `None` during evaluation.
    pub step: Option<Step>,
    /// One key per row.
    pub row_keys: &'a [u64],
}

impl Program {
    /// Resolves the names of parameters; `site` is the key of the dropout masks.
    pub fn new(graph: &Graph, site: u64, parameters: &Parameters) -> Result<Self> {
        let resolve = |node: &Node| match node.op {
            Op::PARAMETER | Op::BASE => parameters
                .id(node.text("name").unwrap_or_default())
                .map(Some),
            _ => Ok(None),
        };
        let ids = graph.nodes.iter().map(resolve).collect::<Result<_>>()?;
        Ok(Self {
            graph: graph.clone(),
            parameters: ids,
            site,
        })
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The parameter that a node reads, if it reads one.
    pub(crate) fn parameter_of(&self, node: usize) -> Option<ParameterId> {
        self.parameters[node]
    }

    /// The key of the dropout masks of a node at a step.
    pub(crate) fn dropout_key(&self, node: usize, step: Step) -> u64 {
        step.site_key(self.node_key(node))
    }

    /// A number that no other node of the method has.
    pub(crate) fn node_key(&self, node: usize) -> u64 {
        self.site.wrapping_add(node as u64)
    }

    /// Evaluates one node without rows; `known` holds the values of the nodes that it reads, by
    /// node.
    pub(crate) fn fixed_value(
        &self,
        node: usize,
        known: &[Option<Tensor>],
        parameters: &Parameters,
    ) -> Result<Tensor> {
        if let Some(id) = self.parameters[node] {
            return Ok(parameters.tensor(id));
        }
        let node = &self.graph.nodes[node];
        let inputs = node.inputs.iter();
        let operands: Vec<&Tensor> = inputs
            .filter_map(|&input| known[input as usize].as_ref())
            .collect();
        evaluate(node, &operands, 0, parameters.device())
    }

    /// The parameters that the program reads, each once. A graph may read one at several nodes, and
    /// its gradient is the sum over them.
    pub fn parameters(&self) -> impl Iterator<Item = ParameterId> + '_ {
        distinct(self.parameters.iter().flatten().copied()).into_iter()
    }

    /// Whether the program applies dropout in training.
    pub(crate) fn drops_out(&self) -> bool {
        let mut nodes = self.graph.nodes.iter();
        nodes.any(|node| node.op == Op::DROPOUT && node.float("p").unwrap_or(0.0) > 0.0)
    }

    /// Evaluates the graph. `inputs` are the named inputs of the site, `[rows, dim]`, or the matrix
    /// `w`.
    pub fn run(
        &self,
        inputs: &[(&str, Tensor)],
        parameters: &Parameters,
        rows: RowContext<'_>,
    ) -> Result<Tensor> {
        let mut values: Vec<Tensor> = Vec::with_capacity(self.graph.nodes.len());
        // Whether dimension 0 of a value is the rows, which attributes do not count.
        let mut with_rows: Vec<bool> = Vec::with_capacity(self.graph.nodes.len());
        for (index, node) in self.graph.nodes.iter().enumerate() {
            let at: Vec<usize> = node.inputs.iter().map(|&i| i as usize).collect();
            let value = match (node.op, self.parameters[index]) {
                (_, Some(id)) => parameters.tensor(id),
                (Op::INPUT, _) => named_input(node, inputs)?,
                (Op::DROPOUT, _) => self.dropout(index, node, &values[at[0]], rows)?,
                _ => {
                    let operands: Vec<&Tensor> = at.iter().map(|&i| &values[i]).collect();
                    let offset = usize::from(at.iter().any(|&i| with_rows[i]));
                    evaluate(node, &operands, offset, parameters.device())?
                }
            };
            with_rows.push(match node.op {
                // In weight and merge graphs `w` and `b` are the layer's own matrix and bias.
                Op::INPUT => !matches!(node.text("name"), Some("w" | "b")),
                _ => at.iter().any(|&i| with_rows[i]),
            });
            values.push(value);
        }
        values
            .pop()
            .ok_or_else(|| Error::Model("an empty graph".into()))
    }

    /// Dropout on `[rows, …]`. The mask depends only on the step, the row and this node.
    fn dropout(
        &self,
        index: usize,
        node: &Node,
        x: &Tensor,
        rows: RowContext<'_>,
    ) -> Result<Tensor> {
        let p = node.float("p").unwrap_or(0.0) as f32;
        let Some(step) = rows.step.filter(|_| p > 0.0) else {
            return Ok(x.clone());
        };
        let n = rows.row_keys.len();
        let columns = x.elem_count() / n.max(1);
        let site_key = self.dropout_key(index, step);
        let values = mask(
            n,
            columns,
            &Dropout {
                p,
                site_key,
                row_keys: rows.row_keys,
            },
        );
        Ok((x * Tensor::from_vec(values, x.dims(), x.device())?)?)
    }
}

/// Ids in ascending order, each once.
pub(crate) fn distinct(ids: impl IntoIterator<Item = ParameterId>) -> Vec<ParameterId> {
    let mut ids: Vec<ParameterId> = ids.into_iter().collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn named_input(node: &Node, inputs: &[(&str, Tensor)]) -> Result<Tensor> {
    let name = node.text("name").unwrap_or_default();
    let found = inputs.iter().find(|(input, _)| *input == name);
    found
        .map(|(_, tensor)| tensor.clone())
        .ok_or_else(|| Error::Model(format!("a graph reads {name}, which its site lacks")))
}

/// The result of one operation; `offset` is 1 when dimension 0 of the operands is the rows.
pub(crate) fn evaluate(
    node: &Node,
    operands: &[&Tensor],
    offset: usize,
    device: &Device,
) -> Result<Tensor> {
    if node.op == Op::CONSTANT {
        let value = node.float("value").unwrap_or_default() as f32;
        return Ok(Tensor::full(value, sizes(node), device)?);
    }
    let Some(&x) = operands.first() else {
        return Err(Error::Model(format!("{}: no operand", node.op)));
    };
    match node.op {
        Op::MATMUL | Op::ADD | Op::SUB | Op::MUL | Op::DIV => match operands {
            [a, b] => of_two(node.op, a, b),
            _ => Err(Error::Model(format!("{}: expected two operands", node.op))),
        },
        Op::CONCAT => Ok(Tensor::cat(operands, dimension_of(node, x, offset)?)?),
        Op::TRANSPOSE | Op::RESHAPE | Op::SLICE => rearranged(node, x, offset),
        Op::SOFTMAX | Op::SUM | Op::MEAN | Op::NORM2 => {
            reduced(node.op, x, dimension_of(node, x, offset)?)
        }
        Op::SCALE => Ok((x * node.float("by").unwrap_or(1.0))?),
        Op::LAYER_NORM => normalise(x, node.float("eps").unwrap_or(1e-12)),
        Op::DETACH => Ok(x.detach()),
        op => of_each(op, x),
    }
}

/// The dimension that a node names, counted in `x` with its rows.
fn dimension_of(node: &Node, x: &Tensor, offset: usize) -> Result<usize> {
    let dim = dimension(node.int("dim").unwrap_or_default(), x.rank() - offset);
    dim.map(|dim| dim + offset)
        .ok_or_else(|| Error::Model(format!("{}: no such dimension", node.op)))
}

/// The shape that a node names.
fn sizes(node: &Node) -> Vec<usize> {
    let sizes = node.shape().unwrap_or_default();
    sizes.iter().map(|&size| size as usize).collect()
}

/// An operation on two values.
fn of_two(op: Op, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Ok(match op {
        Op::ADD => a.broadcast_add(b)?,
        Op::SUB => a.broadcast_sub(b)?,
        Op::MUL => a.broadcast_mul(b)?,
        Op::DIV => a.broadcast_div(b)?,
        _ if a.rank() == 2 => a.matmul(b)?,
        _ => a.contiguous()?.broadcast_matmul(b)?,
    })
}

/// The same numbers in another order or shape, or some of them.
fn rearranged(node: &Node, x: &Tensor, offset: usize) -> Result<Tensor> {
    Ok(match node.op {
        Op::TRANSPOSE => x.t()?,
        Op::RESHAPE => {
            let mut shape = sizes(node);
            if offset == 1 {
                shape.insert(0, x.dim(0)?);
            }
            x.reshape(shape)?
        }
        _ => {
            let whole = |name| node.int(name).unwrap_or(0) as usize;
            let dim = dimension_of(node, x, offset)?;
            x.narrow(dim, whole("start"), whole("length"))?
        }
    })
}

/// An operation over one dimension.
fn reduced(op: Op, x: &Tensor, dim: usize) -> Result<Tensor> {
    Ok(match op {
        Op::SOFTMAX => candle_nn::ops::softmax(x, dim)?,
        Op::SUM => x.sum_keepdim(dim)?,
        Op::MEAN => x.mean_keepdim(dim)?,
        // The square root's derivative is infinite at 0. As in PyTorch, a vector of zeros gets
        // gradient 0.
        _ => {
            let squares = x.sqr()?.sum_keepdim(dim)?;
            let zero = squares.eq(&squares.zeros_like()?)?;
            let zero = zero.to_dtype(x.dtype())?.detach();
            let norm = (&squares + &zero)?.sqrt()?;
            (norm - zero)?
        }
    })
}

/// A function of each number.
fn of_each(op: Op, x: &Tensor) -> Result<Tensor> {
    Ok(match op {
        // candle's own relu has derivative 1 at 0; PyTorch's and the documented one is 0.
        Op::RELU => {
            let positive = x.gt(&x.zeros_like()?)?.to_dtype(x.dtype())?.detach();
            (x * positive)?
        }
        Op::GELU => x.gelu_erf()?,
        Op::SILU => x.silu()?,
        Op::TANH => x.tanh()?,
        // ½·(1 + tanh(x/2)) does not overflow, so its derivative is finite everywhere.
        Op::SIGMOID => (((x * 0.5)?.tanh()? + 1.0)? * 0.5)?,
        Op::EXP => x.exp()?,
        Op::SQRT => x.sqrt()?,
        other => {
            return Err(Error::Model(format!(
                "this version does not run the graph operation {other}"
            )));
        }
    })
}

/// (x − mean)/√(variance + ε) over the last dimension, from primitives that all have a backward.
pub(crate) fn normalise(x: &Tensor, eps: f64) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    Ok(centred.broadcast_div(&(variance + eps)?.sqrt()?)?)
}

/// The operations of this host, of which plugins are told. They are those of [`Program::run`] and
/// [`initial_value`], so that a newer interface does not promise more than this program can do.
pub const OPERATIONS: &[Op] = &[
    Op::INPUT,
    Op::PARAMETER,
    Op::BASE,
    Op::CONSTANT,
    Op::NORMAL,
    Op::UNIFORM,
    Op::TRUNCATED_NORMAL,
    Op::UNIFORM_MT19937,
    Op::MATMUL,
    Op::ADD,
    Op::SUB,
    Op::MUL,
    Op::DIV,
    Op::SCALE,
    Op::TRANSPOSE,
    Op::RESHAPE,
    Op::CONCAT,
    Op::SLICE,
    Op::RELU,
    Op::GELU,
    Op::SILU,
    Op::TANH,
    Op::SIGMOID,
    Op::EXP,
    Op::SQRT,
    Op::SOFTMAX,
    Op::SUM,
    Op::MEAN,
    Op::NORM2,
    Op::LAYER_NORM,
    Op::DROPOUT,
    Op::DETACH,
];

/// Evaluates an init graph: the first value of a new parameter. The numbers depend only on the seed
/// and the name.
///
/// ```
/// use progtune_engine::{Error, model::graph::initial_value};
/// use progtune_plugin_api::graph::Graph;
///
/// let base = |name: &str| Err(Error::Model(format!("the graph reads no {name}")));
/// let value = initial_value(&Graph::filled(0.5, &[2]), "scale", 1, &base)?;
/// assert_eq!(value.to_vec1::<f32>()?, [0.5, 0.5]);
/// # Ok::<(), Error>(())
/// ```
pub fn initial_value(
    graph: &Graph,
    name: &str,
    seed: u64,
    base: &dyn Fn(&str) -> Result<Tensor>,
) -> Result<Tensor> {
    let device = Device::Cpu;
    let mut values: Vec<Tensor> = Vec::with_capacity(graph.nodes.len());
    for (index, node) in graph.nodes.iter().enumerate() {
        let operands: Vec<&Tensor> = node.inputs.iter().map(|&i| &values[i as usize]).collect();
        let mut stream = Stream::new(seed, &format!("{name}/{index}"));
        let value = match node.op {
            Op::BASE => base(node.text("name").unwrap_or_default())?,
            Op::NORMAL => {
                let std = node.float("std").unwrap_or(1.0);
                fill(node, &mut || stream.normal() * std)?
            }
            Op::TRUNCATED_NORMAL => {
                let std = node.float("std").unwrap_or(1.0);
                fill(node, &mut || loop {
                    let z = stream.normal();
                    if z.abs() <= 2.0 {
                        break z * std;
                    }
                })?
            }
            Op::UNIFORM => {
                let (low, high) = (
                    node.float("low").unwrap_or(0.0),
                    node.float("high").unwrap_or(1.0),
                );
                fill(node, &mut || low + (high - low) * stream.uniform())?
            }
            Op::UNIFORM_MT19937 => {
                let limit = |name| node.float(name).unwrap_or_default();
                let whole = |name| node.int(name).unwrap_or_default().unsigned_abs();
                let mut twister = MersenneTwister::new(whole("seed"));
                for _ in 0..whole("skip") {
                    twister.bits();
                }
                let (low, high) = (limit("low"), limit("high"));
                fill(node, &mut || f64::from(twister.uniform(low, high)))?
            }
            _ => evaluate(node, &operands, 0, &device)?,
        };
        values.push(value);
    }
    values
        .pop()
        .ok_or_else(|| Error::Model(format!("{name}: an empty init graph")))
}

fn fill(node: &Node, next: &mut dyn FnMut() -> f64) -> Result<Tensor> {
    let shape = sizes(node);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| next() as f32).collect();
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}
