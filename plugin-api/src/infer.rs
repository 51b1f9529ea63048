//! Checks a graph and infers the shape of every node. The host does this with a plan before it
//! trains anything, and an author's tests can do it with a graph of their own.
//!
//! The rules are those of [`crate::graph`]: nodes read earlier ones, dimension 0 at a site is
//! opaque ("rows"), and random numbers are only for init graphs. Every error names the node and its
//! operation.

use crate::{
    graph::{Graph, Node, Op},
    names::did_you_mean,
    open::{Value, unknown_critical},
};
use std::{collections::BTreeMap, fmt};

/// The maximum number of elements in a tensor (rows count as one).
pub const MAX_ELEMENTS: u64 = 1 << 34;
/// The maximum number of nodes in a graph.
pub const MAX_NODES: usize = 10_000;
/// The maximum number of dimensions of a tensor, not counting rows.
pub const MAX_DIMS: usize = 6;

/// The shape of a node's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Whether dimension 0 is the opaque one of a site.
    pub rows: bool,
    /// The sizes, without the rows.
    pub dims: Vec<u64>,
}

impl Shape {
    /// `[rows, columns]`.
    pub fn rows(columns: u64) -> Self {
        Self {
            rows: true,
            dims: vec![columns],
        }
    }

    /// A shape without rows.
    pub fn fixed(dims: &[u64]) -> Self {
        Self {
            rows: false,
            dims: dims.to_vec(),
        }
    }

    /// The number of elements (of one row); `None` above [`MAX_ELEMENTS`].
    pub fn elements(&self) -> Option<u64> {
        let product = self
            .dims
            .iter()
            .try_fold(1u64, |product, &size| product.checked_mul(size));
        product.filter(|&elements| elements <= MAX_ELEMENTS)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows.then(|| "rows".to_string());
        let sizes: Vec<String> = rows
            .into_iter()
            .chain(self.dims.iter().map(u64::to_string))
            .collect();
        write!(f, "[{}]", sizes.join(", "))
    }
}

/// The tensors that a graph may read, by name.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    /// The inputs.
    pub inputs: Vec<(&'a str, Shape)>,
    /// The shapes of the parameters that the method adds.
    pub parameters: &'a BTreeMap<String, Vec<u64>>,
    /// The shapes of the model's parameters.
    pub base: &'a BTreeMap<String, Vec<u64>>,
    /// Whether it is an init graph, which may use random numbers but no added parameters.
    pub init: bool,
}

/// An error in a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphFault {
    /// The index of the node and its operation; `None` for the graph as a whole.
    pub node: Option<(usize, Op)>,
    /// The expectation and the finding.
    pub reason: String,
}

impl fmt::Display for GraphFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node {
            Some((index, op)) => write!(f, "node %{index} ({op}): {}", self.reason),
            None => write!(f, "the graph: {}", self.reason),
        }
    }
}

impl std::error::Error for GraphFault {}

/// The shape of every node's result; the last one is the graph's.
///
/// # Errors
/// The first node that breaks a rule.
pub fn infer(graph: &Graph, scope: &Scope<'_>) -> Result<Vec<Shape>, GraphFault> {
    let whole = |reason: String| GraphFault { node: None, reason };
    if graph.nodes.is_empty() {
        return Err(whole("expected at least one node, found none".into()));
    }
    if graph.nodes.len() > MAX_NODES {
        return Err(whole(format!(
            "expected at most {MAX_NODES} nodes, found {}",
            graph.nodes.len()
        )));
    }
    if let Some(key) = unknown_critical(&graph.ext, &[]) {
        return Err(whole(format!(
            "the extension '!{key}' is of a later version of the interface"
        )));
    }
    let mut shapes: Vec<Shape> = Vec::with_capacity(graph.nodes.len());
    for (index, node) in graph.nodes.iter().enumerate() {
        let shape = check(node, &shapes, scope).map_err(|reason| GraphFault {
            node: Some((index, node.op)),
            reason,
        })?;
        shapes.push(shape);
    }
    Ok(shapes)
}

/// The index of the dimension `dim` among `rank` dimensions (a negative `dim` counts from the end).
pub fn dimension(dim: i64, rank: usize) -> Option<usize> {
    let counted = if dim < 0 {
        dim.checked_add(rank as i64)?
    } else {
        dim
    };
    usize::try_from(counted)
        .ok()
        .filter(|&counted| counted < rank)
}

