//! `cargo xtask fault-test`: a training run in which every operation of the file system fails in
//! turn, writes only half of its bytes, or comes after a kill; then real full and read-only disks.
//! Called by `main`, by developers and, with `--bounded`, by `.ci/run`.
//!
//! The program is built with the feature `faults`, through whose `PROGTUNE_FAULT` one operation is
//! chosen (`host/process/src/files/medium/faults.rs`). After each failure, the run's directory must
//! hold a whole earlier state or a whole later one, and the same run must work there.

mod check;
mod disks;
mod job;

use self::job::{Job, Start};
use crate::arguments::{Arguments, Others};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

const HELP: &str = "\
cargo xtask fault-test [--bounded] [--only-disks] [--program FILE]
  --bounded       one kind of failure per operation, without full disks: less than a minute
  --only-disks    only full and read-only disks; this process must be allowed to mount them
  --program FILE  a progtune that was built with `--features faults` [default: build it]
";

/// The kinds of failure; `N` is the number of the operation.
const KINDS: [&str; 5] = ["fail:N", "fail:N:EIO", "short:N", "full:N", "kill:N"];

/// Runs the task.
///
/// # Errors
/// If the program cannot be built or run, or a failure has bad consequences, which are all listed.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), String> {
    let Some(arguments) = Arguments::read(HELP, Others::Refused, words)? else {
        return Ok(());
    };
    let is_bounded = arguments.has("--bounded");
    let program = arguments.path("--program");
    let program = program.map_or_else(|| build(root), Ok)?;
    let program = std::path::absolute(&program).map_err(|error| error.to_string())?;
    let job = Job::new(root, &program)?;
    let mut findings = Vec::new();
    if arguments.has("--only-disks") {
        disks::check(&job, &mut findings)?;
        return told(findings);
    }
    let starts: &[Start] = if is_bounded {
        &[Start::Empty]
    } else {
        &[Start::Empty, Start::Unfinished, Start::Finished]
    };
    for &start in starts {
        check_start(&job, start, is_bounded, &mut findings)?;
    }
    if !is_bounded {
        disks::check_in_namespace(&program, &mut findings)?;
    }
    told(findings)
}

fn told(findings: Vec<String>) -> Result<(), String> {
    if findings.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{} findings\n{}",
        findings.len(),
        findings.join("\n")
    ))
}

/// Builds the program and its plugins with the feature.
fn build(root: &Path) -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(root)
        .args(["build", "--workspace", "--features", "progtune/faults"])
        .status();
    if !status.is_ok_and(|status| status.success()) {
        return Err("cargo build --workspace --features progtune/faults failed".into());
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into);
    Ok(target.join("debug/progtune"))
}

/// Lets every operation of the job fail, in each way.
fn check_start(
    job: &Job,
    start: Start,
    is_bounded: bool,
    findings: &mut Vec<String>,
) -> Result<(), String> {
    let started = Instant::now();
    let operations = job.count(start)?;
    let n = operations.len();
    println!("fault-test: {start:?}: {n} operations");
    let mut runs = 0;
    for at in 1..=n {
        for (number, kind) in KINDS.iter().enumerate() {
            if is_bounded && number != at % KINDS.len() {
                continue;
            }
            let plan = kind.replace('N', &at.to_string());
            let found = check_plan(job, start, &plan)?;
            let operation = &operations[at - 1];
            findings.extend(found.into_iter().map(|found| {
                let finding = format!("{start:?}, {plan} ({operation}): {found}");
                println!("{finding}");
                finding
            }));
            runs += 1;
        }
    }
    let secs = started.elapsed().as_secs();
    println!("fault-test: {start:?}: {runs} failures in {secs} s");
    Ok(())
}

/// Runs the job with a failure, checks what is left, and runs it again without one.
fn check_plan(job: &Job, start: Start, plan: &str) -> Result<Vec<String>, String> {
    job.prepare(start)?;
    let outcome = job.train(Some(plan), start != Start::Empty)?;
    let mut found = check::outcome(&outcome, plan);
    found.extend(check::state(job, start, &outcome));
    after_fault(job, &mut found);
    let again = job.train(None, true)?;
    found.extend(check::again(job, &again));
    Ok(found)
}

/// Checks what a failed run leaves to those who go on from it: whole records, and a last good
/// checkpoint, after which the run continues.
fn after_fault(job: &Job, found: &mut Vec<String>) {
    found.extend(check::records(&job.output()));
    match job.resume_copy() {
        Ok(Some((outcome, output))) => found.extend(check::resumed(job, &outcome, &output)),
        Ok(None) => {}
        Err(error) => found.push(error),
    }
}
