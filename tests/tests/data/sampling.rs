//! A part of the data from the command line: stratified by default, and the first rows as version
//! 0.1 took them. Data that is odd is said.

use progtune_tests::{command_line::CommandLine, fixture, read_json, root, scratch::Scratch};
use serde_json::Value;
use std::{fs, path::Path};

/// A CSV file whose rows are sorted by label.
fn sorted(n: usize) -> String {
    let row = |at: usize| {
        let (word, label) = [("kebe zepi", "no"), ("moli natomo", "yes")][2 * at / n];
        format!("{word} {at},{label}\n")
    };
    "text,label\n".to_owned() + &(0..n).map(row).collect::<String>()
}

fn train(run: &Path, file: &Path) -> CommandLine {
    CommandLine::new("train --max-steps 1 --max-length 32 --color never")
        .path("--model", fixture("parity/bert"))
        .path("--train-file", file)
        .path("--output", run)
}

fn confusion(results: &Value, prefix: &str) -> Vec<u64> {
    let rows = results[format!("{prefix}_confusion_matrix")]
        .as_array()
        .unwrap();
    let sum = |row: &Value| {
        row.as_array()
            .unwrap()
            .iter()
            .map(|n| n.as_u64().unwrap())
            .sum()
    };
    rows.iter().map(sum).collect()
}

#[test]
fn samples_have_every_class_in_its_share() {
    let scratch = Scratch::new();
    let file = scratch.write("sorted.csv", sorted(200));
    let test = scratch.write("test.csv", sorted(60));
    let run = scratch.path("run");
    let (_, said) = train(&run, &file)
        .path("--test-file", &test)
        .words("--validation-split 0.5 --max-train-samples 40 --max-eval-samples 20 --max-test-samples 10")
        .output();
    let results = read_json(&run.join("all_results.json"));
    assert_eq!(results["train_samples"], 40);
    assert_eq!(confusion(&results, "eval"), [10, 10]);
    assert_eq!(confusion(&results, "test"), [5, 5]);
    assert!(
        said.contains("the training rows are sorted by label (2 labels in 2 groups"),
        "{said}"
    );
    assert!(!said.contains("row has the label"), "{said}");
    // The configuration repeats the run, and `evaluate` finds the same rows.
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    assert!(config.contains("\nsample = \"stratified\"\n"), "{config}");
    let again = scratch.path("again");
    CommandLine::new("--quiet")
        .path("--config", run.join("config.toml"))
        .path("--output", &again)
        .run();
    let repeated = read_json(&again.join("all_results.json"));
    for key in ["train_loss", "eval_loss", "test_loss"] {
        assert_eq!(repeated[key], results[key], "{key}");
    }
    let evaluate = |words: &str| -> Value {
        let line = CommandLine::new("evaluate --quiet --max-length 32 --max-eval-samples 10");
        let line = line.path("--model", &run).path("--test-file", &test);
        serde_json::from_str(&line.words(words).run()).unwrap()
    };
    assert_eq!(evaluate("")["eval_loss"], results["test_loss"]);
    assert_eq!(confusion(&evaluate("--sample first"), "eval"), [10, 0]);
}

#[test]
fn a_single_label_is_said() {
    let scratch = Scratch::new();
    let file = scratch.write("sorted.csv", sorted(200));
    let run = scratch.path("run");
    let (_, said) = train(&run, &file)
        .path("--validation-file", &file)
        .words("--max-train-samples 40 --max-eval-samples 20 --sample first")
        .output();
    let remark = "every training row has the label `no`, so the model learns no other";
    assert!(said.contains(remark), "{said}");
    assert!(
        said.contains("20 of 20 validation rows have the same tokens as a training row"),
        "{said}"
    );
    let last = said.lines().last().unwrap_or_default();
    assert!(
        last.contains("every evaluated row has the label `no`") && last.contains("data inspect"),
        "{said}"
    );
    let results = read_json(&run.join("all_results.json"));
    assert_eq!(results["suspect"], true);
    let reasons = results["suspect_reasons"].as_array().unwrap();
    assert!(
        reasons
            .iter()
            .any(|reason| reason.as_str().unwrap().contains("every evaluated row")),
        "{results}"
    );
    let (_, said) =
        CommandLine::new("evaluate --max-length 32 --max-eval-samples 10 --sample first")
            .path("--model", &run)
            .path("--test-file", &file)
            .output();
    assert!(
        said.contains("every evaluated row has the label `no`"),
        "{said}"
    );
}

