//! Tests of the readers through the public interface, on small made-up files in temporary
//! directories. They cover every quirk of the layouts and the message of every error.
//! `tests/tests/data/real_data.rs` covers the real files.

mod finding;
mod jsonl;
mod messages;
mod parquet_files;
mod tsv;

use std::path::Path;

use progtune_datasets::{Example, Label, SplitName, Task, load_split};
use tempfile::TempDir;

/// A new directory with these files; a slash in a name creates a folder.
fn dir_with(files: &[(&str, &[u8])]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, contents) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, contents).unwrap();
    }
    dir
}

fn task(name: &str) -> &'static Task {
    Task::by_name(name).unwrap()
}

fn rows(name: &str, dir: &Path, split: SplitName) -> Vec<Example> {
    let split = load_split(task(name), dir, split, None);
    split.unwrap_or_else(|error| panic!("{error}")).examples
}

/// The message of the error with which loading must end, without the directory's own path.
fn message(name: &str, dir: &Path, split: SplitName) -> String {
    let error = load_split(task(name), dir, split, None)
        .unwrap_err()
        .to_string();
    error
        .replace(&format!("{}/", dir.display()), "")
        .replace(&dir.display().to_string(), "DIR")
}

/// The rows of a train file of `extension` with these contents.
fn train(name: &str, extension: &str, contents: &[u8]) -> Vec<Example> {
    let dir = dir_with(&[(&format!("train.{extension}"), contents)]);
    rows(name, dir.path(), SplitName::Train)
}

fn train_message(name: &str, extension: &str, contents: &[u8]) -> String {
    let dir = dir_with(&[(&format!("train.{extension}"), contents)]);
    message(name, dir.path(), SplitName::Train)
}

fn single(text: &str, id: u32) -> Example {
    Example {
        text: text.to_owned(),
        pair: None,
        label: Some(Label::Class(id)),
    }
}

fn pair(text: &str, second: &str, label: Option<Label>) -> Example {
    Example {
        text: text.to_owned(),
        pair: Some(second.to_owned()),
        label,
    }
}

fn class(id: u32) -> Option<Label> {
    Some(Label::Class(id))
}

#[track_caller]
fn assert_has(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(
            message.contains(part),
            "expected `{part}` in: {:.1000}",
            message
        );
    }
}
