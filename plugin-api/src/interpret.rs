//! The reference interpreter: runs a tensor graph in `f64`, directly from the definitions in
//! [`crate::graph`].
//!
//! An author's tests use it to see what a graph computes. The contract test ([`crate::contract`])
//! uses it to compare merged with unmerged results, and to check that the start changes nothing.
//! The host's `plugins check` uses it as the oracle for its own executors. It is written to be
//! read, not to be fast.
//!
//! ```
//! use progtune_plugin_api::{graph::GraphBuilder, interpret::{Array, Values, evaluate}};
//! let mut g = GraphBuilder::new();
//! let (y, s) = (g.input("y"), g.parameter("s"));
//! g.mul(y, s);
//! let values = Values {
//!     inputs: [("y".into(), Array::rows(2, &[1.0, 2.0, 3.0, 4.0]))].into(),
//!     parameters: [("s".into(), Array::fixed(&[2], &[10.0, 0.5]))].into(),
//!     ..Values::default()
//! };
//! assert_eq!(evaluate(&g.finish(), &values).unwrap(), Array::rows(2, &[10.0, 1.0, 30.0, 2.0]));
//! ```

mod operations;

pub(crate) use operations::Random;

use crate::{
    graph::{Graph, Op},
    infer::{GraphFault, Scope, Shape, infer},
};
use std::collections::BTreeMap;

/// A tensor with its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Whether dimension 0 is the rows of a site.
    pub rows: bool,
    /// The sizes, including the rows.
    pub dims: Vec<usize>,
    /// The numbers in row-major order.
    pub values: Vec<f64>,
}

impl Array {
    /// `[rows, columns]` at a site.
    ///
    /// # Panics
    /// If the numbers do not fill whole rows.
    pub fn rows(columns: usize, values: &[f64]) -> Self {
        assert!(
            columns > 0 && values.len().is_multiple_of(columns),
            "{} numbers make no rows of {columns}",
            values.len()
        );
        Self {
            rows: true,
            dims: vec![values.len() / columns, columns],
            values: values.to_vec(),
        }
    }

    /// A tensor without rows.
    ///
    /// # Panics
    /// If the shape does not match the number of values.
    pub fn fixed(dims: &[usize], values: &[f64]) -> Self {
        let size: usize = dims.iter().product();
        assert_eq!(
            values.len(),
            size,
            "the numbers of a tensor of shape {dims:?}"
        );
        Self {
            rows: false,
            dims: dims.to_vec(),
            values: values.to_vec(),
        }
    }

    /// Its shape in the form of [`crate::infer`].
    pub fn shape(&self) -> Shape {
        let sizes = &self.dims[usize::from(self.rows)..];
        Shape {
            rows: self.rows,
            dims: sizes.iter().map(|&size| size as u64).collect(),
        }
    }

    /// The largest difference from another array of the same shape; infinite if the shapes differ
    /// or a value is NaN.
    pub fn distance(&self, other: &Self) -> f64 {
        if self.dims != other.dims {
            return f64::INFINITY;
        }
        let pairs = self.values.iter().zip(&other.values);
        pairs.fold(0.0, |largest, (a, b)| match (a - b).abs() {
            difference if difference.is_nan() => f64::INFINITY,
            difference => difference.max(largest),
        })
    }

    /// The largest magnitude.
    pub fn magnitude(&self) -> f64 {
        self.values.iter().fold(0.0, |a, b| a.max(b.abs()))
    }
}

/// The inputs of a graph, by name.
#[derive(Debug, Clone, Default)]
pub struct Values {
    /// The inputs of the site.
    pub inputs: BTreeMap<String, Array>,
    /// The parameters that the method adds.
    pub parameters: BTreeMap<String, Array>,
    /// The parameters of the model.
    pub base: BTreeMap<String, Array>,
    /// The seed of an init graph's random numbers. Without one, the graph is not an init graph and
    /// may not use them. The host draws different numbers for a seed, from the same distribution.
    pub seed: Option<u64>,
}

/// A tensor that a graph reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leaf {
    /// An input of the site.
    Input(String),
    /// A parameter that the method adds.
    Parameter(String),
    /// A parameter of the model.
    Base(String),
}