/// Without the key `sample`, which 0.1 did not know, a run's configuration takes the first rows.
#[test]
fn a_configuration_of_0_1_takes_the_first_rows() {
    let scratch = Scratch::new();
    let made = root().join("tests/fixtures/made_by_0_1/full/config.toml");
    let config = fs::read_to_string(made).unwrap();
    let config = config
        .replace(
            "# max_train_samples: none: all rows",
            "max_train_samples = 6",
        )
        .replace("# max_eval_samples: none: all rows", "max_eval_samples = 2");
    let config = scratch.write("config.toml", config);
    let losses = |name: &str, words: &str| {
        let run = scratch.path(name);
        let output = CommandLine::new("--quiet")
            .path("--config", &config)
            .words(words)
            .path("--output", &run)
            .command()
            .current_dir(root())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let results = read_json(&run.join("all_results.json"));
        ["train_loss", "eval_loss"].map(|key| results[key].clone())
    };
    let repeated = losses("repeated", "");
    assert_eq!(repeated, losses("first", "--sample first"));
    assert_ne!(repeated, losses("stratified", "--sample stratified"));
}

/// Predictions are matched with the lines of a file, so they are made for the first ones.
#[test]
fn predictions_are_for_the_first_rows() {
    let scratch = Scratch::new();
    let file = scratch.write("sorted.csv", sorted(40));
    let run = scratch.path("run");
    train(&run, &file)
        .words("--quiet --validation-split 0.5")
        .run();
    let predict = |words: &str| {
        let line = CommandLine::new("predict --task own --quiet --max-length 32");
        line.path("--model", &run)
            .path("--input", &file)
            .words(words)
            .run()
    };
    let all = predict("");
    let first: String = all
        .lines()
        .take(3)
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(predict("--max-eval-samples 3"), first);
}

/// The questions and tagged sentences of a sample.
#[test]
fn questions_and_sentences_are_sampled() {
    let scratch = Scratch::new();
    // The last sentence is the only one with a place.
    let sentence = |at: usize| match at {
        29 => "Lund B-LOC\nsleeps O\n\n".to_owned(),
        at => format!("Ada{at} B-PER\nsleeps O\n\n"),
    };
    let file = scratch.write("tags.conll", (0..30).map(sentence).collect::<String>());
    let tags = |words: &str| -> Value {
        let run = scratch.path("run");
        train(&run, &file)
            .path("--validation-file", &file)
            .words("--quiet --overwrite-output --max-train-samples 5 --max-eval-samples 5")
            .words(words)
            .run();
        read_json(&run.join("all_results.json"))["eval_per_class"].clone()
    };
    assert_eq!(tags("")["LOC"]["support"], 1);
    assert!(
        tags("--sample first")["LOC"]["support"]
            .as_u64()
            .unwrap_or_default()
            == 0
    );
}

#[test]
fn inspection_says_what_is_odd() {
    let scratch = Scratch::new();
    let train = scratch.write("train.csv", sorted(60) + "...,yes\n");
    let test = scratch.write("test.csv", "text,label\nkebe zepi 0,no\nmoli,no\n");
    let text = CommandLine::new("data inspect")
        .path("--train-file", &train)
        .path("--test-file", &test)
        .run();
    for part in [
        "\nremarks\n",
        "the training rows are sorted by label (2 labels in 2 groups of rows)",
        "1 of 61 training rows have a text without any letter or digit",
        "every test row has the label `no`",
        "test rows that are also in train: 1",
    ] {
        assert!(text.contains(part), "expected `{part}` in:\n{text}");
    }
    let ids = (0..12)
        .map(|at| format!("text {at},row{at}\n"))
        .collect::<String>();
    let ids = scratch.write("ids.csv", format!("text,label\n{ids}"));
    let text = CommandLine::new("data inspect")
        .words(ids.to_str().unwrap())
        .run();
    assert!(text.contains("column `label` probably holds ids"), "{text}");
    let several = |at: usize| format!("text {at},{}\n", ["a", "b", "a|b", "b|c", "c"][at % 5]);
    let several = scratch.write(
        "several.csv",
        format!("text,label\n{}", (0..20).map(several).collect::<String>()),
    );
    let text = CommandLine::new("data inspect")
        .words(several.to_str().unwrap())
        .run();
    assert!(text.contains("give --label-separator '|'"), "{text}");
}
