//! Plans agree with what runs report: the frozen blocks in each epoch, and the peak memory.

use progtune_tests::{
    cases, command_line::CommandLine, fixture, read_json, read_jsonl, scratch::Scratch,
};
use serde_json::Value;

/// For each epoch, the number of frozen blocks and the block at which it starts. It starts there
/// because the prefix cache has the rows below.
type Epochs = Vec<(u64, u64)>;

const MODEL: &str = "--task mrpc --max-length 64 --epochs 5 --peft lora --schedule";

/// The tiny BERT on the MRPC fixture.
fn line(command: &str, schedule: &str) -> CommandLine {
    CommandLine::new(&format!("{command} {MODEL} {schedule}"))
        .path("--model", fixture("parity/bert"))
        .path("--data", fixture("parity/data"))
}

/// The lowest trained block, or the number of blocks if only the head is trained.
fn frozen(blocks: &Value) -> u64 {
    let lowest = blocks.as_array().expect("block numbers").first();
    lowest.map_or(5, |block| block.as_u64().expect("a number"))
}

/// The number of blocks in a printed result: `1-4`, `4`, `none`.
fn frozen_in_words(blocks: &str) -> u64 {
    let lowest = blocks.split(['-', ',']).next().expect("some text");
    lowest.parse().unwrap_or_else(|_| {
        assert_eq!(blocks, "none");
        5
    })
}

fn foreseen(schedule: &str) -> Epochs {
    let plan = line("plan --predict --json", schedule).run();
    let plan: Value = serde_json::from_str(&plan).unwrap();
    let epochs = plan["epochs"].as_array().unwrap().iter();
    epochs
        .map(|epoch| {
            let start = epoch["prefix_cache_start"].as_u64().unwrap();
            (frozen(&epoch["blocks"]), start)
        })
        .collect()
}

fn reported(schedule: &str) -> Epochs {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    line("train --quiet", schedule).path("--output", &run).run();
    let results = read_json(&run.join("all_results.json"));
    let records = read_jsonl(&run.join("metrics.jsonl"));
    let caches: Vec<&Value> = records
        .iter()
        .filter(|line| line.get("eval_loss").is_some())
        .map(|line| &line["prefix_cache"])
        .collect();
    // If rows were found in the cache, the epoch began at the boundary that the previous one left.
    let start = |epoch: usize| {
        let is_found = caches[epoch]["hit_rate"].as_f64() > Some(0.0);
        let before = is_found.then(|| caches[epoch - 1]["boundary"].as_u64());
        before.flatten().unwrap_or(0)
    };
    let epochs = results["epochs"].as_array().unwrap().iter().enumerate();
    epochs
        .map(|(at, epoch)| {
            (
                frozen_in_words(epoch["blocks"].as_str().unwrap()),
                start(at),
            )
        })
        .collect()
}

/// Exact: these are counts.
fn frozen_blocks_are_foreseen(schedule: &str) {
    let foreseen = foreseen(schedule);
    assert_eq!(foreseen.len(), 5);
    assert!(foreseen.iter().any(|epoch| epoch.1 > 0), "{foreseen:?}");
    assert_eq!(foreseen, reported(schedule));
}

cases! { frozen_blocks_are_foreseen:
    the_frozen_blocks_of_progressive("progressive");
    the_frozen_blocks_of_grow_from_hb("grow-from-hb");
    the_frozen_blocks_of_wo_lb("wo-lb");
}

/// Reference: the kernel's high-water mark, as the run reports it. Tolerance: same as in
/// `memory_budget`, 75 to 110 % of the prediction.
#[cfg(target_os = "linux")]
fn the_peak_is_foreseen(flags: &str) {
    let flags = format!(
        "--task sample --batch-size 128 --max-train-samples 256 --max-eval-samples 8 {flags}"
    );
    let plan = CommandLine::new(&format!("plan --predict --json {flags}")).run();
    let plan: Value = serde_json::from_str(&plan).unwrap();
    let scratch = Scratch::new();
    let run = scratch.path("run");
    CommandLine::new(&format!("train --quiet {flags}"))
        .path("--output", &run)
        .run();
    let results = read_json(&run.join("all_results.json"));
    let predicted = plan["predicted_peak_bytes"].as_f64().unwrap();
    let measured = results["peak_memory_bytes"].as_f64().unwrap();
    let share = measured / predicted;
    println!("{flags}: {measured} of {predicted} bytes, {share:.3}");
    assert!(
        (0.75..1.1).contains(&share),
        "{flags}: predicted {predicted} bytes, measured {measured}"
    );
}

#[cfg(target_os = "linux")]
cases! { the_peak_is_foreseen:
    the_peak_of_full_fine_tuning("--schedule full --epochs 1");
    the_peak_of_progressive_lora("--schedule progressive --peft lora --epochs 3");
    the_peak_of_progressive_full_fine_tuning("--schedule progressive --epochs 2");
}