impl Leaf {
    /// The tensors that a graph reads, without duplicates.
    pub fn of(graph: &Graph) -> Vec<Self> {
        let named = |op, make: fn(String) -> Self| graph.names(op).map(move |n| make(n.into()));
        let mut leaves: Vec<Self> = named(Op::INPUT, Self::Input)
            .chain(named(Op::PARAMETER, Self::Parameter))
            .chain(named(Op::BASE, Self::Base))
            .collect();
        leaves.sort();
        leaves.dedup();
        leaves
    }

    /// Its name.
    pub fn name(&self) -> &str {
        let (Self::Input(name) | Self::Parameter(name) | Self::Base(name)) = self;
        name
    }

    fn of_values<'v>(&self, values: &'v mut Values) -> Option<&'v mut Array> {
        match self {
            Self::Input(name) => values.inputs.get_mut(name),
            Self::Parameter(name) => values.parameters.get_mut(name),
            Self::Base(name) => values.base.get_mut(name),
        }
    }
}

/// The result of a graph. Dropout is off, as in evaluation.
///
/// # Errors
/// The first node that breaks a rule of [`crate::infer`].
pub fn evaluate(graph: &Graph, values: &Values) -> Result<Array, GraphFault> {
    let mut all = evaluate_nodes(graph, values, None)?;
    Ok(all.pop().expect("a checked graph has a node"))
}

/// The derivatives of Σ `weights` ⊙ result with respect to some elements of a tensor, by central
/// differences. The output of [`Op::DETACH`] counts as constant.
///
/// # Errors
/// As for [`evaluate`].
///
/// # Panics
/// If the graph does not read the tensor, or an element lies outside of it.
pub fn derivatives(
    graph: &Graph,
    values: &Values,
    weights: &[f64],
    leaf: &Leaf,
    elements: &[usize],
) -> Result<Vec<f64>, GraphFault> {
    let start = evaluate_nodes(graph, values, None)?;
    let mut moved = values.clone();
    let mut at = |element: usize, value: f64| -> Result<Vec<f64>, GraphFault> {
        let array = leaf
            .of_values(&mut moved)
            .expect("a tensor the graph reads");
        let before = std::mem::replace(&mut array.values[element], value);
        let mut nodes = evaluate_nodes(graph, &moved, Some(&start))?;
        let array = leaf.of_values(&mut moved).expect("the same");
        array.values[element] = before;
        Ok(nodes.pop().expect("a checked graph has a node").values)
    };
    let mut source = values.clone();
    let origin = leaf
        .of_values(&mut source)
        .expect("a tensor the graph reads");
    let difference = |&element: &usize| {
        let x = origin.values[element];
        let step = 1e-5 * x.abs().max(1.0);
        let (up, down) = (at(element, x + step)?, at(element, x - step)?);
        let moves = up.iter().zip(&down).zip(weights);
        let sum: f64 = moves.map(|((up, down), weight)| (up - down) * weight).sum();
        Ok(sum / (2.0 * step))
    };
    elements.iter().map(difference).collect()
}

/// Every node's result. If `before` is given, detached nodes keep their values from it.
fn evaluate_nodes(
    graph: &Graph,
    values: &Values,
    before: Option<&[Array]>,
) -> Result<Vec<Array>, GraphFault> {
    let shapes = |arrays: &BTreeMap<String, Array>| -> BTreeMap<String, Vec<u64>> {
        let shape = |array: &Array| array.shape().dims;
        arrays
            .iter()
            .map(|(name, array)| (name.clone(), shape(array)))
            .collect()
    };
    let inputs = values.inputs.iter();
    infer(
        graph,
        &Scope {
            inputs: inputs
                .map(|(name, array)| (name.as_str(), array.shape()))
                .collect(),
            parameters: &shapes(&values.parameters),
            base: &shapes(&values.base),
            init: values.seed.is_some(),
        },
    )?;
    let mut results: Vec<Array> = Vec::with_capacity(graph.nodes.len());
    for (index, node) in graph.nodes.iter().enumerate() {
        let result = match (node.op, before) {
            (Op::DETACH, Some(before)) => before[index].clone(),
            _ => {
                let inputs: Vec<&Array> = node
                    .inputs
                    .iter()
                    .map(|&input| &results[input as usize])
                    .collect();
                operations::run(node, index, &inputs, values).ok_or_else(|| GraphFault {
                    node: Some((index, node.op)),
                    reason: "the reference interpreter does not know the operation".into(),
                })?
            }
        };
        results.push(result);
    }
    Ok(results)
}

#[cfg(test)]
#[path = "interpret_tests.rs"]
mod tests;
