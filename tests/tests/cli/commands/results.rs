//! A run's saved result is usable. `evaluate` gives the numbers of the run's last evaluation,
//! `predict` agrees with them, and another run continues from it.

use super::*;
use progtune_tests::read_safetensors;

/// Trains the BERT fixture with a method. Returns the run and the arguments that open its result.
fn trained(scratch: &Scratch, peft: &str) -> (std::path::PathBuf, CommandLine) {
    let run = scratch.path(peft);
    CommandLine::train("bert", &run)
        .words("--epochs 2 --schedule progressive --lr 3e-3")
        .path("--peft", peft)
        .run();
    let line = match peft {
        "none" | "bitfit" => CommandLine::evaluate(&run),
        _ => CommandLine::evaluate(&fixture("parity/bert")).path("--adapter", &run),
    };
    (run, line)
}

const METHODS: [&str; 11] = [
    "none", "bitfit", "lora", "adapter", "dora", "ia3", "vera", "kron-a", "pfeiffer", "parallel",
    "prefix",
];

#[test]
fn evaluate_gives_the_numbers_of_the_run() {
    let base: Value =
        serde_json::from_str(&CommandLine::evaluate(&fixture("parity/bert")).run()).unwrap();
    for peft in METHODS {
        let scratch = Scratch::new();
        let (run, line) = trained(&scratch, peft);
        let found: Value = serde_json::from_str(&line.run()).unwrap();
        assert_eq!(
            measured(&found),
            measured(&read_json(&run.join("all_results.json"))),
            "{peft}"
        );
        assert_ne!(
            found["eval_loss"], base["eval_loss"],
            "{peft}: training changed something"
        );
    }
}

#[test]
fn bitfit_changes_biases_and_the_head_alone() {
    let scratch = Scratch::new();
    let (run, _) = trained(&scratch, "bitfit");
    let before = read_safetensors(&fixture("parity/bert/model.safetensors"));
    let after = read_safetensors(&run.join("model.safetensors"));
    assert_eq!(before.len(), after.len());
    for (key, value) in &before {
        let changed = progtune_tests::max_difference(value, &after[key]) > 0.0;
        let expected =
            key.starts_with("classifier.") || key.ends_with(".bias") && !key.ends_with("key.bias");
        assert!(
            changed == expected || key.ends_with("key.bias"),
            "{key}: changed: {changed}"
        );
    }
}

/// PEFT saves only what it trains, and the first lines of its configuration are its own.
#[test]
fn a_lora_result_is_a_peft_adapter() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    let options =
        "--peft lora --peft-opt r=4 --peft-opt lora_alpha=8 --peft-opt target_modules=key,value";
    CommandLine::train("bert", &run)
        .words(options)
        .words("--max-steps 2")
        .run();
    let config = read_json(&run.join("adapter_config.json"));
    for (key, value) in [
        ("peft_type", Value::from("LORA")),
        ("task_type", "SEQ_CLS".into()),
        ("r", 4.into()),
        ("lora_alpha", 8.into()),
        ("target_modules", vec!["key", "value"].into()),
        ("bias", "none".into()),
    ] {
        assert_eq!(config[key], value, "{key}");
    }
    let tensors = read_safetensors(&run.join("adapter_model.safetensors"));
    assert_eq!(tensors.len(), 5 * 2 * 2 + 2);
    for (key, tensor) in &tensors {
        let shape = match key.as_str() {
            _ if key.ends_with("lora_A.weight") => vec![4, 32],
            _ if key.ends_with("lora_B.weight") => vec![32, 4],
            "base_model.model.classifier.bias" => vec![2],
            "base_model.model.classifier.weight" => vec![2, 32],
            _ => panic!("unexpected {key}"),
        };
        assert_eq!(tensor.dims(), shape, "{key}");
        assert!(key.starts_with("base_model.model."), "{key}");
    }
}

#[test]
fn another_run_continues_from_the_result() {
    for peft in METHODS {
        let scratch = Scratch::new();
        let (run, evaluate) = trained(&scratch, peft);
        let next = scratch.path("next");
        let line = match peft {
            "none" | "bitfit" => CommandLine::train_on(&run, &fixture("parity/data"), &next),
            _ => CommandLine::train("bert", &next).path("--init-adapter", &run),
        };
        line.words("--no-shuffle --dropout 0 --max-steps 2")
            .path("--peft", peft)
            .run();
        // The first step's loss is the saved model's loss on the first batch.
        let first_batch = evaluate.words("--split train --max-eval-samples 8 --sample first");
        let first: Value = serde_json::from_str(&first_batch.run()).unwrap();
        let difference = first["eval_loss"].as_f64().unwrap() - losses(&next)[0];
        assert!(difference.abs() < 1e-6, "{peft}: differs by {difference}");
    }
}

