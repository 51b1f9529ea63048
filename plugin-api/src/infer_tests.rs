//! Tests of [`super`]: one valid graph of each kind, and each rule broken once.

use super::*;
use crate::graph::{GraphBuilder, Tensor};
use crate::open::Attribute;

fn in_scope<T>(init: bool, body: impl FnOnce(&Scope<'_>) -> T) -> T {
    let parameters = BTreeMap::from([
        ("a".into(), vec![2, 4]),
        ("b".into(), vec![4, 2]),
        ("v".into(), vec![4]),
    ]);
    let base = BTreeMap::from([("w".into(), vec![4, 4]), ("encoder.bias".into(), vec![4])]);
    let inputs = if init {
        vec![]
    } else {
        vec![("x", Shape::rows(4)), ("y", Shape::rows(4))]
    };
    body(&Scope {
        inputs,
        parameters: &parameters,
        base: &base,
        init,
    })
}

fn shape_of(build: impl FnOnce(&mut GraphBuilder)) -> Result<String, String> {
    let mut g = GraphBuilder::new();
    build(&mut g);
    let graph = g.finish();
    in_scope(false, |scope| infer(&graph, scope))
        .map(|shapes| shapes.last().map(ToString::to_string).unwrap_or_default())
        .map_err(|fault| fault.to_string())
}

fn fault_of(build: impl FnOnce(&mut GraphBuilder)) -> String {
    shape_of(build).unwrap_err()
}

#[test]
fn a_low_rank_update_keeps_the_shape() {
    let lora = shape_of(|g| {
        let (x, y, a, b) = (
            g.input("x"),
            g.input("y"),
            g.parameter("a"),
            g.parameter("b"),
        );
        let low = g.linear(x, a);
        let low = g.scale(low, 2.0);
        let delta = g.linear(low, b);
        g.add(y, delta);
    });
    assert_eq!(lora.unwrap(), "[rows, 4]");
}

#[test]
fn rows_take_part_in_nothing_but_rows() {
    let with = |dims: &'static [u64]| {
        shape_of(move |g| {
            let (x, c) = (g.input("x"), g.constant(1.0, dims));
            g.mul(c, x);
        })
    };
    for dims in [&[][..], &[4], &[1], &[1, 4], &[1, 1]] {
        assert_eq!(with(dims).unwrap(), "[rows, 4]", "{dims:?}");
    }
    for dims in [&[3][..], &[2, 4], &[4, 1], &[1, 1, 4]] {
        assert!(with(dims).is_err(), "{dims:?}");
    }
    let folded = shape_of(|g| {
        let x = g.input("x");
        let folded = g.reshape(x, &[2, 2]);
        let turned = g.transpose(folded);
        let narrow = g.slice(turned, -1, 1, 1);
        let sum = g.along(Op::SUM, narrow, 0);
        g.concat(&[sum, sum, sum], 0);
    });
    assert_eq!(folded.unwrap(), "[rows, 3, 1]");
    assert!(
        fault_of(|g| {
            let x = g.input("x");
            g.transpose(x);
        })
        .contains("besides the rows")
    );
    assert!(
        fault_of(|g| {
            let (x, y) = (g.input("x"), g.input("y"));
            g.matmul(x, y);
        })
        .starts_with("node %2 (matmul): expected […, k] · [k, n]")
    );
    assert!(
        fault_of(|g| {
            let (x, c) = (g.input("x"), g.constant(0.0, &[4]));
            g.concat(&[x, c], 0);
        })
        .contains("differ")
    );
}

#[test]
fn names_that_match_nothing_say_what_is_near() {
    assert_eq!(
        fault_of(|g| {
            g.base("encoder.bais");
        }),
        "node %0 (base): there is no model parameter 'encoder.bais' here; did you mean 'encoder.bias'?"
    );
    assert!(
        fault_of(|g| {
            g.input("residual");
        })
        .ends_with("the inputs are: x, y")
    );
}

