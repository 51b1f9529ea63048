//! `cargo xtask compare-builds BEFORE AFTER` checks whether two builds give the same numbers, bit
//! for bit. Called by `main`. Developers run it for a change that must not change results.
//!
//! Each build is a directory with `progtune` and its plugins, such as `target/release`. Both run
//! the same jobs. These cover the kinds of tasks, the schedules, the methods, both families of
//! models and both compute paths. Every file that a run leaves is compared: weights and predictions
//! byte for byte, records without times, paths and memory. The second build may record more:
//! further files of records, and further keys.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const HELP: &str = "\
cargo xtask compare-builds BEFORE AFTER [--only NAME]…
  BEFORE, AFTER   directories with `progtune` and its plugins
  --only NAME     run only the jobs whose names contain NAME
";

/// The flags of every job.
const COMMON: &str = "train --quiet --seed 7 --token-cache off";

/// The jobs: a name and the flags. `DATA` stands for the directory of generated files, and
/// `FIXTURES` for `tests/fixtures/parity`.
const JOBS: &[(&str, &str)] = &[
    (
        "full",
        "--epochs 2 --max-train-samples 96 --max-eval-samples 64",
    ),
    (
        "progressive-lora",
        "--schedule progressive --peft lora --epochs 3 --max-train-samples 192 --max-eval-samples 64",
    ),
    (
        "grow-bitfit",
        "--schedule grow-from-hb --peft bitfit --epochs 3 --max-train-samples 96 --max-eval-samples 64",
    ),
    (
        "wo-lb-adapter",
        "--schedule wo-lb --peft adapter --epochs 2 --max-train-samples 96 --max-eval-samples 64",
    ),
    (
        "pairs-dora-recompute",
        "--task sample_pairs --peft dora --recompute --epochs 1 --max-train-samples 64 --max-eval-samples 64",
    ),
    (
        "lisa-prefix-accumulated",
        "--schedule lisa --peft prefix --gradient-accumulation-steps 3 --epochs 2 --max-train-samples 96 \
         --max-eval-samples 64 --prefix-cache disk",
    ),
    (
        "composed-lora",
        "--kernels composed --schedule progressive --peft lora --epochs 2 --max-train-samples 48 --max-eval-samples 48",
    ),
    (
        "composed-full",
        "--kernels composed --epochs 1 --max-train-samples 32 --max-eval-samples 32",
    ),
    (
        "roberta-pfeiffer",
        "--model FIXTURES/roberta --train-file DATA/classes.jsonl --validation-split 0.2 --peft pfeiffer --epochs 2",
    ),
    (
        "regression-vera",
        "--train-file DATA/scores.csv --validation-split 0.2 --peft vera --epochs 2",
    ),
    (
        "sets-weighted",
        "--train-file DATA/sets.jsonl --validation-split 0.2 --schedule progressive --epochs 2 --class-weights balanced",
    ),
    (
        "classes-best",
        "--train-file DATA/classes.jsonl --validation-split 0.2 --peft lora --epochs 3 --label-smoothing 0.1 \
         --load-best-model-at-end --frozen-dropout",
    ),
    (
        "tags-ia3",
        "--train-file DATA/tags.conll --validation-file DATA/tags.conll --schedule progressive --peft ia3 --epochs 2",
    ),
    (
        "questions-lora",
        "--train-file DATA/questions.json --validation-file DATA/questions.json --schedule progressive --peft lora --epochs 2 \
         --max-length 48 --doc-stride 16",
    ),
];

/// Files of a result that describe the run and not its numbers.
const NOT_COMPARED: &[&str] = &[
    "log.txt",
    "config.toml",
    "run.json",
    "progtune_plugins.json",
    "README.md",
];

/// Parts of keys whose values are times, memory, paths, the build, or sentences for people.
const VOLATILE: &[&str] = &[
    "sec", "runtime", "memory", "rss", "peak", "path", "output", "version", "plugin", "build",
    "command", "sha256", "file", "reasons",
];

