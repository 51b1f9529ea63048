//! The numbers that a method's rewrites keep for their backward. Called by the memory forecast.

use progtune_engine::{Error, Result};
use progtune_plugin_api::{
    graph::{Graph, Op},
    infer::{Scope, Shape, infer},
    records::{Mode, Rewrite, SiteRecord},
};
use std::collections::{BTreeMap, BTreeSet};

/// The amount that a block's rewrites keep, in numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Kept {
    /// Numbers per token. Keys and values are computed for all tokens.
    pub token: u64,
    /// Numbers per computed row.
    pub row: u64,
    /// Numbers that are kept once: rewritten weights, rows of keys and values, and results without
    /// rows.
    pub fixed: u64,
    /// Number of rows of keys and values that attention reads besides the sequence's own.
    pub prefix: u64,
}

/// The operations of graphs on slices (`fused::RowProgram`).
const FUSED: &[Op] = &[
    Op::INPUT,
    Op::PARAMETER,
    Op::BASE,
    Op::TRANSPOSE,
    Op::MATMUL,
    Op::ADD,
    Op::SUB,
    Op::MUL,
    Op::SCALE,
    Op::GELU,
    Op::SILU,
    Op::RELU,
    Op::TANH,
    Op::LAYER_NORM,
    Op::RESHAPE,
    Op::DROPOUT,
];

/// The operations whose results are views of other values.
const VIEWS: &[Op] = &[
    Op::INPUT,
    Op::PARAMETER,
    Op::BASE,
    Op::TRANSPOSE,
    Op::RESHAPE,
    Op::DETACH,
];

/// Adds the numbers that a rewrite's graph keeps for its backward.
pub(super) fn add_rewrite(
    kept: &mut Kept,
    rewrite: &Rewrite,
    site: &SiteRecord,
    base: &BTreeMap<String, Vec<u64>>,
    added: &BTreeMap<String, Vec<u64>>,
) -> Result<()> {
    let (rows_in, rows_out) = (u64::from(site.in_dim), u64::from(site.out_dim));
    // Values without rows are kept once.
    let weight = matches!(rewrite.mode, Mode::WEIGHT | Mode::KV_PREFIX);
    let inputs: Vec<(&str, Shape)> = match rewrite.mode {
        Mode::WEIGHT => vec![("w", Shape::fixed(&[rows_out, rows_in]))],
        Mode::INPUT => vec![("x", Shape::rows(rows_in))],
        _ => site
            .inputs
            .iter()
            .map(|input| match input.as_str() {
                "y" => ("y", Shape::rows(rows_out)),
                other => (other, Shape::rows(rows_in)),
            })
            .collect(),
    };
    let copies: u64 = inputs
        .iter()
        .filter_map(|(_, shape)| shape.elements())
        .sum();
    let scope = Scope {
        inputs,
        parameters: added,
        base,
        init: false,
    };
    let shapes = infer(&rewrite.graph, &scope)
        .map_err(|fault| Error::Model(format!("rewrite of {}: {fault}", rewrite.site)))?;
    let nodes = || rewrite.graph.nodes.iter().zip(&shapes);
    let fused = !weight && nodes().all(|(node, shape)| !shape.rows || FUSED.contains(&node.op));
    let (mut with_rows, without_rows) = if fused {
        by_slices(&rewrite.graph, &shapes)
    } else {
        by_autograd(&rewrite.graph, &shapes)
    };
    kept.fixed += without_rows;
    if !fused && !weight {
        with_rows += copies;
    }
    let name = site.name.as_str();
    if rewrite.mode == Mode::KV_PREFIX {
        let rows = shapes.last().and_then(|shape| shape.dims.first());
        kept.prefix += rows.copied().unwrap_or(0);
        // The concatenated rows and their gradient.
        kept.fixed += 2 * shapes.last().and_then(Shape::elements).unwrap_or(0);
    } else if weight {
        kept.fixed += copies;
    } else if name.ends_with("self.key") || name.ends_with("self.value") {
        kept.token += with_rows;
    } else {
        kept.row += with_rows;
    }
    Ok(())
}

/// The numbers that a graph keeps if it runs on slices: those per row, and those kept once.
fn by_slices(graph: &Graph, shapes: &[Shape]) -> (u64, u64) {
    let (mut with_rows, mut without_rows) = (0, 0);
    // Values without rows are computed by candle once per pass.
    for (node, shape) in graph.nodes.iter().zip(shapes) {
        if !shape.rows && !VIEWS.contains(&node.op) {
            without_rows += shape.elements().unwrap_or(0);
        }
    }
    // The backward reads each of these values, which are counted once. Inputs other than `y` are
    // kept anyway.
    let mut read = BTreeSet::new();
    for node in &graph.nodes {
        match node.op {
            Op::MATMUL | Op::GELU | Op::SILU | Op::RELU | Op::TANH | Op::LAYER_NORM => {
                read.extend(node.inputs.first())
            }
            Op::MUL => read.extend(&node.inputs),
            _ => {}
        }
    }
    for &at in read {
        let (node, shape) = (&graph.nodes[at as usize], &shapes[at as usize]);
        let there = node.op == Op::INPUT && node.text("name") != Some("y");
        if shape.rows && !there {
            with_rows += shape.elements().unwrap_or(0);
        }
    }
    (with_rows, without_rows)
}

/// The numbers that a graph keeps if candle's autograd runs it: those per row, and those kept once.
fn by_autograd(graph: &Graph, shapes: &[Shape]) -> (u64, u64) {
    let (mut with_rows, mut without_rows) = (0, 0);
    for (node, shape) in graph.nodes.iter().zip(shapes) {
        let elements = shape.elements().unwrap_or(0);
        match node.op {
            view if VIEWS.contains(&view) => {}
            _ if shape.rows => with_rows += elements,
            _ => without_rows += elements,
        }
    }
    (with_rows, without_rows)
}
