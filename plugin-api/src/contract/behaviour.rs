//! Checks the computation of a method's plan, which the reference interpreter runs on a model of
//! two narrow blocks. It checks the start, the declared identity, merged against unmerged results,
//! that rows do not mix, and that parameters matter. Called by [`super::method`].

use super::{
    report::Check,
    trial::{Trial, far},
};
use crate::{
    graph::{Graph, Op},
    infer::Shape,
    interpret::{Array, Leaf, Values, derivatives, evaluate},
    records::{MethodPlan, Mode, ModelRecord, NewParameter, Rewrite},
};

/// A plan is not run here if its new parameters have more numbers than this.
const MAX_NUMBERS: u64 = 1 << 20;
/// The number of a parameter's elements that are moved to see whether it matters.
const ELEMENTS: usize = 16;

/// The number of points at which that is tried.
const DRAWS: usize = 12;

/// All checks of a valid plan for this model.
pub(super) fn checks(plan: &MethodPlan, model: &ModelRecord) -> Vec<Check> {
    let size = |p: &NewParameter| Shape::fixed(&p.shape).elements().unwrap_or(u64::MAX);
    let numbers = plan
        .parameters
        .iter()
        .map(size)
        .fold(0, u64::saturating_add);
    let names = [
        "initial values",
        "nothing changes at the start",
        "merged equals unmerged",
        "rows do not mix",
        "trained parameters matter",
    ];
    if numbers > MAX_NUMBERS {
        let why = format!("not run: its parameters have {numbers} numbers on a tiny model");
        return names.map(|name| Check::without_case(name, &why)).to_vec();
    }
    let trial = Trial::new(plan, model);
    let [initial, identity, merged, rows, matters] = names;
    vec![
        initial_values(initial, plan, &trial),
        identity_at_init(identity, plan, &trial),
        merges(merged, plan, &trial),
        row_wise(rows, plan, &trial),
        gradients(matters, plan, &trial),
    ]
}

fn initial_values(name: &str, plan: &MethodPlan, trial: &Trial<'_>) -> Check {
    let mut check = Check::new(name);
    for parameter in &plan.parameters {
        let found = trial.initial(parameter, 1);
        let outcome = found.and_then(|array| {
            if array != trial.initial(parameter, 1)? {
                return Err("different numbers when evaluated again".into());
            }
            match array.values.iter().find(|value| !value.is_finite()) {
                Some(value) => Err(format!("expected finite numbers, found {value}")),
                None => Ok(()),
            }
        });
        check.case(&parameter.name, outcome);
    }
    if plan.parameters.is_empty() {
        check.note = "it adds no parameter".into();
    }
    check
}

fn identity_at_init(name: &str, plan: &MethodPlan, trial: &Trial<'_>) -> Check {
    if !plan.identity_at_init {
        return Check::without_case(name, "it does not declare identity_at_init");
    }
    let mut check = Check::new(name);
    let values = trial.at_start();
    for site in trial.sites() {
        let rewrites = trial.rewrites_of(site);
        if rewrites
            .iter()
            .any(|rewrite| rewrite.mode == Mode::KV_PREFIX)
        {
            let reason = "more keys and values change what attention computes, whatever they are";
            check.case(&site.name, Err(reason.into()));
            continue;
        }
        let outcome = trial
            .forward(site, &rewrites, &values)
            .and_then(|(before, after)| far("after the rewrites", &after, "before", &before, 1e-9));
        check.case(&site.name, outcome);
    }
    if check.cases == 0 {
        check.note = "it rewrites nothing".into();
    }
    check
}

fn merges(name: &str, plan: &MethodPlan, trial: &Trial<'_>) -> Check {
    let mut check = Check::new(name);
    let values = trial.trained(0);
    for site in trial.sites() {
        let rewrites = trial.rewrites_of(site);
        if rewrites.iter().any(|rewrite| rewrite.merge.is_none()) {
            continue;
        }
        let outcome = trial
            .forward(site, &rewrites, &values)
            .and_then(|(_, unmerged)| {
                let merged = trial.merged(site, &rewrites, &values)?;
                far("merged", &merged, "unmerged", &unmerged, 1e-8)
            });
        check.case(&site.name, outcome);
    }
    if check.cases == 0 {
        check.note = if plan.rewrites.is_empty() {
            "it rewrites nothing".into()
        } else {
            "it has no merge graph".into()
        };
    }
    check
}

