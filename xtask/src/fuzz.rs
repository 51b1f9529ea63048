//! `cargo xtask fuzz`: looks for bytes that break a reader, guided by coverage. Called by `main`.
//!
//! The engine is libFuzzer, because it needs no process per input and no code of ours in the
//! readers. The compiler's coverage pass works with a stable toolchain, so that neither nightly nor
//! cargo-fuzz is needed. Address sanitizers are left out: the readers have no `unsafe` code. The
//! memory of the process is limited by the system instead, which ends it at an allocation that the
//! input does not justify.

use crate::arguments::{Arguments, Others};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

const HELP: &str = "\
cargo xtask fuzz [--seconds N] [TARGET…]

  --seconds N  time for each target [default: 60]
  TARGET       targets of tests/src/hostile_input.rs [default: all]

The first build takes some minutes. Inputs that reach new code are kept in
target/fuzz/corpus, inputs that break a reader in target/fuzz/found. Add the
latter to tests/fuzz/corpus/TARGET as found-NAME when the reader is repaired.
";

/// The flags of cargo-fuzz without a sanitizer.
const FLAGS: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=16",
];

/// The memory of the process, in KiB. An input has at most 64 KiB.
const MEMORY: &str = "4194304";

/// Limits of one input: seconds, and bytes.
const LIMITS: [&str; 3] = ["-timeout=10", "-max_len=65536", "-rss_limit_mb=2048"];

/// The result of one target.
struct Outcome {
    seconds: u64,
    executions: String,
    coverage: String,
    /// The inputs that broke the reader.
    found: Vec<String>,
}

/// Fuzzes the targets one after the other.
///
/// # Errors
/// If an argument is wrong, the build fails, or an input breaks a reader.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), String> {
    let Some(arguments) = Arguments::read(HELP, Others::Words, words)? else {
        return Ok(());
    };
    let seconds = arguments.number("--seconds", 1)?.unwrap_or(60);
    let mut targets = arguments.others().to_vec();
    let corpora = root.join("tests/fuzz/corpus");
    let known = names_in(&corpora)?;
    if let Some(other) = targets.iter().find(|name| !known.contains(name)) {
        let known = known.join(", ");
        return Err(format!("there is no target {other}; there are {known}"));
    }
    if targets.is_empty() {
        targets = known;
    }
    let program = build(root)?;
    println!("| target | seconds | executions | edges covered | findings |\n|---|---|---|---|---|");
    let mut found = Vec::new();
    for target in &targets {
        let outcome = fuzz(root, &program, &corpora, target, seconds)?;
        println!(
            "| {target} | {} | {} | {} | {} |",
            outcome.seconds,
            outcome.executions,
            outcome.coverage,
            outcome.found.len()
        );
        found.extend(outcome.found);
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(format!(
        "inputs that break a reader:\n  {}\nrun one again with PROGTUNE_FUZZ_TARGET=TARGET {} FILE",
        found.join("\n  "),
        program.display()
    ))
}

/// The names in a folder, in order.
fn names_in(folder: &Path) -> Result<Vec<String>, String> {
    let failed = |e| format!("{}: {e}", folder.display());
    let entries = fs::read_dir(folder).map_err(failed)?.flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    Ok(names)
}

/// Builds the fuzzer. The target is named, so that build scripts and macros are not instrumented.
fn build(root: &Path) -> Result<PathBuf, String> {
    let version = output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or("rustc -vV does not name the host")?;
    let target_dir = root.join("target/fuzz");
    let status = Command::new("cargo")
        .args(["build", "--release", "--locked", "--target", host])
        .arg("--manifest-path")
        .arg(root.join("tests/fuzz/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"))
        .status()
        .map_err(|e| format!("cargo build: {e}"))?;
    if !status.success() {
        return Err("the fuzzer does not build".into());
    }
    Ok(target_dir.join(host).join("release/fuzz"))
}

fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|e| e.to_string())?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Fuzzes one target. libFuzzer ends at the first finding.
fn fuzz(
    root: &Path,
    program: &Path,
    corpora: &Path,
    target: &str,
    seconds: u64,
) -> Result<Outcome, String> {
    let work = root.join("target/fuzz/corpus").join(target);
    let found = root.join("target/fuzz/found").join(target);
    for folder in [&work, &found] {
        fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    let before = names_in(&found)?;
    let started = Instant::now();
    let run = Command::new("sh")
        .args(["-c", &format!("ulimit -v {MEMORY}; exec \"$0\" \"$@\"")])
        .arg(program)
        .args([&work, &corpora.join(target)])
        .args(LIMITS)
        .args([
            "-print_final_stats=1".to_owned(),
            format!("-max_total_time={seconds}"),
            format!("-artifact_prefix={}/", found.display()),
        ])
        .env("PROGTUNE_FUZZ_TARGET", target)
        // One thread: an input takes the same time again, and does not wait for other threads.
        .env("RAYON_NUM_THREADS", "1")
        .env("TOKENIZERS_PARALLELISM", "false")
        .output()
        .map_err(|e| format!("{}: {e}", program.display()))?;
    let log = String::from_utf8_lossy(&run.stderr);
    let last = |start: &str| {
        let mut words = log.rsplit_once(start)?.1.split_whitespace();
        words.next().map(str::to_owned)
    };
    let new = names_in(&found)?;
    let new = new.iter().filter(|name| !before.contains(name));
    let new: Vec<String> = new
        .map(|name| found.join(name).display().to_string())
        .collect();
    if !run.status.success() && new.is_empty() {
        return Err(format!("{target}: libFuzzer failed:\n{log}"));
    }
    if !new.is_empty() {
        let log_file = found.join("log.txt");
        fs::write(&log_file, log.as_bytes()).map_err(|e| e.to_string())?;
    }
    Ok(Outcome {
        seconds: started.elapsed().as_secs(),
        executions: last("stat::number_of_executed_units:").unwrap_or_default(),
        coverage: last(" cov: ").unwrap_or_default(),
        found: new
            .into_iter()
            .filter(|name| !name.ends_with("log.txt"))
            .collect(),
    })
}
