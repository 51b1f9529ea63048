//! Shared parts of the integration tests: paths, the built binary, fixtures.

pub mod command_line;
pub mod cuda_on_cpu;
pub mod hostile_input;
pub mod hub_server;
pub mod messages;
pub mod model;
pub mod outside;
pub mod outside_plugins;
pub mod peak;
pub mod scratch;
pub mod skipped;

pub use skipped::{minilm, shared_data, shared_directory};

use candle_core::Tensor;
use serde_json::Value;
use std::{
    collections::HashMap,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
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

/// The directory `target/debug` or `target/release` that holds this test's binary, the host and the
/// plugins.
pub fn profile_dir() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    test.parent()
        .and_then(Path::parent)
        .expect("target/PROFILE/deps/TEST")
        .to_owned()
}

/// The built binary, ready for arguments. It knows no plugins but those beside it, no user
/// configuration, no stored tokens, no network and nothing about the hub. Its plugin cache belongs
/// to the tests.
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

/// Sets the variables that another command sets, and removes those that it removes.
pub fn same_environment<'a>(command: &'a mut Command, other: &Command) -> &'a mut Command {
    for (key, value) in other.get_envs() {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
    command
}

/// A shell that runs a script with a command as its arguments, `"$@"`, in that command's
/// environment.
pub fn in_shell(script: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", script, "sh"])
        .arg(command.get_program())
        .args(command.get_args());
    same_environment(&mut shell, command);
    shell
}

/// Runs a command with this text as its standard input.
pub fn feed(command: &mut Command, input: &str) -> Output {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let started = piped.stderr(Stdio::piped()).spawn();
    let mut child = started.expect("the command starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    let written = stdin.write_all(input.as_bytes());
    written.expect("the command reads its input");
    drop(stdin);
    child.wait_with_output().expect("it can be waited for")
}

/// Like [`feed`]; asserts that the command succeeds, and returns its standard output.
#[track_caller]
pub fn feed_to_success(command: &mut Command, input: &str) -> String {
    let output = feed(command, input);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).expect("output is UTF-8")
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

/// Runs the binary and returns its message. Asserts that it fails with `code`, without a panic and
/// with the recorded message ([`messages`]).
#[track_caller]
pub fn run_failing(arguments: &[&str], code: i32) -> String {
    fails(progtune().args(arguments), code)
}

/// Same as [`run_failing`], for a command with its own environment.
#[track_caller]
pub fn fails(command: &mut Command, code: i32) -> String {
    let output = command.output().expect("the binary starts");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{command:?}: {text}");
    assert!(!text.contains("panicked"), "{command:?}: {text}");
    messages::check_command(command, code, &text);
    text
}

/// One test per case: the name of the test, and the arguments for the function that judges it. A
/// failure hides no later case.
#[macro_export]
macro_rules! cases {
    ($judge:ident: $($name:ident($($argument:expr),+ $(,)?);)+) => {
        $(
            #[test]
            fn $name() {
                $judge($($argument),+);
            }
        )+
    };
}

/// Reads a JSON file.
#[track_caller]
pub fn read_json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Reads the lines of a JSONL file.
#[track_caller]
pub fn read_jsonl(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}")))
        .collect()
}

/// Reads all tensors of a safetensors file.
#[track_caller]
pub fn read_safetensors(path: &Path) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(path, &candle_core::Device::Cpu)
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The largest absolute difference between two tensors of the same shape.
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
