//! Results of progtune 0.1 with today's binary: runs, adapters, configurations, a token cache and a
//! third party's plugin.
//!
//! Reference: the figures that 0.1 itself computed with them (`tests/fixtures/made_by_0_1`, made by
//! its `make.sh`). Tolerance 1e-4, because another processor adds in another order.

use progtune_tests::{
    command_line::CommandLine, fixture, read_json, read_jsonl, root, scratch::Scratch,
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Files and flags of the fixtures are relative to the root of the repository.
const HERE: &str = "tests/fixtures/made_by_0_1";
const MODEL: &str = "--model tests/fixtures/parity/bert";
const TOLERANCE: f64 = 1e-4;
const COMMON: &str = "--max-length 64 --threads 1 --quiet";

fn made(name: &str) -> PathBuf {
    fixture("made_by_0_1").join(name)
}

/// Runs a command line at the root of the repository, and returns its standard output.
fn run(words: &str, cache: &Path) -> String {
    let mut command: Command = CommandLine::new(words).command();
    let output = command
        .current_dir(root())
        .env("PROGTUNE_CACHE_DIR", cache)
        .output()
        .expect("the binary starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}: {error}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The figures of an evaluation without its times.
fn figures(text: &str) -> Value {
    let mut value: Value = serde_json::from_str(text).expect("JSON");
    let map = value.as_object_mut().expect("an object");
    map.retain(|key, _| !key.ends_with("runtime") && !key.ends_with("per_second"));
    value
}

/// Compares two values: numbers with the tolerance, everything else exactly. Later versions add
/// keys to predictions.
#[track_caller]
fn assert_close(now: &Value, then: &Value) {
    match (now, then) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            assert!((a - b).abs() <= TOLERANCE, "{a} now, {b} then");
        }
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).for_each(|(a, b)| assert_close(a, b));
        }
        (Value::Object(a), Value::Object(b)) => {
            let common = a.keys().filter(|key| b.contains_key(*key));
            assert!(common.eq(b.keys()), "{a:?} now, {b:?} then");
            b.iter().for_each(|(key, b)| assert_close(&a[key], b));
        }
        _ => assert_eq!(now, then),
    }
}

/// Evaluates a result, and compares with what 0.1 computed.
fn evaluates(name: &str, words: &str) {
    let scratch = Scratch::new();
    let now = run(
        &format!("evaluate {words} {COMMON}"),
        &scratch.path("cache"),
    );
    let then = fs::read_to_string(made(&format!("expected/{name}.json"))).expect("a fixture");
    assert_close(&figures(&now), &figures(&then));
}

#[test]
fn an_adapter_in_pefts_format_evaluates() {
    let data = "--task mrpc --data tests/fixtures/parity/data";
    evaluates("lora", &format!("{MODEL} --adapter {HERE}/lora {data}"));
}

/// The base model, the task and the data are those that the run of then recorded.
#[test]
fn results_need_nothing_but_their_directory() {
    evaluates("lora", &format!("--adapter {HERE}/lora"));
    let scratch = Scratch::new();
    let now = run(
        &format!("evaluate --model {HERE}/full --threads 1 --quiet"),
        &scratch.path("cache"),
    );
    let (now, then) = (figures(&now), read_json(&made("full/all_results.json")));
    for key in ["eval_loss", "eval_accuracy"] {
        assert_close(&now[key], &then[key]);
    }
    let merged = scratch.path("merged");
    let merge = format!(
        "merge --adapter {HERE}/lora --quiet --output {}",
        merged.display()
    );
    run(&merge, &scratch.path("cache"));
    assert!(merged.join("model.safetensors").is_file());
}

#[test]
fn an_adapter_in_the_method_neutral_format_evaluates() {
    let data = format!("--task own --test-file {HERE}/tags.conll");
    let adapter = format!("--adapter {HERE}/adapter");
    evaluates("adapter", &format!("{MODEL} {adapter} {data}"));
}

#[test]
fn a_full_model_evaluates_and_predicts() {
    let full = format!("--model {HERE}/full --task own");
    evaluates("full", &format!("{full} --test-file {HERE}/reviews.csv"));
    let scratch = Scratch::new();
    let output = scratch.path("predictions.jsonl");
    let words = format!(
        "predict {full} --input {HERE}/reviews.csv {COMMON} --output {}",
        output.display()
    );
    run(&words, &scratch.path("cache"));
    let (now, then) = (
        read_jsonl(&output),
        read_jsonl(&made("expected/full.jsonl")),
    );
    assert_close(&now.into(), &then.into());
}

/// The merged checkpoint has the adapter's figures.
#[test]
fn an_adapter_merges() {
    let scratch = Scratch::new();
    let output = scratch.path("merged");
    let merged = output.display();
    let words = format!("merge {MODEL} --adapter {HERE}/lora --quiet --output {merged}");
    run(&words, &scratch.path("cache"));
    let data = "--task mrpc --data tests/fixtures/parity/data";
    evaluates("lora", &format!("--model {merged} {data}"));
}

/// The configuration that a run of 0.1 has left repeats it, whether its tokens are found or not.
#[test]
fn a_configuration_repeats_its_run_with_the_token_cache_of_then() {
    let scratch = Scratch::new();
    let cache = scratch.path("cache");
    copy(&made("cache"), &cache);
    let output = scratch.path("run");
    let words = format!(
        "train --config {HERE}/full/config.toml --quiet --output {}",
        output.display()
    );
    run(&words, &cache);
    let results = |folder: &Path| {
        let all = read_json(&folder.join("all_results.json"));
        ["train_loss", "eval_loss", "eval_accuracy"].map(|key| all[key].clone())
    };
    let (now, then) = (results(&output), results(&made("full")));
    assert_close(&now.to_vec().into(), &then.to_vec().into());
}

/// A third party's method, built for interface 1.1.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn a_plugin_built_then_trains() {
    let scratch = Scratch::new();
    let output = scratch.path("run");
    let words = format!(
        "train {MODEL} --task mrpc --data tests/fixtures/parity/data --peft scaling --epochs 1 {COMMON} \
         --plugin-dir {HERE}/plugins --output {}",
        output.display()
    );
    run(&words, &scratch.path("cache"));
    let results = read_json(&output.join("all_results.json"));
    assert!(results["updated_share"].as_f64() > Some(0.0));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}
