//! The prefix cache changes no bit of a run's result, wherever it is stored and however little fits
//! (tested here through the built binary). Its contents stay correct whatever a schedule does
//! (`stages`). Leftover and damaged files, and files cut off by a full disk, do no harm (`files`).

mod files;
mod stages;

use progtune_tests::{command_line::CommandLine, read_json, read_jsonl, scratch::Scratch};
use serde_json::Value;
use std::{fs, path::Path};

/// The data compared between runs: the result file, and losses and metrics from every step and
/// evaluation.
#[derive(PartialEq)]
struct Outcome {
    result: Vec<u8>,
    numbers: Vec<Value>,
}

/// The cache's record for each epoch; `null` if it did nothing.
type Epochs = Vec<Value>;

fn outcome(run: &Path) -> (Outcome, Epochs) {
    let names = [
        "model.safetensors",
        "adapter_model.safetensors",
        "adapter.safetensors",
    ];
    let mut paths = names.iter().map(|name| run.join(name));
    let result = fs::read(paths.find(|path| path.exists()).expect("a result")).unwrap();
    let (mut numbers, mut epochs) = (Vec::new(), Vec::new());
    for line in read_jsonl(&run.join("metrics.jsonl")) {
        let mut line = line.as_object().unwrap().clone();
        let cache = line.shift_remove("prefix_cache");
        if line.contains_key("eval_loss") {
            epochs.push(cache.unwrap_or_default());
        }
        line.retain(|key, _| !key.ends_with("_per_second") && !key.contains("runtime"));
        line.shift_remove("secs");
        numbers.push(line.into());
    }
    assert!(!run.join("prefix-cache").exists(), "nothing is left of it");
    (Outcome { result, numbers }, epochs)
}

fn train(model: &str, flags: &str) -> (Outcome, Epochs) {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    CommandLine::train(model, &run).words(flags).run();
    outcome(&run)
}

/// `boundary`, `examples` or another number for each epoch; 0 if the cache did nothing.
fn column(epochs: &Epochs, key: &str) -> Vec<f64> {
    epochs
        .iter()
        .map(|epoch| epoch[key].as_f64().unwrap_or(0.0))
        .collect()
}

/// Runs without a cache, with all of it in RAM and on disk, and with a part of it. Asserts that the
/// results have the same bits. `boundaries` are those held at the end of each epoch.
#[track_caller]
fn assert_same_bits(model: &str, flags: &str, boundaries: &[f64]) {
    let flags = format!("--lr 3e-3 {flags}");
    let (expected, epochs) = train(model, &format!("{flags} --prefix-cache off"));
    assert!(epochs.iter().all(Value::is_null));
    let part = "--prefix-cache-budget 50kB";
    for (cache, place) in [
        ("auto".to_owned(), "ram"),
        ("ram".to_owned(), "ram"),
        ("disk".to_owned(), "disk"),
        (format!("ram {part}"), "ram"),
        (format!("disk {part}"), "disk"),
    ] {
        let (found, epochs) = train(model, &format!("{flags} --prefix-cache {cache}"));
        assert_eq!(column(&epochs, "boundary"), boundaries, "{cache}: {flags}");
        for epoch in epochs.iter().filter(|epoch| !epoch.is_null()) {
            assert_eq!(epoch["place"], place, "{cache}");
            let examples = epoch["examples"].as_u64().unwrap();
            if cache.contains("budget") && boundaries.last() != Some(&5.0) {
                assert!((1..39).contains(&examples), "{cache}: {examples} of 39");
            } else {
                assert_eq!(examples, 39, "{cache}");
            }
        }
        assert!(
            found == expected,
            "{model} {flags} --prefix-cache {cache}: other results than without a cache"
        );
    }
}

#[test]
fn progressive_moves_the_cache_up() {
    let flags = "--schedule progressive --epochs 5 --peft lora";
    assert_same_bits("bert", flags, &[0.0, 1.0, 2.0, 3.0, 3.0]);
    let flags = format!("{flags} --dropout 0 --gradient-accumulation-steps 2 --batch-size 3");
    assert_same_bits("bert", &flags, &[0.0, 1.0, 2.0, 3.0, 3.0]);
}

#[test]
fn growing_saves_for_the_next_stage_and_drops_what_is_trained() {
    let flags = "--schedule grow-from-hb --epochs 3 --peft adapter";
    assert_same_bits("bert", flags, &[1.0, 1.0, 0.0]);
}

/// An evaluation inside an epoch saves and reads rows while the epoch goes on. The use of the cache
/// is still counted by epochs.
#[test]
fn evaluations_inside_epochs_read_the_cache() {
    for (model, flags, boundaries) in [
        (
            "bert",
            "--schedule progressive --epochs 4 --peft lora --dropout 0.1 --eval-steps 3",
            &[0.0, 1.0, 2.0, 2.0],
        ),
        (
            "bert",
            "--schedule grow-from-hb --epochs 4 --peft adapter --eval-steps 1 --load-best-model-at-end",
            &[2.0, 2.0, 0.0, 0.0],
        ),
        (
            "roberta",
            "--schedule lisa --schedule-opt interval_steps=2 --epochs 4 --peft lora --eval-steps 3",
            &[0.0; 4],
        ),
    ] {
        let flags = format!("--lr 3e-3 --batch-size 4 {flags}");
        let (expected, _) = train(model, &format!("{flags} --prefix-cache off"));
        for cache in ["ram", "disk", "ram --prefix-cache-budget 50kB"] {
            let (found, epochs) = train(model, &format!("{flags} --prefix-cache {cache}"));
            assert!(found == expected, "{model} {flags} --prefix-cache {cache}");
            let ends: Epochs = epochs
                .into_iter()
                .filter(|usage| !usage.is_null())
                .collect();
            assert!(ends.len() <= 4, "{ends:?}");
            if model == "bert" {
                let held = boundaries
                    .iter()
                    .copied()
                    .filter(|&boundary| boundary > 0.0);
                let expected: Vec<f64> = held.collect();
                assert_eq!(column(&ends, "boundary"), expected, "{cache}: {flags}");
            }
        }
    }
}

