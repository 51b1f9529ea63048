//! Crates that are made by tests and built outside the workspace: by cargo, offline, into the one target directory of
//! [`crate::outside_plugins`], so that what they have in common is built once.

use crate::{outside_plugins, profile_dir};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Where everything outside the workspace is built.
pub fn target_dir() -> PathBuf {
    let target = profile_dir();
    let target = target.parent().expect("target/PROFILE");
    target.join("outside")
}

/// Cargo, offline, on the crate in a directory, into [`target_dir`].
pub fn cargo(command: &str, directory: &Path) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut call = Command::new(cargo);
    call.args([command, "--offline", "--quiet"])
        .current_dir(directory)
        .env("CARGO_TARGET_DIR", target_dir());
    call
}

/// Runs a command and asserts that it succeeds; its standard output.
#[track_caller]
pub fn succeed(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Builds the plugin in a directory of its own name; the library.
#[track_caller]
pub fn build(directory: &Path) -> PathBuf {
    let name = directory.file_name().expect("a directory's name");
    let library = name.to_string_lossy().replace('-', "_");
    outside_plugins::build(&directory.join("Cargo.toml"), &library, &[])
}

/// Copies a directory, files and directories below it, `target` left out.
pub fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap_or_else(|error| panic!("{}: {error}", to.display()));
    let listed = std::fs::read_dir(from).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
    for entry in listed {
        let path = entry.expect("a directory entry").path();
        let target = to.join(path.file_name().expect("its name"));
        match path.is_dir() {
            true if path.ends_with("target") => {}
            true => copy_directory(&path, &target),
            false => {
                std::fs::copy(&path, &target).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            }
        }
    }
}
