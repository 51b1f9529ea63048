//! Schedules and methods with one fault each, for `tests/tests/plugins/plugins.rs`. Whatever a
//! plugin answers, the host must end with a message and not crash.

use progtune_plugin_api::{open::Attribute, prelude::*};

/// A schedule that answers with what its function makes of the run.
struct Wrong {
    run: RunRecord,
    traits: fn() -> ScheduleTraits,
    plan: fn(&RunRecord) -> SchedulePlan,
}

impl Schedule for Wrong {
    fn traits(&self) -> ScheduleTraits {
        (self.traits)()
    }
    fn plan(&self, _: &DecisionRecord) -> Result<SchedulePlan, PluginError> {
        Ok((self.plan)(&self.run))
    }
}

type Created<T> = Result<T, PluginError>;

fn plans(run: &RunRecord, plan: fn(&RunRecord) -> SchedulePlan) -> Created<Wrong> {
    Ok(Wrong {
        run: run.clone(),
        traits: ScheduleTraits::default,
        plan,
    })
}

/// A panic in the destructor.
struct Bomb;

impl Schedule for Bomb {
    fn plan(&self, _: &DecisionRecord) -> Result<SchedulePlan, PluginError> {
        Ok(SchedulePlan::train([0]))
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a destructor that panics");
    }
}

/// A method that answers with what its function makes of the model's first query projection.
struct WrongMethod(fn(&SiteRecord) -> MethodPlan);

impl Method for WrongMethod {
    fn plan(&self, model: &ModelRecord) -> Result<MethodPlan, PluginError> {
        let sites = model.sites_of(&[SiteKind::QUERY])?;
        Ok((self.0)(sites[0]))
    }
}

fn with_graph(site: &SiteRecord, graph: Graph) -> MethodPlan {
    MethodPlan {
        rewrites: vec![Rewrite::output(site, graph)].into(),
        ..MethodPlan::default()
    }
}

fn forward_reference(site: &SiteRecord) -> MethodPlan {
    let mut g = GraphBuilder::new();
    let y = g.input("y");
    g.unary(Op::RELU, y);
    let mut graph = g.finish();
    graph.nodes[1].inputs[0] = 7;
    with_graph(site, graph)
}

fn wrong_shape(site: &SiteRecord) -> MethodPlan {
    let mut g = GraphBuilder::new();
    let y = g.input("y");
    g.slice(y, 0, 0, 1);
    with_graph(site, g.finish())
}

fn unknown_op(site: &SiteRecord) -> MethodPlan {
    let mut g = GraphBuilder::new();
    let y = g.input("y");
    g.node(Op(4711), &[y], vec![]);
    with_graph(site, g.finish())
}

fn huge(site: &SiteRecord) -> MethodPlan {
    let shape = [u64::MAX / 2, 3];
    let parameter = NewParameter::at(site, "huge", &shape, Graph::filled(0.0, &shape));
    MethodPlan {
        parameters: vec![parameter].into(),
        ..MethodPlan::default()
    }
}

fn ten_gigabytes(site: &SiteRecord) -> MethodPlan {
    let shape = [50_000, 50_000];
    let parameter = NewParameter::at(site, "ten-gigabytes", &shape, Graph::filled(0.0, &shape));
    MethodPlan {
        parameters: vec![parameter].into(),
        ..MethodPlan::default()
    }
}

fn critical(site: &SiteRecord) -> MethodPlan {
    let mut g = GraphBuilder::new();
    let y = g.input("y");
    g.node(Op::RELU, &[y], vec![Attribute::new("!new", true)]);
    with_graph(site, g.finish())
}

fn unread(site: &SiteRecord) -> MethodPlan {
    let parameter = NewParameter::at(site, "unread", &[1], Graph::filled(0.0, &[1]));
    MethodPlan {
        parameters: vec![parameter].into(),
        ..MethodPlan::default()
    }
}

fn no_such_site(site: &SiteRecord) -> MethodPlan {
    let mut renamed = site.clone();
    renamed.name.push('y');
    let mut g = GraphBuilder::new();
    g.input("y");
    with_graph(&renamed, g.finish())
}

fn no_such_parameter(_: &SiteRecord) -> MethodPlan {
    MethodPlan {
        unfreeze: vec!["encoder.layer.0.attention.self.query.bais".into()].into(),
        ..MethodPlan::default()
    }
}

export_plugin! {
    schedules: [
        { id: "panic-in-create", summary: "", options: [], create: |_, _, _| -> Created<Wrong> { panic!("in create") } },
        { id: "panic-in-plan", summary: "", options: [], create: |_, _, run| plans(run, |_| panic!("in plan")) },
        { id: "panic-in-drop", summary: "", options: [], create: |_, _, _| Ok(Bomb) },
        { id: "out-of-range", summary: "", options: [], create: |_, _, run| plans(run, |_| SchedulePlan::train([0, u32::MAX])) },
        { id: "twice", summary: "", options: [], create: |_, _, run| plans(run, |_| SchedulePlan::train([1, 1])) },
        { id: "nothing", summary: "", options: [], create: |_, _, run| plans(run, |_| SchedulePlan::train([])) },
        {
            id: "nan", summary: "", options: [],
            create: |_, _, run| plans(run, |run| {
                SchedulePlan::train([0]).with_lr_scales((0..run.blocks).map(|_| f64::NAN))
            })
        },
        {
            id: "critical", summary: "", options: [],
            create: |_, _, run| plans(run, |_| SchedulePlan {
                ext: vec![Attribute::new("!new", true)].into(),
                ..SchedulePlan::train([0])
            })
        },
        {
            id: "signal", summary: "", options: [],
            create: |_, _, run| Ok(Wrong {
                traits: || ScheduleTraits::signals(&["block_grad_nrm"]),
                ..plans(run, |_| SchedulePlan::train([0]))?
            })
        },
    ],
    methods: [
        { id: "panic", summary: "", options: [], create: |_, _| Ok(WrongMethod(|_| panic!("in plan"))) },
        { id: "forward-reference", summary: "", options: [], create: |_, _| Ok(WrongMethod(forward_reference)) },
        { id: "wrong-shape", summary: "", options: [], create: |_, _| Ok(WrongMethod(wrong_shape)) },
        { id: "unknown-op", summary: "", options: [], create: |_, _| Ok(WrongMethod(unknown_op)) },
        { id: "huge", summary: "", options: [], create: |_, _| Ok(WrongMethod(huge)) },
        { id: "ten-gigabytes", summary: "", options: [], create: |_, _| Ok(WrongMethod(ten_gigabytes)) },
        { id: "critical", summary: "", options: [], create: |_, _| Ok(WrongMethod(critical)) },
        { id: "unread", summary: "", options: [], create: |_, _| Ok(WrongMethod(unread)) },
        { id: "no-such-site", summary: "", options: [], create: |_, _| Ok(WrongMethod(no_such_site)) },
        { id: "no-such-parameter", summary: "", options: [], create: |_, _| Ok(WrongMethod(no_such_parameter)) },
    ],
}