fn check(node: &Node, earlier: &[Shape], scope: &Scope<'_>) -> Result<Shape, String> {
    let inputs = node.inputs.iter().map(|&input| {
        let shape = earlier.get(input as usize);
        shape.ok_or_else(|| format!("it reads %{input}, which does not come before it"))
    });
    let inputs: Vec<&Shape> = inputs.collect::<Result<_, _>>()?;
    let wanted =
        arity(node.op).ok_or("the operation is not known to this version of the interface")?;
    if !wanted.contains(&inputs.len()) {
        let expected = match (wanted.start(), wanted.end()) {
            (low, high) if low == high => low.to_string(),
            (low, _) => format!("at least {low}"),
        };
        return Err(format!(
            "expected {expected} inputs, found {}",
            inputs.len()
        ));
    }
    check_attributes(node)?;
    let shape = result(node, &inputs, scope)?;
    if shape.dims.len() > MAX_DIMS {
        return Err(format!(
            "expected at most {MAX_DIMS} dimensions, found {shape}"
        ));
    }
    if shape.dims.contains(&0) {
        return Err(format!("expected sizes of at least 1, found {shape}"));
    }
    match shape.elements() {
        Some(_) => Ok(shape),
        None => Err(format!("expected at most 2^34 elements, found {shape}")),
    }
}

/// The number of inputs that an operation takes.
fn arity(op: Op) -> Option<std::ops::RangeInclusive<usize>> {
    match op {
        Op::INPUT | Op::PARAMETER | Op::BASE | Op::CONSTANT => Some(0..=0),
        Op::NORMAL | Op::UNIFORM | Op::TRUNCATED_NORMAL | Op::UNIFORM_MT19937 => Some(0..=0),
        Op::MATMUL | Op::ADD | Op::SUB | Op::MUL | Op::DIV => Some(2..=2),
        Op::CONCAT => Some(1..=usize::MAX),
        known if Op::KNOWN.contains(&known) => Some(1..=1),
        _ => None,
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Float,
    Int,
    Ints,
    Str,
}

/// The attributes of an operation: name, type, and whether it is required.
fn attributes(op: Op) -> &'static [(&'static str, Kind, bool)] {
    match op {
        Op::INPUT | Op::PARAMETER | Op::BASE => &[("name", Kind::Str, true)],
        Op::CONSTANT => &[("value", Kind::Float, true), ("shape", Kind::Ints, false)],
        Op::NORMAL | Op::TRUNCATED_NORMAL => {
            &[("std", Kind::Float, true), ("shape", Kind::Ints, true)]
        }
        Op::UNIFORM => &[
            ("low", Kind::Float, true),
            ("high", Kind::Float, true),
            ("shape", Kind::Ints, true),
        ],
        Op::UNIFORM_MT19937 => &[
            ("low", Kind::Float, true),
            ("high", Kind::Float, true),
            ("seed", Kind::Int, true),
            ("skip", Kind::Int, true),
            ("shape", Kind::Ints, true),
        ],
        Op::SCALE => &[("by", Kind::Float, true)],
        Op::RESHAPE => &[("shape", Kind::Ints, true)],
        Op::CONCAT | Op::SOFTMAX | Op::SUM | Op::MEAN | Op::NORM2 => &[("dim", Kind::Int, true)],
        Op::SLICE => &[
            ("dim", Kind::Int, true),
            ("start", Kind::Int, true),
            ("length", Kind::Int, true),
        ],
        Op::LAYER_NORM => &[("eps", Kind::Float, true)],
        Op::DROPOUT => &[("p", Kind::Float, true)],
        _ => &[],
    }
}

fn check_attributes(node: &Node) -> Result<(), String> {
    let known = attributes(node.op);
    for (index, attribute) in node.attributes.iter().enumerate() {
        let key = attribute.key.as_str();
        let Some((_, kind, _)) = known.iter().find(|(name, _, _)| *name == key) else {
            let near = did_you_mean(key, known.iter().map(|(name, _, _)| *name));
            return Err(format!("the attribute '{key}' is not known{near}"));
        };
        if node.attributes[..index]
            .iter()
            .any(|other| other.key == attribute.key)
        {
            return Err(format!("the attribute '{key}' is given twice"));
        }
        let found = match &attribute.value {
            Value::Float(value) if !value.is_finite() => {
                return Err(format!(
                    "the attribute '{key}': expected a finite number, found {value}"
                ));
            }
            Value::Float(_) => Some(Kind::Float),
            Value::Int(_) => Some(Kind::Int),
            Value::Ints(_) => Some(Kind::Ints),
            Value::Str(_) => Some(Kind::Str),
            _ => None,
        };
        if found != Some(*kind) {
            return Err(format!("the attribute '{key}' has the wrong type"));
        }
    }
    match known
        .iter()
        .find(|(name, _, required)| *required && node.attribute(name).is_none())
    {
        Some((name, _, _)) => Err(format!("the attribute '{name}' is missing")),
        None => Ok(()),
    }
}