/// The adapter's own options apply unless others are given.
#[test]
fn a_continued_adapter_keeps_its_options() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    CommandLine::train("bert", &run)
        .words("--peft lora --max-steps 1")
        .path("--init-adapter", fixture("parity/bert/lora"))
        .run();
    let config = read_json(&run.join("adapter_config.json"));
    assert_eq!(
        (&config["r"], &config["lora_alpha"]),
        (&4.into(), &8.into())
    );
    let houlsby = scratch.path("houlsby");
    CommandLine::train("bert", &houlsby)
        .words("--peft adapter --max-steps 1")
        .path("--init-adapter", fixture("parity/bert/adapter_houlsby"))
        .run();
    let saved = read_safetensors(&houlsby.join("adapter.safetensors"));
    let given = read_safetensors(&fixture("parity/bert/adapter_houlsby/adapter.safetensors"));
    let names = |map: &std::collections::HashMap<String, _>| {
        let mut names: Vec<String> = map.keys().cloned().collect();
        names.sort();
        names
    };
    assert_eq!(names(&saved), names(&given));
}

/// Predictions: logits as wide as the label set, and the label with the largest logit.
fn predictions(path: &Path, labels: &[&str]) -> Vec<String> {
    let lines = read_jsonl(path);
    lines
        .iter()
        .map(|line| {
            assert_eq!(keys(line), ["logits", "label", "score", "probabilities"]);
            let logits: Vec<f64> = line["logits"]
                .as_array()
                .unwrap()
                .iter()
                .map(|v| v.as_f64().unwrap())
                .collect();
            assert_eq!(logits.len(), labels.len());
            let largest = (0..logits.len())
                .max_by(|&a, &b| logits[a].total_cmp(&logits[b]))
                .unwrap();
            assert_eq!(line["label"], labels[largest]);
            labels[largest].to_owned()
        })
        .collect()
}

const MRPC_LABELS: [&str; 2] = ["not_equivalent", "equivalent"];

#[test]
fn predictions_of_a_split_have_the_measured_accuracy() {
    for peft in METHODS {
        let scratch = Scratch::new();
        let (run, _) = trained(&scratch, peft);
        let output = scratch.path("predictions.jsonl");
        let line =
            CommandLine::new("predict --task mrpc --quiet --max-length 64 --split validation")
                .path("--data", fixture("parity/data"))
                .path("--output", &output);
        match peft {
            "none" | "bitfit" => line.path("--model", &run),
            _ => line
                .path("--model", fixture("parity/bert"))
                .path("--adapter", &run),
        }
        .run();
        let found = predictions(&output, &MRPC_LABELS);
        let table = fs::read_to_string(fixture("parity/data/dev.tsv")).unwrap();
        let right = table
            .lines()
            .skip(1)
            .zip(&found)
            .filter(|(row, label)| MRPC_LABELS[row[..1].parse::<usize>().unwrap()] == *label)
            .count();
        let accuracy = read_json(&run.join("all_results.json"))["eval_accuracy"]
            .as_f64()
            .unwrap();
        assert_eq!(found.len(), 12);
        assert!(
            (accuracy - right as f64 / 12.0).abs() < 1e-12,
            "{peft}: {right} of 12, eval_accuracy {accuracy}"
        );
    }
}

#[test]
fn predict_reads_jsonl_and_writes_a_line_each() {
    let scratch = Scratch::new();
    let input = scratch.write(
        "in.jsonl",
        "{\"sentence1\": \"Kebe zepi moli.\", \"sentence2\": \"moli kebe\"}\n\n\
         {\"sentence2\": \"\", \"sentence1\": \"a \\u00e9\\ud83d\\ude42 \\\"quoted\\\"\", \"idx\": 7, \"label\": null}\n\
         {\"sentence1\": \"Kebe zepi moli.\", \"sentence2\": \"moli kebe\", \"label\": \"equivalent\"}\n",
    );
    let line = CommandLine::new("predict --task mrpc --quiet --max-length 64")
        .path("--model", fixture("parity/bert"))
        .path("--input", &input);
    let printed = line.run();
    let output = scratch.path("out.jsonl");
    assert_eq!(
        line.path("--output", &output).run(),
        "",
        "with --output nothing is printed"
    );
    assert_eq!(fs::read_to_string(&output).unwrap(), printed);
    let labels = predictions(&output, &MRPC_LABELS);
    assert_eq!(labels.len(), 3);
    let lines = read_jsonl(&output);
    assert_eq!(lines[0], lines[2], "a label in the input changes nothing");
    assert_ne!(lines[0], lines[1]);
}

/// Without `--split`, the test split is used, which GLUE publishes without labels.
#[test]
fn predict_reads_an_unlabelled_test_split() {
    let scratch = Scratch::new();
    scratch.write(
        "data/test.tsv",
        "index\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t1\t2\tkebe zepi\tmoli\n1\t3\t4\ta\tb\n",
    );
    let line = CommandLine::new("predict --task mrpc --quiet --max-length 64")
        .path("--model", fixture("parity/bert"))
        .path("--data", scratch.path("data"))
        .path("--output", scratch.path("out.jsonl"));
    line.run();
    assert_eq!(
        predictions(&scratch.path("out.jsonl"), &MRPC_LABELS).len(),
        2
    );
    CommandLine::new("evaluate --task mrpc --quiet --split test")
        .path("--model", fixture("parity/bert"))
        .path("--data", scratch.path("data"))
        .fail(2);
}
