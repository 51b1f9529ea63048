//! Tests of the prices of stages: every block is counted once.

use super::*;

fn shape(blocks: &[usize], embeddings: bool) -> Shape {
    let stage = Stage {
        blocks: blocks.to_vec(),
        embeddings,
        ..Stage::default()
    };
    Shape::of(&stage, 6)
}

#[test]
fn every_block_is_counted_once() {
    for (blocks, embeddings, expected) in [
        (vec![0, 1, 2, 3, 4, 5], false, ([true, true], 0, 0, 4)),
        (vec![3, 4, 5], false, ([true, true], 3, 0, 1)),
        (vec![5], false, ([false, true], 4, 0, 0)),
        (vec![], false, ([false, false], 4, 0, 0)),
        (vec![2], false, ([true, false], 2, 2, 0)),
        (vec![4, 5], true, ([true, true], 0, 4, 0)),
        (vec![], true, ([false, false], 0, 4, 0)),
    ] {
        let found = shape(&blocks, embeddings);
        let (ends, frozen, passed, trained) = expected;
        let expected = Shape {
            embeddings,
            ends,
            frozen,
            passed,
            trained,
        };
        assert_eq!(found, expected, "{blocks:?} {embeddings}");
        let n_blocks = |(n, case): (f64, Case)| match case {
            Case::Train { blocks, .. } | Case::Logits { blocks } => n * blocks as f64,
            Case::Update => 0.0,
        };
        assert_eq!(found.prices().into_iter().map(n_blocks).sum::<f64>(), 6.0);
        let logits = Shape::logits(6);
        assert_eq!(logits.into_iter().map(n_blocks).sum::<f64>(), 6.0);
    }
}
