//! Tensor graphs, with which a method describes its computation, and the builder to write them.
//!
//! A [`Graph`] is a list of nodes in SSA form: a node reads only earlier nodes, and the last one is
//! the result. At a site the inputs are `[rows, dim]`, and dimension 0 is opaque. A graph is
//! **row-wise**: it never mixes rows, and never learns how many there are. The host runs,
//! differentiates, checks and prints the graph.

use crate::open::{Attribute, Ext, Value, open_enum};
use abi_stable::{
    StableAbi,
    std_types::{RString, RVec},
};

open_enum!(
    /// A tensor operation. The host differentiates all of them. Attributes are in parentheses.
    Op(u16) {
        /// A named input of the site (`name`: `x`, `y`, `residual`; `w` in a weight or merge
        /// graph).
        INPUT = 1 => "input",
        /// A parameter that the method added (`name`).
        PARAMETER = 2 => "parameter",
        /// A parameter of the model, trainable or not (`name`), in the layout that its record
        /// states.
        BASE = 3 => "base",
        /// A constant (`value`, `shape`; without a shape it is a scalar).
        CONSTANT = 4 => "constant",
        /// Normal random numbers (`std`, `shape`); only in init graphs.
        NORMAL = 5 => "normal",
        /// Uniform random numbers (`low`, `high`, `shape`); only in init graphs.
        UNIFORM = 6 => "uniform",
        /// Normal random numbers with standard deviation `std`, redrawn beyond two of these (`std`,
        /// `shape`); only in init graphs.
        TRUNCATED_NORMAL = 7 => "truncated_normal",
        /// Uniform random numbers from a Mersenne Twister with its own seed, as
        /// `torch.Tensor.uniform_` draws f32 on the CPU (`low`, `high`, `seed`, `skip`, `shape`).
        /// `skip` is the number of draws to skip first. Only in init graphs. Since 1.1.
        UNIFORM_MT19937 = 8 => "uniform_mt19937",
        /// Matrix product `[…, k] · [k, n]`. The left factor has at least two dimensions (rows
        /// count); the right one has exactly two and no rows.
        MATMUL = 20 => "matmul",
        /// Sum; trailing dimensions broadcast as in NumPy. Rows combine only with rows: `[rows, d]`
        /// combines with `[rows, d]`, `[rows, 1]`, `[d]`, `[1, d]` or a scalar.
        ADD = 21 => "add",
        /// Difference, broadcast.
        SUB = 22 => "sub",
        /// Element-wise product, broadcast.
        MUL = 23 => "mul",
        /// Quotient, broadcast.
        DIV = 24 => "div",
        /// Product with a number (`by`).
        SCALE = 25 => "scale",
        /// Swap of the last two dimensions; rows are not affected.
        TRANSPOSE = 26 => "transpose",
        /// New shape with the same elements in order (`shape`); with rows, the shape after
        /// dimension 0.
        RESHAPE = 27 => "reshape",
        /// Concatenation of all inputs (`dim`, counted without rows).
        CONCAT = 28 => "concat",
        /// A contiguous part (`dim`, counted without rows, `start`, `length`).
        SLICE = 29 => "slice",
        /// max(x, 0); the derivative at 0 is 0.
        RELU = 40 => "relu",
        /// x·Φ(x), with the error function.
        GELU = 41 => "gelu",
        /// x·σ(x), also called swish.
        SILU = 42 => "silu",
        /// Hyperbolic tangent.
        TANH = 43 => "tanh",
        /// 1/(1+e⁻ˣ).
        SIGMOID = 44 => "sigmoid",
        /// eˣ.
        EXP = 45 => "exp",
        /// √x.
        SQRT = 46 => "sqrt",
        /// Softmax (`dim`, counted without rows).
        SOFTMAX = 47 => "softmax",
        /// Sum over one dimension, which is kept with size 1 (`dim`, counted without rows).
        SUM = 60 => "sum",
        /// Mean over one dimension, which is kept with size 1 (`dim`).
        MEAN = 61 => "mean",
        /// Euclidean norm over one dimension, which is kept with size 1 (`dim`); the derivative at
        /// 0 is 0.
        NORM2 = 62 => "norm2",
        /// Layer normalisation over the last dimension, without scale and shift (`eps`).
        LAYER_NORM = 63 => "layer_norm",
        /// Dropout during training, the identity otherwise (`p`, at least 0 and below 1); only on
        /// tensors with rows.
        DROPOUT = 80 => "dropout",
        /// The same numbers, without a gradient.
        DETACH = 81 => "detach",
    }
);

