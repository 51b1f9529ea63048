//! Logits that are not numbers are an error in every command, and a run that learned nothing says
//! so.

use progtune_tests::{
    messages, progtune, read_json, run,
    scratch::{Scratch, TensorFile},
};
use std::path::Path;

/// A run on the sample task whose embeddings are afterwards put out of range.
fn damaged(scratch: &Scratch) -> std::path::PathBuf {
    let model = scratch.path("model");
    let path = model.to_str().expect("UTF-8");
    run(&[
        "--max-steps",
        "1",
        "--max-train-samples",
        "8",
        "--max-eval-samples",
        "8",
        "--quiet",
        "--output",
        path,
    ]);
    let file = model.join("model.safetensors");
    let mut tensors = TensorFile::read(&file);
    let key = tensors
        .tensors
        .keys()
        .find(|key| key.ends_with("word_embeddings.weight"));
    let key = key.expect("embeddings").clone();
    let shape = tensors.tensors[&key].1.clone();
    let values = vec![1e38; shape.iter().product()];
    tensors.set(&key, &shape, &values);
    tensors.write(&file);
    model
}

#[track_caller]
fn refused(model: &Path, words: &str) {
    let mut command = progtune();
    command
        .args(words.split_whitespace())
        .arg("--model")
        .arg(model);
    let said = command.output().expect("it starts");
    let text = String::from_utf8_lossy(&said.stderr);
    assert_eq!(said.status.code(), Some(3), "{text}");
    assert!(said.stdout.is_empty(), "no answer");
    messages::check_command(&command, 3, &text);
}

#[test]
fn logits_that_are_no_numbers_are_no_answer() {
    let scratch = Scratch::new();
    let model = damaged(&scratch);
    refused(
        &model,
        "predict --task sample --split validation --max-eval-samples 1",
    );
    refused(&model, "evaluate --task sample --max-eval-samples 1");
    let input = scratch.write("in.jsonl", "{\"sentence\": \"a\"}\n{\"sentence\": \"b\"}\n");
    let input = input.to_str().expect("UTF-8");
    refused(&model, &format!("predict --task sst2 --input {input}"));
    let output = scratch.path("again");
    let said = progtune()
        .args([
            "--max-steps",
            "1",
            "--max-train-samples",
            "8",
            "--max-eval-samples",
            "8",
            "--peft",
            "lora",
            "--model",
        ])
        .arg(&model)
        .arg("--output")
        .arg(&output)
        .output()
        .expect("it starts");
    assert_eq!(
        said.status.code(),
        Some(5),
        "{}",
        String::from_utf8_lossy(&said.stderr)
    );
}

#[test]
fn a_run_that_learned_nothing_says_so() {
    let scratch = Scratch::new();
    let output = scratch.path("run");
    let said = progtune()
        .args([
            "--peft",
            "lora",
            "--lr",
            "1e9",
            "--max-train-samples",
            "64",
            "--max-steps",
            "8",
            "--warmup",
            "0",
        ])
        .arg("--output")
        .arg(&output)
        .output()
        .expect("it starts");
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    if said.status.code() == Some(5) {
        assert!(text.contains("diverged"), "{text}");
        return;
    }
    assert!(said.status.success(), "{text}");
    let results = read_json(&output.join("all_results.json"));
    assert_eq!(results["suspect"], true, "{results}");
    assert!(results["baseline_loss"].as_f64().expect("a number") > 0.0);
    assert!(results["baseline_accuracy"].as_f64().expect("a number") > 0.0);
    assert!(
        results["suspect_reasons"][0]
            .as_str()
            .expect("words")
            .contains("is"),
        "{results}"
    );
    let last = text.lines().last().unwrap_or_default();
    assert!(
        last.contains("no better than guessing") && last.contains("try a lower --lr"),
        "{text}"
    );
}

#[test]
fn a_run_that_learned_is_not_suspect() {
    let scratch = Scratch::new();
    let output = scratch.path("run");
    run(&[
        "--peft",
        "lora",
        "--epochs",
        "3",
        "--quiet",
        "--output",
        output.to_str().expect("UTF-8"),
    ]);
    let results = read_json(&output.join("all_results.json"));
    assert_eq!(results["suspect"], false, "{results}");
    assert!(
        results["eval_loss"].as_f64() < results["baseline_loss"].as_f64(),
        "{results}"
    );
}
