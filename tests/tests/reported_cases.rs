//! Every fault that was reported as a small case: a directory with inputs and a `run.sh` that exits 0 when the binary named by
//! `PROGTUNE` does the right thing. One test per directory of `PROGTUNE_SHARED/cases`, so a failing case names itself.
//!
//! Each case also stands for a kind that the other tests cover from fixtures of our own; this one proves the reports themselves.

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

/// A trial for each directory that has a `run.sh`.
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
    // Nothing of the person who runs the tests; the cases set what they need.
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
