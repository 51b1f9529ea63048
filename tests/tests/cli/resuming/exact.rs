//! A run that continues at a checkpoint is the uninterrupted one, bit for bit.

use super::*;

/// Trains with these flags, continues the run at each of its checkpoints, and compares.
#[track_caller]
fn continues_anywhere(flags: &str) {
    let scratch = Scratch::new();
    let whole = trained(&scratch, "whole", flags);
    let expected = everything(&whole);
    let steps = steps(&whole);
    assert!(steps.len() > 5, "{steps:?}");
    let cut = scratch.path("cut");
    for (at, step) in steps.into_iter().enumerate() {
        killed_after(&whole, step, &cut);
        let threads = 1 + at % 2;
        resume(&cut, &format!("--threads {threads}")).run();
        assert_same(&cut, &expected, &format!("{flags}: after step {step}"));
    }
}

#[test]
fn with_full_fine_tuning_that_shrinks() {
    continues_anywhere("--schedule progressive");
}

#[test]
fn with_lora_that_grows_and_accumulates() {
    continues_anywhere(
        "--schedule grow-from-hb --peft lora --gradient-accumulation-steps 2 --lr-restart stage --warmup 0.2",
    );
}

#[test]
fn with_decisions_inside_epochs() {
    continues_anywhere("--schedule lisa --schedule-opt interval_steps=2 --schedule-opt blocks=1");
}

#[test]
fn with_a_schedule_that_follows_signals() {
    continues_anywhere("--schedule auto-freeze --peft bitfit --lr-scheduler cosine");
}

#[test]
fn with_evaluations_inside_epochs_and_the_best_model() {
    continues_anywhere(
        "--schedule progressive --peft adapter --eval-steps 2 --metric-for-best-model loss --early-stopping-patience 3",
    );
}

#[test]
fn with_the_prefix_cache_on_disk() {
    continues_anywhere("--schedule progressive --peft lora --prefix-cache disk");
}

#[test]
fn with_rounded_rows_in_memory_and_on_disk() {
    for place in ["ram", "disk"] {
        continues_anywhere(&format!(
            "--schedule progressive --peft lora --prefix-cache-dtype f16 --prefix-cache {place}"
        ));
    }
}

#[test]
fn with_batches_by_tokens_and_no_shuffling() {
    continues_anywhere("--schedule wo-lb --batch-tokens 150 --no-shuffle --peft dora");
}

#[test]
fn with_candles_primitives_and_rows_of_batches() {
    continues_anywhere(
        "--kernels composed --schedule progressive --peft lora --max-train-samples 20",
    );
}