/// Runs the task.
///
/// # Errors
/// If a job fails or the builds differ. All jobs are run, and all differences are listed.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<(), String> {
    let (mut builds, mut only) = (Vec::new(), Vec::new());
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--help" => {
                print!("{HELP}");
                return Ok(());
            }
            "--only" => only.push(arguments.next().ok_or("--only: expected a name")?.clone()),
            build => builds.push(PathBuf::from(build)),
        }
    }
    let [before, after] = builds.as_slice() else {
        return Err(format!("expected two directories\n{HELP}"));
    };
    let scratch = tempfile::tempdir().map_err(|error| format!("temporary directory: {error}"))?;
    write_data(scratch.path()).map_err(|error| format!("generated data: {error}"))?;
    let fixtures = root.join("tests/fixtures/parity");
    let is_chosen = |name: &str| only.is_empty() || only.iter().any(|part| name.contains(part));
    let mut differences = Vec::new();
    for (name, flags) in JOBS.iter().filter(|(name, _)| is_chosen(name)) {
        let flags = flags
            .replace("DATA", &scratch.path().display().to_string())
            .replace("FIXTURES", &fixtures.display().to_string());
        let result = |build: &Path, side: &str| {
            let output = scratch.path().join(format!("{name}-{side}"));
            train(build, &flags, &output).and_then(|()| contents(&output))
        };
        let (found, expected) = (result(after, "after")?, result(before, "before")?);
        let names: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
        let differing = names.iter().filter(|file| {
            let (before, after) = (expected.get(**file), found.get(**file));
            match (before, after) {
                // A record that only the second build makes.
                (None, Some(Contents::Records(_))) => false,
                (Some(before), Some(after)) => !after.extends(before),
                _ => true,
            }
        });
        let differing: Vec<String> = differing
            .map(|file| format!("{name}: {file} differs"))
            .collect();
        println!(
            "{name:<26} {:>2} files {}",
            names.len(),
            if differing.is_empty() {
                "identical"
            } else {
                "DIFFER"
            }
        );
        differences.extend(differing);
    }
    if differences.is_empty() {
        Ok(())
    } else {
        Err(differences.join("\n"))
    }
}

/// Trains with a build. The result is in `output`.
fn train(build: &Path, flags: &str, output: &Path) -> Result<(), String> {
    let program = build.join("progtune");
    // Version 0.1 takes the first rows and has no flag for that.
    let first: &[&str] = if takes_samples(&program) {
        &["--sample", "first"]
    } else {
        &[]
    };
    let run = Command::new(&program)
        .args(COMMON.split_whitespace())
        .args(first)
        .args(flags.split_whitespace())
        .arg("--output")
        .arg(output)
        .env("PROGTUNE_CACHE_DIR", output.with_extension("cache"))
        .output()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    if run.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&run.stderr);
    Err(format!(
        "{} {flags}: {}\n{said}",
        program.display(),
        run.status
    ))
}

/// Whether a build draws samples unless it is told to take the first rows.
fn takes_samples(program: &Path) -> bool {
    let help = Command::new(program).args(["train", "--help"]).output();
    help.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains("--sample "))
}

/// The contents of a file of a result.
enum Contents {
    /// JSON values without the parts that differ between runs.
    Records(Vec<Value>),
    /// Anything else.
    Bytes(Vec<u8>),
}

impl Contents {
    /// Whether these contents are `before`, perhaps with further keys.
    fn extends(&self, before: &Self) -> bool {
        match (self, before) {
            (Self::Bytes(after), Self::Bytes(before)) => after == before,
            (Self::Records(after), Self::Records(before)) => {
                after.len() == before.len()
                    && after
                        .iter()
                        .zip(before)
                        .all(|(after, before)| extends(after, before))
            }
            _ => false,
        }
    }
}

/// Whether a value is `before`, perhaps with further keys in its objects.
fn extends(after: &Value, before: &Value) -> bool {
    match (after, before) {
        (Value::Object(after), Value::Object(before)) => before
            .iter()
            .all(|(key, before)| after.get(key).is_some_and(|after| extends(after, before))),
        (Value::Array(after), Value::Array(before)) => {
            after.len() == before.len()
                && after
                    .iter()
                    .zip(before)
                    .all(|(after, before)| extends(after, before))
        }
        _ => after == before,
    }
}

