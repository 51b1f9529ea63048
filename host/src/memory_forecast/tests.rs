//! Tests of the arithmetic against counts by hand. `tests/tests/memory/memory_budget.rs` compares
//! it with measured runs.

use super::*;
use crate::config::RunConfig;
use progtune_engine::{
    EncodedExample, ModelSource,
    model::{Device, Kernels},
    plan::ModelPlan,
};
use progtune_pipeline::batch_order::BatchLimit;

fn stage(
    model_plan: &ModelPlan,
    wanted: impl Fn(&progtune_engine::model::description::ParameterInfo) -> bool,
) -> Stage {
    let trainable = model_plan.candidates.iter().copied();
    Stage {
        epoch: 1,
        trainable: trainable
            .filter(|&id| wanted(&model_plan.parameters[id]))
            .collect(),
        ..Stage::default()
    }
}

fn on(device: Device, precision: Precision) -> MachineConfig {
    MachineConfig {
        threads: Some(1),
        device,
        kernels: Kernels::Auto,
        precision,
    }
}

#[test]
fn footprints_add_up() {
    let config = ModelSource::Embedded.config().unwrap();
    let head = HeadKind::Sequence(2);
    let model_plan = ModelPlan::new(&config, head, None, false).unwrap();
    let mut memory_forecast =
        MemoryForecast::new(&config, head, &model_plan, &on(Device::Cpu, Precision::F32)).unwrap();
    memory_forecast.batch = BatchShape::of([10, 30]);
    let (h, i, heads) = (384, 1536, 12);
    let of = |stage: &Stage| Trained::of(&model_plan, stage, 6);
    // Two tapes of 40 rows; the last block's has two. Attention's output is kept because weights
    // are trained.
    let tape = 40 * 3 * h + 40 * (4 * h + i + heads + 2);
    let last = 40 * 3 * h + 2 * (4 * h + i + heads + 2);
    let scratch = 40 * (8 * h + 3 * i) + 3 * 30 * 30 + 2 * 12 * h;
    let backward = |rows: u64| 2 * rows * h + 40 * h + rows * (6 * h + 3 * i) + 40 * 3 * h;
    let top_two = stage(&model_plan, |info| {
        info.block.is_none_or(|b| b >= 4) && info.part != Part::EMBEDDINGS
    });
    let expected = (tape + backward(40)).max(tape + last + backward(2)) + scratch;
    let activations = |stage: &Stage, recompute| {
        memory_forecast.activations(&of(stage), memory_forecast.batch, recompute)
    };
    assert_eq!(activations(&top_two, false), expected);
    let everything = stage(&model_plan, |_| true);
    let embeddings = 40 * (h + 1);
    let expected = embeddings + 5 * tape + backward(40).max(last + backward(2)) + scratch;
    assert_eq!(activations(&everything, false), expected);
    let recomputed = embeddings + 4 * 40 * h + tape + backward(40) + scratch;
    assert_eq!(activations(&everything, true), recomputed);
    let biases = stage(&model_plan, |info| {
        info.name == "encoder.layer.5.output.dense.bias"
    });
    assert_eq!(of(&biases).lowest, 5);
    let without_weights = 40 * 3 * h + 2 * (3 * h + i + heads + 2) + 2 * 2 * h + 40 * h + scratch;
    assert_eq!(activations(&biases, false), without_weights);
    // The frozen blocks are packed for the forward, and those that the backward passes through also
    // for it.
    let block = h * (4 * h + 2 * i);
    assert_eq!(memory_forecast.packed(&of(&biases)), block * (6 + 1));
    assert_eq!(memory_forecast.packed(&of(&top_two)), block * (4 + 1));
    assert_eq!(memory_forecast.packed(&of(&everything)), block);
    let footprint = memory_forecast.training(&everything, true);
    let parameters = model_plan.model_size();
    assert_eq!(footprint.parts[0], ("parameters", 4 * parameters));
    assert_eq!(footprint.parts[1], ("packed weights", 4 * block));
    assert_eq!(footprint.parts[2], ("gradients", 4 * parameters));
    assert_eq!(footprint.parts[3], ("optimizer", 8 * parameters));
    assert_eq!(
        footprint.total(),
        footprint.parts.iter().map(|(_, n)| n).sum::<u64>()
    );
}

/// The memory that the CUDA kernels hold, with f32 and with bf16.
#[test]
fn footprints_on_a_gpu_add_up() {
    let config = ModelSource::Embedded.config().unwrap();
    let head = HeadKind::Sequence(2);
    let model_plan = ModelPlan::new(&config, head, None, false).unwrap();
    let everything = stage(&model_plan, |_| true);
    let (h, i, heads) = (384, 1536, 12);
    for (precision, number) in [(Precision::F32, 4), (Precision::Bf16, 2)] {
        let machine = on(Device::Cuda(0), precision);
        let mut forecast = MemoryForecast::new(&config, head, &model_plan, &machine).unwrap();
        forecast.batch = BatchShape::of([10, 30]);
        let footprint = forecast.peak(std::slice::from_ref(&everything), false);
        // Five tapes of 40 rows and the embeddings', and the backward of the fifth block; the last
        // block, whose tape has two rows, needs less.
        let tape = number * (40 * 3 * h + 40 * (4 * h + i)) + 4 * 40 * (heads + 2);
        let backward = number * 40 * (3 * h + 2 * i) + 4 * 40 * i;
        let activations = 40 * (number * h + 4) + 5 * tape + backward;
        let activations = activations + 4 * 2 * 6 * h + 64 * 40;
        let parameters = 4 * model_plan.model_size();
        let copies = if number == 2 {
            2 * 6 * h * (4 * h + 2 * i)
        } else {
            0
        };
        let expected = [
            ("parameters", parameters),
            ("weights in bf16", copies),
            ("gradients", parameters),
            ("optimizer", 2 * parameters),
            ("activations", activations + activations / 16),
            ("workspace", 32 << 20),
        ];
        assert_eq!(footprint.parts, expected);
        assert_eq!(footprint.phase, "training in epoch 1");
    }
}

#[test]
fn the_largest_batch_is_one_of_the_runs() {
    let lengths: Vec<usize> = (0..100).map(|i| i * 37 % 61 + 1).collect();
    let RunConfig {
        batching, training, ..
    } = RunConfig::default();
    let batching = BatchingConfig {
        train: BatchLimit::Examples(4),
        ..batching
    };
    let example = |&length: &usize| EncodedExample {
        input_ids: vec![1; length],
        token_type_ids: vec![0; length],
        target: None,
    };
    let examples: Examples = lengths.iter().map(example).collect();
    let largest = BatchShape::largest(&batching, &training, &examples).unwrap();
    assert_eq!(largest.sequences, 4);
    let bound = BatchShape::largest_sorted(&examples, BatchLimit::Examples(4));
    assert!(
        largest.tokens <= bound.tokens && largest.tokens * 10 > bound.tokens * 8,
        "{largest:?}"
    );
    let in_order = BatchingConfig {
        shuffle: false,
        ..batching
    };
    let expected = lengths
        .chunks(4)
        .map(|batch| BatchShape::of(batch.iter().copied()));
    assert_eq!(
        BatchShape::largest(&in_order, &training, &examples)
            .unwrap()
            .tokens,
        expected.map(|shape| shape.tokens).max().unwrap()
    );
}