#[test]
fn the_head_alone_starts_after_the_last_block() {
    let flags = "--schedule wo-lb --epochs 3 --peft bitfit --dropout 0.3";
    assert_same_bits("bert", flags, &[1.0, 3.0, 3.0]);
    let (expected, _) = train("roberta", "--schedule wo-lb --epochs 4 --prefix-cache off");
    let (found, epochs) = train("roberta", "--schedule wo-lb --epochs 4");
    assert!(found == expected);
    assert_eq!(
        column(&epochs, "boundary"),
        [0.0; 4],
        "the embeddings are trained"
    );
}

#[test]
fn a_single_block_starts_below_it() {
    let flags = "--schedule single-block --schedule-opt block=4 --epochs 3 --peft lora";
    assert_same_bits("bert", flags, &[4.0, 4.0, 4.0]);
}

#[test]
fn full_fine_tuning_has_a_cache_when_the_embeddings_freeze() {
    let flags = "--schedule progressive --schedule-opt embeddings=first-part --epochs 3";
    assert_same_bits("bert", flags, &[0.0, 1.0, 1.0]);
}

#[test]
fn where_nothing_freezes_there_is_no_cache() {
    for flags in [
        "--epochs 2 --peft lora",
        "--epochs 2 --schedule progressive",
        "--epochs 1 --schedule grow-from-hb --peft lora",
        "--epochs 3 --schedule wo-lb --peft lora --max-steps 4",
        "--epochs 3 --schedule wo-lb --peft lora --frozen-dropout",
    ] {
        let (_, epochs) = train("bert", &format!("{flags} --prefix-cache disk"));
        assert!(epochs.iter().all(Value::is_null), "{flags}: {epochs:?}");
    }
    let flags = "--epochs 3 --schedule wo-lb --peft lora --frozen-dropout --dropout 0";
    let (_, epochs) = train("bert", flags);
    assert_eq!(
        column(&epochs, "boundary"),
        [1.0, 3.0, 3.0],
        "no dropout at all"
    );
}

/// candle's products and padded softmax depend on the rest of the batch, so here batches stay as
/// they are.
#[test]
fn the_composed_path_has_the_cache_as_well() {
    let flags = "--kernels composed --no-shuffle --schedule progressive --epochs 4 --peft adapter";
    let (expected, _) = train("bert", &format!("{flags} --prefix-cache off"));
    for place in ["ram", "disk"] {
        let (found, epochs) = train("bert", &format!("{flags} --prefix-cache {place}"));
        assert!(found == expected, "{place}");
        assert_eq!(column(&epochs, "boundary"), [0.0, 1.0, 2.0, 2.0]);
        assert_eq!(column(&epochs, "hit_rate"), [0.0, 0.0, 1.0, 1.0]);
    }
    let part = format!("{flags} --prefix-cache ram --prefix-cache-budget 50kB");
    let (found, _) = train("bert", &part);
    assert_close(&found, &expected, 1e-4);
}

/// Asserts that the losses of steps and evaluations agree within `tolerance`.
#[track_caller]
fn assert_close(found: &Outcome, expected: &Outcome, tolerance: f64) {
    assert_eq!(found.numbers.len(), expected.numbers.len());
    for (found, expected) in found.numbers.iter().zip(&expected.numbers) {
        for key in ["loss", "eval_loss"] {
            if let (Some(a), Some(b)) = (found[key].as_f64(), expected[key].as_f64()) {
                assert!((a - b).abs() < tolerance, "{key}: {a}, expected {b}");
            }
        }
    }
}

#[test]
fn half_precision_takes_half_the_space_and_stays_close() {
    let flags = "--schedule progressive --epochs 4 --peft lora --dropout 0 --prefix-cache";
    let (expected, whole) = train("bert", &format!("{flags} ram"));
    for place in ["ram", "disk"] {
        let (found, half) = train("bert", &format!("{flags} {place} --prefix-cache-dtype f16"));
        assert!(found != expected, "rounding shows");
        assert_close(&found, &expected, 2e-3);
        let bytes = column(&whole, "bytes").into_iter().map(|n| n / 2.0);
        assert_eq!(column(&half, "bytes"), bytes.collect::<Vec<_>>());
    }
}

#[test]
fn the_configuration_of_a_run_says_where_its_cache_was() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    CommandLine::train("bert", &run)
        .words("--max-steps 1 --prefix-cache disk --prefix-cache-budget 1.5GiB --prefix-cache-dtype f16")
        .run();
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    for line in [
        "prefix_cache = \"disk\"\n",
        "prefix_cache_budget = \"1536MiB\"\n",
        "prefix_cache_dtype = \"f16\"\n",
    ] {
        assert!(config.contains(line), "{line}{config}");
    }
    assert!(read_json(&run.join("all_results.json")).is_object());
}
