//! What the integration tests share: paths, the built binary, fixtures.

pub mod command_line;
pub mod hub_server;
pub mod model;
pub mod outside;
pub mod outside_plugins;
pub mod peak;
pub mod scratch;

use candle_core::Tensor;
use serde_json::Value;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the repository")
        .to_owned()
}

/// A committed fixture.
pub fn fixture(name: &str) -> PathBuf {
    root().join("tests/fixtures").join(name)
}

/// `target/debug` or `target/release`: where this test's binary, the host and the plugins were built.
pub fn profile_dir() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    test.parent()
        .and_then(Path::parent)
        .expect("target/PROFILE/deps/TEST")
        .to_owned()
}

/// The shared data directory beside the repository, or a loud note that it is absent.
pub fn shared_data() -> Option<PathBuf> {
    shared_directory("data")
}

/// A directory of the shared material beside the repository (`PROGTUNE_SHARED`), or a loud note that it is absent.
pub fn shared_directory(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PROGTUNE_SHARED")
        .map_or_else(|| root().join("../shared"), PathBuf::from)
        .join(name);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!(
        "SKIPPED: {} is absent (set PROGTUNE_SHARED): this test reads it",
        path.display()
    );
    None
}

/// The directory of the real MiniLM, or a loud note that it is absent.
pub fn minilm() -> Option<PathBuf> {
    let path = std::env::var_os("PROGTUNE_MINILM")
        .map_or_else(|| root().join("target/minilm"), PathBuf::from);
    if path.join("model.safetensors").is_file() {
        return Some(path);
    }
    eprintln!(
        "SKIPPED: no MiniLM in {} (run tools/fetch_minilm.sh target/minilm): this test needs the real model",
        path.display()
    );
    None
}

/// The built binary, ready for arguments; knows no plugins but those beside it, no user configuration, no kept tokens,
/// no network and nothing of the hub; what it keeps of plugins is the tests' own.
pub fn progtune() -> Command {
    let name = format!("progtune{}", std::env::consts::EXE_SUFFIX);
    let path = profile_dir().join(name);
    assert!(
        path.is_file(),
        "{} is missing: run `cargo build --workspace` first",
        path.display()
    );
    let mut command = Command::new(path);
    for (key, _) in std::env::vars() {
        let is_ours = key.starts_with("PROGTUNE_");
        let is_of_the_hub = ["HF_", "HUGGING", "TRANSFORMERS_"]
            .iter()
            .any(|prefix| key.starts_with(prefix));
        if is_ours || is_of_the_hub || key.to_lowercase().ends_with("_proxy") {
            command.env_remove(key);
        }
    }
    command.env("HF_HOME", profile_dir().join("no-hub"));
    command.env("HF_HUB_OFFLINE", "1");
    command.env("XDG_DATA_HOME", profile_dir().join("no-user-plugins"));
    command.env("PROGTUNE_CACHE_DIR", profile_dir().join("test-cache"));
    command.env("PROGTUNE_TOKEN_CACHE", "off");
    command
}

/// Runs the binary and asserts that it succeeds.
#[track_caller]
pub fn run(arguments: &[&str]) -> Output {
    let output = progtune()
        .args(arguments)
        .output()
        .expect("the binary starts");
    assert!(
        output.status.success(),
        "progtune {} failed:\n{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Runs the binary, asserts that it fails with `code` and without a panic, and returns what it said.
#[track_caller]
pub fn run_failing(arguments: &[&str], code: i32) -> String {
    let output = progtune()
        .args(arguments)
        .output()
        .expect("the binary starts");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        output.status.code(),
        Some(code),
        "progtune {}: {text}",
        arguments.join(" ")
    );
    assert!(
        !text.contains("panicked"),
        "progtune {}: {text}",
        arguments.join(" ")
    );
    text
}

/// A JSON file.
#[track_caller]
pub fn read_json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The lines of a JSONL file.
#[track_caller]
pub fn read_jsonl(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}")))
        .collect()
}

/// All tensors of a safetensors file.
#[track_caller]
pub fn read_safetensors(path: &Path) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(path, &candle_core::Device::Cpu)
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The largest absolute difference of two tensors of one shape.
#[track_caller]
pub fn max_difference(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    let flat = |t: &Tensor| {
        t.flatten_all()
            .and_then(|t| t.to_vec1::<f32>())
            .expect("f32")
    };
    flat(a)
        .iter()
        .zip(flat(b))
        .map(|(x, y)| (x - y).abs())
        .fold(0.0, f32::max)
}
