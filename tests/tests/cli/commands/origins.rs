//! A result knows where it came from: its base model, its task, its data and the length of its
//! inputs are those that were recorded. What is missing or different is named.

use super::*;
use progtune_tests::scratch::{TensorFile, set_key};
use std::path::PathBuf;

fn rows(n: usize, labels: [&str; 2]) -> String {
    let words = ["kebe", "zepi", "moli", "natomo", "tubo"];
    let row = |i: usize| {
        let (one, other) = (words[i % 5], words[(i / 2) % 5]);
        format!("{i},{one} {other} {one},{}\n", labels[(i % 5) / 3])
    };
    let rows: String = (0..n).map(row).collect();
    format!("id,text,label\n{rows}")
}

/// Trains on own rows over a copy of the fixture, in a directory of the test.
fn trained_on_rows(scratch: &Scratch, name: &str, flags: &str) -> (PathBuf, Value) {
    let data = scratch.write("rows.csv", rows(40, ["no", "yes"]));
    let run = scratch.path(name);
    CommandLine::new("train --quiet --max-length 32 --lr 3e-3 --epochs 2 --validation-split 0.2")
        .words(flags)
        .path("--train-file", &data)
        .path("--model", scratch.path("base"))
        .path("--output", &run)
        .run();
    let results = read_json(&run.join("all_results.json"));
    (run, results)
}

fn evaluated(line: &CommandLine) -> Vec<(String, Value)> {
    measured(&serde_json::from_str(&line.run()).unwrap())
}

/// A result of each kind is measured without any other flag, and gives the figures of its run.
#[test]
fn a_result_needs_nothing_but_its_directory() {
    let scratch = Scratch::new();
    scratch.copy("bert", "base");
    for (peft, flag) in [
        ("none", "--model"),
        ("lora", "--adapter"),
        ("pfeiffer", "--adapter"),
        ("prefix", "--adapter"),
    ] {
        let (run, results) = trained_on_rows(&scratch, peft, &format!("--peft {peft}"));
        let evaluate = CommandLine::new("evaluate --quiet").path(flag, &run);
        assert_eq!(evaluated(&evaluate), measured(&results), "{peft}");
        // The rows of the other splits are those of the run, too.
        let train: Value = serde_json::from_str(&evaluate.words("--split train").run()).unwrap();
        assert_eq!(train["eval_samples"], 32, "{peft}");

        let task = scratch.path(&format!("{peft}-mrpc"));
        CommandLine::train_on(&scratch.path("base"), &fixture("parity/data"), &task)
            .words("--max-steps 2 --lr 3e-3")
            .path("--peft", peft)
            .run();
        let evaluate = CommandLine::new("evaluate --quiet").path(flag, &task);
        let results = read_json(&task.join("all_results.json"));
        assert_eq!(
            evaluated(&evaluate),
            measured(&results),
            "{peft}: a named task"
        );
    }
    let (_, said) = CommandLine::new("evaluate")
        .path("--model", scratch.path("none"))
        .output();
    assert!(
        said.contains("data: the validation split of the run that made"),
        "{said}"
    );
}

/// Merging takes the recorded base and task, and the merged model keeps the task and the length.
#[test]
fn a_merged_model_is_that_of_the_recorded_base() {
    let scratch = Scratch::new();
    scratch.copy("bert", "base");
    let (run, results) = trained_on_rows(&scratch, "run", "--peft lora");
    let merged = scratch.path("merged");
    let said = CommandLine::new("merge")
        .path("--adapter", &run)
        .path("--output", &merged)
        .run();
    assert!(said.contains("--input FILE.csv"), "{said}");
    assert_eq!(read_json(&merged.join("task.json"))["max_length"], 32);
    // A merged model has no records of a run, so it asks for data instead of taking other data.
    let evaluate = CommandLine::new("evaluate --quiet").path("--model", &merged);
    evaluate.fail(2);
    let file = scratch.path("rows.csv");
    let of_merged = evaluate.clone().path("--test-file", &file);
    let of_adapter = CommandLine::new("evaluate --quiet")
        .path("--adapter", &run)
        .path("--test-file", &file);
    let loss = |line: &CommandLine| {
        let value: Value = serde_json::from_str(&line.run()).unwrap();
        value["eval_loss"].as_f64().unwrap()
    };
    assert!((loss(&of_merged) - loss(&of_adapter)).abs() < 1e-5);
    assert!(results["eval_loss"].is_number());

    let mrpc = scratch.path("mrpc");
    CommandLine::train_on(&scratch.path("base"), &fixture("parity/data"), &mrpc)
        .words("--max-steps 2 --peft lora")
        .run();
    let merged = scratch.path("merged-mrpc");
    CommandLine::new("merge --quiet")
        .path("--adapter", &mrpc)
        .path("--output", &merged)
        .run();
    assert_eq!(read_json(&merged.join("task.json"))["task"], "mrpc");
    CommandLine::new("evaluate --quiet")
        .path("--model", &merged)
        .path("--data", fixture("parity/data"))
        .run();
}

