//! The arithmetic against counts by hand; against measured runs it is checked in `tests/tests/memory.rs`.

use super::*;
use crate::{model_source::ModelSource, plan::Blueprint};

fn stage(
    blueprint: &Blueprint,
    wanted: impl Fn(&crate::model::description::ParameterInfo) -> bool,
) -> Stage {
    let trainable = blueprint.candidates.iter().copied();
    Stage {
        epoch: 1,
        trainable: trainable
            .filter(|&id| wanted(&blueprint.parameters[id]))
            .collect(),
        ..Stage::default()
    }
}

#[test]
fn footprints_add_up() {
    let config = ModelSource::Embedded.config().unwrap();
    let head = HeadKind::Sequence(2);
    let blueprint = Blueprint::new(&config, head, None, false).unwrap();
    let mut estimator = Estimator::new(&config, head, &blueprint, Some(1)).unwrap();
    estimator.batch = BatchShape::of([10, 30]);
    let (h, i, heads) = (384, 1536, 12);
    // Two tapes of 40 rows; the last block's has two.
    let tape = 40 * 3 * h + 40 * (5 * h + 2 * i + heads + 2);
    let last = 40 * 3 * h + 2 * (5 * h + 2 * i + heads + 2);
    let scratch = 3 * 30 * 30 + 2 * 12 * h;
    let backward = 40 * (3 * h + i);
    let top_two = stage(&blueprint, |info| {
        info.block.is_none_or(|b| b >= 4) && info.part != Part::EMBEDDINGS
    });
    let expected = (tape + backward).max(tape + last + 2 * (3 * h + i) + 40 * 4 * h) + scratch;
    assert_eq!(
        estimator.activations(&top_two, estimator.batch, false),
        expected
    );
    let everything = stage(&blueprint, |_| true);
    let embeddings = 40 * (h + 1);
    let expected = embeddings + 5 * tape + backward + scratch;
    let last_first = embeddings + 5 * tape + last + 2 * (3 * h + i) + 40 * 4 * h + scratch;
    assert_eq!(
        estimator.activations(&everything, estimator.batch, false),
        expected.max(last_first)
    );
    let recomputed = embeddings + 4 * 40 * h + tape + backward + scratch;
    assert_eq!(
        estimator.activations(&everything, estimator.batch, true),
        recomputed
    );
    let footprint = estimator.training(&everything, true);
    let parameters = blueprint.model_size();
    assert_eq!(footprint.parts[0], ("parameters", 4 * parameters));
    assert_eq!(footprint.parts[1], ("gradients", 4 * parameters));
    assert_eq!(footprint.parts[2], ("optimizer", 8 * parameters));
    assert_eq!(
        footprint.total(),
        footprint.parts.iter().map(|(_, n)| n).sum::<u64>()
    );
}

#[test]
fn the_largest_batch_is_one_of_the_runs() {
    let lengths: Vec<usize> = (0..100).map(|i| i * 37 % 61 + 1).collect();
    let config = RunConfig {
        batch_size: 4,
        ..RunConfig::default()
    };
    let largest = BatchShape::largest(&config, &lengths);
    assert_eq!(largest.sequences, 4);
    let bound = BatchShape::largest_sorted(lengths.clone(), 4);
    assert!(
        largest.tokens <= bound.tokens && largest.tokens * 10 > bound.tokens * 8,
        "{largest:?}"
    );
    let in_order = RunConfig {
        no_shuffle: true,
        ..config
    };
    let expected = lengths
        .chunks(4)
        .map(|batch| BatchShape::of(batch.iter().copied()));
    assert_eq!(
        BatchShape::largest(&in_order, &lengths).tokens,
        expected.map(|shape| shape.tokens).max().unwrap()
    );
}
