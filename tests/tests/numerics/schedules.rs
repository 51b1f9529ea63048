//! Schedules in a run of the binary: learning rates per block, blocks that enter and leave inside
//! an epoch, decisions by gradient norms. The parameters before and after a step show what it
//! trained.

use candle_core::Tensor;
use progtune_tests::{
    command_line::CommandLine, fixture, max_difference, read_json, read_jsonl, read_safetensors,
    scratch::Scratch,
};
use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
};

/// The number of blocks in the BERT fixture.
const BLOCKS: usize = 5;

type Tensors = HashMap<String, Tensor>;

/// Trains on 27 examples in batches of 4: 7 steps per epoch. Adam moves a number with a gradient by
/// the learning rate at its first step, so nothing is clipped, decayed or dropped.
fn train(output: &Path, flags: &str) {
    CommandLine::train("bert", output)
        .words("--batch-size 4 --dropout 0 --max-grad-norm 0 --lr 1e-3 --lr-scheduler constant")
        .words(flags)
        .run();
}

fn start() -> Tensors {
    read_safetensors(&fixture("parity/bert/model.safetensors"))
}

fn result(run: &Path) -> Tensors {
    read_safetensors(&run.join("model.safetensors"))
}

/// The largest movement of any number in a part.
fn moved(before: &Tensors, after: &Tensors, part: &str) -> f32 {
    let of_part = before.iter().filter(|(key, _)| key.contains(part));
    let moves = of_part.map(|(key, value)| max_difference(value, &after[key]));
    moves.fold(0.0, f32::max)
}

fn moved_blocks(before: &Tensors, after: &Tensors) -> BTreeSet<usize> {
    let moved = |block: &usize| moved(before, after, &format!("encoder.layer.{block}.")) > 0.0;
    (0..BLOCKS).filter(moved).collect()
}

/// The states after each of the first steps, preceded by the initial state.
fn states(scratch: &Scratch, flags: &str, steps: usize) -> Vec<Tensors> {
    let after = |step: usize| {
        let run = scratch.path(&format!("after-{step}"));
        train(
            &run,
            &format!("{flags} --overwrite-output --max-steps {step}"),
        );
        result(&run)
    };
    std::iter::once(start())
        .chain((1..=steps).map(after))
        .collect()
}

/// ULMFiT's discriminative fine-tuning on both compute paths: block l moves by η/2.6^(L−1−l), the
/// embeddings by η/2.6^L.
#[test]
fn learning_rates_a_block_reach_the_optimizer() {
    for kernels in ["fused", "composed"] {
        let scratch = Scratch::new();
        let run = scratch.path("run");
        train(
            &run,
            &format!(
                "--max-steps 1 --kernels {kernels} --schedule gradual-unfreeze --schedule-opt start=5 \
                 --schedule-opt lr_decay=2.6"
            ),
        );
        let (before, after) = (start(), result(&run));
        let expect = |part: &str, depth: i32| {
            let (found, expected) = (moved(&before, &after, part), 1e-3 / 2.6f32.powi(depth));
            assert!(
                (found / expected - 1.0).abs() < 2e-2,
                "{kernels} {part}: moved by {found}, expected {expected}"
            );
        };
        expect("classifier.", 0);
        expect("pooler.", 0);
        for block in 0..BLOCKS {
            expect(
                &format!("encoder.layer.{block}."),
                (BLOCKS - 1 - block) as i32,
            );
        }
        expect("embeddings.", BLOCKS as i32);
    }
}

#[test]
fn gradual_unfreeze_trains_from_the_top_down() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    train(&run, "--epochs 3 --schedule gradual-unfreeze");
    let (before, after) = (start(), result(&run));
    assert_eq!(moved_blocks(&before, &after), BTreeSet::from([2, 3, 4]));
    assert_eq!(moved(&before, &after, "embeddings."), 0.0);
}

/// A drawn block moves by the learning rate at its first step, whenever that is and however often
/// it was trained before. Its moments and its bias correction are its own and start again. The
/// others do not move by a bit.
#[test]
fn lisa_trains_the_drawn_blocks_and_starts_them_afresh() {
    let scratch = Scratch::new();
    let flags =
        "--epochs 2 --schedule lisa --schedule-opt blocks=1 --schedule-opt interval_steps=1";
    let states = states(&scratch, flags, 10);
    let (mut drawn, mut came_back) = (Vec::new(), 0);
    for (before, after) in states.iter().zip(&states[1..]) {
        let blocks = moved_blocks(before, after);
        assert_eq!(blocks.len(), 1);
        assert!(moved(before, after, "embeddings.") > 0.0 && moved(before, after, "pooler.") > 0.0);
        let block = *blocks.first().unwrap();
        if drawn.last() != Some(&block) {
            let step = moved(before, after, &format!("encoder.layer.{block}."));
            assert!((step / 1e-3 - 1.0).abs() < 2e-2, "block {block}: {step}");
            came_back += u32::from(drawn.contains(&block));
        }
        drawn.push(block);
    }
    let distinct: BTreeSet<usize> = drawn.iter().copied().collect();
    assert!(distinct.len() >= 3 && came_back > 0, "{drawn:?}");
}