/// The embedded model never stands in for a base that is not there.
#[test]
fn a_base_that_is_gone_is_named() {
    let scratch = Scratch::new();
    scratch.copy("bert", "base");
    let (lora, _) = trained_on_rows(&scratch, "lora", "--peft lora");
    let (neutral, _) = trained_on_rows(&scratch, "neutral", "--peft pfeiffer");
    fs::rename(scratch.path("base"), scratch.path("moved")).unwrap();
    for run in [&lora, &neutral] {
        let input = scratch.path("rows.csv");
        let lines = [
            CommandLine::new("evaluate"),
            CommandLine::new("predict").path("--input", &input),
            CommandLine::new("merge").path("--output", scratch.path("merged")),
        ];
        for line in lines {
            let said = line.path("--adapter", run).fail(3);
            let base = scratch.path("base").display().to_string();
            assert!(
                said.contains(&format!("trained on the base model `{base}`"))
                    && said.contains("--model"),
                "{said}"
            );
        }
        // The same weights elsewhere are no other model.
        let (_, said) = CommandLine::new("evaluate")
            .path("--adapter", run)
            .path("--model", scratch.path("moved"))
            .output();
        assert!(!said.contains("warning"), "{said}");
    }
    // PEFT's configuration alone names the base as well, or does not.
    fs::remove_file(lora.join("progtune_base_model.json")).unwrap();
    let evaluate = CommandLine::new("evaluate").path("--adapter", &lora);
    evaluate.fail(3);
    set_key(
        &lora.join("adapter_config.json"),
        "base_model_name_or_path",
        "org/no-such-model".into(),
    );
    let said = evaluate.fail(3);
    assert!(said.contains("`org/no-such-model`"), "{said}");
    set_key(
        &lora.join("adapter_config.json"),
        "base_model_name_or_path",
        Value::Null,
    );
    let said = evaluate.fail(2);
    assert!(said.contains("does not record its base model"), "{said}");
}

#[test]
fn another_base_is_reported() {
    let scratch = Scratch::new();
    let base = scratch.copy("bert", "base");
    let (run, _) = trained_on_rows(&scratch, "run", "--peft lora");
    let other = scratch.copy("bert", "other");
    let weights = other.join("model.safetensors");
    let mut file = TensorFile::read(&weights);
    file.set("classifier.bias", &[2], &[0.5, -0.5]);
    file.write(&weights);
    let evaluate = |model: &Path| {
        let line = CommandLine::new("evaluate").path("--adapter", &run);
        line.path("--model", model).output().1
    };
    let said = evaluate(&other);
    assert!(
        said.contains("whose weights differ: the results are not those of its training"),
        "{said}"
    );
    assert!(!evaluate(&base).contains("warning"));
    // The recorded base itself has changed.
    fs::copy(&weights, base.join("model.safetensors")).unwrap();
    let (_, said) = CommandLine::new("evaluate")
        .path("--adapter", &run)
        .output();
    assert!(
        said.contains("are not those on which the adapter was trained"),
        "{said}"
    );
    let (_, said) = CommandLine::new("merge")
        .path("--adapter", &run)
        .path("--output", scratch.path("merged"))
        .output();
    assert!(said.contains("warning"), "{said}");
}

