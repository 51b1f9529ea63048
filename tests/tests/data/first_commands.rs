//! The first command that a newcomer types on files in the shapes of well-known data sets, with
//! invented texts: it trains, or its message says what to type next, and that trains.
//! `datasets/tests/own/public_shapes.rs` covers the shapes in detail.

use progtune_tests::{command_line::CommandLine, fixture, read_json, scratch::Scratch};
use serde_json::{Value, json};
use std::path::Path;

fn train(run: &Path) -> CommandLine {
    CommandLine::new("train --quiet --overwrite-output --max-steps 1 --max-length 32")
        .path("--model", fixture("parity/bert"))
        .path("--output", run)
}

/// Trains with these flags on a file, and predicts for it with the columns that the run has
/// learned.
fn trains(file: &Path, run: &Path, flags: &str) -> Value {
    train(run)
        .path("--train-file", file)
        .words("--validation-split 0.25")
        .words(flags)
        .run();
    let predictions = CommandLine::new("predict --task own --quiet --max-length 32")
        .path("--model", run)
        .path("--input", file)
        .run();
    assert!(predictions.lines().count() >= 12, "{predictions}");
    let config = CommandLine::new("--quiet --overwrite-output")
        .path("--config", run.join("config.toml"))
        .path("--output", run);
    config.run();
    read_json(&run.join("task.json"))
}

/// Trains on a file whose columns are in doubt, with the flags that the message proposes.
#[track_caller]
fn trains_as_proposed(file: &Path, run: &Path, flags: &str) -> Value {
    let line = train(run)
        .path("--train-file", file)
        .words("--validation-split 0.25");
    let message = line.fail(3);
    assert!(message.contains(&format!("`{flags}`")), "{message}");
    trains(file, run, flags)
}

#[test]
fn a_label_and_a_text_without_a_header_train_by_number() {
    let scratch = Scratch::new();
    let row = |at: usize| {
        let label = ["ham", "spam"][at % 2];
        format!("{label}\tplease call \"me number {at} as soon as you can\n")
    };
    let file = scratch.write("SMSSpamCollection", (0..16).map(row).collect::<String>());
    let run = scratch.path("run");
    let task = trains_as_proposed(&file, &run, "--text-column 2 --label-column 1");
    assert_eq!(task["labels"], json!(["ham", "spam"]));
    assert_eq!(
        (&task["text_column"], &task["columns"]),
        (&json!("2"), &json!([]))
    );
    assert_eq!(
        read_json(&run.join("all_results.json"))["train_samples"],
        12
    );
}

#[test]
fn a_title_and_a_description_train_together() {
    let scratch = Scratch::new();
    let row = |at: usize| {
        let class = at % 4 + 1;
        format!("\"{class}\",\"News of the day {at}\",\"It was said, \"\"{at}\"\", that day\"\n")
    };
    let file = scratch.write("train.csv", (0..16).map(row).collect::<String>());
    let run = scratch.path("run");
    let task = trains_as_proposed(&file, &run, "--text-column 2,3 --label-column 1");
    assert_eq!(task["text_column"], "2,3");
}

#[test]
fn lists_of_rows_and_nested_objects_train() {
    let scratch = Scratch::new();
    let pairs = |n: usize| -> Value {
        let row = |at: usize| {
            json!([
                format!("what is the time in room {at}"),
                format!("ask_{}", at % 2)
            ])
        };
        (0..n).map(row).collect()
    };
    let file = json!({"val": pairs(8), "train": pairs(16)}).to_string();
    let file = scratch.write("data_full.json", file);
    let run = scratch.path("run");
    let message = train(&run)
        .path("--train-file", &file)
        .words("--validation-split 0.25")
        .fail(3);
    assert!(message.contains("#train --validation-file"), "{message}");
    let named = |list: &str| format!("{}#{list}", file.display());
    train(&run)
        .path("--train-file", named("train"))
        .path("--validation-file", named("val"))
        .run();
    assert_eq!(
        read_json(&run.join("all_results.json"))["train_samples"],
        16
    );
    CommandLine::new("evaluate --quiet --max-length 32")
        .path("--model", &run)
        .path("--test-file", named("val"))
        .run();

    let row = |at: usize| {
        json!({"data": {"text": format!("room {at}"), "kind": at % 2}}).to_string() + "\n"
    };
    let file = scratch.write("nested.jsonl", (0..16).map(row).collect::<String>());
    let task = trains(
        &file,
        &run,
        "--text-column data.text --label-column data.kind",
    );
    assert_eq!(task["text_column"], "data.text");
}

#[test]
fn class_folders_train() {
    let scratch = Scratch::new();
    for at in 0..16 {
        let label = ["neg", "pos"][at % 2];
        for part in ["train", "test"] {
            let text = format!("A film number {at}.<br />\nIt is {label}.\n");
            scratch.write(&format!("aclImdb/{part}/{label}/{at}_7.txt"), text);
        }
    }
    let data = scratch.path("aclImdb");
    let run = scratch.path("run");
    let line = train(&run).words("--validation-split 0.25");
    let message = line.clone().path("--train-file", &data).fail(3);
    assert!(message.contains("aclImdb/train"), "{message}");
    line.path("--train-file", data.join("train"))
        .path("--test-file", data.join("test"))
        .run();
    assert_eq!(
        read_json(&run.join("task.json"))["labels"],
        json!(["neg", "pos"])
    );
    assert_eq!(read_json(&run.join("all_results.json"))["test_samples"], 16);
}

#[test]
fn several_labels_are_proposed_and_train() {
    let scratch = Scratch::new();
    let label = |at: usize| ["sport", "art", "sport|art", "art|food", "food"][at % 5];
    let row = |at: usize| format!("text number {at},{}\n", label(at));
    let file = "text,topics\n".to_owned() + &(0..20).map(row).collect::<String>();
    let file = scratch.write("topics.csv", file);
    let run = scratch.path("run");
    let (_, said) = CommandLine::new(
        "train --max-steps 1 --max-length 32 --validation-split 0.25 --color never",
    )
    .path("--model", fixture("parity/bert"))
    .path("--output", &run)
    .path("--train-file", &file)
    .output();
    assert!(
        said.contains("separated by `|`: give --label-separator '|'"),
        "{said}"
    );
    let task = trains(&file, &run, "--label-separator |");
    assert_eq!(task["labels"], json!(["art", "food", "sport"]));
}
