//! `cargo xtask check-gpu`: parity, sanitizer and speed of the program that `build-cuda` made, on a
//! machine with an NVIDIA GPU. Called by `main`.
//!
//! The runs of parity are those of `check-fake-gpu`, here on the real libraries and with every
//! schedule. The record is written even if the first line fails. Nothing is measured when parity
//! fails, because the speed of wrong numbers says nothing.

use crate::{
    arguments::{Arguments, Others},
    check_fake_gpu::{
        jobs,
        place::{Place, losses_of, said},
        whole,
    },
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const HELP: &str = "\
cargo xtask check-gpu [--program FILE] [--minilm DIR] [--base DIR] [--data DIR] [--quick] [--record FILE]
  --program FILE  the program that build-cuda made (target/cuda/release/progtune)
  --minilm DIR    the real MiniLM; without it no speed is measured
  --base DIR      a model of BERT-base's shape; without it MiniLM only
  --data DIR      GLUE's SST-2, for the speed
  --quick         every method with two schedules, not with all
  --record FILE   write the record to this file (xtask/check_gpu/records/DATE.md)
";

/// The steps of a measurement, of which the first are not counted.
const STEPS: u32 = 60;
const WARM_UP: usize = 10;

/// Runs the task.
///
/// # Errors
/// If there is no GPU, or a number is not the CPU's.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), String> {
    let Some(arguments) = Arguments::read(HELP, Others::Refused, words)? else {
        return Ok(());
    };
    let mut record = Record::new(root, arguments.path("--record"));
    let place = Place::new(root, arguments.path("--program"), None)?;
    let done = check(&place, &arguments, &mut record);
    if let Err(fault) = &done {
        record.add(&format!("**failed**: {fault}"))?;
    }
    done
}

fn check(place: &Place, arguments: &Arguments, record: &mut Record) -> Result<(), String> {
    record.add(&card()?)?;
    for job in jobs::all(!arguments.has("--quick")) {
        let seen = job.compare(place)?;
        record.add(&format!("{}: {seen}", job.name))?;
    }
    whole::same_bits_twice(place)?;
    record.add("the same run twice: the same bits")?;
    whole::resumes_on_the_other(place)?;
    record.add(
        "checkpoints: a run continues on the other device, from the GPU to the CPU and back",
    )?;
    whole::names_the_step_that_diverges(place)?;
    record.add("a run that diverges: the step and the examples of the CPU")?;
    record.add(&sanitized(place)?)?;
    let Some(minilm) = arguments.path("--minilm") else {
        return record.add("speed: not measured, because no --minilm was given");
    };
    let data = arguments
        .path("--data")
        .ok_or("--data: expected with --minilm")?;
    let models = [
        Some(("MiniLM", minilm)),
        arguments
            .path("--base")
            .map(|base| ("BERT-base shape", base)),
    ];
    for (name, model) in models.into_iter().flatten() {
        for (method, batch) in [("none", 32), ("none", 256), ("lora", 32), ("lora", 256)] {
            for precision in ["tf32", "bf16"] {
                let speed = speed(place, &model, &data, (method, batch, precision))?;
                record.add(&format!(
                    "{name}, {method}, batch {batch}, {precision}: {speed}"
                ))?;
            }
        }
    }
    Ok(())
}

/// The GPU and its driver.
fn card() -> Result<String, String> {
    let query = [
        "--query-gpu=name,driver_version,memory.total",
        "--format=csv,noheader",
    ];
    let output = Command::new("nvidia-smi").args(query).output();
    let output =
        output.map_err(|error| format!("nvidia-smi: {error}; this task needs an NVIDIA GPU"))?;
    if !output.status.success() {
        return Err(format!("nvidia-smi: {}", said(&output)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Trains under compute-sanitizer, if it is there.
fn sanitized(place: &Place) -> Result<String, String> {
    let mut command = Command::new("compute-sanitizer");
    command
        .args(["--tool", "memcheck", "--error-exitcode", "99"])
        .arg(&place.program)
        .args("train --train-file rows.jsonl --validation-split 0.2 --epochs 1 --peft lora --device cuda".split(' '))
        .args(["--progress", "none", "--overwrite-output", "--output", "sanitized", "--model"])
        .arg(place.model.join("bert"))
        .current_dir(place.scratch.path());
    match command.output() {
        Err(_) => Ok("compute-sanitizer: not installed, not run".into()),
        Ok(output) if output.status.success() => {
            Ok("compute-sanitizer (memcheck): no error".into())
        }
        Ok(output) => Err(format!(
            "compute-sanitizer: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stdout)
        )),
    }
}

/// Tokens a second, and milliseconds a step, after the warm-up.
fn speed(
    place: &Place,
    model: &Path,
    data: &Path,
    (method, batch, precision): (&str, u32, &str),
) -> Result<String, String> {
    let mut command = Command::new(&place.program);
    command
        .args([
            "train",
            "--task",
            "sst2",
            "--schedule",
            "full",
            "--device",
            "cuda",
        ])
        .args([
            "--precision",
            precision,
            "--peft",
            method,
            "--progress",
            "none",
        ])
        .args([
            "--batch-size",
            &batch.to_string(),
            "--max-steps",
            &STEPS.to_string(),
        ])
        .args([
            "--max-eval-samples",
            "1",
            "--overwrite-output",
            "--output",
            "speed",
        ])
        .arg("--data")
        .arg(data)
        .arg("--model")
        .arg(model);
    let output = place.run(&mut command)?;
    if !output.status.success() {
        return Err(said(&output));
    }
    let run = place.scratch.path().join("speed");
    let path = run.join("metrics.jsonl");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let steps = lines.filter_map(|line| Some((line["tokens"].as_f64()?, line["secs"].as_f64()?)));
    let steps: Vec<(f64, f64)> = steps.skip(WARM_UP).collect();
    let (tokens, secs) = steps
        .iter()
        .fold((0.0, 0.0), |(t, s), step| (t + step.0, s + step.1));
    if losses_of(&run)?.iter().any(|loss| !loss.is_finite()) {
        return Err(format!(
            "{method}, batch {batch}, {precision}: a loss is not finite"
        ));
    }
    Ok(format!(
        "{:.0} tokens/s, {:.2} ms a step",
        tokens / secs,
        1e3 * secs / steps.len().max(1) as f64
    ))
}

/// Lines that are printed and written at once, so that a run that is cut leaves what it saw.
struct Record {
    file: Option<PathBuf>,
    text: String,
}

impl Record {
    fn new(root: &Path, file: Option<PathBuf>) -> Self {
        let commit = Command::new("git")
            .arg("-C")
            .arg(root)
            .args(["describe", "--always", "--dirty"])
            .output();
        let commit = commit.map_or_else(
            |_| "unknown".into(),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        );
        Self {
            file,
            text: format!("# A GPU\n\n`cargo xtask check-gpu` on commit {commit}.\n\n"),
        }
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        println!("{line}");
        self.text += &format!("- {line}\n");
        let Some(file) = &self.file else {
            return Ok(());
        };
        fs::write(file, &self.text).map_err(|error| format!("{}: {error}", file.display()))
    }
}
