//! The rules for a rewrite of a site: its mode, its graph and its merge graphs. Called only by
//! [`super`].

use super::{extensions, graph};
use crate::{
    graph::Graph,
    infer::{Scope, Shape},
    records::{HostRecord, Mode, Rewrite, SiteRecord},
};
use std::collections::BTreeMap;

/// The parameters that the graphs of a plan may read, and the host that runs them.
pub(super) struct Known<'a> {
    pub host: &'a HostRecord,
    /// The shapes of the parameters that the method adds.
    pub added: &'a BTreeMap<String, Vec<u64>>,
    /// The shapes of the model's own parameters.
    pub base: &'a BTreeMap<String, Vec<u64>>,
}

impl Known<'_> {
    /// The shape of the result of a rewrite's graph.
    fn run(
        &self,
        what: &str,
        tensors: &Graph,
        inputs: Vec<(&str, Shape)>,
    ) -> Result<Shape, String> {
        let scope = Scope {
            inputs,
            parameters: self.added,
            base: self.base,
            init: false,
        };
        graph(tensors, &scope, self.host).map_err(|fault| format!("{what}: {fault}"))
    }

    /// Checks that a rewrite's graph yields this shape.
    fn expect(
        &self,
        what: &str,
        tensors: &Graph,
        inputs: Vec<(&str, Shape)>,
        wanted: &Shape,
    ) -> Result<(), String> {
        let found = self.run(what, tensors, inputs)?;
        if found == *wanted {
            Ok(())
        } else {
            Err(format!("the {what} yields {found}; expected {wanted}"))
        }
    }
}

/// Checks one rewrite of a site.
///
/// # Errors
/// A mode that the site or the host does not accept, or a graph that is wrong.
pub(super) fn check(rewrite: &Rewrite, site: &SiteRecord, known: &Known<'_>) -> Result<(), String> {
    extensions(&rewrite.ext, "it", &[])?;
    let host = known.host;
    if !site.accepts(rewrite.mode) || !host.modes.contains(&rewrite.mode) {
        let modes: Vec<String> = site
            .modes
            .iter()
            .filter(|mode| host.modes.contains(mode))
            .map(ToString::to_string)
            .collect();
        return Err(format!(
            "the mode '{}' is not accepted here; accepted: {}",
            rewrite.mode,
            modes.join(", ")
        ));
    }
    rewrite_graph(rewrite, site, known)?;
    merge_graphs(rewrite, site, known)
}

/// Checks the graph that computes in the site's place, according to the mode.
fn rewrite_graph(rewrite: &Rewrite, site: &SiteRecord, known: &Known<'_>) -> Result<(), String> {
    let (rows, columns) = (u64::from(site.out_dim), u64::from(site.in_dim));
    let expect = |inputs, wanted| known.expect("graph", &rewrite.graph, inputs, wanted);
    match rewrite.mode {
        Mode::OUTPUT => {
            let input = |name: &str| Shape::rows(if name == "x" { columns } else { rows });
            let inputs = site.inputs.iter();
            let inputs = inputs.map(|name| (name.as_str(), input(name))).collect();
            expect(inputs, &Shape::rows(rows))
        }
        Mode::INPUT => {
            let shape = Shape::rows(columns);
            expect(vec![("x", shape.clone())], &shape)
        }
        Mode::WEIGHT => {
            let weight = Shape::fixed(&[rows, columns]);
            expect(vec![("w", weight.clone())], &weight)
        }
        Mode::KV_PREFIX => {
            let found = known.run("graph", &rewrite.graph, vec![])?;
            if found.rows || found.dims.len() != 2 || found.dims[1] != rows {
                return Err(format!(
                    "the graph yields {found}; expected [prefix, {rows}]"
                ));
            }
            Ok(())
        }
        later => Err(format!(
            "the mode '{later}' is of a later version of the interface"
        )),
    }
}

/// Checks the graphs that merge a rewrite into the site's weight and bias, if it has them.
fn merge_graphs(rewrite: &Rewrite, site: &SiteRecord, known: &Known<'_>) -> Result<(), String> {
    let (rows, columns) = (u64::from(site.out_dim), u64::from(site.in_dim));
    let (weight, bias) = (Shape::fixed(&[rows, columns]), Shape::fixed(&[rows]));
    if let Some(merge) = rewrite.merge.as_ref().into_option() {
        if !site.is_linear() {
            return Err("it has a merge graph, but the site has no weight".into());
        }
        known.expect("merge graph", merge, vec![("w", weight.clone())], &weight)?;
    }
    if let Some(merge) = rewrite.merge_bias.as_ref().into_option() {
        if rewrite.merge.is_none() || site.bias.is_empty() {
            return Err("it has a merge graph for the bias, but none for the weight or the site has no bias".into());
        }
        let inputs = vec![("w", weight), ("b", bias.clone())];
        known.expect("bias' merge graph", merge, inputs, &bias)?;
    }
    Ok(())
}