/// The name of the base is relative to the directory in which training was started.
#[test]
fn a_relative_base_is_found_from_elsewhere() {
    let scratch = Scratch::new();
    scratch.copy("bert", "project/models/base");
    scratch.write("project/rows.csv", rows(40, ["no", "yes"]));
    let mut train = CommandLine::new(
        "train --quiet --max-length 32 --max-steps 2 --validation-split 0.2 --peft lora --model models/base --train-file \
         rows.csv --output runs/a",
    )
    .command();
    let output = train.current_dir(scratch.path("project")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let run = scratch.path("project/runs/a");
    CommandLine::new("predict --quiet")
        .path("--adapter", &run)
        .path("--text", "kebe zepi")
        .run();
    // Its data is relative, too, and is not taken from elsewhere.
    let said = CommandLine::new("evaluate").path("--adapter", &run).fail(2);
    assert!(
        said.contains("`rows.csv`, a file of its training"),
        "{said}"
    );
}

#[test]
fn a_directory_of_the_other_kind_is_named() {
    let scratch = Scratch::new();
    scratch.copy("bert", "base");
    let (whole, _) = trained_on_rows(&scratch, "whole", "");
    let (lora, _) = trained_on_rows(&scratch, "lora", "--peft lora");
    let (neutral, _) = trained_on_rows(&scratch, "neutral", "--peft pfeiffer");
    for adapter in [&lora, &neutral] {
        let said = CommandLine::new("predict --text x")
            .path("--model", adapter)
            .fail(3);
        let path = adapter.display();
        assert!(
            said.contains(&format!(
                "holds an adapter, not a model; use --adapter {path}"
            )),
            "{said}"
        );
    }
    let said = CommandLine::new("predict --text x")
        .path("--adapter", &whole)
        .fail(3);
    assert!(
        said.contains("holds a whole model, not an adapter; use --model"),
        "{said}"
    );
}

/// A checkpoint from elsewhere has no data of its own, and the generated reviews are not its task.
#[test]
fn a_model_of_an_unknown_task_asks_for_data() {
    let scratch = Scratch::new();
    let model = fixture("parity/bert");
    let said = CommandLine::new("evaluate").path("--model", &model).fail(2);
    assert!(said.contains("give --test-file FILE"), "{said}");
    let file = scratch.write("rows.csv", rows(10, ["0", "1"]));
    CommandLine::new("evaluate --quiet --max-length 32")
        .path("--model", &model)
        .path("--test-file", &file)
        .run();
    // What it predicts is said by its own configuration.
    let said = CommandLine::new("predict --quiet --text kebe")
        .path("--model", &model)
        .run();
    assert!(said.contains("equivalent"), "{said}");
}

/// Each adapter has its own labels, in their own order.
#[test]
fn adapters_on_own_data_keep_their_labels() {
    let scratch = Scratch::new();
    scratch.copy("bert", "base");
    let (one, _) = trained_on_rows(&scratch, "one", "--peft lora");
    let data = scratch.write("other.csv", rows(40, ["red", "blue"]));
    let two = scratch.path("two");
    CommandLine::new("train --quiet --max-length 32 --epochs 2 --validation-split 0.2 --peft lora")
        .path("--train-file", &data)
        .path("--model", scratch.path("base"))
        .path("--output", &two)
        .run();
    let said = CommandLine::new("predict --quiet")
        .path("--adapter", &one)
        .path("--adapter", &two)
        .path("--text", "kebe zepi")
        .run();
    let line: Value = serde_json::from_str(&said).unwrap();
    assert!(
        ["no", "yes"].contains(&line["one"]["label"].as_str().unwrap()),
        "{line}"
    );
    assert!(
        ["red", "blue"].contains(&line["two"]["label"].as_str().unwrap()),
        "{line}"
    );
    let alone = CommandLine::new("predict --quiet")
        .path("--adapter", &two)
        .path("--text", "kebe zepi")
        .run();
    let alone: Value = serde_json::from_str(&alone).unwrap();
    assert_eq!(line["two"], alone);

    // Two bases cannot be loaded at once.
    let roberta = scratch.path("roberta");
    CommandLine::train("roberta", &roberta)
        .words("--max-steps 1 --peft lora")
        .run();
    let said = CommandLine::new("predict --text x")
        .path("--adapter", &one)
        .path("--adapter", &roberta)
        .fail(2);
    assert!(said.contains("but one base model is loaded"), "{said}");
}
