//! The rules that a plugin's answers must follow before a plan is carried out, in one place.
//!
//! The host checks every answer with them before it acts on it; the contract test does so in an
//! author's own tests. Each error is one sentence that says what was expected and what was found.

mod rewrite;

use crate::{
    extensions::{LR_SCALES, POSITION_SHIFT},
    graph::{Graph, Op},
    infer::{Scope, Shape, infer},
    names::did_you_mean,
    needs::SCHEDULE_EXTENSIONS,
    open::{Attribute, Value, unknown_critical},
    records::{
        HostRecord, MethodPlan, ModelRecord, NewParameter, Part, RunRecord, SchedulePlan,
        ScheduleTraits, SiteRecord,
    },
};
use abi_stable::std_types::RString;
use rewrite::Known;
use std::collections::{BTreeMap, BTreeSet};

/// The maximum length of the name of a new parameter.
const MAX_NAME: usize = 512;
/// A method may add this many values to any model, and to a large model four times as many as it
/// has.
const MAX_ADDED: u64 = 1 << 26;

/// Checks the properties that a schedule declares.
///
/// # Errors
/// A signal that the host does not offer, or a critical extension that the host does not
/// understand.
pub fn schedule_traits(traits: &ScheduleTraits, host: &HostRecord) -> Result<(), String> {
    extensions(&traits.ext, "the traits", SCHEDULE_EXTENSIONS)?;
    for signal in &traits.signals {
        if !host.signals.contains(signal) {
            let known = || host.signals.iter().map(RString::as_str);
            let near = did_you_mean(signal, known());
            let all: Vec<&str> = known().collect();
            return Err(format!(
                "it wants the signal '{signal}'; the host offers: {}{near}",
                all.join(", ")
            ));
        }
    }
    Ok(())
}

/// Checks the parameters that a schedule wants to train.
///
/// # Errors
/// Ids out of range or repeated, or no id at all. Learning-rate scales whose number is wrong or
/// that are not finite and ≥ 0, including those of embeddings and head in `ext`.
pub fn schedule_plan(plan: &SchedulePlan, run: &RunRecord) -> Result<(), String> {
    extensions(&plan.ext, "the plan", SCHEDULE_EXTENSIONS)?;
    let candidates = run.candidates.len();
    if plan.trainable.is_empty() {
        return Err("it trains no parameter; expected at least one".into());
    }
    let mut seen = vec![false; candidates];
    for &id in &plan.trainable {
        match seen.get_mut(id as usize) {
            None => {
                return Err(format!(
                    "it trains the parameter id {id}; the run has the ids 0 to {}",
                    candidates as i64 - 1
                ));
            }
            Some(true) => return Err(format!("it names the parameter id {id} twice")),
            Some(seen) => *seen = true,
        }
    }
    if !plan.lr_scales.is_empty() && plan.lr_scales.len() != run.blocks as usize {
        let found = plan.lr_scales.len();
        return Err(format!(
            "it scales the learning rate of {found} blocks; the model has {}",
            run.blocks
        ));
    }
    let blocks = plan.lr_scales.iter().enumerate();
    let blocks = blocks.map(|(block, scale)| (format!("block {block}"), Value::Float(*scale)));
    let parts = plan.ext.iter().filter_map(|attribute| {
        let key = attribute.key.trim_start_matches('!');
        let part = key.strip_prefix("lr_scale.")?;
        SCHEDULE_EXTENSIONS
            .contains(&key)
            .then(|| (part.to_owned(), attribute.value.clone()))
    });
    for (what, scale) in blocks.chain(parts) {
        if !matches!(scale, Value::Float(scale) if scale.is_finite() && scale >= 0.0) {
            return Err(format!(
                "it scales the learning rate of {what} by {scale}; expected a finite number ≥ 0"
            ));
        }
    }
    Ok(())
}

/// Checks everything that a method wants to do to a model.
///
/// # Errors
/// The first name, shape, site, mode or graph that is wrong; more new values than 2^26 and than
/// four times the model's own.
pub fn method_plan(
    plan: &MethodPlan,
    model: &ModelRecord,
    host: &HostRecord,
) -> Result<(), String> {
    plan_extensions(plan, model, host)?;
    if let Some(&lr) = plan.suggested_lr.as_ref().into_option()
        && !(lr.is_finite() && lr > 0.0)
    {
        return Err(format!(
            "it suggests the learning rate {lr}; expected a finite number above 0"
        ));
    }
    let base: BTreeMap<String, Vec<u64>> = model
        .parameters
        .iter()
        .map(|p| (p.name.to_string(), p.shape.to_vec()))
        .collect();
    unfrozen(plan, model)?;
    let added = new_parameters(plan, model, host, &base)?;
    added_size(plan, model)?;
    let known = Known {
        host,
        added: &added,
        base: &base,
    };
    let read = rewrites(plan, model, &known)?;
    let unused = plan
        .parameters
        .iter()
        .find(|parameter| parameter.trainable && !read.contains(parameter.name.as_str()));
    match unused {
        Some(unused) => Err(format!(
            "new parameter '{}': it is trained, but no rewrite reads it",
            unused.name
        )),
        None => Ok(()),
    }
}

