//! A method's parameter that is read at several nodes, sites and blocks: its gradient is the sum,
//! counted once, on both paths.

use progtune_engine::{
    Assembly, Batch, HeadKind, ModelSource,
    model::{
        Device, Gradients, Kernels, Model, Precision, Step,
        description::{Added, ParameterInfo, parameters},
        weights::HeadPolicy,
    },
    plan::ModelPlan,
};
use progtune_plugin_api::{
    graph::{Graph, GraphBuilder},
    open::Ext,
    records::{Mode, Part, Rewrite, Role},
};
use progtune_tests::{fixture, max_difference, model::parity_examples};

const SCALE: &str = "shared.scale";
const STEP: Step = Step { seed: 0, number: 0 };

fn rewrite(site: &str, mode: Mode, graph: Graph) -> Rewrite {
    Rewrite {
        site: site.into(),
        mode,
        graph,
        merge: None.into(),
        merge_bias: None.into(),
        ext: Ext::new(),
    }
}

/// y' = y·s + tanh(x·s): the scale at two nodes.
fn twice() -> Graph {
    let mut g = GraphBuilder::new();
    let (x, y) = (g.input("x"), g.input("y"));
    let (first, second) = (g.parameter(SCALE), g.parameter(SCALE));
    let scaled = g.mul(y, first);
    let other = g.mul(x, second);
    let other = g.unary(progtune_plugin_api::graph::Op::TANH, other);
    g.add(scaled, other);
    g.finish()
}

/// x' = x·s.
fn input() -> Graph {
    let mut g = GraphBuilder::new();
    let (x, s) = (g.input("x"), g.parameter(SCALE));
    g.mul(x, s);
    g.finish()
}

/// y' = y·s³ + s⊗s·x: the scale in a vector and in a matrix without rows.
fn derived() -> Graph {
    let mut g = GraphBuilder::new();
    let (x, y, s) = (g.input("x"), g.input("y"), g.parameter(SCALE));
    let square = g.mul(s, s);
    let cube = g.mul(square, s);
    let scaled = g.mul(y, cube);
    let (column, row) = (g.reshape(s, &[32, 1]), g.reshape(s, &[1, 32]));
    let outer = g.mul(column, row);
    let outer = g.scale(outer, 0.01);
    let product = g.linear(x, outer);
    g.add(scaled, product);
    g.finish()
}

/// A row of keys and values, from the scale and its double.
fn prefix() -> Graph {
    let mut g = GraphBuilder::new();
    let s = g.parameter(SCALE);
    let key = g.scale(s, 2.0);
    let row = g.concat(&[key, s], 0);
    g.reshape(row, &[1, 64]);
    g.finish()
}

/// W' = W·s.
fn weight() -> Graph {
    let mut g = GraphBuilder::new();
    let (w, s) = (g.input("w"), g.parameter(SCALE));
    g.mul(w, s);
    g.finish()
}

/// Programs that read the same parameters at many sites, in every mode.
fn rewrites() -> Vec<Rewrite> {
    vec![
        rewrite(
            "encoder.layer.1.attention.self.query",
            Mode::OUTPUT,
            twice(),
        ),
        rewrite(
            "encoder.layer.1.attention.self.value",
            Mode::OUTPUT,
            twice(),
        ),
        rewrite("encoder.layer.3.attention.self.key", Mode::WEIGHT, weight()),
        rewrite("encoder.layer.3.attention.self.key", Mode::WEIGHT, weight()),
        rewrite("pooler.dense", Mode::WEIGHT, weight()),
        rewrite("pooler.dense", Mode::OUTPUT, twice()),
        // A trained weight multiplies the results of the programs before it, and so does a program
        // after it.
        rewrite("encoder.layer.2.intermediate.dense", Mode::INPUT, input()),
        rewrite("encoder.layer.2.intermediate.dense", Mode::INPUT, input()),
        rewrite("encoder.layer.2.attention.self.value", Mode::INPUT, input()),
        rewrite(
            "encoder.layer.2.attention.self.value",
            Mode::OUTPUT,
            derived(),
        ),
        rewrite(
            "encoder.layer.2.attention.output.dense",
            Mode::INPUT,
            input(),
        ),
        rewrite("encoder.layer.4.attention.self.key", Mode::INPUT, input()),
        rewrite("encoder.layer.4", Mode::OUTPUT, derived()),
        rewrite("encoder.layer.4.attention.self", Mode::KV_PREFIX, prefix()),
        rewrite("encoder.layer.4.attention.self", Mode::KV_PREFIX, prefix()),
    ]
}

