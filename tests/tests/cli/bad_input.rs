//! Everything that issue 2 calls bad input, and related cases, through the built binary. Each gives
//! its exit code and a message, never a panic. The message names the file and line or the key, what
//! was expected, what was found and what to do.
//!
//! Each case is a test; its message is in `tests/snapshots/messages.txt`. Damaged checkpoints are
//! in `checkpoints`.

mod adapters;
mod arguments;
mod data;

use progtune_tests::{
    cases,
    command_line::CommandLine,
    fixture,
    scratch::{Scratch, TensorFile, set_key},
    skipped,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Runs a command line in its own directory and asserts that it fails and leaves no part of a
/// result.
#[track_caller]
fn is_refused(code: i32, line: impl FnOnce(&Scratch) -> CommandLine) -> Scratch {
    let scratch = Scratch::new();
    let text = line(&scratch).fail(code);
    assert!(
        text.starts_with("error: "),
        "nothing comes before the message: {text}"
    );
    assert_eq!(text.matches("error: ").count(), 1, "one error: {text}");
    for noise in ["RUST_BACKTRACE", "unwrap", "Os {", "src/", "called `"] {
        assert!(!text.contains(noise), "{noise} in: {text}");
    }
    for name in ["all_results.json", "model.safetensors"] {
        let path = scratch.path("run").join(name);
        assert!(!path.exists(), "{name} is written");
    }
    scratch
}

/// Same as [`is_refused`], before anything is written.
#[track_caller]
fn is_refused_at_once(code: i32, line: impl FnOnce(&Scratch) -> CommandLine) {
    let scratch = is_refused(code, line);
    assert!(!scratch.path("run").exists(), "something is written");
}

fn bert() -> PathBuf {
    fixture("parity/bert")
}

/// Trains on the fixture with further flags.
fn train(flags: &str) -> impl FnOnce(&Scratch) -> CommandLine {
    move |scratch| CommandLine::train("bert", &scratch.path("run")).words(flags)
}

/// Trains on a copy of the fixture that `damage` has changed.
fn train_damaged(name: &str, damage: impl FnOnce(&Path)) -> impl FnOnce(&Scratch) -> CommandLine {
    move |scratch| {
        let model = scratch.copy("bert", name);
        damage(&model);
        CommandLine::train_on(&model, &fixture("parity/data"), &scratch.path("run"))
    }
}

/// Trains into a place below a file, or into the file.
fn train_into(output: &str, flags: &str) -> impl FnOnce(&Scratch) -> CommandLine {
    move |scratch| {
        scratch.write("file", "");
        CommandLine::train("bert", &scratch.path(output)).words(flags)
    }
}

fn not_a_number(model: &Path) {
    let path = model.join("model.safetensors");
    let mut file = TensorFile::read(&path);
    file.set(
        "bert.encoder.layer.2.output.dense.bias",
        &[32],
        &[f32::NAN; 32],
    );
    file.write(&path);
}

cases! { is_refused:
    runs_that_diverge(5, train("--lr 1e20"));
    adapter_runs_that_diverge(5, train("--lr 1e20 --peft adapter"));
    a_checkpoint_with_nan(3, train_damaged("nan", not_a_number));
    a_wrong_model_type(3, train_damaged("t5", |model| {
        set_key(&model.join("config.json"), "model_type", "t5".into());
    }));
    vocabulary_and_embedding_sizes_that_differ(3, train_damaged("narrow", |model| {
        set_key(&model.join("config.json"), "vocab_size", 100.into());
    }));
    a_model_that_is_not_there(3, |s| {
        CommandLine::train_on(&s.path("nowhere"), &fixture("parity/data"), &s.path("run"))
    });
    an_output_below_a_file(2, train_into("file/run", ""));
    an_output_that_is_a_file(2, train_into("file", "--overwrite-output"));
    predictions_below_a_file(2, |s| {
        s.write("file", "");
        CommandLine::new("predict --task mrpc --quiet --split validation")
            .path("--model", bert())
            .path("--data", fixture("parity/data"))
            .path("--output", s.path("file/predictions.jsonl"))
    });
}

/// A path without write permission. Permissions do not hold for root, who skips the test.
#[cfg(unix)]
#[test]
fn a_directory_without_permission_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let locked = scratch.path("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    let line = CommandLine::train("bert", &locked.join("run")).words("--max-steps 1");
    if fs::create_dir(locked.join("root")).is_ok() {
        line.run();
        skipped::note("no directory is locked for root");
        return;
    }
    line.fail(2);
}