/// Checks the parameters that a method adds, and returns their shapes.
fn new_parameters(
    plan: &MethodPlan,
    model: &ModelRecord,
    host: &HostRecord,
    base: &BTreeMap<String, Vec<u64>>,
) -> Result<BTreeMap<String, Vec<u64>>, String> {
    let mut added = BTreeMap::new();
    for parameter in &plan.parameters {
        let described =
            |reason: String| format!("new parameter '{}': {reason}", shortened(&parameter.name));
        new_parameter(parameter, model, host, base).map_err(described)?;
        if added
            .insert(parameter.name.to_string(), parameter.shape.to_vec())
            .is_some()
        {
            return Err(described("it is added twice".into()));
        }
    }
    Ok(added)
}

/// Checks the rewrites of sites, and returns the names of the added parameters that they read.
fn rewrites<'a>(
    plan: &'a MethodPlan,
    model: &ModelRecord,
    known: &Known<'_>,
) -> Result<BTreeSet<&'a str>, String> {
    let sites: BTreeMap<&str, &SiteRecord> = model
        .sites
        .iter()
        .map(|site| (site.name.as_str(), site))
        .collect();
    let mut read = BTreeSet::new();
    for rewrite in &plan.rewrites {
        let described =
            |reason: String| format!("rewrite of '{}': {reason}", shortened(&rewrite.site));
        let Some(site) = sites.get(rewrite.site.as_str()) else {
            let near = did_you_mean(&rewrite.site, sites.keys().copied());
            return Err(described(format!(
                "the model has no site of this name{near}"
            )));
        };
        rewrite::check(rewrite, site, known).map_err(described)?;
        read.extend(rewrite.graph.names(Op::PARAMETER));
    }
    Ok(read)
}

/// Checks the size of a method's additions, which are allocated: a plan must not be able to fill a
/// machine's memory.
fn added_size(plan: &MethodPlan, model: &ModelRecord) -> Result<(), String> {
    let size = |shape: &[u64]| shape.iter().copied().fold(1, u64::saturating_mul);
    let added = plan.parameters.iter().map(|new| size(&new.shape));
    let added = added.fold(0, u64::saturating_add);
    let own = model.parameters.iter().map(|p| size(&p.shape));
    let own = own.fold(0, u64::saturating_add);
    let limit = own.saturating_mul(4).max(MAX_ADDED);
    if added <= limit {
        Ok(())
    } else {
        Err(format!(
            "it adds {added} values ({:.1} GB); a method may add {limit} to this model (four times the model's own, or 2^26 \
             where that is more): choose smaller options",
            added as f64 * 4e-9
        ))
    }
}

fn plan_extensions(
    plan: &MethodPlan,
    model: &ModelRecord,
    host: &HostRecord,
) -> Result<(), String> {
    if let Some(key) = unknown_critical(&plan.ext, &host.understands()) {
        return Err(format!(
            "the plan has the extension '!{key}', which this host does not understand"
        ));
    }
    if plan.position_shift().is_none() {
        return Err(format!(
            "the extension '!{POSITION_SHIFT}': expected a whole number from 0 to 2^31"
        ));
    }
    let lr_scales = plan.lr_scales().ok_or_else(|| {
        format!("the extension '!{LR_SCALES}': expected a finite number ≥ 0 per parameter")
    })?;
    let unknown = lr_scales
        .iter()
        .find(|(name, _)| model.parameter(name).is_none());
    match unknown {
        Some((name, _)) => {
            let names = model.parameters.iter().map(|p| p.name.as_str());
            let near = did_you_mean(name, names);
            Err(format!(
                "the extension '!{LR_SCALES}': the model has no parameter '{}'{near}",
                shortened(name)
            ))
        }
        None => Ok(()),
    }
}

fn unfrozen(plan: &MethodPlan, model: &ModelRecord) -> Result<(), String> {
    let parameters: BTreeMap<&str, _> = model
        .parameters
        .iter()
        .map(|p| (p.name.as_str(), p))
        .collect();
    let mut seen = BTreeSet::new();
    for name in &plan.unfreeze {
        let described = |reason: String| format!("it unfreezes '{}': {reason}", shortened(name));
        let Some(parameter) = parameters.get(name.as_str()) else {
            let near = did_you_mean(name, parameters.keys().copied());
            return Err(described(format!(
                "the model has no parameter of this name{near}"
            )));
        };
        if !seen.insert(name.as_str()) {
            return Err(described("named twice".into()));
        }
        if !parameter.tied_to.is_empty() {
            return Err(described(format!(
                "it is tied to '{}'; unfreeze that one",
                parameter.tied_to
            )));
        }
        if !parameter.quantised.is_empty() {
            return Err(described(format!(
                "it is quantised ({}) and stays frozen",
                parameter.quantised
            )));
        }
    }
    Ok(())
}

