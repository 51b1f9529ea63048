//! Folding a graph, compared with running it on rows.

use super::*;
use crate::model::{
    description::ParameterInfo,
    graph::{Program, RowContext},
};
use progtune_plugin_api::{
    graph::GraphBuilder,
    records::{Part, Role},
};

const IN: usize = 4;
const OUT: usize = 6;
const ROWS: usize = 5;

/// Numbers between −1 and 1 that look random and are the same every time.
fn numbers(seed: f32, shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    let value = |i: usize| ((i as f32 + 1.0) * (seed + 0.7)).sin();
    Tensor::from_vec((0..count).map(value).collect(), shape, &Device::Cpu).unwrap()
}

/// Parameters a [3, 4], b [6, 3], s [6], t [4], w (the layer's) [6, 4].
fn parameters() -> Parameters {
    let shapes: [(&str, &[usize]); 5] = [
        ("a", &[3, IN]),
        ("b", &[OUT, 3]),
        ("s", &[OUT]),
        ("t", &[IN]),
        ("w", &[OUT, IN]),
    ];
    let info = |&(name, shape): &(&str, &[usize])| ParameterInfo {
        name: name.into(),
        shape: shape.to_vec(),
        part: Part::SHARED,
        block: None,
        role: Role::WEIGHT,
        lr_scale: 1.0,
        added: None,
    };
    let values = (0u8..)
        .zip(&shapes)
        .map(|(i, (_, shape))| numbers(f32::from(i), shape));
    Parameters::new(shapes.iter().map(info).collect(), values.collect()).unwrap()
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The graph folded at a layer y = x·wᵀ + bias, and the reason if it cannot be.
fn folded(build: impl Fn(&mut GraphBuilder)) -> (Graph, std::result::Result<Rows, String>) {
    let mut builder = GraphBuilder::new();
    build(&mut builder);
    let graph = builder.finish();
    let parameters = parameters();
    let w = parameters.tensor(parameters.id("w").unwrap());
    let y = Rows {
        linear: w.t().unwrap().contiguous().unwrap(),
        constant: numbers(9.0, &[1, OUT]),
    };
    let x = Rows::identity(IN, &Device::Cpu).unwrap();
    let result = fold(&graph, &[("x", x), ("y", y)], &parameters).unwrap();
    (graph, result)
}

/// Runs the graph on rows and compares the result with the folded function.
#[track_caller]
fn check(what: &str, build: impl Fn(&mut GraphBuilder)) {
    let (graph, rows) = folded(build);
    let rows = rows.unwrap_or_else(|reason| panic!("{what}: {reason}"));
    let parameters = parameters();
    let w = parameters.tensor(parameters.id("w").unwrap());
    let x = numbers(3.3, &[ROWS, IN]);
    let y = x
        .matmul(&w.t().unwrap())
        .and_then(|y| y.broadcast_add(&numbers(9.0, &[1, OUT])))
        .unwrap();
    let context = RowContext {
        step: None,
        row_keys: &[0; ROWS],
    };
    let expected = Program::new(&graph, 0, &parameters)
        .and_then(|p| p.run(&[("x", x.clone()), ("y", y)], &parameters, context))
        .unwrap();
    let found = x
        .matmul(&rows.linear)
        .and_then(|y| y.broadcast_add(&rows.constant))
        .unwrap();
    assert_eq!(expected.dims(), found.dims(), "{what}");
    for (a, b) in flat(&expected).iter().zip(flat(&found)) {
        assert!((a - b).abs() < 1e-5, "{what}: {a} and {b}");
    }
}

#[test]
fn affine_graphs_are_folded() {
    check("LoRA with dropout", |g| {
        let (x, y, a, b) = (
            g.input("x"),
            g.input("y"),
            g.parameter("a"),
            g.parameter("b"),
        );
        let x = g.dropout(x, 0.5);
        let low = g.linear(x, a);
        let low = g.scale(low, 2.0);
        let delta = g.linear(low, b);
        g.add(y, delta);
    });
    check("a scaled output", |g| {
        let (y, s) = (g.input("y"), g.parameter("s"));
        g.mul(s, y);
    });
    check("a scaled input, with the layer's weight", |g| {
        let (x, t, w) = (g.input("x"), g.parameter("t"), g.base("w"));
        let x = g.mul(x, t);
        g.linear(x, w);
    });
    check("a normalised weight", |g| {
        let (y, w, s) = (g.input("y"), g.base("w"), g.parameter("s"));
        let norm = g.along(Op::NORM2, w, 1);
        let norm = g.reshape(norm, &[OUT as u64]);
        let y = g.div(y, norm);
        g.mul(y, s);
    });
    check("shifts on either side", |g| {
        let (y, s) = (g.input("y"), g.parameter("s"));
        let one = g.constant(1.0, &[]);
        let y = g.add(y, s);
        let y = g.sub(one, y);
        g.sub(y, s);
    });
    check("parts, means and a broadcast column", |g| {
        let (x, y) = (g.input("x"), g.input("y"));
        let left = g.slice(y, 0, 0, 2);
        let all = g.concat(&[left, x], 0);
        let square = g.reshape(all, &[2, 3]);
        let turned = g.transpose(square);
        let flat = g.reshape(turned, &[6]);
        let mean = g.along(Op::MEAN, y, 0);
        let sum = g.along(Op::SUM, x, 0);
        let column = g.add(mean, sum);
        g.add(flat, column);
    });
    check("a column that a constant widens", |g| {
        let (x, s) = (g.input("x"), g.parameter("s"));
        let sum = g.along(Op::SUM, x, 0);
        g.add(sum, s);
    });
}

#[test]
fn what_is_not_affine_says_why() {
    let reason = |build: &dyn Fn(&mut GraphBuilder)| folded(build).1.unwrap_err();
    assert_eq!(
        reason(&|g| {
            let y = g.input("y");
            g.unary(Op::GELU, y);
        }),
        "gelu of the row is not linear"
    );
    assert_eq!(
        reason(&|g| {
            let y = g.input("y");
            g.mul(y, y);
        }),
        "mul of two values of the row is not linear"
    );
    assert_eq!(
        reason(&|g| {
            let (y, s) = (g.input("y"), g.parameter("s"));
            g.div(s, y);
        }),
        "div of two values of the row is not linear"
    );
    assert!(
        reason(&|g| {
            let residual = g.input("residual");
            g.scale(residual, 2.0);
        })
        .starts_with("it reads `residual`")
    );
    assert!(
        reason(&|g| {
            g.parameter("s");
        })
        .contains("the same for every row")
    );
}