/// One operation of a [`Graph`].
#[repr(C)]
#[derive(StableAbi, Debug, Clone, PartialEq)]
pub struct Node {
    /// The operation.
    pub op: Op,
    /// Indices of earlier nodes.
    pub inputs: RVec<u32>,
    /// Its attributes; an unknown one is refused. Floating-point attributes are [`Value::Float`];
    /// `dim`, `start` and `length` are [`Value::Int`], and `shape` is [`Value::Ints`]. A negative
    /// `dim` counts from the end.
    pub attributes: Ext,
}

/// A tensor computation; see the module's documentation.
#[repr(C)]
#[derive(StableAbi, Debug, Clone, PartialEq, Default)]
pub struct Graph {
    /// The nodes; the last one is the result.
    pub nodes: RVec<Node>,
    /// Extensions.
    pub ext: Ext,
}

/// A node of the graph that a [`GraphBuilder`] is building.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tensor(u32);

/// Writes a [`Graph`] node by node. The last node added is the result.
///
/// ```
/// use progtune_plugin_api::graph::GraphBuilder;
/// // y' = y + 2·(x·Aᵀ)·Bᵀ
/// let mut g = GraphBuilder::new();
/// let (x, y) = (g.input("x"), g.input("y"));
/// let (a, b) = (g.parameter("lora_A"), g.parameter("lora_B"));
/// let low = g.linear(x, a);
/// let low = g.scale(low, 2.0);
/// let delta = g.linear(low, b);
/// g.add(y, delta);
/// assert_eq!(g.finish().nodes.len(), 10);
/// ```
#[derive(Debug, Default)]
pub struct GraphBuilder {
    graph: Graph,
}

impl GraphBuilder {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// The finished graph.
    pub fn finish(self) -> Graph {
        self.graph
    }

    /// Adds any node; the typed methods below are more convenient.
    pub fn node(&mut self, op: Op, inputs: &[Tensor], attributes: Vec<Attribute>) -> Tensor {
        self.graph.nodes.push(Node {
            op,
            inputs: inputs.iter().map(|t| t.0).collect(),
            attributes: attributes.into(),
        });
        Tensor(self.graph.nodes.len() as u32 - 1)
    }

    /// A named input of the site.
    pub fn input(&mut self, name: &str) -> Tensor {
        self.node(Op::INPUT, &[], vec![Attribute::new("name", name)])
    }

    /// A parameter that the method adds.
    pub fn parameter(&mut self, name: &str) -> Tensor {
        self.node(Op::PARAMETER, &[], vec![Attribute::new("name", name)])
    }

    /// A parameter of the model.
    pub fn base(&mut self, name: &str) -> Tensor {
        self.node(Op::BASE, &[], vec![Attribute::new("name", name)])
    }

    /// A constant of the given shape.
    pub fn constant(&mut self, value: f64, shape: &[u64]) -> Tensor {
        self.node(
            Op::CONSTANT,
            &[],
            vec![Attribute::new("value", value), shape_attribute(shape)],
        )
    }

    /// Normal random numbers (init graphs only).
    pub fn normal(&mut self, std: f64, shape: &[u64]) -> Tensor {
        self.node(
            Op::NORMAL,
            &[],
            vec![Attribute::new("std", std), shape_attribute(shape)],
        )
    }

    /// Normal random numbers, redrawn beyond two standard deviations (init graphs only).
    pub fn truncated_normal(&mut self, std: f64, shape: &[u64]) -> Tensor {
        self.node(
            Op::TRUNCATED_NORMAL,
            &[],
            vec![Attribute::new("std", std), shape_attribute(shape)],
        )
    }

    /// Uniform random numbers in `[low, high)` (init graphs only).
    pub fn uniform(&mut self, low: f64, high: f64, shape: &[u64]) -> Tensor {
        self.node(
            Op::UNIFORM,
            &[],
            vec![
                Attribute::new("low", low),
                Attribute::new("high", high),
                shape_attribute(shape),
            ],
        )
    }

    /// Uniform random numbers in `[low, high)` from the Mersenne Twister of `seed`, after skipping
    /// the first `skip` numbers (init graphs only, since 1.1).
    pub fn uniform_mt19937(
        &mut self,
        (low, high): (f64, f64),
        seed: i64,
        skip: i64,
        shape: &[u64],
    ) -> Tensor {
        self.node(
            Op::UNIFORM_MT19937,
            &[],
            vec![
                Attribute::new("low", low),
                Attribute::new("high", high),
                Attribute::new("seed", seed),
                Attribute::new("skip", skip),
                shape_attribute(shape),
            ],
        )
    }

    /// `a · b`.
    pub fn matmul(&mut self, a: Tensor, b: Tensor) -> Tensor {
        self.node(Op::MATMUL, &[a, b], vec![])
    }

    /// `x · wᵀ` for a weight `[out, in]`, like PyTorch's Linear without a bias.
    pub fn linear(&mut self, x: Tensor, weight: Tensor) -> Tensor {
        let transposed = self.transpose(weight);
        self.matmul(x, transposed)
    }