/// Every file of a result that contains numbers, by its path in the result.
fn contents(output: &Path) -> Result<BTreeMap<String, Contents>, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![output.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for entry in entries.flatten() {
            let (path, name) = (
                entry.path(),
                entry.file_name().to_string_lossy().into_owned(),
            );
            if path.is_dir() {
                folders.push(path);
            } else if !NOT_COMPARED.contains(&name.as_str()) {
                let bytes =
                    fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                let below = path
                    .strip_prefix(output)
                    .unwrap_or(&path)
                    .display()
                    .to_string();
                found.insert(below, stable(&name, bytes));
            }
        }
    }
    Ok(found)
}

/// The contents of a file without the parts that differ between runs.
fn stable(name: &str, bytes: Vec<u8>) -> Contents {
    if !name.ends_with(".json") && !name.ends_with(".jsonl") {
        return Contents::Bytes(bytes);
    }
    let text = String::from_utf8_lossy(&bytes);
    let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(&text)
        .into_iter()
        .collect();
    match values {
        Ok(mut values) => {
            values.iter_mut().for_each(forget_volatile);
            Contents::Records(values)
        }
        Err(_) => Contents::Bytes(bytes),
    }
}

fn forget_volatile(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            entries.retain(|key, _| !VOLATILE.iter().any(|part| key.contains(part)));
            entries.values_mut().for_each(forget_volatile);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_volatile),
        _ => {}
    }
}

/// Small files for each kind of task, the same in each run.
fn write_data(directory: &Path) -> std::io::Result<()> {
    let subjects = ["the film", "a book", "this play", "the song", "her story"];
    let verdicts = [
        "is good",
        "was bad and long",
        "is fine",
        "was dull",
        "is a joy to see again",
    ];
    let row = |i: usize| format!("{} {}", subjects[i % 5], verdicts[(i / 5 + i) % 5]);
    let verdict = |i: usize| (i / 5 + i) % 5;
    let (mut classes, mut sets, mut scores) =
        (String::new(), String::new(), String::from("text,label\n"));
    let (mut tags, mut questions) = (String::new(), Vec::new());
    for i in 0..60 {
        let text = row(i);
        let class = ["good", "bad", "fine"][verdict(i) % 3];
        classes += &format!("{}\n", json!({"text": text, "label": class}));
        let set: Vec<&str> = ["short", class]
            .into_iter()
            .skip(usize::from(i % 2 == 0))
            .collect();
        sets += &format!("{}\n", json!({"text": text, "label": set}));
        scores += &format!("{text},{}.25\n", verdict(i));
        for (at, word) in text.split(' ').enumerate() {
            tags += &format!(
                "{word} {}\n",
                ["B-WORK", "I-WORK", "O", "B-MOOD", "I-MOOD", "O", "O", "O"][at]
            );
        }
        tags += "\n";
        let context = format!("{text} . {} .", row(i + 7));
        let answer = subjects[i % 5];
        questions.push(
            json!({"id": i.to_string(), "question": "what is it about ?", "context": context,
            "answers": {"text": [answer], "answer_start": [0]}}),
        );
    }
    fs::write(directory.join("classes.jsonl"), classes)?;
    fs::write(directory.join("sets.jsonl"), sets)?;
    fs::write(directory.join("scores.csv"), scores)?;
    fs::write(directory.join("tags.conll"), tags)?;
    fs::write(
        directory.join("questions.json"),
        json!({"data": questions}).to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_may_record_more_but_nothing_else() {
        let before = json!({"a": [1, {"b": 2}]});
        assert!(extends(
            &json!({"a": [1, {"b": 2, "c": 3}], "d": 4}),
            &before
        ));
        assert!(!extends(&json!({"a": [1, {"b": 3}]}), &before));
        assert!(!extends(&json!({"a": [1, {"b": 2}, 3]}), &before));
        assert!(!extends(&json!({"d": 4}), &before));
    }
}
