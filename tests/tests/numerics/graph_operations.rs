//! Every operation that a method's graph may use. The host runs all operations that the interface
//! names, and their gradients are the derivatives (central differences, tolerance 1e-2 of the
//! larger of 1 and the derivative, in f32).

use candle_core::{Device, Tensor, Var};
use progtune_engine::model::{
    Parameters, Step,
    description::{Added, ParameterInfo},
    graph::{OPERATIONS, Program, RowContext, initial_value},
};
use progtune_plugin_api::{
    graph::{Graph, GraphBuilder, Op, Tensor as Node},
    records::{Part, Role},
};

const ROWS: usize = 3;
const COLUMNS: usize = 6;

fn numbers(n: usize, seed: u32) -> Vec<f32> {
    (0..n as u32)
        .map(|i| {
            let bits = (i + 1)
                .wrapping_mul(2_654_435_761)
                .wrapping_add(seed.wrapping_mul(40_503));
            ((bits ^ (bits >> 15)) % 2000) as f32 / 1000.0 - 1.0
        })
        .map(|v| if v.abs() < 0.05 { 0.3 } else { v })
        .collect()
}

/// One trainable parameter `p` with this shape.
fn parameters(shape: &[usize]) -> Parameters {
    let info = ParameterInfo {
        lr_scale: 1.0,
        name: "p".into(),
        shape: shape.to_vec(),
        part: Part::SHARED,
        block: None,
        role: Role::WEIGHT,
        added: Some(Added {
            init: Graph::default(),
            trainable: true,
            weight_decay: false,
        }),
    };
    let value = Tensor::from_vec(numbers(shape.iter().product(), 9), shape, &Device::Cpu).unwrap();
    let mut parameters = Parameters::new(vec![info], vec![value]).unwrap();
    parameters.set_trainable(&[0]);
    parameters
}

/// The sum of the graph's result times fixed numbers, at `x`.
fn weighted(program: &Program, x: &Tensor, parameters: &Parameters) -> Tensor {
    let keys: Vec<u64> = (0..ROWS as u64).collect();
    let rows = RowContext {
        step: Some(Step { seed: 1, number: 2 }),
        row_keys: &keys,
    };
    let y = program.run(&[("x", x.clone())], parameters, rows).unwrap();
    let weights = Tensor::from_vec(numbers(y.elem_count(), 5), y.dims(), &Device::Cpu).unwrap();
    (y * weights).unwrap().sum_all().unwrap()
}

/// Compares the gradients of `x` and of the parameter with central differences. Returns the graph's
/// operations.
fn check(shape: &[usize], build: impl Fn(&mut GraphBuilder, Node, Node)) -> Vec<Op> {
    let mut builder = GraphBuilder::new();
    let (x, p) = (builder.input("x"), builder.parameter("p"));
    build(&mut builder, x, p);
    let graph = builder.finish();
    let name = graph.to_string();
    let parameters = parameters(shape);
    let program = Program::new(&graph, 0, &parameters).unwrap();
    let x_values = numbers(ROWS * COLUMNS, 1);
    let x = Var::from_vec(x_values.clone(), (ROWS, COLUMNS), &Device::Cpu).unwrap();
    let store = weighted(&program, x.as_tensor(), &parameters)
        .backward()
        .unwrap();
    let detached = graph.nodes.iter().any(|node| node.op == Op::DETACH);
    let scalar = |x: &Tensor| {
        weighted(&program, x, &parameters)
            .to_scalar::<f32>()
            .unwrap()
    };
    let compare = |got: f32, up: f32, down: f32| {
        let want = (up - down) / 2e-2;
        assert!(
            (got - want).abs() < 1e-2 * want.abs().max(1.0),
            "{name}\ngradient {got}, finite difference {want}"
        );
    };
    if let Some(gradient) = store.get(x.as_tensor()).filter(|_| !detached) {
        let gradient = gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for i in 0..x_values.len() {
            let at = |step: f32| {
                let mut moved = x_values.clone();
                moved[i] += step;
                scalar(&Tensor::from_vec(moved, (ROWS, COLUMNS), &Device::Cpu).unwrap())
            };
            compare(gradient[i], at(1e-2), at(-1e-2));
        }
    }
    if let Some(gradient) = store
        .get(parameters.variable(0).as_tensor())
        .filter(|_| !detached)
    {
        let gradient = gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let start = parameters
            .variable(0)
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        for i in 0..start.len() {
            let at = |step: f32| {
                let mut moved = start.clone();
                moved[i] += step;
                parameters
                    .set(0, &Tensor::from_vec(moved, shape, &Device::Cpu).unwrap())
                    .unwrap();
                scalar(x.as_tensor())
            };
            let (up, down) = (at(1e-2), at(-1e-2));
            parameters
                .set(
                    0,
                    &Tensor::from_vec(start.clone(), shape, &Device::Cpu).unwrap(),
                )
                .unwrap();
            compare(gradient[i], up, down);
        }
    }
    graph.nodes.iter().map(|node| node.op).collect()
}

