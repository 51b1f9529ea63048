//! Every fault that was reported as a small case: a directory with inputs and a `run.sh`. The
//! script exits with 0 if the binary named by `PROGTUNE` does the right thing. There is one test
//! per directory in `PROGTUNE_SHARED/cases`, so a failing case is named.
//!
//! Each case also represents a kind that the other tests cover with our own fixtures; this one
//! tests the reports themselves.

use libtest_mimic::{Arguments, Failed, Trial};
use progtune_tests::{progtune, shared_directory};
use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = match shared_directory("cases") {
        Some(directory) => trials(&directory),
        None => vec![],
    };
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// One test for each directory that has a `run.sh`.
fn trials(directory: &Path) -> Vec<Trial> {
    let entries = std::fs::read_dir(directory).expect("the directory of cases can be listed");
    let mut cases: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a directory entry").path())
        .filter(|path| path.join("run.sh").is_file())
        .collect();
    cases.sort();
    assert!(!cases.is_empty(), "no case in {}", directory.display());
    let trial = |case: PathBuf| {
        let name = case
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Trial::test(name, move || run(&case))
    };
    cases.into_iter().map(trial).collect()
}

fn run(case: &Path) -> Result<(), Failed> {
    let binary = progtune();
    let mut command = Command::new(case.join("run.sh"));
    // Nothing from the tester's own environment; the cases set the variables that they need.
    for (name, value) in binary.get_envs() {
        if value.is_none() {
            command.env_remove(name);
        }
    }
    let output = command.env("PROGTUNE", binary.get_program()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Err(format!(
        "{}: {}\n{}{}",
        case.display(),
        output.status,
        said(&output.stdout),
        said(&output.stderr)
    )
    .into())
}
