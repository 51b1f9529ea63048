//! `cargo xtask compare-builds BEFORE AFTER` checks whether two builds give the same numbers, bit
//! for bit. Called by `main`. Developers run it for a change that must not change results.
//!
//! Each build is a directory with `progtune` and its plugins, such as `target/release`. Both run
//! the same jobs. These cover the kinds of tasks, the schedules, the methods, both families of
//! models and both compute paths. Every file that a run leaves is compared: weights and predictions
//! byte for byte, records without times, paths and memory. The second build may record more:
//! further files of records, and further keys.

use crate::arguments::{Arguments, Others};
use crate::result_files::{Contents, contents};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
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

/// Runs the task.
///
/// # Errors
/// If a job fails or the builds differ. All jobs are run, and all differences are listed.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), String> {
    let Some(arguments) = Arguments::read(HELP, Others::Words, words)? else {
        return Ok(());
    };
    let [before, after] = arguments.others() else {
        return Err(format!("expected two directories\n{HELP}"));
    };
    let only: Vec<&str> = arguments.values("--only").collect();
    let scratch = tempfile::tempdir().map_err(|error| format!("temporary directory: {error}"))?;
    write_data(scratch.path()).map_err(|error| format!("generated data: {error}"))?;
    let fixtures = root.join("tests/fixtures/parity");
    let is_chosen = |name: &str| only.is_empty() || only.iter().any(|part| name.contains(part));
    let mut differences = Vec::new();
    for (name, flags) in JOBS.iter().filter(|(name, _)| is_chosen(name)) {
        let flags = flags
            .replace("DATA", &scratch.path().display().to_string())
            .replace("FIXTURES", &fixtures.display().to_string());
        let result = |build: &str, side: &str| {
            let output = scratch.path().join(format!("{name}-{side}"));
            train(Path::new(build), &flags, &output).and_then(|()| contents(&output))
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
