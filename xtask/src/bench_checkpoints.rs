//! `cargo xtask bench-checkpoints`: the time and the bytes of a checkpoint, and what they cost a
//! run. Called by `main`.
//!
//! For a model in a directory it trains with and without checkpoints, in turn, and compares the
//! seconds of training.

use crate::arguments::{Arguments, Others};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const HELP: &str = "\
cargo xtask bench-checkpoints --model DIR --train-file FILE [--steps N] [--every N] [--pairs N] [--program FILE]
  --model DIR        the model, such as target/bench-peer/base, which `bench-peer` makes
  --train-file FILE  rows with texts and labels
  --steps N          steps of each run (100)
  --every N          steps between checkpoints (50)
  --pairs N          runs with and without checkpoints (3)
  --program FILE     program to run (target/release/progtune)
";

const FLAGS: &str = "train --quiet --epochs 1 --batch-size 16 --max-length 128 --validation-split 0.01 --max-eval-samples 16 \
                     --overwrite-output";

/// The arguments.
struct Settings {
    model: PathBuf,
    data: PathBuf,
    program: PathBuf,
    steps: String,
    every: String,
    pairs: usize,
}

/// Runs the task.
///
/// # Errors
/// If an argument is missing, or a run fails.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), String> {
    let Some(arguments) = Arguments::read(HELP, Others::Refused, words)? else {
        return Ok(());
    };
    let needed = |flag| {
        arguments
            .path(flag)
            .ok_or(format!("{flag} is needed\n{HELP}"))
    };
    let text = |flag, default: &str| arguments.value(flag).unwrap_or(default).to_owned();
    let settings = Settings {
        model: needed("--model")?,
        data: needed("--train-file")?,
        program: arguments
            .path("--program")
            .unwrap_or_else(|| root.join("target/release/progtune")),
        steps: text("--steps", "100"),
        every: text("--every", "50"),
        pairs: arguments.number("--pairs", 1)?.unwrap_or(3),
    };
    for method in ["lora", "none"] {
        measure(&settings, method)?;
    }
    Ok(())
}

/// Trains in pairs and prints the medians.
fn measure(settings: &Settings, method: &str) -> Result<(), String> {
    let scratch = tempfile::tempdir().map_err(|error| format!("temporary directory: {error}"))?;
    let output = scratch.path().join("run");
    let (mut ratios, mut secs, mut bytes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..settings.pairs {
        let without = train(settings, method, &output, &["--save-strategy", "no"])?;
        let every = settings.every.as_str();
        let with = train(
            settings,
            method,
            &output,
            &["--save-strategy", "steps", "--save-steps", every],
        )?;
        ratios.push(with / without);
        secs.extend(checkpoint_secs(&output));
        bytes = checkpoint_bytes(&output);
    }
    println!(
        "{method}: a checkpoint takes {:.3} s and {:.1} MB; training with one every {} steps takes {:.3} of the time without \
         ({} pairs)",
        median(&mut secs),
        bytes as f64 / 1e6,
        settings.every,
        median(&mut ratios),
        settings.pairs
    );
    Ok(())
}

/// Trains and returns the seconds of training.
fn train(settings: &Settings, method: &str, output: &Path, flags: &[&str]) -> Result<f64, String> {
    let _ = fs::remove_dir_all(output);
    let run = Command::new(&settings.program)
        .args(FLAGS.split_whitespace())
        .args(["--peft", method, "--max-steps", &settings.steps])
        .arg("--model")
        .arg(&settings.model)
        .arg("--train-file")
        .arg(&settings.data)
        .arg("--output")
        .arg(output)
        .args(flags)
        .output()
        .map_err(|error| format!("{}: {error}", settings.program.display()))?;
    if !run.status.success() {
        return Err(String::from_utf8_lossy(&run.stderr).into_owned());
    }
    let path = output.join("all_results.json");
    let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let results: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    results["train_runtime"]
        .as_f64()
        .ok_or("all_results.json: no train_runtime".into())
}

/// The seconds of each checkpoint, from the log.
fn checkpoint_secs(output: &Path) -> Vec<f64> {
    let log = fs::read_to_string(output.join("log.txt")).unwrap_or_default();
    let lines = log
        .lines()
        .filter(|line| line.contains(": checkpoint step="));
    let secs = lines.filter_map(|line| line.split_once(" secs=")?.1.trim().parse().ok());
    secs.collect()
}

fn checkpoint_bytes(output: &Path) -> u64 {
    let entries = fs::read_dir(output.join("checkpoints"))
        .into_iter()
        .flatten()
        .flatten();
    entries
        .filter_map(|entry| Some(entry.metadata().ok()?.len()))
        .sum()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