fn new_parameter(
    parameter: &NewParameter,
    model: &ModelRecord,
    host: &HostRecord,
    base: &BTreeMap<String, Vec<u64>>,
) -> Result<(), String> {
    extensions(&parameter.ext, "it", &[])?;
    let name = parameter.name.as_str();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(plain) {
        return Err(format!(
            "expected a name of 1 to {MAX_NAME} letters, digits, '.', '_' or '-'"
        ));
    }
    if base.contains_key(name) {
        return Err("the model has a parameter of this name already".into());
    }
    if (parameter.part == Part::BLOCK) != (parameter.block >= 0)
        || i64::from(parameter.block) >= i64::from(model.blocks)
    {
        let (part, block, blocks) = (parameter.part, parameter.block, model.blocks);
        return Err(format!(
            "it belongs to part '{part}' and block {block}; expected a block from 0 to {} for the part 'block', −1 for others",
            i64::from(blocks) - 1
        ));
    }
    if parameter.part.name().is_none() {
        return Err(format!(
            "its part ({}) is of a later version of the interface",
            parameter.part
        ));
    }
    if !(parameter.lr_scale.is_finite() && parameter.lr_scale >= 0.0) {
        return Err(format!(
            "its learning-rate scale is {}; expected a finite number ≥ 0",
            parameter.lr_scale
        ));
    }
    let shape = Shape::fixed(&parameter.shape);
    if shape.dims.is_empty() || shape.dims.contains(&0) || shape.elements().is_none() {
        return Err(format!(
            "its shape is {shape}; expected at least one size, each ≥ 1, at most 2^34 elements"
        ));
    }
    let scope = Scope {
        inputs: vec![],
        parameters: &BTreeMap::new(),
        base,
        init: true,
    };
    let found =
        graph(&parameter.init, &scope, host).map_err(|fault| format!("init graph: {fault}"))?;
    if found == shape {
        Ok(())
    } else {
        Err(format!("its init graph yields {found}; expected {shape}"))
    }
}

/// The shape of a graph's result, after checking that the host runs every operation.
fn graph(graph: &Graph, scope: &Scope<'_>, host: &HostRecord) -> Result<Shape, String> {
    let shapes = infer(graph, scope).map_err(|fault| fault.to_string())?;
    match graph
        .nodes
        .iter()
        .enumerate()
        .find(|(_, node)| !host.ops.contains(&node.op))
    {
        Some((index, node)) => Err(format!(
            "node %{index}: this host does not run the operation '{}'",
            node.op
        )),
        None => shapes.into_iter().last().ok_or_else(|| "no node".into()),
    }
}

fn extensions(ext: &[Attribute], what: &str, understood: &[&str]) -> Result<(), String> {
    match unknown_critical(ext, understood) {
        Some(key) => Err(format!(
            "{what} has the extension '!{key}', which this host does not understand"
        )),
        None => Ok(()),
    }
}

fn shortened(name: &str) -> String {
    name.chars().take(160).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{contract::run_record, open::Attribute};

    #[test]
    fn learning_rate_scales_are_finite_numbers_from_zero() {
        let run = run_record(2, 1, "", true);
        let check = |plan: SchedulePlan| schedule_plan(&plan, &run);
        let plan = || SchedulePlan::train([0]).with_lr_scales([0.0, 2.0]);
        assert_eq!(check(plan().with_lr_scale_of(Part::HEAD, 0.5)), Ok(()));
        let reason = check(plan().with_lr_scale_of(Part::HEAD, f64::NAN)).unwrap_err();
        assert!(
            reason.starts_with("it scales the learning rate of head by NaN"),
            "{reason}"
        );
        let text = Attribute::new("lr_scale.embeddings", "high");
        let ext = vec![text].into();
        let reason = check(SchedulePlan { ext, ..plan() }).unwrap_err();
        assert!(reason.contains("of embeddings by high"), "{reason}");
        let reason = check(plan().with_lr_scales([1.0])).unwrap_err();
        assert!(reason.contains("of 1 blocks; the model has 2"), "{reason}");
        assert!(
            check(plan().with_lr_scale_of(Part::SHARED, 1.0))
                .unwrap_err()
                .contains("!lr_scale.shared")
        );
    }
}