/// The graphs that run on rows, each with its input values.
fn row_graphs<'p>(
    plan: &'p MethodPlan,
    trial: &Trial<'_>,
    values: &Values,
) -> Vec<(&'p Rewrite, Values)> {
    let on_rows = |rewrite: &&Rewrite| [Mode::OUTPUT, Mode::INPUT].contains(&rewrite.mode);
    let graphs = plan.rewrites.iter().filter(on_rows);
    graphs
        .filter_map(|rewrite| Some((rewrite, trial.graph_values(rewrite, values).ok()?)))
        .collect()
}

fn row_wise(name: &str, plan: &MethodPlan, trial: &Trial<'_>) -> Check {
    let mut check = Check::new(name);
    for (rewrite, values) in row_graphs(plan, trial, &trial.trained(0)) {
        let outcome = all_and_alone(&rewrite.graph, &values);
        check.case(&rewrite.site, outcome);
    }
    if check.cases == 0 {
        check.note = "no graph runs on rows".into();
    }
    check
}

/// The last row among all rows, and by itself.
fn all_and_alone(graph: &Graph, values: &Values) -> Result<(), String> {
    let last = |array: &Array| {
        let columns: usize = array.dims[1..].iter().product();
        Array::rows(columns, &array.values[array.values.len() - columns..])
    };
    let run = |values: &Values| evaluate(graph, values).map_err(|fault| fault.to_string());
    let mut alone = values.clone();
    for input in alone.inputs.values_mut() {
        *input = last(input);
    }
    let (all, alone) = (last(&run(values)?), run(&alone)?);
    far("a row by itself", &alone, "among others", &all, 1e-12)
}

fn gradients(name: &str, plan: &MethodPlan, trial: &Trial<'_>) -> Check {
    let mut check = Check::new(name);
    for parameter in plan.parameters.iter().filter(|p| p.trainable) {
        let leaf = Leaf::Parameter(parameter.name.to_string());
        let reads = |graph: &Graph| {
            graph
                .names(Op::PARAMETER)
                .any(|name| parameter.name == name)
        };
        let mut largest: f64 = 0.0;
        let mut fault = None;
        // A unit may be dead at one point, but not at many.
        for values in (0..DRAWS).map(|draw| trial.trained(draw)) {
            if largest > 0.0 || fault.is_some() {
                break;
            }
            for rewrite in plan.rewrites.iter().filter(|rewrite| reads(&rewrite.graph)) {
                let found = trial
                    .graph_values(rewrite, &values)
                    .and_then(|values| sampled(&rewrite.graph, &values, &leaf));
                match found {
                    Ok(found) => largest = found.iter().fold(largest, |a, b| a.max(b.abs())),
                    Err(reason) => fault = Some(reason),
                }
            }
        }
        let outcome = match fault {
            Some(reason) => Err(reason),
            None if largest > 0.0 => Ok(()),
            None => Err("it is trained, but no result depends on it".into()),
        };
        check.case(&parameter.name, outcome);
    }
    if check.cases == 0 {
        check.note = "it trains no parameter of its own".into();
    }
    check
}

/// The derivatives of a weighted sum of the result with respect to some elements of a parameter.
fn sampled(graph: &Graph, values: &Values, leaf: &Leaf) -> Result<Vec<f64>, String> {
    let described = |fault: crate::infer::GraphFault| fault.to_string();
    let result = evaluate(graph, values).map_err(described)?;
    let weights: Vec<f64> = (0..result.values.len())
        .map(|i| 1.0 + 0.1 * i as f64)
        .collect();
    let size = values
        .parameters
        .get(leaf.name())
        .map_or(0, |array| array.values.len());
    let elements: Vec<usize> = (0..size).step_by(size.div_ceil(ELEMENTS).max(1)).collect();
    derivatives(graph, values, &weights, leaf, &elements).map_err(described)
}
