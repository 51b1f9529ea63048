//! `cargo xtask tidy` checks the house rules that a program can check. It reads the files that git
//! tracks, and the new ones that git does not ignore. Called by `main`. CONTRIBUTING.md states the
//! rules in words.

mod comments;
mod function_length;

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::module_cycles;
use crate::rust_text::{blank_comments_and_literals, contains_word};

/// A file longer than this is two files.
const MAX_LINES: usize = 500;
/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "common", "misc", "manager", "base"];
/// The places of `unsafe`: the kernels, the call that sizes their thread pools, the loading of
/// plugins, the ABI, and the plugin that does harm on purpose.
const UNSAFE_PLACES: &[&str] = &[
    "host/kernels/",
    "host/src/main.rs",
    "host/plugin-loader/",
    "plugin-api/",
    "tests/outside-plugins/hostile/",
];
/// Code that is not finished, or not meant to stay.
const LEFT_OVERS: &[&str] = &["todo!", "unimplemented!", "dbg!", "#[ignore"];

/// Checks every rule and lists all violations.
///
/// # Errors
/// The list, or that git or a file cannot be read.
pub(crate) fn run(root: &Path, _further: &[String]) -> Result<(), String> {
    let mut findings = Vec::new();
    let mut n_files = 0;
    for path in list_files(root)? {
        let is_rust = path.ends_with(".rs");
        if !is_rust && !path.ends_with("Cargo.toml") {
            continue;
        }
        // A file may be deleted but still in git's index.
        let Ok(text) = fs::read_to_string(root.join(&path)) else {
            continue;
        };
        n_files += 1;
        if is_rust {
            check_rust(&path, &text, &mut findings);
        } else {
            check_manifest(&path, &text, &mut findings);
        }
    }
    let read = |path: &str| fs::read_to_string(root.join(path)).ok();
    findings.extend(function_length::stale_tables(read));
    findings.extend(module_cycles::all(root)?);
    if n_files == 0 {
        return Err("git lists no file to check: is this a clone of the repository?".into());
    }
    if findings.is_empty() {
        println!("tidy: {n_files} files keep the house rules");
        return Ok(());
    }
    let n = findings.len();
    Err(format!(
        "{n} broken house rules (see CONTRIBUTING.md)\n{}",
        findings.join("\n")
    ))
}

/// Paths from the root, with `/`, in alphabetical order.
fn list_files(root: &Path) -> Result<Vec<String>, String> {
    let output = Command::new("git")
        .current_dir(root)
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .output()
        .map_err(|error| format!("cannot start git: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "git ls-files: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    let list = String::from_utf8_lossy(&output.stdout);
    let mut paths: Vec<String> = list.split_terminator('\0').map(Into::into).collect();
    paths.sort();
    paths.dedup();
    Ok(paths)
}

fn check_rust(path: &str, text: &str, findings: &mut Vec<String>) {
    if !text.starts_with("//!") {
        findings.push(format!(
            "{path}:1: begins with `//!`: what the file is and who calls it"
        ));
    }
    let n_lines = text.lines().count();
    if n_lines > MAX_LINES {
        findings.push(format!(
            "{path}: {n_lines} lines, at most {MAX_LINES}: one concept a file"
        ));
    }
    for name in path.trim_end_matches(".rs").split('/') {
        if EMPTY_NAMES.contains(&name) {
            findings.push(format!(
                "{path}: `{name}` says nothing: name it after what is inside"
            ));
        }
    }
    comments::check(path, text, findings);
    function_length::check(path, text, findings);
    let may_be_unsafe = UNSAFE_PLACES.iter().any(|place| path.starts_with(place));
    for (number, line) in blank_comments_and_literals(text).lines().enumerate() {
        let at = format!("{path}:{}", number + 1);
        if !may_be_unsafe && contains_word(line, "unsafe") {
            findings.push(format!(
                "{at}: `unsafe` only in {}",
                UNSAFE_PLACES.join(", ")
            ));
        }
        for left_over in LEFT_OVERS {
            if contains_word(line, left_over) {
                findings.push(format!("{at}: `{left_over}` is not for the repository"));
            }
        }
    }
}

/// Members of the workspace use its lints, and no build lets files fail unless it is asked to. A
/// manifest with its own `[workspace]` is not a member:
/// the root, and crates that tests build separately.
fn check_manifest(path: &str, text: &str, findings: &mut Vec<String>) {
    let mut table = "";
    let mut takes_lints = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            table = line;
        }
        if table.starts_with("[workspace]") {
            return;
        }
        takes_lints |= table == "[lints]" && line.replace(' ', "") == "workspace=true";
        let is_default = table == "[features]" && line.starts_with("default");
        if (is_default || table.contains("dependencies")) && line.contains("\"faults\"") {
            findings.push(format!(
                "{path}: `{line}` turns on the feature `faults`, which is only for `cargo xtask fault-test`"
            ));
        }
    }
    if !takes_lints {
        findings.push(format!("{path}: has no `[lints]` with `workspace = true`"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings_of(path: &str, text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        if path.ends_with(".rs") {
            check_rust(path, text, &mut findings);
        } else {
            check_manifest(path, text, &mut findings);
        }
        findings
    }

    #[test]
    fn good_files_pass() {
        let text = "//! unsafe todo! dbg!\nconst S: &str = \"unsafe todo!(\"; // dbg!\nfn is_unsafe() {}\n";
        assert_eq!(findings_of("host/src/a.rs", text), Vec::<String>::new());
        assert_eq!(
            findings_of("host/plugin-loader/src/load.rs", "//! x\nunsafe {}\n"),
            Vec::<String>::new()
        );
        assert_eq!(
            findings_of("a/Cargo.toml", "[lints]\nworkspace = true\n"),
            Vec::<String>::new()
        );
        assert_eq!(
            findings_of("Cargo.toml", "[workspace]\nmembers = []\n"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn each_rule_finds() {
        let long = format!("//! x\n{}", "\n".repeat(MAX_LINES));
        for (path, text, expected) in [
            ("a.rs", "fn main() {}\n", "a.rs:1: begins with"),
            ("a.rs", long.as_str(), "501 lines"),
            ("host/src/utils.rs", "//! x\n", "`utils` says nothing"),
            ("host/src/common/a.rs", "//! x\n", "`common` says nothing"),
            (
                "host/src/plugin.rs",
                "//! x\n unsafe {}\n",
                "host/src/plugin.rs:2: `unsafe` only in",
            ),
            ("a.rs", "//! x\n todo!();\n", "a.rs:2: `todo!`"),
            ("a.rs", "//! x\n unimplemented!();\n", "`unimplemented!`"),
            ("a.rs", "//! x\n dbg!(x);\n", "`dbg!`"),
            ("a.rs", "//! x\n#[ignore = \"slow\"]\n", "`#[ignore`"),
            (
                "a/Cargo.toml",
                "[lints]\n[package]\nworkspace = true\n",
                "has no `[lints]`",
            ),
            (
                "a/Cargo.toml",
                "[lints]\nworkspace = true\n[features]\ndefault = [\"faults\"]\nfaults = []\n",
                "turns on the feature `faults`",
            ),
            (
                "a/Cargo.toml",
                "[lints]\nworkspace = true\n[dependencies]\nb = { workspace = true, features = [\"faults\"] }\n",
                "turns on the feature `faults`",
            ),
        ] {
            let findings = findings_of(path, text);
            assert_eq!(findings.len(), 1, "{path} {text:?}: {findings:?}");
            assert!(findings[0].contains(expected), "{findings:?}");
        }
    }
}
