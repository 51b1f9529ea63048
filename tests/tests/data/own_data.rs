//! The user's own files from the command line: training, evaluation, prediction and `data inspect`.
//! The files are made up, or real ones with their quirks (TREC, MR).

use progtune_tests::{
    cases, command_line::CommandLine, fixture, read_json, scratch::Scratch, shared_data,
};
use serde_json::{Value, json};
use std::{fs, path::Path};

/// CSV whose first word gives the label. Each text contains a line end, a comma and quotes.
fn csv(n: usize, labels: [&str; 2]) -> String {
    let words = ["kebe zepi", "moli natomo", "gugifu Fafe", "the end"];
    let row = |i: usize| {
        let (word, label) = (words[i % 4], labels[i % 2]);
        format!("{i},\"{word}\n\"\"{}\"\", .\",{label}\n", words[i / 4 % 4])
    };
    "id,text,label\n".to_owned() + &(0..n).map(row).collect::<String>()
}

fn train(run: &Path) -> CommandLine {
    CommandLine::new(
        "train --quiet --epochs 12 --lr 2e-3 --batch-size 4 --max-length 32 --no-group-by-length",
    )
    .path("--model", fixture("parity/roberta"))
    .path("--output", run)
}

fn labels_of(predictions: &str) -> Vec<Value> {
    predictions
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["label"].clone())
        .collect()
}

