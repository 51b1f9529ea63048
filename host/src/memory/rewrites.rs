//! What the rewrites of a method keep for their backward. Called by the estimator.

use crate::error::{Error, Result};
use progtune_plugin_api::{
    graph::Op,
    infer::{Scope, Shape, infer},
    records::{Mode, Rewrite, SiteRecord},
};
use std::collections::{BTreeMap, BTreeSet};

/// What a block's rewrites keep, in numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Kept {
    /// A token: keys and values are computed for all of them.
    pub token: u64,
    /// A computed row.
    pub row: u64,
    /// Once: rewritten weights.
    pub fixed: u64,
}

/// The operations that graphs on slices are made of (`fused::RowProgram`).
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
    Op::DROPOUT,
];

/// Adds what a rewrite's graph keeps for its backward.
pub(super) fn add_rewrite(
    kept: &mut Kept,
    rewrite: &Rewrite,
    site: &SiteRecord,
    base: &BTreeMap<String, Vec<u64>>,
    added: &BTreeMap<String, Vec<u64>>,
) -> Result<()> {
    let (rows_in, rows_out) = (u64::from(site.in_dim), u64::from(site.out_dim));
    let weight = rewrite.mode == Mode::WEIGHT;
    let inputs: Vec<(&str, Shape)> = match weight {
        true => vec![("w", Shape::fixed(&[rows_out, rows_in]))],
        false => site
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
    let mut with_rows = 0;
    let fused = !weight
        && rewrite
            .graph
            .nodes
            .iter()
            .all(|node| FUSED.contains(&node.op));
    if fused {
        // What the backward reads, each value once; inputs but `y` are there anyway.
        let mut read = BTreeSet::new();
        for node in &rewrite.graph.nodes {
            match node.op {
                Op::MATMUL | Op::GELU | Op::SILU | Op::RELU => read.extend(node.inputs.first()),
                Op::MUL => read.extend(&node.inputs),
                _ => {}
            }
        }
        for &at in read {
            let (node, shape) = (&rewrite.graph.nodes[at as usize], &shapes[at as usize]);
            let there = node.op == Op::INPUT && node.text("name") != Some("y");
            if shape.rows && !there {
                with_rows += shape.elements().unwrap_or(0);
            }
        }
    } else {
        for (node, shape) in rewrite.graph.nodes.iter().zip(&shapes) {
            let elements = shape.elements().unwrap_or(0);
            match node.op {
                // Views of what others hold.
                Op::INPUT | Op::PARAMETER | Op::BASE | Op::TRANSPOSE | Op::RESHAPE | Op::DETACH => {
                }
                _ if shape.rows => with_rows += elements,
                _ => kept.fixed += elements,
            }
        }
        if !weight {
            with_rows += copies;
        }
    }
    let name = site.name.as_str();
    if weight {
        kept.fixed += copies;
    } else if name.ends_with("self.key") || name.ends_with("self.value") {
        kept.token += with_rows;
    } else {
        kept.row += with_rows;
    }
    Ok(())
}
