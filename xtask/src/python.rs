//! A throw-away Python environment with PyTorch, Transformers and PEFT, for the tasks that compare with them.
//! Used by `bench-peer`, `check-peft` and `check-tokenizers`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The versions the fixtures were made with.
const PACKAGES: &[&str] = &[
    "torch==2.15.0",
    "transformers==5.24.0",
    "peft==0.21.2",
    "scikit-learn",
    "scipy",
];

/// The interpreter named by `XTASK_PYTHON`, or that of `target/python`, which is made on first use (about 5 GB).
///
/// # Errors
/// When python3 is absent or an installation fails.
pub(crate) fn interpreter(root: &Path) -> Result<PathBuf, String> {
    if let Some(python) = std::env::var_os("XTASK_PYTHON") {
        return Ok(python.into());
    }
    let environment = root.join("target").join("python");
    let python = environment.join("bin").join("python");
    if !environment.join("complete").exists() {
        println!(
            "making {} with {}",
            environment.display(),
            PACKAGES.join(" ")
        );
        run(Command::new("python3")
            .arg("-m")
            .arg("venv")
            .arg(&environment))?;
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet"])
            .args(PACKAGES))?;
        std::fs::write(environment.join("complete"), "")
            .map_err(|error| format!("{}: {error}", environment.display()))?;
    }
    Ok(python)
}

/// Runs a command to its end.
///
/// # Errors
/// When it cannot be started or fails; its own output says why.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let status = command
        .status()
        .map_err(|error| format!("{:?} cannot be started: {error}", command.get_program()))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{:?} failed with {status}", command.get_program()))
}

/// What a command prints, without the white space around it; its errors go to the terminal.
///
/// # Errors
/// As [`run`].
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let output = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| format!("{:?} cannot be started: {error}", command.get_program()))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(format!(
            "{:?} failed with {}",
            command.get_program(),
            output.status
        )),
    }
}
