//! `cargo xtask soak`: 2,000 steps with changing stages, evaluations and checkpoints, while the
//! resident memory and the open files of the process are watched. Called by `main`.
//!
//! It fails if memory grows after the second epoch, or if more files stay open in the last epochs
//! than in the second. Linux only, because it reads `/proc`.

use crate::arguments::{Arguments, Others};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

const HELP: &str = "\
cargo xtask soak [--program FILE] [FLAG OF PROGTUNE]…
  --program FILE  program to run (target/release/progtune)
Everything else is passed on to `progtune train`.
";

/// 40 epochs of 50 steps. The schedule decides every 10 steps.
const FLAGS: &str = "train --epochs 40 --batch-size 8 --max-train-samples 400 --max-eval-samples 64 --schedule lisa \
                     --schedule-opt interval_steps=10 --peft lora --save-steps 20 --save-total-limit 2 --eval-steps 25 \
                     --load-best-model-at-end --token-cache off --progress none";

/// The steps in an epoch, and in the run.
const STEPS: (u64, u64) = (50, 2000);

/// The pause between two looks.
const TICK: Duration = Duration::from_millis(20);

/// The growth of memory that is not one: pages that the allocator keeps for itself.
const SLACK: f64 = 1.05;

/// A look at the process.
#[derive(Debug, Clone, Copy)]
struct Look {
    step: u64,
    resident_kib: u64,
    files: usize,
}

/// Runs the task.
///
/// # Errors
/// If the run fails, or memory or open files grow.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), String> {
    let Some(arguments) = Arguments::read(HELP, Others::Anything, words)? else {
        return Ok(());
    };
    let program = arguments
        .path("--program")
        .unwrap_or_else(|| root.join("target/release/progtune"));
    let scratch = tempfile::tempdir().map_err(|error| format!("temporary directory: {error}"))?;
    let output = scratch.path().join("run");
    let mut child = Command::new(&program)
        .args(FLAGS.split_whitespace())
        .args(arguments.others())
        .arg("--output")
        .arg(&output)
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let mut looks = Vec::new();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            break status;
        }
        looks.extend(look(child.id(), &output));
        sleep(TICK);
    };
    if !status.success() {
        return Err(format!("{}: {status}", program.display()));
    }
    judge(&looks)
}

/// A look at a running process; `None` while it starts or ends.
fn look(process: u32, output: &Path) -> Option<Look> {
    let metrics = fs::read_to_string(output.join("metrics.jsonl")).ok()?;
    let step = metrics
        .lines()
        .filter(|line| line.contains("\"grad_norm\""))
        .count() as u64;
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let resident_kib = resident.trim().trim_end_matches(" kB").parse().ok()?;
    let files = fs::read_dir(format!("/proc/{process}/fd")).ok()?.count();
    Some(Look {
        step,
        resident_kib,
        files,
    })
}

/// Compares the second epoch with the later ones, and prints both.
fn judge(looks: &[Look]) -> Result<(), String> {
    let (epoch, last) = STEPS;
    let between = |from: u64, to: u64| {
        let looks = looks
            .iter()
            .filter(move |look| (from..to).contains(&look.step));
        looks.copied().collect::<Vec<Look>>()
    };
    let early = between(epoch, 2 * epoch);
    let late = between(last - 5 * epoch, last);
    let memory = |looks: &[Look]| {
        looks
            .iter()
            .map(|look| look.resident_kib)
            .max()
            .unwrap_or(0)
    };
    // A file that is being written is open for a moment, so only the fewest tell of a leak.
    let files = |looks: &[Look]| looks.iter().map(|look| look.files).min().unwrap_or(0);
    let highest = memory(&between(2 * epoch, last));
    println!(
        "resident memory: {} KiB at most in epoch 2, {} KiB in the last five epochs, {highest} KiB in between",
        memory(&early),
        memory(&late)
    );
    println!(
        "open files: {} at least in epoch 2, {} in the last five epochs; {} looks",
        files(&early),
        files(&late),
        looks.len()
    );
    if early.is_empty() || late.is_empty() {
        return Err("the run was too short to be watched".into());
    }
    if memory(&late) as f64 > memory(&early) as f64 * SLACK {
        return Err("resident memory grew".into());
    }
    if files(&late) > files(&early) {
        return Err("the number of open files grew".into());
    }
    Ok(())
}