#[test]
fn every_operation_has_its_derivative() {
    let mut seen = Vec::new();
    for op in [
        Op::RELU,
        Op::GELU,
        Op::SILU,
        Op::TANH,
        Op::SIGMOID,
        Op::EXP,
        Op::DETACH,
    ] {
        seen.extend(check(&[COLUMNS], |g, x, p| {
            let y = g.mul(x, p);
            g.unary(op, y);
        }));
    }
    seen.extend(check(&[COLUMNS], |g, x, p| {
        let (square, two) = (g.mul(x, x), g.constant(2.0, &[COLUMNS as u64]));
        let (sum, square_p) = (g.add(square, two), g.mul(p, p));
        let root = g.unary(Op::SQRT, sum);
        let shifted = g.add(square_p, two);
        let quotient = g.div(root, shifted);
        g.sub(quotient, x);
    }));
    for op in [Op::SOFTMAX, Op::SUM, Op::MEAN, Op::NORM2] {
        for dim in [0, -1] {
            seen.extend(check(&[COLUMNS], |g, x, p| {
                let y = g.mul(x, p);
                g.along(op, y, dim);
            }));
        }
    }
    seen.extend(check(&[4, COLUMNS], |g, x, p| {
        let low = g.linear(x, p);
        let back = g.matmul(low, p);
        g.scale(back, 0.7);
    }));
    seen.extend(check(&[2, 3], |g, x, p| {
        let cut = g.reshape(x, &[3, 2]);
        let product = g.matmul(cut, p);
        let turned = g.transpose(product);
        let flat = g.reshape(turned, &[9]);
        let (first, last) = (g.slice(flat, 0, 0, 4), g.slice(flat, -1, 5, 4));
        let all = g.concat(&[last, x, first], 0);
        g.layer_norm(all, 1e-5);
    }));
    seen.extend(check(&[COLUMNS], |g, x, p| {
        let y = g.mul(x, p);
        g.dropout(y, 0.4);
    }));
    let sources = [
        Op::BASE,
        Op::NORMAL,
        Op::UNIFORM,
        Op::TRUNCATED_NORMAL,
        Op::UNIFORM_MT19937,
    ];
    for &op in OPERATIONS {
        assert!(
            seen.contains(&op) || sources.contains(&op),
            "{op} is not tested"
        );
    }
    assert_eq!(
        OPERATIONS,
        Op::KNOWN,
        "this host runs all of the interface it was built with"
    );
}

/// At zero, careless derivatives are infinite or undefined.
#[test]
fn edges_have_finite_derivatives() {
    let parameters = parameters(&[1]);
    for (op, x, want) in [
        (Op::RELU, 0.0, 0.0),
        (Op::SIGMOID, -200.0, 0.0),
        (Op::SIGMOID, 0.0, 0.25),
        (Op::NORM2, 0.0, 0.0),
    ] {
        let mut g = GraphBuilder::new();
        let input = g.input("x");
        match op {
            Op::NORM2 => g.along(op, input, 0),
            _ => g.unary(op, input),
        };
        let program = Program::new(&g.finish(), 0, &parameters).unwrap();
        let x = Var::from_vec(vec![x as f32; 2], (1, 2), &Device::Cpu).unwrap();
        let rows = RowContext {
            step: None,
            row_keys: &[0],
        };
        let y = program
            .run(&[("x", x.as_tensor().clone())], &parameters, rows)
            .unwrap();
        let store = y.sum_all().unwrap().backward().unwrap();
        let gradient = store
            .get(x.as_tensor())
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        assert!(
            gradient.iter().all(|g| (g - want).abs() < 1e-6),
            "{op}: {gradient:?}"
        );
    }
}

#[test]
fn initial_values_depend_on_seed_and_name_alone() {
    let none = |name: &str| -> progtune_engine::Result<Tensor> { panic!("reads {name}") };
    let value = |graph: &Graph, name: &str, seed| {
        initial_value(graph, name, seed, &none)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap()
    };
    let normal = Graph::normal(0.5, &[2000]);
    assert_eq!(value(&normal, "a", 1), value(&normal, "a", 1));
    assert_ne!(value(&normal, "a", 1), value(&normal, "b", 1));
    assert_ne!(value(&normal, "a", 1), value(&normal, "a", 2));
    let deviation = |v: &[f32]| (v.iter().map(|x| x * x).sum::<f32>() / v.len() as f32).sqrt();
    assert!((deviation(&value(&normal, "a", 1)) - 0.5).abs() < 0.03);
    let cut = value(&Graph::truncated_normal(0.5, &[2000]), "a", 1);
    assert!(cut.iter().all(|x| x.abs() <= 1.0));
    let uniform = value(&Graph::uniform(0.1, &[2000]), "a", 1);
    assert!(uniform.iter().all(|x| x.abs() <= 0.1) && uniform.iter().any(|x| x.abs() > 0.09));
    assert!(
        value(&Graph::filled(3.0, &[2, 2]), "a", 1)
            .iter()
            .all(|&x| x == 3.0)
    );
}
