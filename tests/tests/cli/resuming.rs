//! Checkpoints: `exact` continues runs at every step and compares bits, `interrupted` stops them
//! with signals, `changed` continues them with other inputs, `damaged` damages checkpoints, and
//! `forked` extends, forks and replays finished runs.

mod changed;
mod damaged;
mod exact;
mod forked;
mod interrupted;

use progtune_tests::{command_line::CommandLine, scratch::Scratch};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Parts of the keys whose values differ between two equal runs.
const VOLATILE: [&str; 5] = ["secs", "runtime", "per_second", "prefix_cache", "peak"];

/// Trains the BERT fixture into a directory of `scratch`, with these flags and a checkpoint after
/// every step.
fn trained(scratch: &Scratch, name: &str, flags: &str) -> PathBuf {
    let run = scratch.path(name);
    train(&run, flags).run();
    run
}

/// A training run with a checkpoint after every step.
fn train(run: &Path, flags: &str) -> CommandLine {
    let mut line = CommandLine::train("bert", run)
        .words("--lr 1e-3 --save-steps 1 --save-total-limit 100")
        .words(flags);
    for (flag, other, default) in [
        ("--epochs", "--epochs", "--epochs 3"),
        ("--batch-size", "--batch-tokens", "--batch-size 4"),
    ] {
        if !flags.contains(flag) && !flags.contains(other) {
            line = line.words(default);
        }
    }
    line
}

/// `progtune resume`.
fn resume(run: &Path, flags: &str) -> CommandLine {
    CommandLine::new("resume")
        .words(&run.display().to_string())
        .words("--quiet")
        .words(flags)
}

/// The message of a command that fails with a code. It is not among the recorded ones, because it
/// has sizes of records or losses, which differ between machines.
#[track_caller]
fn unrecorded(line: &CommandLine, code: i32) -> String {
    let output = line.command().output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

/// The steps after which a run has checkpoints, ascending.
fn steps(run: &Path) -> Vec<u64> {
    let entries = fs::read_dir(run.join("checkpoints")).expect("checkpoints");
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let steps = names.filter_map(|name| {
        let step = name.strip_prefix("step-")?.strip_suffix(".json")?;
        step.parse().ok()
    });
    let mut steps: Vec<u64> = steps.collect();
    steps.sort_unstable();
    steps
}

/// A copy of a finished run as if it had been killed after a step: with its records as long as
/// they became, without its result and without later checkpoints.
fn killed_after(run: &Path, step: u64, copy: &Path) {
    let _ = fs::remove_dir_all(copy);
    fs::create_dir_all(copy.join("checkpoints")).unwrap();
    for folder in ["", "checkpoints"] {
        for entry in fs::read_dir(run.join(folder)).unwrap() {
            let entry = entry.unwrap();
            if entry.path().is_file() {
                fs::copy(entry.path(), copy.join(folder).join(entry.file_name())).unwrap();
            }
        }
    }
    fs::remove_file(copy.join("all_results.json")).unwrap();
    for later in steps(copy).into_iter().filter(|&later| later > step) {
        for extension in ["json", "safetensors"] {
            fs::remove_file(copy.join(format!("checkpoints/step-{later}.{extension}"))).unwrap();
        }
    }
}

/// The weights of a result and of its last checkpoint, and its records without durations.
fn everything(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for name in [
        "model.safetensors",
        "adapter_model.safetensors",
        "adapter.safetensors",
    ] {
        if let Ok(bytes) = fs::read(run.join(name)) {
            found.insert(name.to_owned(), bytes);
        }
    }
    assert_eq!(found.len(), 1, "one file of weights");
    let last = steps(run).pop().unwrap();
    let last = format!("checkpoints/step-{last}.safetensors");
    found.insert(last.clone(), fs::read(run.join(last)).unwrap());
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines: Vec<Value> = metrics
        .lines()
        .map(|line| without_volatile(serde_json::from_str(line).unwrap()))
        .collect();
    found.insert(
        "metrics.jsonl".into(),
        Value::from(lines).to_string().into(),
    );
    let results = fs::read_to_string(run.join("all_results.json")).unwrap();
    let results = without_volatile(serde_json::from_str(&results).unwrap());
    let mut text = String::new();
    for key in [
        "eval_loss",
        "epochs",
        "train_loss",
        "total_updated_parameters",
        "best_metric",
        "engaged",
    ] {
        text += &format!("{key}: {}\n", results[key]);
    }
    found.insert("all_results.json".into(), text.into());
    found
}

fn without_volatile(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let is_kept = |key: &String| !VOLATILE.iter().any(|part| key.contains(part));
            let kept = map.into_iter().filter(|(key, _)| is_kept(key));
            Value::Object(
                kept.map(|(key, value)| (key, without_volatile(value)))
                    .collect(),
            )
        }
        Value::Array(values) => values.into_iter().map(without_volatile).collect(),
        other => other,
    }
}

/// Asserts that two runs left the same.
#[track_caller]
fn assert_same(run: &Path, expected: &BTreeMap<String, Vec<u8>>, about: &str) {
    let found = everything(run);
    for (name, bytes) in expected {
        let same = found.get(name) == Some(bytes);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if !same && !name.ends_with(".safetensors") {
            assert_eq!(text(&found[name]), text(bytes), "{about}: {name}");
        }
        assert!(same, "{about}: {name} differs");
    }
}