#[test]
fn structure_is_checked() {
    assert!(fault_of(|_| {}).contains("at least one node"));
    let faults = [
        fault_of(|g| {
            let x = g.input("x");
            g.node(Op(999), &[x], vec![]);
        }),
        fault_of(|g| {
            g.node(Op::RELU, &[], vec![]);
        }),
        fault_of(|g| {
            let x = g.input("x");
            g.node(Op::SCALE, &[x], vec![]);
        }),
        fault_of(|g| {
            let x = g.input("x");
            g.node(Op::SCALE, &[x], vec![Attribute::new("by", 1i64)]);
        }),
        fault_of(|g| {
            let x = g.input("x");
            g.scale(x, f64::NAN);
        }),
        fault_of(|g| {
            let x = g.input("x");
            g.node(Op::RELU, &[x], vec![Attribute::new("!inplace", true)]);
        }),
        fault_of(|g| {
            g.normal(1.0, &[4]);
        }),
    ];
    let expected = [
        "not known to this version",
        "expected 1 inputs, found 0",
        "'by' is missing",
        "'by' has the wrong type",
        "finite",
        "'!inplace' is not known",
        "init graphs only",
    ];
    for (fault, expected) in faults.iter().zip(expected) {
        assert!(fault.contains(expected), "{fault}: {expected}");
    }
    let mut graph = Graph::filled(0.0, &[4]);
    graph.nodes.push(Node {
        op: Op::RELU,
        inputs: vec![1].into(),
        attributes: vec![].into(),
    });
    let fault = in_scope(false, |scope| infer(&graph, scope)).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "node %1 (relu): it reads %1, which does not come before it"
    );
}

#[test]
fn sizes_cannot_overflow() {
    let huge: &[u64] = &[1 << 40, 1 << 40];
    assert!(
        fault_of(|g| {
            g.constant(0.0, huge);
        })
        .contains("2^34")
    );
    assert!(
        fault_of(|g| {
            g.constant(0.0, &[0, 4]);
        })
        .contains("at least 1")
    );
    assert!(
        fault_of(|g| {
            g.constant(0.0, &[u64::MAX]);
        })
        .contains("sizes of at least 1")
    );
    let outer = |g: &mut GraphBuilder| -> Tensor {
        let (a, b) = (
            g.constant(0.0, &[1 << 20, 1]),
            g.constant(0.0, &[1, 1 << 20]),
        );
        g.matmul(a, b)
    };
    assert!(
        fault_of(|g| {
            outer(g);
        })
        .contains("2^34")
    );
    assert!(
        fault_of(|g| {
            let x = g.input("x");
            g.slice(x, 0, i64::MAX, i64::MAX);
        })
        .contains("not inside")
    );
    assert!(
        fault_of(|g| {
            let x = g.input("x");
            g.along(Op::SOFTMAX, x, i64::MIN);
        })
        .contains("no dimension")
    );
}

#[test]
fn init_graphs_draw_numbers_and_read_no_added_parameter() {
    let infer_init = |graph: &Graph| {
        in_scope(true, |scope| infer(graph, scope)).map_err(|fault| fault.to_string())
    };
    assert_eq!(
        infer_init(&Graph::uniform(0.5, &[2, 4])).unwrap(),
        [Shape::fixed(&[2, 4])]
    );
    let mut g = GraphBuilder::new();
    g.parameter("a");
    assert!(
        infer_init(&g.finish())
            .unwrap_err()
            .contains("cannot read added parameters")
    );
}

#[test]
fn dropout_needs_rows_and_a_probability() {
    assert!(
        shape_of(|g| {
            let x = g.input("x");
            g.dropout(x, 0.5);
        })
        .is_ok()
    );
    assert!(
        fault_of(|g| {
            let x = g.input("x");
            g.dropout(x, 1.0);
        })
        .contains("below 1")
    );
    assert!(
        fault_of(|g| {
            let a = g.parameter("a");
            g.dropout(a, 0.5);
        })
        .contains("with rows")
    );
}
