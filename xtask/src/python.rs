//! A separate Python environment with PyTorch, Transformers and PEFT, for the tasks that compare
//! with them. Used by `bench-peer`, `check-peft` and `check-tokenizers`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The versions with which the fixtures were made.
const PACKAGES: &[&str] = &[
    "torch==2.15.0",
    // The last one that PEFT 0.21.2 prefix-tunes: 5.24 calls `past_key_values` something else.
    "transformers==5.23.0",
    "peft==0.21.2",
    "scikit-learn",
    "scipy",
];

/// The interpreter named by `XTASK_PYTHON`, or that of `target/python`, which is made on first use
/// (about 5 GB).
///
/// # Errors
/// If python3 is missing or an installation fails.
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
/// If it cannot be started or fails; its own output gives the reason.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let status = command
        .status()
        .map_err(|error| format!("{:?} cannot be started: {error}", command.get_program()))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{:?} failed with {status}", command.get_program()))
}

/// The output of a command, without surrounding whitespace; its errors go to the terminal.
///
/// # Errors
/// As for [`run`].
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let output = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| format!("{:?} cannot be started: {error}", command.get_program()))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(format!(
            "{:?} failed with {}",
            command.get_program(),
            output.status
        ))
    }
}