#[test]
fn a_csv_with_quoted_line_ends_trains_and_its_model_knows_its_labels() {
    let scratch = Scratch::new();
    let file = scratch.write("data/all.csv", csv(60, ["no", "yes"]));
    let run = scratch.path("run");
    train(&run)
        .path("--train-file", &file)
        .words("--validation-split 0.2")
        .run();
    let results = read_json(&run.join("all_results.json"));
    assert_eq!(
        results["eval_accuracy"], 1.0,
        "the first word tells: {results}"
    );
    assert_eq!(results["eval_f1"], 1.0);
    assert!(results.get("eval_combined_score").is_none());
    assert_eq!(results["train_samples"], 48);
    assert_eq!(results["eval_confusion_matrix"], json!([[6, 0], [0, 6]]));
    assert_eq!(
        results["eval_per_class"]["yes"],
        json!({"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 6})
    );
    let config = read_json(&run.join("config.json"));
    assert_eq!(config["id2label"], json!({"0": "no", "1": "yes"}));
    assert_eq!(
        read_json(&run.join("task.json")),
        json!({
            "problem_type": "single_label_classification",
            "labels": ["no", "yes"],
            "text_column": "text",
            "pair_column": null,
            "label_column": "label",
            "max_length": 32,
        })
    );

    // The run's own model, given only its directory, on other formats.
    let jsonl = scratch.write(
        "dev.jsonl",
        "{\"text\": \"moli natomo .\", \"label\": \"yes\"}\n{\"text\": \"kebe zepi .\", \"label\": \"no\"}\n",
    );
    let evaluation = CommandLine::new("evaluate --quiet --max-length 32 --metrics auroc,f1_macro")
        .path("--model", &run)
        .path("--validation-file", &jsonl)
        .run();
    let evaluation: Value = serde_json::from_str(&evaluation).unwrap();
    assert_eq!(evaluation["eval_auroc"], 1.0, "{evaluation}");
    assert_eq!(evaluation["eval_samples"], 2);
    assert!(evaluation.get("eval_accuracy").is_none());
    let input = scratch.write(
        "in.tsv",
        "text\tother\nmoli natomo the end .\t\nkebe zepi the end .\t\n",
    );
    let predictions = CommandLine::new("predict --task own --quiet --max-length 32")
        .path("--model", &run)
        .path("--input", &input)
        .run();
    assert_eq!(labels_of(&predictions), ["yes", "no"]);

    // The same without task.json, like a checkpoint from Hugging Face.
    fs::remove_file(run.join("task.json")).unwrap();
    let again = CommandLine::new("predict --quiet --max-length 32")
        .path("--model", &run)
        .path("--test-file", &input)
        .words("--text-column text")
        .run();
    assert_eq!(again, predictions);
}

#[test]
fn a_runs_configuration_and_adapter_serve_evaluation() {
    let scratch = Scratch::new();
    let data = scratch.write("train.csv", csv(24, ["b", "a"]));
    let test = scratch.write("test.csv", csv(8, ["b", "a"]));
    let run = scratch.path("run");
    train(&run)
        .words("--peft lora --max-steps 5")
        .path("--train-file", &data)
        .path("--validation-file", &data)
        .path("--test-file", &test)
        .run();
    let results = read_json(&run.join("all_results.json"));
    assert_eq!(results["test_samples"], 8);
    let evaluation = CommandLine::new("evaluate --quiet")
        .path("--config", run.join("config.toml"))
        .path("--adapter", &run)
        .run();
    let evaluation: Value = serde_json::from_str(&evaluation).unwrap();
    for key in ["eval_loss", "eval_accuracy", "eval_f1"] {
        assert_eq!(evaluation[key], results[key], "{key}");
    }
    // Merged, it still knows its labels and columns.
    let merged = scratch.path("merged");
    CommandLine::new("merge --quiet")
        .path("--model", fixture("parity/roberta"))
        .path("--adapter", &run)
        .path("--output", &merged)
        .run();
    assert_eq!(
        read_json(&merged.join("task.json")),
        json!({
            "problem_type": "single_label_classification",
            "labels": ["a", "b"],
            "text_column": "text",
            "pair_column": null,
            "label_column": "label",
            "max_length": 32,
        })
    );
    let evaluation = CommandLine::new("evaluate --quiet --max-length 32")
        .path("--model", &merged)
        .path("--test-file", &test)
        .run();
    let evaluation: Value = serde_json::from_str(&evaluation).unwrap();
    assert_eq!(evaluation["eval_accuracy"], results["test_accuracy"]);
    // The recorded configuration runs again, with the same result.
    let again = scratch.path("again");
    CommandLine::new("train --quiet")
        .path("--config", run.join("config.toml"))
        .path("--output", &again)
        .run();
    let repeated = read_json(&again.join("all_results.json"));
    assert_eq!(repeated["eval_loss"], results["eval_loss"]);
    assert_eq!(repeated["test_loss"], results["test_loss"]);
}

#[test]
fn pairs_with_numbers_are_a_regression() {
    let scratch = Scratch::new();
    let row = |i: usize| {
        let words = ["kebe", "zepi", "moli"];
        let (a, b) = (words[i % 3], words[i / 3 % 3]);
        json!({"sentence1": a, "sentence2": b, "label": if a == b { 4.5 } else { 0.5 }}).to_string()
            + "\n"
    };
    let data = scratch.write("d.jsonl", (0..18).map(row).collect::<String>());
    let run = scratch.path("run");
    CommandLine::new("train --quiet --max-steps 2 --max-length 32 --metrics mse,pearson")
        .path("--model", fixture("parity/bert"))
        .path("--output", &run)
        .path("--train-file", &data)
        .path("--validation-file", &data)
        .run();
    let results = read_json(&run.join("all_results.json"));
    assert!(results["eval_mse"].as_f64().unwrap() > 0.0, "{results}");
    assert_eq!(
        results["eval_mse"].as_f64().map(|x| x as f32),
        results["eval_loss"].as_f64().map(|x| x as f32)
    );
    assert_eq!(
        read_json(&run.join("config.json"))["problem_type"],
        "regression"
    );
    assert_eq!(
        read_json(&run.join("task.json"))["pair_column"],
        "sentence2"
    );
}

#[test]
fn rows_that_are_left_out_are_listed() {
    let scratch = Scratch::new();
    let file = scratch.write("d.csv", csv(24, ["b", "a"]) + "24,no label,\n25,x\n");
    let run = scratch.path("run");
    let command = train(&run)
        .words("--max-steps 1 --validation-split 0.25")
        .path("--train-file", &file);
    command.fail(3);
    command.words("--on-bad-row skip").run();
    let log = fs::read_to_string(run.join("log.txt")).unwrap();
    assert!(log.contains("d.csv, line 50: column `label`"), "{log}");
    assert!(log.contains("d.csv, line 51: expected 3"), "{log}");
    assert_eq!(
        read_json(&run.join("all_results.json"))["train_samples"],
        18
    );
}

#[test]
fn inspection_tells_what_training_would_meet() {
    let scratch = Scratch::new();
    let train = scratch.write(
        "t.csv",
        "n,text,label\n1,same,a\n2,same,b\n3,one two three four five six,a\n",
    );
    let test = scratch.write("e.csv", "n,text,label\n1,same,a\n2,other,\n");
    let text = CommandLine::new("data inspect --max-length 6")
        .path("--train-file", &train)
        .path("--test-file", &test)
        .run();
    for part in [
        "n                        integer",
        "text                     text",
        "columns: text `text` (guessed), label `label` (guessed)",
        "labels: a, b",
        "train: 3 rows",
        "a                               2  66.7 %",
        "cut at 6 tokens: 1 rows (33.3 %)",
        "without a label: 1",
        "within train: 1 rows, 1 of them with another label",
        "test rows that are also in train: 1",
    ] {
        assert!(text.contains(part), "expected `{part}` in:\n{text}");
    }
    let positional = CommandLine::new("data inspect").path("--max-length", "6");
    let positional = positional.words(train.to_str().unwrap()).run();
    assert!(positional.contains("train: 3 rows"), "{positional}");
    CommandLine::new("data inspect").fail(2);
}

#[test]
fn inspection_of_many_labels_shows_both_ends() {
    let scratch = Scratch::new();
    let mut rows = String::from("text,label\n");
    for n in 0..44 {
        rows += &format!("text {n},label{:02}\n", n % 22);
    }
    let even = scratch.write("even.csv", &rows);
    rows += "one more,label07\n";
    let uneven = scratch.write("uneven.csv", &rows);
    let inspect = |file| CommandLine::new("data inspect").path("--train-file", file);
    let text = inspect(&even).run();
    let expected = "\n  22 labels with 2 rows each (4.5 %)\n";
    assert!(text.contains(expected), "{text}");
    let text = inspect(&uneven).run();
    let expected = "\
train: 45 rows
  label07                         3   6.7 %
  label00                         2   4.4 %
  label01                         2   4.4 %
  label02                         2   4.4 %
  label03                         2   4.4 %
  … 12 more labels …
  label17                         2   4.4 %
";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn a_plan_counts_the_labels_of_own_files() {
    let scratch = Scratch::new();
    let file = scratch.write("t.csv", "text,label\nx,a\ny,b\nz,c\n");
    let plan = |words: &str| -> Value {
        let command = CommandLine::new("plan --json --peft lora").words(words);
        let command = command.path("--model", fixture("parity/bert"));
        let command = match words {
            "" => command.path("--train-file", &file),
            _ => command,
        };
        serde_json::from_str(&command.run()).unwrap()
    };
    let total = |plan: &Value| plan["total_updated_parameters"].as_u64().unwrap();
    assert_eq!(total(&plan("")), total(&plan("--task mnli")));
}

/// Training on the user's own file with invalid flags.
fn is_refused(code: i32, words: &str) {
    let scratch = Scratch::new();
    let file = scratch.write("t.csv", csv(8, ["a", "b"]));
    train(&scratch.path("run"))
        .path("--train-file", &file)
        .words(words)
        .fail(code);
}

cases! { is_refused:
    an_own_file_with_a_named_task(2, "--validation-split 0.5 --task mrpc");
    an_own_file_with_a_data_directory(2, "--validation-split 0.5 --data d");
    an_own_file_with_nothing_to_validate_on(2, "");
    a_share_above_one(2, "--validation-split 1.5");
    an_unknown_metric(2, "--validation-split 0.5 --metrics acuracy");
    a_metric_of_numbers(2, "--validation-split 0.5 --metrics accuracy,mse");
    an_unknown_encoding(2, "--validation-split 0.5 --encoding utf-64");
    an_unknown_format(2, "--validation-split 0.5 --file-format cvs");
    an_unknown_label_column(3, "--validation-split 0.5 --label-column labl");
}

#[test]
fn a_task_of_own_files_needs_them() {
    let scratch = Scratch::new();
    let file = scratch.write("t.csv", csv(8, ["a", "b"]));
    CommandLine::new("train --quiet --task own").fail(2);
    CommandLine::new("evaluate --split test")
        .path("--validation-file", &file)
        .fail(2);
}

/// Trains for a few steps only: the test is whether the files are read unchanged from the command
/// line.
fn train_a_little(run: &Path) -> CommandLine {
    CommandLine::new("train --quiet --peft bitfit --max-steps 2 --max-length 32 --max-train-samples 500 --max-eval-samples 50")
        .path("--output", run)
}

#[test]
fn trec_trains_as_it_comes() {
    let Some(data) = shared_data() else { return };
    let scratch = Scratch::new();
    for (column, n_labels) in [("coarse_label", 6), ("label", 50)] {
        let run = scratch.path(column);
        train_a_little(&run)
            .words("--file-format label-text --encoding windows-1252 --label-column")
            .words(column)
            .path("--train-file", data.join("TREC/TREC.train"))
            .path("--validation-file", data.join("TREC/TREC.test"))
            .run();
        let labels = read_json(&run.join("task.json"))["labels"]
            .as_array()
            .unwrap()
            .len();
        assert_eq!(labels, n_labels, "{column}");
        assert_eq!(read_json(&run.join("all_results.json"))["eval_samples"], 50);
    }
}

#[test]
fn mr_trains_as_it_comes() {
    let Some(data) = shared_data() else { return };
    let scratch = Scratch::new();
    let run = scratch.path("run");
    train_a_little(&run)
        .words("--file-format lines --encoding windows-1252 --label-column extension --validation-split 0.1")
        .path("--train-file", data.join("MR/rt-polarity.*"))
        .run();
    assert_eq!(
        read_json(&run.join("task.json"))["labels"],
        json!(["neg", "pos"])
    );
    let inspected = CommandLine::new(
        "data inspect --file-format lines --encoding windows-1252 --label-column extension",
    )
    .path("--train-file", data.join("MR/rt-polarity.*"))
    .run();
    assert!(inspected.contains("train: 10,662 rows"), "{inspected}");
    assert!(
        inspected.contains("neg                          5331  50.0 %"),
        "{inspected}"
    );
}
