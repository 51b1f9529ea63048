//! Tests of [`super`]: every operation on numbers worked out by hand (from tables for the error
//! function), and the derivatives against known ones.

use super::*;
use crate::graph::{GraphBuilder, Node, Tensor};

fn values() -> Values {
    Values {
        inputs: [(
            "x".into(),
            Array::rows(3, &[1.0, -2.0, 3.0, 0.0, 0.5, -1.0]),
        )]
        .into(),
        parameters: [
            (
                "m".into(),
                Array::fixed(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            ),
            ("v".into(), Array::fixed(&[3], &[1.0, 10.0, 100.0])),
        ]
        .into(),
        base: [("b".into(), Array::fixed(&[1], &[7.0]))].into(),
        seed: None,
    }
}

/// The result of a graph over `x` and, for the last test, its operations.
fn run(build: impl FnOnce(&mut GraphBuilder, Tensor)) -> (Array, Vec<Op>) {
    let mut g = GraphBuilder::new();
    let x = g.input("x");
    build(&mut g, x);
    let graph = g.finish();
    let ops = graph.nodes.iter().map(|node: &Node| node.op).collect();
    (evaluate(&graph, &values()).unwrap(), ops)
}

#[track_caller]
fn assert_near(found: &Array, dims: &[usize], expected: &[f64]) {
    assert_eq!(found.dims, dims);
    for (a, b) in found.values.iter().zip(expected) {
        assert!((a - b).abs() < 1e-9, "{found:?}\n{expected:?}");
    }
    assert_eq!(found.values.len(), expected.len());
}

/// Checks a graph over `x` by the size and the numbers of its result, and returns its operations.
#[track_caller]
fn check(
    dims: &[usize],
    expected: &[f64],
    build: impl FnOnce(&mut GraphBuilder, Tensor),
) -> Vec<Op> {
    let (found, ops) = run(build);
    assert_near(&found, dims, expected);
    ops
}

/// The numbers of `x` with a function applied to each.
fn each(f: fn(f64) -> f64) -> [f64; 6] {
    [1.0, -2.0, 3.0, 0.0, 0.5, -1.0].map(f)
}

fn products_and_sums() -> Vec<Vec<Op>> {
    let product = [10.0, 12.0, -3.5, -4.0];
    vec![
        check(&[2, 2], &product, |g, x| {
            let m = g.parameter("m");
            g.matmul(x, m);
        }),
        check(&[2, 2], &product, |g, x| {
            let m = g.parameter("m");
            let turned = g.transpose(m);
            g.linear(x, turned);
        }),
        check(&[2, 3], &[2.0, 8.0, 103.0, 1.0, 10.5, 99.0], |g, x| {
            let v = g.parameter("v");
            g.add(x, v);
        }),
        check(&[2, 3], &[-6.0, -9.0, -4.0, -7.0, -6.5, -8.0], |g, x| {
            let b = g.base("b");
            g.sub(x, b);
        }),
        check(&[2, 3], &[1.0, 4.0, 9.0, 0.0, 0.25, 1.0], |g, x| {
            g.mul(x, x);
        }),
        check(&[2, 3], &[0.5, -1.0, 1.5, 0.0, 0.25, -0.5], |g, x| {
            let two = g.constant(2.0, &[]);
            g.div(x, two);
        }),
        check(&[2, 3], &[-1.0, 2.0, -3.0, 0.0, -0.5, 1.0], |g, x| {
            g.scale(x, -1.0);
        }),
    ]
}

fn shapes() -> Vec<Vec<Op>> {
    let expected = [3.0, 1.0, -2.0, 3.0, -1.0, 0.0, 0.5, -1.0];
    vec![check(&[2, 2, 2], &expected, |g, x| {
        let last = g.slice(x, -1, 2, 1);
        let four = g.concat(&[last, x], 0);
        g.reshape(four, &[2, 2]);
    })]
}

fn functions_of_one_number() -> Vec<Vec<Op>> {
    let gelu = [
        0.841_344_746,
        -0.045_500_264,
        2.995_950_306,
        0.0,
        0.345_731_231,
        -0.158_655_254,
    ];
    let unary = |op: Op, expected: [f64; 6]| {
        check(&[2, 3], &expected, |g, x| {
            g.unary(op, x);
        })
    };
    vec![
        unary(Op::RELU, each(|v| v.max(0.0))),
        unary(Op::GELU, gelu),
        unary(Op::SILU, each(|v| v / (1.0 + (-v).exp()))),
        unary(Op::TANH, each(f64::tanh)),
        unary(Op::SIGMOID, each(|v| 1.0 / (1.0 + (-v).exp()))),
        check(&[2, 3], &each(|v| v.abs().sqrt()), |g, x| {
            let square = g.mul(x, x);
            let root = g.unary(Op::SQRT, square);
            g.unary(Op::SQRT, root);
        }),
    ]
}

fn reductions() -> Vec<Vec<Op>> {
    vec![
        check(&[2, 1], &[2.0, -0.5], |g, x| {
            g.along(Op::SUM, x, 0);
        }),
        check(&[2, 1], &[2.0 / 3.0, -0.5 / 3.0], |g, x| {
            g.along(Op::MEAN, x, -1);
        }),
        check(&[2, 1], &[14f64.sqrt(), 1.25f64.sqrt()], |g, x| {
            g.along(Op::NORM2, x, 0);
        }),
        check(&[2, 1], &[1.0, 1.0], |g, x| {
            let y = g.along(Op::SOFTMAX, x, 0);
            g.along(Op::SUM, y, 0);
        }),
        check(&[2, 1], &[0.0, 0.0], |g, x| {
            // Log-ratios of a softmax are differences of its inputs: e^(x₀−x₁)·p₁ − p₀ = 0.
            let p = g.along(Op::SOFTMAX, x, 0);
            let (p0, p1) = (g.slice(p, 0, 0, 1), g.slice(p, 0, 1, 1));
            let (x0, x1) = (g.slice(x, 0, 0, 1), g.slice(x, 0, 1, 1));
            let difference = g.sub(x0, x1);
            let ratio = g.unary(Op::EXP, difference);
            let scaled = g.mul(ratio, p1);
            g.sub(scaled, p0);
        }),
    ]
}

fn normalisation() -> Vec<Vec<Op>> {
    let (first, second) = ((38.0f64 / 9.0).sqrt(), (7.0f64 / 18.0).sqrt());
    let expected = [
        1.0 / 3.0 / first,
        -8.0 / 3.0 / first,
        7.0 / 3.0 / first,
        1.0 / 6.0 / second,
        4.0 / 6.0 / second,
        -5.0 / 6.0 / second,
    ];
    vec![check(&[2, 3], &expected, |g, x| {
        let y = g.layer_norm(x, 1e-14);
        let y = g.dropout(y, 0.5);
        g.unary(Op::DETACH, y);
    })]
}

#[test]
fn operations_are_their_definitions() {
    let groups = [
        products_and_sums(),
        shapes(),
        functions_of_one_number(),
        reductions(),
        normalisation(),
    ];
    let seen: Vec<Op> = groups.concat().concat();
    let random = [
        Op::NORMAL,
        Op::UNIFORM,
        Op::TRUNCATED_NORMAL,
        Op::UNIFORM_MT19937,
    ];
    for op in Op::KNOWN {
        assert!(
            seen.contains(op) || random.contains(op),
            "{op} is not tested"
        );
    }
}

#[test]
fn random_numbers_have_their_distribution_and_depend_on_the_seed() {
    let draw = |graph: Graph, seed| {
        let values = Values {
            seed: Some(seed),
            ..Values::default()
        };
        evaluate(&graph, &values).unwrap().values
    };
    let normal = draw(Graph::normal(0.5, &[4000]), 1);
    let square = normal.iter().map(|v| v * v).sum::<f64>() / 4000.0;
    assert!((square.sqrt() - 0.5).abs() < 0.02 && normal.iter().any(|v| v.abs() > 1.0));
    let cut = draw(Graph::truncated_normal(0.5, &[4000]), 1);
    assert!(cut.iter().all(|v| v.abs() <= 1.0));
    let uniform = draw(Graph::uniform(2.0, &[4000]), 1);
    assert!(uniform.iter().all(|v| (-2.0..2.0).contains(v)));
    assert!((uniform.iter().sum::<f64>() / 4000.0).abs() < 0.1);
    let twisted = |skip| {
        let mut g = GraphBuilder::new();
        g.uniform_mt19937((0.0, 1.0), 123, skip, &[4]);
        draw(g.finish(), 1)
    };
    // torch 2.15, `Generator().manual_seed(123)`; see `crate::mersenne`.
    assert_eq!(twisted(8)[0] as f32, f32::from_bits(0x3e3c_794c));
    assert_eq!(twisted(9)[..3], twisted(8)[1..]);
    assert_eq!(normal, draw(Graph::normal(0.5, &[4000]), 1));
    assert_ne!(normal, draw(Graph::normal(0.5, &[4000]), 2));
    let outside = evaluate(&Graph::normal(1.0, &[1]), &Values::default());
    assert!(outside.unwrap_err().reason.contains("init graphs only"));
}

#[test]
fn derivatives_are_known_ones_and_stop_at_detach() {
    let mut g = GraphBuilder::new();
    let (x, v) = (g.input("x"), g.parameter("v"));
    let (product, held) = (g.mul(x, v), g.unary(Op::DETACH, v));
    let cube = g.mul(product, product);
    g.mul(cube, held);
    let graph = g.finish();
    let leaves = Leaf::of(&graph);
    assert_eq!(
        leaves,
        [Leaf::Input("x".into()), Leaf::Parameter("v".into())]
    );
    // The derivatives of Σ (x·v)²·v̄ are 2·x²·v·v̄ by v in every row, and 2·x·v²·v̄ by x.
    let weights = [1.0; 6];
    let of = |leaf, elements: &[usize]| {
        derivatives(&graph, &values(), &weights, leaf, elements).unwrap()
    };
    let by_v = of(&leaves[1], &[0, 1]);
    assert!(
        (by_v[0] - 2.0).abs() < 1e-6 && (by_v[1] - 850.0).abs() < 1e-4,
        "{by_v:?}"
    );
    let by_x = of(&leaves[0], &[1, 4]);
    assert!(
        (by_x[0] + 4000.0).abs() < 1e-3 && (by_x[1] - 1000.0).abs() < 1e-3,
        "{by_x:?}"
    );
}

#[test]
fn a_wrong_graph_is_an_error_that_names_its_node() {
    let mut g = GraphBuilder::new();
    let (x, m) = (g.input("x"), g.parameter("m"));
    g.linear(x, m);
    let fault = evaluate(&g.finish(), &values()).unwrap_err();
    assert!(fault.to_string().starts_with("node %3 (matmul)"), "{fault}");
}
