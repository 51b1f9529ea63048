//! Messages about checkpoints that people have: wrappers' prefixes, other numbers of layers, other
//! labels. Their lists are never longer than a screen. The tests run the binary.

use super::*;
use progtune_tests::{command_line::CommandLine, read_json, scratch::set_key};
use serde_json::json;
use std::path::PathBuf;

/// A copy of the BERT with five blocks.
fn model(scratch: &Scratch) -> PathBuf {
    scratch.copy("bert", "model")
}

/// Renames every tensor; `None` leaves it out.
fn rename(model: &Path, name: impl Fn(&str) -> Option<String>) {
    let path = model.join("model.safetensors");
    let mut file = TensorFile::read(&path);
    let tensors = std::mem::take(&mut file.tensors).into_iter();
    file.tensors = tensors
        .filter_map(|(key, tensor)| Some((name(&key)?, tensor)))
        .collect();
    file.write(&path);
}

#[track_caller]
fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

/// Evaluates, and asserts that the error fits on a screen.
#[track_caller]
fn refusal(model: &Path) -> String {
    let text = CommandLine::evaluate(model).fail(3);
    assert!(text.lines().count() < 10, "longer than a screen: {text}");
    text
}

fn metrics(line: &CommandLine) -> (Value, Value, String) {
    let (printed, said) = line.output();
    let found: Value = serde_json::from_str(&printed).unwrap();
    (
        found["eval_loss"].clone(),
        found["eval_accuracy"].clone(),
        said,
    )
}

#[test]
fn prefixes_of_wrappers_are_taken_off_and_said_once() {
    let evaluate = |model: &Path| {
        let line = CommandLine::new("evaluate --task mrpc --max-length 64").path("--model", model);
        metrics(&line.path("--data", fixture("parity/data")))
    };
    let (loss, accuracy, said) = evaluate(&fixture("parity/bert"));
    assert!(!said.contains("prefix"), "{said}");
    for wrapper in ["module.", "_orig_mod.", "model.", "_orig_mod.module."] {
        let scratch = Scratch::new();
        let model = model(&scratch);
        rename(&model, |key| Some(format!("{wrapper}{key}")));
        let (other_loss, other_accuracy, said) = evaluate(&model);
        assert_eq!(
            (&other_loss, &other_accuracy),
            (&loss, &accuracy),
            "{wrapper}"
        );
        let first = wrapper.split_inclusive('.').next().unwrap();
        assert_says(&said, &["prefix", &format!("`{first}`")]);
        assert_eq!(said.matches("prefix").count(), 1, "{said}");
    }
}

#[test]
fn a_prefix_that_is_not_known_is_named() {
    let scratch = Scratch::new();
    let model = model(&scratch);
    rename(&model, |key| Some(format!("net.{key}")));
    refusal(&model);
    let scratch = Scratch::new();
    let model = scratch.copy("bert", "model");
    rename(&model, |key| Some(key.replacen("bert.", "roberta.", 1)));
    refusal(&model);
}

#[test]
fn another_number_of_layers_is_one_sentence() {
    for layers in [1, 4, 6, 12] {
        let scratch = Scratch::new();
        let model = model(&scratch);
        set_key(
            &model.join("config.json"),
            "num_hidden_layers",
            json!(layers),
        );
        let text = refusal(&model);
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}

#[test]
fn lists_of_tensors_name_five() {
    let scratch = Scratch::new();
    let model = model(&scratch);
    rename(&model, |key| {
        (!key.contains(".output.")).then(|| key.to_owned())
    });
    let text = refusal(&model);
    assert_eq!(text.matches("missing: ").count(), 5, "{text}");
    // The same for an adapter.
    let scratch = Scratch::new();
    let adapter = scratch.path("adapter");
    std::fs::create_dir(&adapter).unwrap();
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        fs::copy(fixture("parity/bert/lora").join(file), adapter.join(file)).unwrap();
    }
    let path = adapter.join("adapter_model.safetensors");
    let mut file = TensorFile::read(&path);
    file.tensors.retain(|key, _| key.contains("classifier"));
    file.write(&path);
    let line = CommandLine::evaluate(&fixture("parity/bert")).path("--adapter", &adapter);
    let text = line.fail(3);
    assert!(text.lines().count() < 12, "{text}");
}

/// Sets the label names in `config.json`.
fn name_labels(model: &Path, labels: Value) {
    let path = model.join("config.json");
    let mut config = read_json(&path);
    config["id2label"] = labels;
    config.as_object_mut().unwrap().remove("label2id");
    fs::write(path, config.to_string()).unwrap();
}

/// Training reuses a head with other names output by output; evaluation refuses it.
#[test]
fn other_labels_are_an_error_but_in_training() {
    let scratch = Scratch::new();
    let model = model(&scratch);
    name_labels(&model, json!({"0": "negative", "1": "positive"}));
    refusal(&model);
    let run = scratch.path("run");
    let line = CommandLine::talking_train("bert", &run).words("--max-steps 1");
    assert!(!line.output().1.contains("other labels"));
    let run = scratch.path("other");
    let line = CommandLine::new("train --task mrpc --max-length 64 --max-steps 1")
        .path("--model", &model)
        .path("--data", fixture("parity/data"))
        .path("--output", &run);
    assert_says(
        &line.output().1,
        &["trained for other labels", "\"negative\""],
    );
    let config = read_json(&run.join("config.json"));
    assert_eq!(
        config["id2label"],
        json!({"0": "not_equivalent", "1": "equivalent"})
    );
}

/// `us` and `Us` both fold to `US`, so neither is matched with it.
#[test]
fn labels_that_fold_together_are_not_guessed() {
    let scratch = Scratch::new();
    let model = model(&scratch);
    name_labels(&model, json!({"0": "EQUIVALENT", "1": "Equivalent"}));
    refusal(&model);
    // Ids have no meaning beyond their numbers.
    name_labels(&model, json!({"0": 0, "1": 1}));
    let (loss, ..) = metrics(&CommandLine::evaluate(&model));
    let (expected, ..) = metrics(&CommandLine::evaluate(&fixture("parity/bert")));
    assert_eq!(loss, expected);
}
