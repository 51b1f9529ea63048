//! Schedules and methods for `tests/tests/plugins/authoring.rs`. Each answers with well-formed
//! plans and breaks one promise of the contract, which `progtune plugins check` must name.

use progtune_plugin_api::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering};

/// A schedule that answers another plan whenever it is asked.
struct OtherPlans(RunRecord);

static ASKED: AtomicU32 = AtomicU32::new(0);

impl Schedule for OtherPlans {
    fn plan(&self, _: &DecisionRecord) -> Result<SchedulePlan, PluginError> {
        let first = ASKED.fetch_add(1, Ordering::Relaxed) % self.0.candidates.len() as u32;
        Ok(SchedulePlan::train([first]))
    }
}

/// A schedule that takes the second block for granted.
struct FewBlocks(RunRecord);

impl Schedule for FewBlocks {
    fn plan(&self, _: &DecisionRecord) -> Result<SchedulePlan, PluginError> {
        let second = self.0.candidates.iter().position(|p| p.block == 1);
        Ok(SchedulePlan::train([second.unwrap() as u32]))
    }
}

/// A factor on the outputs of the query projections.
struct Factor {
    start: f64,
    merged: f64,
    reads: bool,
}

impl Factor {
    const RIGHT: Self = Self {
        start: 1.0,
        merged: 1.0,
        reads: true,
    };

    /// input ⊙ by·s, or ⊙ by·(1 + 0·s).
    fn graph(&self, input: &str, s: &str, shape: &[u64], by: f64) -> Graph {
        let mut g = GraphBuilder::new();
        let (value, s) = (g.input(input), g.parameter(s));
        let mut s = g.reshape(s, shape);
        if !self.reads {
            let (nothing, one) = (g.scale(s, 0.0), g.constant(1.0, &[]));
            s = g.add(nothing, one);
        }
        let s = g.scale(s, by);
        g.mul(value, s);
        g.finish()
    }
}

impl Method for Factor {
    fn plan(&self, model: &ModelRecord) -> Result<MethodPlan, PluginError> {
        let mut plan = MethodPlan {
            identity_at_init: true,
            ..MethodPlan::default()
        };
        for site in model.sites_of(&[SiteKind::QUERY])? {
            let (name, n) = (format!("{}.factor", site.name), u64::from(site.out_dim));
            let rewrite = Rewrite::output(site, self.graph("y", &name, &[n], 1.0));
            let mut rewrite = if site.is_linear() {
                rewrite.with_merge(self.graph("w", &name, &[n, 1], self.merged))
            } else {
                rewrite
            };
            if site.is_linear() && !site.bias.is_empty() {
                rewrite = rewrite.with_merge_bias(self.graph("b", &name, &[n], 1.0));
            }
            plan.rewrites.push(rewrite);
            let start = if self.start.is_finite() {
                Graph::filled(self.start, &[n])
            } else {
                overflowing(n)
            };
            plan.parameters
                .push(NewParameter::at(site, name, &[n], start));
        }
        Ok(plan)
    }
}

/// e^1000.
fn overflowing(n: u64) -> Graph {
    let mut g = GraphBuilder::new();
    let large = g.constant(1000.0, &[n]);
    g.unary(Op::EXP, large);
    g.finish()
}

/// A method that panics at the largest value of its option.
fn at_limit(options: &Options, _: &HostRecord) -> Result<Factor, PluginError> {
    assert!(options.int("r")? < 100, "the rank");
    Ok(Factor::RIGHT)
}

export_plugin! {
    schedules: [
        { id: "other-plans", summary: "", options: [], create: |_, _, run| Ok(OtherPlans(run.clone())) },
        { id: "panics-on-few-blocks", summary: "", options: [], create: |_, _, run| Ok(FewBlocks(run.clone())) },
        {
            id: "refuses", summary: "", options: [],
            create: |_, _, _| -> Result<OtherPlans, _> { Err(PluginError::unsupported("never")) }
        },
    ],
    methods: [
        { id: "no-identity", summary: "", options: [], create: |_, _| Ok(Factor { start: 0.5, ..Factor::RIGHT }) },
        { id: "wrong-merge", summary: "", options: [], create: |_, _| Ok(Factor { merged: 2.0, ..Factor::RIGHT }) },
        { id: "dead", summary: "", options: [], create: |_, _| Ok(Factor { reads: false, ..Factor::RIGHT }) },
        { id: "not-finite", summary: "", options: [], create: |_, _| Ok(Factor { start: f64::INFINITY, ..Factor::RIGHT }) },
        {
            id: "panics-at-limit", summary: "",
            options: [ { name: "r", kind: Int, default: 1, min: 1, max: 100, help: "the rank" } ],
            create: at_limit
        },
    ],
}