/// The shape of the result, provided that the number of inputs and the attributes are valid.
fn result(node: &Node, inputs: &[&Shape], scope: &Scope<'_>) -> Result<Shape, String> {
    match (node.op, inputs) {
        (Op::INPUT | Op::PARAMETER | Op::BASE, _) => named(node, scope),
        (Op::CONSTANT, _) => sizes(node),
        (Op::NORMAL | Op::UNIFORM | Op::TRUNCATED_NORMAL | Op::UNIFORM_MT19937, _) => {
            random(node, scope)
        }
        (Op::MATMUL, [left, right]) => matmul(left, right),
        (Op::ADD | Op::SUB | Op::MUL | Op::DIV, [left, right]) => broadcast(left, right),
        (Op::TRANSPOSE, [only]) => transpose(only),
        (Op::RESHAPE, [only]) => reshape(only, sizes(node)?),
        (Op::CONCAT, all) => concat(all, node.int("dim").unwrap_or_default()),
        (Op::SLICE, [only]) => slice(node, only),
        (Op::SOFTMAX, [only]) => along(node, only).map(|_| (*only).clone()),
        (Op::SUM | Op::MEAN | Op::NORM2, [only]) => {
            let dim = along(node, only)?;
            let mut shape = (*only).clone();
            shape.dims[dim] = 1;
            Ok(shape)
        }
        (Op::LAYER_NORM, [only]) => match (
            only.dims.is_empty(),
            node.float("eps").is_some_and(|eps| eps > 0.0),
        ) {
            (true, _) => Err(format!("expected a last dimension, found {only}")),
            (_, false) => Err("expected a positive 'eps'".into()),
            _ => Ok((*only).clone()),
        },
        (Op::DROPOUT, [only]) => match node.float("p") {
            // A host derives the mask from the row, so that it does not depend on the batch.
            Some(_) if !only.rows => Err(format!("expected a tensor with rows, found {only}")),
            Some(p) if (0.0..1.0).contains(&p) => Ok((*only).clone()),
            other => Err(format!(
                "expected 'p' from 0 to below 1, found {}",
                other.unwrap_or(f64::NAN)
            )),
        },
        (_, [only]) => Ok((*only).clone()),
        _ => Err("the operation is not known to this version of the interface".into()),
    }
}

fn named(node: &Node, scope: &Scope<'_>) -> Result<Shape, String> {
    let name = node.text("name").unwrap_or_default();
    let missing = |what: &str, near: String| format!("there is no {what} '{name}' here{near}");
    let table = |table: &BTreeMap<String, Vec<u64>>, what: &str| match table.get(name) {
        Some(dims) => Ok(Shape::fixed(dims)),
        None => Err(missing(
            what,
            did_you_mean(name, table.keys().map(String::as_str)),
        )),
    };
    match node.op {
        Op::PARAMETER if scope.init => Err("an init graph cannot read added parameters".into()),
        Op::PARAMETER => table(scope.parameters, "added parameter"),
        Op::BASE => table(scope.base, "model parameter"),
        _ => match scope.inputs.iter().find(|(input, _)| *input == name) {
            Some((_, shape)) => Ok(shape.clone()),
            None => {
                let names: Vec<&str> = scope.inputs.iter().map(|(input, _)| *input).collect();
                let known = if names.is_empty() {
                    "none".into()
                } else {
                    names.join(", ")
                };
                Err(missing("input", format!("; the inputs are: {known}")))
            }
        },
    }
}

fn sizes(node: &Node) -> Result<Shape, String> {
    match (node.attribute("shape"), node.shape()) {
        (None, _) => Ok(Shape::fixed(&[])),
        (_, Some(dims)) => Ok(Shape { rows: false, dims }),
        (_, None) => Err("expected sizes of at least 1 in 'shape'".into()),
    }
}

fn random(node: &Node, scope: &Scope<'_>) -> Result<Shape, String> {
    if !scope.init {
        return Err("random numbers are for init graphs only (use dropout while training)".into());
    }
    if node.float("std").is_some_and(|std| std < 0.0) {
        return Err("expected 'std' of at least 0".into());
    }
    if node
        .float("low")
        .zip(node.float("high"))
        .is_some_and(|(low, high)| low > high)
    {
        return Err("expected 'low' below 'high'".into());
    }
    for name in ["seed", "skip"] {
        if node.int(name).is_some_and(|value| value < 0) {
            return Err(format!("expected '{name}' of at least 0"));
        }
    }
    sizes(node)
}

