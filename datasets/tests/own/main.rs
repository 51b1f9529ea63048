//! Tests of the user's own files through the public interface, on small made-up files in temporary
//! directories. They cover formats, the choice of columns, labels, and the message of every error.
//! `tests/tests/data/real_data.rs` covers the real files.

mod bad_input;
mod bad_tags;
mod columns;
mod drawn_tags;
mod files;
mod formats;
mod labels;
mod public_shapes;
mod sets;
mod tables;
mod tags;

use std::path::Path;

use progtune_datasets::{Example, Label, OwnData, OwnRequest, Reading, SplitName};
use tempfile::TempDir;

/// A case: damage, file, contents, parts of the message, and the valid rows or sentences. The last
/// is `None` if the file cannot be read further.
type Case<'a> = (
    &'a str,
    &'a str,
    Vec<u8>,
    &'a [&'a str],
    Option<&'a [&'a str]>,
);

/// A new directory with these files.
fn dir_with(files: &[(&str, &[u8])]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, contents) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, contents).unwrap();
    }
    dir
}

/// A request for training files.
fn train_on(dir: &Path, names: &[&str], reading: Reading) -> OwnRequest {
    OwnRequest {
        train: names
            .iter()
            .map(|name| dir.join(name).display().to_string())
            .collect(),
        reading,
        ..OwnRequest::default()
    }
}

/// Reads a training file as `reading` says. In an error's message, the directory's path is removed.
fn read(name: &str, contents: &[u8], reading: Reading) -> Result<OwnData, String> {
    let dir = dir_with(&[(name, contents)]);
    load(dir.path(), &train_on(dir.path(), &[name], reading))
}

fn load(dir: &Path, request: &OwnRequest) -> Result<OwnData, String> {
    OwnData::load(request, None).map_err(|error| {
        error
            .to_string()
            .replace(&format!("{}/", dir.display()), "")
    })
}

#[track_caller]
fn good(name: &str, contents: &[u8]) -> OwnData {
    read(name, contents, Reading::default()).unwrap_or_else(|message| panic!("{message}"))
}

#[track_caller]
fn bad(name: &str, contents: &[u8], parts: &[&str]) {
    let message = read(name, contents, Reading::default()).unwrap_err();
    assert_has(&message, parts);
}

#[track_caller]
fn assert_has(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(
            message.contains(part),
            "expected `{part}` in: {message:.1000}"
        );
    }
    assert!(!message.contains(|c: char| c.is_control()), "{message:?}");
}

fn example(text: &str, pair: Option<&str>, class: u32) -> Example {
    Example {
        text: text.to_owned(),
        pair: pair.map(str::to_owned),
        label: Some(Label::Class(class)),
    }
}

fn texts(examples: &[Example]) -> Vec<&str> {
    examples
        .iter()
        .map(|example| example.text.as_str())
        .collect()
}

#[test]
fn a_task_is_made_of_the_files() {
    let data = good("a.csv", b"id,text,label\n1,good,pos\n2,bad,neg\n");
    assert_eq!(
        data.train,
        [example("good", None, 1), example("bad", None, 0)]
    );
    assert_eq!(data.task.name, "own");
    assert_eq!(data.task.labels, ["neg", "pos"]);
    assert_eq!(data.task.eval_splits, [SplitName::Validation]);
    assert_eq!(data.guessed, ["text", "label"]);
    assert_eq!(data.skipped.n_rows, 0);
}