/// A model whose method shares one vector among sites, blocks and modes, and the head's weight with
/// itself.
fn model(kernels: Kernels) -> Model {
    let source = ModelSource::Directory(fixture("parity/bert").into());
    let mut config = source.config().unwrap();
    config.override_dropout(0.0);
    let head = HeadKind::Sequence(2);
    let mut list = parameters(&config, head);
    list.push(ParameterInfo {
        name: SCALE.into(),
        shape: vec![32],
        part: Part::SHARED,
        block: None,
        role: Role::WEIGHT,
        lr_scale: 1.0,
        added: Some(Added {
            init: Graph::filled(1.1, &[32]),
            trainable: true,
            weight_decay: false,
        }),
    });
    list.sort_by(|a, b| a.name.cmp(&b.name));
    let model_plan = ModelPlan {
        candidates: (0..list.len()).collect(),
        parameters: list,
        rewrites: rewrites(),
        suggested_lr: None,
        position_shift: 0,
        blocks: 5,
    };
    let mut model = Assembly {
        source: &source,
        config,
        head,
        labels: &[],
        model_plan: &model_plan,
        adapter: None,
        policy: HeadPolicy::MakeNew,
        head_bias: None,
        seed: 1,
        device: Device::Cpu,
        kernels,
        precision: Precision::F32,
    }
    .build()
    .unwrap();
    model.parameters.set_trainable(&model_plan.candidates);
    model
}

#[test]
fn a_gradient_is_counted_once_however_often_a_parameter_is_read() {
    let examples = parity_examples("bert", 4);
    let batch = Batch::new(&examples, &[0, 1, 2, 3], 0);
    let gradients_of = |model: &Model| {
        let mut gradients = Gradients::new(&model.parameters);
        model.train(&batch, STEP, 4.0, &mut gradients).unwrap();
        gradients
    };
    let (fused, composed) = (model(Kernels::Fused), model(Kernels::Composed));
    let (a, b) = (gradients_of(&fused), gradients_of(&composed));
    for id in 0..fused.parameters.len() {
        let (a, b) = (
            a.tensor(id, &fused.parameters).unwrap().unwrap(),
            b.tensor(id, &composed.parameters).unwrap().unwrap(),
        );
        let difference = max_difference(&a, &b);
        assert!(
            difference < 2e-4,
            "{}: the paths differ by {difference}",
            fused.parameters.infos()[id].name
        );
    }

    let id = fused.parameters.id(SCALE).unwrap();
    let gradient = a
        .tensor(id, &fused.parameters)
        .unwrap()
        .unwrap()
        .to_vec1::<f32>()
        .unwrap();
    let start = fused.parameters.variable(id).to_vec1::<f32>().unwrap();
    for channel in [0, 5, 17, 31] {
        let loss_at = |step: f32| {
            let mut moved = start.clone();
            moved[channel] += step;
            let value = candle_core::Tensor::new(moved, &candle_core::Device::Cpu).unwrap();
            fused.parameters.set(id, &value).unwrap();
            let mut unused = Gradients::new(&fused.parameters);
            fused.train(&batch, STEP, 4.0, &mut unused).unwrap()
        };
        let want = (loss_at(2e-3) - loss_at(-2e-3)) / 4e-3;
        let got = f64::from(gradient[channel]);
        assert!(
            (got - want).abs() < 2e-3 * want.abs().max(1.0),
            "channel {channel}: gradient {got}, finite difference {want}"
        );
    }
}