fn matmul(left: &Shape, right: &Shape) -> Result<Shape, String> {
    let inner = left.dims.last().copied();
    let full = left.dims.len() + usize::from(left.rows) >= 2;
    match (right.rows, right.dims.as_slice(), inner) {
        (false, &[k, n], Some(inner)) if full && inner == k => {
            let mut shape = left.clone();
            shape.dims.pop();
            shape.dims.push(n);
            Ok(shape)
        }
        _ => Err(format!("expected […, k] · [k, n], found {left} · {right}")),
    }
}

fn broadcast(left: &Shape, right: &Shape) -> Result<Shape, String> {
    let refused = || format!("{left} and {right} do not broadcast");
    let (rows, other) = match (left.rows, right.rows) {
        (true, true) if left.dims.len() != right.dims.len() => return Err(refused()),
        (false, true) => (right, left),
        _ => (left, right),
    };
    let mut shorter = other.dims.as_slice();
    if rows.rows && !other.rows && shorter.len() == rows.dims.len() + 1 && shorter[0] == 1 {
        // A leading 1 broadcasts over the rows.
        shorter = &shorter[1..];
    }
    if rows.rows && shorter.len() > rows.dims.len() {
        return Err(refused());
    }
    let rank = rows.dims.len().max(shorter.len());
    let size = |dims: &[u64], index: usize| {
        (index + dims.len())
            .checked_sub(rank)
            .map_or(1, |at| dims[at])
    };
    let mut dims = Vec::with_capacity(rank);
    for index in 0..rank {
        match (size(&rows.dims, index), size(shorter, index)) {
            (a, b) if a == b || b == 1 => dims.push(a),
            (1, b) => dims.push(b),
            _ => return Err(refused()),
        }
    }
    Ok(Shape {
        rows: rows.rows,
        dims,
    })
}

fn transpose(only: &Shape) -> Result<Shape, String> {
    let mut shape = only.clone();
    let rank = shape.dims.len();
    if rank < 2 {
        return Err(format!(
            "expected two dimensions besides the rows, found {only}"
        ));
    }
    shape.dims.swap(rank - 2, rank - 1);
    Ok(shape)
}

fn reshape(only: &Shape, wanted: Shape) -> Result<Shape, String> {
    let shape = Shape {
        rows: only.rows,
        ..wanted
    };
    match (only.elements(), shape.elements()) {
        (Some(before), Some(after)) if before == after => Ok(shape),
        _ => Err(format!(
            "{only} and {shape} differ in their number of elements"
        )),
    }
}

fn concat(all: &[&Shape], dim: i64) -> Result<Shape, String> {
    let mut shape = (*all.first().ok_or("expected at least one input")?).clone();
    let at = dimension(dim, shape.dims.len())
        .ok_or_else(|| format!("{shape} has no dimension {dim}"))?;
    for next in &all[1..] {
        let same = shape.rows == next.rows
            && shape.dims.len() == next.dims.len()
            && (0..shape.dims.len())
                .all(|index| index == at || shape.dims[index] == next.dims[index]);
        if !same {
            return Err(format!(
                "{shape} and {next} differ in more than dimension {dim}"
            ));
        }
        shape.dims[at] = shape.dims[at]
            .checked_add(next.dims[at])
            .ok_or("the sum of the sizes is too large")?;
    }
    Ok(shape)
}

fn slice(node: &Node, only: &Shape) -> Result<Shape, String> {
    let dim = along(node, only)?;
    let (start, length) = (
        node.int("start").unwrap_or(-1),
        node.int("length").unwrap_or(-1),
    );
    let size = only.dims[dim];
    let end = u64::try_from(start)
        .ok()
        .zip(u64::try_from(length).ok())
        .and_then(|(s, l)| s.checked_add(l));
    match end {
        Some(end) if end <= size && length >= 1 => {
            let mut shape = only.clone();
            shape.dims[dim] = length.unsigned_abs();
            Ok(shape)
        }
        _ => Err(format!(
            "start {start}, length {length} is not inside a dimension of size {size}"
        )),
    }
}

fn along(node: &Node, only: &Shape) -> Result<usize, String> {
    let dim = node.int("dim").unwrap_or_default();
    dimension(dim, only.dims.len())
        .ok_or_else(|| format!("{only} has no dimension {dim} besides the rows"))
}

#[cfg(test)]
#[path = "infer_tests.rs"]
mod tests;