    /// `a + b`.
    pub fn add(&mut self, a: Tensor, b: Tensor) -> Tensor {
        self.node(Op::ADD, &[a, b], vec![])
    }

    /// `a − b`.
    pub fn sub(&mut self, a: Tensor, b: Tensor) -> Tensor {
        self.node(Op::SUB, &[a, b], vec![])
    }

    /// `a · b`, element by element.
    pub fn mul(&mut self, a: Tensor, b: Tensor) -> Tensor {
        self.node(Op::MUL, &[a, b], vec![])
    }

    /// `a / b`, element by element.
    pub fn div(&mut self, a: Tensor, b: Tensor) -> Tensor {
        self.node(Op::DIV, &[a, b], vec![])
    }

    /// `by · a`.
    pub fn scale(&mut self, a: Tensor, by: f64) -> Tensor {
        self.node(Op::SCALE, &[a], vec![Attribute::new("by", by)])
    }

    /// The transposed matrix.
    pub fn transpose(&mut self, a: Tensor) -> Tensor {
        self.node(Op::TRANSPOSE, &[a], vec![])
    }

    /// The same elements in another shape (with rows: the shape after dimension 0).
    pub fn reshape(&mut self, a: Tensor, shape: &[u64]) -> Tensor {
        self.node(Op::RESHAPE, &[a], vec![shape_attribute(shape)])
    }

    /// The tensors concatenated along `dim`.
    pub fn concat(&mut self, tensors: &[Tensor], dim: i64) -> Tensor {
        self.node(Op::CONCAT, tensors, vec![Attribute::new("dim", dim)])
    }

    /// `length` entries along `dim`, beginning at `start`.
    pub fn slice(&mut self, a: Tensor, dim: i64, start: i64, length: i64) -> Tensor {
        let attributes = vec![
            Attribute::new("dim", dim),
            Attribute::new("start", start),
            Attribute::new("length", length),
        ];
        self.node(Op::SLICE, &[a], attributes)
    }

    /// An operation on one tensor without attributes: an activation, [`Op::SQRT`], [`Op::DETACH`],
    /// ….
    pub fn unary(&mut self, op: Op, a: Tensor) -> Tensor {
        self.node(op, &[a], vec![])
    }

    /// An operation along one dimension: [`Op::SUM`], [`Op::MEAN`], [`Op::NORM2`], [`Op::SOFTMAX`].
    pub fn along(&mut self, op: Op, a: Tensor, dim: i64) -> Tensor {
        self.node(op, &[a], vec![Attribute::new("dim", dim)])
    }

    /// Layer normalisation over the last dimension.
    pub fn layer_norm(&mut self, a: Tensor, eps: f64) -> Tensor {
        self.node(Op::LAYER_NORM, &[a], vec![Attribute::new("eps", eps)])
    }

    /// Dropout during training.
    pub fn dropout(&mut self, a: Tensor, p: f64) -> Tensor {
        self.node(Op::DROPOUT, &[a], vec![Attribute::new("p", p)])
    }
}

fn shape_attribute(shape: &[u64]) -> Attribute {
    Attribute {
        key: RString::from("shape"),
        value: Value::Ints(shape.iter().map(|&size| size as i64).collect()),
    }
}

impl Node {
    /// The attribute with this name.
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        self.attributes
            .iter()
            .find(|a| a.key.as_str() == key)
            .map(|a| &a.value)
    }

    /// The attribute with this name if it is a [`Value::Float`].
    pub fn float(&self, key: &str) -> Option<f64> {
        match self.attribute(key) {
            Some(Value::Float(value)) => Some(*value),
            _ => None,
        }
    }

    /// The attribute with this name if it is a [`Value::Int`].
    pub fn int(&self, key: &str) -> Option<i64> {
        match self.attribute(key) {
            Some(Value::Int(value)) => Some(*value),
            _ => None,
        }
    }

    /// The attribute with this name if it is a [`Value::Str`].
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.attribute(key) {
            Some(Value::Str(value)) => Some(value.as_str()),
            _ => None,
        }
    }

    /// The `shape` attribute; `None` if there is none or a size is negative.
    pub fn shape(&self) -> Option<Vec<u64>> {
        match self.attribute("shape") {
            Some(Value::Ints(sizes)) => {
                sizes.iter().map(|&size| u64::try_from(size).ok()).collect()
            }
            _ => None,
        }
    }
}

impl Graph {
    /// The names in the nodes of this operation ([`Op::INPUT`], [`Op::PARAMETER`], [`Op::BASE`]),
    /// in order and with repetitions.
    pub fn names(&self, op: Op) -> impl Iterator<Item = &str> {
        self.nodes
            .iter()
            .filter(move |node| node.op == op)
            .filter_map(|node| node.text("name"))
    }
}
