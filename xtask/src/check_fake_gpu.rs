//! `cargo xtask check-fake-gpu`: runs the program that `build-cuda` made on a GPU that is the CPU
//! (`host/kernels/cuda-on-cpu/examples/fake_cuda`), and compares whole training runs with those on
//! the CPU. Called by `main` and by `.ci/run`.
//!
//! The real program makes the real calls: device memory, copies, launches by name, cuBLASLt. Only
//! the libraries below them are others. The kernels' numbers are those of their host form, which
//! `cargo test -p progtune-kernels` compares with the CPU's; nothing here says how a GPU behaves.

mod counts;
pub(crate) mod jobs;
pub(crate) mod place;
pub(crate) mod whole;

use crate::arguments::{Arguments, Others};
use jobs::Job;
use place::Place;
use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

const HELP: &str = "\
cargo xtask check-fake-gpu [--program FILE] [--beside FILE] [--only NAME] [--all] [--record FILE]
  --program FILE  the program that build-cuda made (target/cuda/release/progtune)
  --beside FILE   a program without CUDA, whose bits on the CPU are expected (target/debug/progtune)
  --only NAME     run only the jobs whose names contain NAME; `checks` for what is no job
  --all           every method with every schedule, not with two
  --record FILE   write what was seen to this file
";

/// The names under which the program looks for CUDA's libraries.
const NAMES: [&str; 4] = [
    "libcuda.so.1",
    "libcublas.so.13",
    "libcublasLt.so.13",
    "libcurand.so.10",
];

/// Runs the task.
///
/// # Errors
/// If a run fails, or its numbers are not those of the CPU.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), String> {
    let Some(arguments) = Arguments::read(HELP, Others::Refused, words)? else {
        return Ok(());
    };
    let libraries = libraries(root)?;
    let place = Place::new(root, arguments.path("--program"), Some(libraries))?;
    let beside = arguments
        .path("--beside")
        .unwrap_or_else(|| root.join("target/debug/progtune"));
    let only = arguments.value("--only").unwrap_or_default();
    let jobs = jobs::all(arguments.has("--all"));
    let jobs: Vec<Job> = jobs
        .into_iter()
        .filter(|job| job.name.contains(only))
        .collect();
    let mut lines = Vec::new();
    for job in &jobs {
        let line = format!("{}: {}", job.name, job.compare(&place)?);
        println!("{line}");
        lines.push(line);
    }
    let mut report = format!(
        "# A program for CUDA on a GPU that is the CPU\n\n`cargo xtask check-fake-gpu{}`: {} runs, each beside the same one on \
         the CPU. This proves the program's calls and numbers, and nothing about a GPU.\n\n",
        if arguments.has("--all") { " --all" } else { "" },
        lines.len()
    );
    for line in &lines {
        report += &format!("- {line}\n");
    }
    if only.is_empty() || only == "checks" {
        for line in checks(&place, &beside)? {
            println!("{line}");
            report += &format!("- {line}\n");
        }
        let table = counts::table(&place)?;
        print!("{table}");
        report += &format!("\n{table}");
    }
    if let Some(record) = arguments.path("--record") {
        fs::write(&record, report).map_err(|error| format!("{}: {error}", record.display()))?;
    }
    Ok(())
}

/// Everything besides losses. Returns what was seen.
fn checks(place: &Place, beside: &Path) -> Result<[String; 7], String> {
    whole::same_bits_twice(place)?;
    whole::same_bits_on_the_cpu(place, beside)?;
    whole::resumes_on_the_other(place)?;
    whole::names_the_step_that_diverges(place)?;
    let memory = whole::forecasts_memory(place)?;
    whole::out_of_memory(place)?;
    whole::names_absent_libraries(place)?;
    Ok([
        "the same run twice: the same bits".into(),
        "--device cpu: the bits of a program without CUDA".into(),
        "checkpoints: a run continues on the other device, from the GPU to the CPU and back".into(),
        "a run that diverges: the step and the examples of the CPU".into(),
        memory,
        "a GPU with too little memory: one message with the forecast".into(),
        "each of CUDA's libraries that is absent: one message that names it".into(),
    ])
}

/// The directory with the fake libraries, built anew.
fn libraries(root: &Path) -> Result<PathBuf, String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(root)
        .args(["build", "--locked", "--release"])
        .args([
            "--package",
            "progtune-cuda-on-cpu",
            "--example",
            "fake_cuda",
        ])
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if !status.success() {
        return Err(format!("the fake libraries do not build: {status}"));
    }
    let built = root.join("target/release/examples/libfake_cuda.so");
    let directory = root.join("target/fake-cuda");
    let failed = |error: std::io::Error| format!("{}: {error}", directory.display());
    fs::create_dir_all(&directory).map_err(failed)?;
    for name in NAMES {
        let link = directory.join(name);
        let _ = fs::remove_file(&link);
        symlink(&built, &link).map_err(failed)?;
    }
    Ok(directory)
}