/// With gradient accumulation an interval counts optimizer steps, not batches. An epoch begins with
/// its own draw.
#[test]
fn intervals_count_optimizer_steps() {
    let scratch = Scratch::new();
    // 7 batches, 2 per step: 4 steps per epoch, decisions before steps 1, 4 | 5, 8.
    let flags = "--epochs 2 --gradient-accumulation-steps 2 --schedule lisa --schedule-opt blocks=1 \
                 --schedule-opt interval_steps=3 --seed 6";
    let states = states(&scratch, flags, 8);
    let blocks: Vec<BTreeSet<usize>> = states
        .iter()
        .zip(&states[1..])
        .map(|(before, after)| moved_blocks(before, after))
        .collect();
    assert!(blocks.iter().all(|blocks| blocks.len() == 1), "{blocks:?}");
    assert_eq!(blocks[0], blocks[1]);
    assert_eq!(blocks[1], blocks[2]);
    assert_eq!(blocks[4], blocks[5]);
    assert_eq!(blocks[5], blocks[6]);
    let stages = [&blocks[0], &blocks[3], &blocks[4], &blocks[7]];
    let distinct: BTreeSet<_> = stages.iter().collect();
    assert!(distinct.len() >= 3, "another seed shows more: {stages:?}");
}

/// The counted parameters are the planned ones, including decision points inside an epoch.
#[test]
fn a_plan_counts_every_decision() {
    for flags in [
        "--schedule lisa --schedule-opt blocks=2 --schedule-opt interval_steps=3",
        // Block 0 brings the embeddings along, so the stages differ in size.
        "--schedule lisa --schedule-opt interval_steps=2 --schedule-opt embeddings=first-part",
        "--schedule lisa --peft lora --schedule-opt interval_steps=0",
        "--schedule top-k --schedule-opt k=2 --peft bitfit",
        "--schedule gradual-unfreeze --schedule-opt blocks=2",
    ] {
        let scratch = Scratch::new();
        let run = scratch.path("run");
        train(&run, &format!("--epochs 3 {flags}"));
        let plan = read_json(&run.join("plan.json"));
        let trained = &read_json(&run.join("all_results.json"))["total_updated_parameters"];
        let difference =
            plan["total_updated_parameters"].as_i64().unwrap() - trained.as_i64().unwrap();
        // Each epoch of the plan is rounded to whole parameters.
        assert!(difference.abs() <= 3, "{flags}: {difference}");
        assert_eq!(plan["epochs"].as_array().unwrap().len(), 3);
    }
}

/// The prefix cache follows stages that change inside an epoch, in both directions.
#[test]
fn the_prefix_cache_changes_no_bit_of_them() {
    for flags in [
        "--schedule lisa --schedule-opt blocks=1 --schedule-opt interval_steps=2 --schedule-opt embeddings=first-part",
        "--schedule lisa --schedule-opt blocks=2 --schedule-opt interval_steps=0 --peft lora",
        "--schedule auto-freeze --schedule-opt intervals=3",
        "--schedule gradual-unfreeze --peft lora",
    ] {
        let scratch = Scratch::new();
        let run = |cache: &str| {
            let path = scratch.path(cache);
            train(&path, &format!("--epochs 3 --prefix-cache {cache} {flags}"));
            let losses = read_jsonl(&path.join("metrics.jsonl"));
            let losses = losses
                .iter()
                .map(|line| (line["loss"].clone(), line["eval_loss"].clone()));
            losses.collect::<Vec<_>>()
        };
        let without = run("off");
        assert_eq!(without, run("ram"), "{flags}");
        assert_eq!(without, run("disk"), "{flags}");
    }
}

/// A run frozen by its own gradients never trains more than before, and trains less than the plan's
/// upper bound.
#[test]
fn auto_freeze_freezes_from_the_bottom_as_it_trains() {
    let scratch = Scratch::new();
    let states = states(
        &scratch,
        "--epochs 2 --schedule auto-freeze --schedule-opt percentile=80 --schedule-opt intervals=4",
        14,
    );
    let mut lowest = Vec::new();
    for (before, after) in states.iter().zip(&states[1..]) {
        let blocks = moved_blocks(before, after);
        let first = *blocks.first().expect("one block is left");
        assert_eq!(blocks, (first..BLOCKS).collect(), "only a prefix is frozen");
        assert_eq!(moved(before, after, "embeddings.") > 0.0, first == 0);
        lowest.push(first);
    }
    assert!(lowest.is_sorted(), "{lowest:?}");
    assert!(
        *lowest.last().unwrap() > 0,
        "something is frozen: {lowest:?}"
    );
    // With intervals of 2 steps, two are compared for the first time before step 5.
    assert_eq!(lowest[..4], [0; 4]);

    let run = scratch.path("after-14");
    let plan = read_json(&run.join("plan.json"));
    assert_eq!(plan["signals"][0], "block_grad_norm");
    assert_eq!(plan["interval_steps"], 2);
    let trained = read_json(&run.join("all_results.json"))["total_updated_parameters"].as_u64();
    assert!(trained < plan["total_updated_parameters"].as_u64());
}
