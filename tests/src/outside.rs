//! Crates that tests create and build outside the workspace. Cargo builds them offline into the one
//! target directory of [`crate::outside_plugins`], so that their shared dependencies are built
//! once.

use crate::{outside_plugins, profile_dir};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The target directory for everything outside the workspace.
pub fn target_dir() -> PathBuf {
    let target = profile_dir();
    let target = target.parent().expect("target/PROFILE");
    target.join("outside")
}

/// Cargo, offline, for the crate in a directory, with [`target_dir`].
pub fn cargo(command: &str, directory: &Path) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut call = Command::new(cargo);
    call.args([command, "--offline", "--quiet"])
        .current_dir(directory)
        .env("CARGO_TARGET_DIR", target_dir());
    call
}

/// Runs a command, asserts that it succeeds, and returns its standard output.
#[track_caller]
pub fn succeed(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Builds the plugin in a directory of the same name and returns the library's path.
#[track_caller]
pub fn build(directory: &Path) -> PathBuf {
    let name = directory.file_name().expect("a directory's name");
    let library = name.to_string_lossy().replace('-', "_");
    outside_plugins::build(&directory.join("Cargo.toml"), &library, &[])
}

/// Copies a directory with its files and subdirectories, except `target`.
pub fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap_or_else(|error| panic!("{}: {error}", to.display()));
    let listed = std::fs::read_dir(from).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
    for entry in listed {
        let path = entry.expect("a directory entry").path();
        let target = to.join(path.file_name().expect("its name"));
        if !path.is_dir() {
            std::fs::copy(&path, &target).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        } else if !path.ends_with("target") {
            copy_directory(&path, &target);
        }
    }
}
