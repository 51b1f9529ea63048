//! Checkpoints and adapters that have only PyTorch's files: they compute what Transformers and PEFT
//! compute (torch 2.15, transformers 5.23, peft 0.21; `tests/fixtures/make_pickles.py`), and code
//! in them is refused. Tolerance 1e-5.

use super::*;
use progtune_tests::cases;
use serde_json::Value;
use std::path::PathBuf;

const SHARD: &str = "pytorch_model-00001-of-00002.bin";

fn pickles(name: &str) -> PathBuf {
    fixture("pickles").join(name)
}

/// The logits of the fixture's texts with a model and these flags.
fn logits(scratch: &Scratch, model: &Path, adapter: Option<&Path>) -> Vec<Vec<f64>> {
    let expected = read_json(&pickles("expected.json"));
    let texts = expected["texts"].as_array().unwrap().iter();
    let rows = texts.map(|row| {
        let pair = row[1].as_str().filter(|pair| !pair.is_empty());
        let mut line = CommandLine::new("predict --task own --quiet").path("--model", model);
        if let Some(adapter) = adapter {
            line = line.path("--adapter", adapter);
        }
        line = line.path("--text", row[0].as_str().unwrap());
        if let Some(pair) = pair {
            line = line.path("--text-pair", pair);
        }
        let output = line.path("--output", scratch.path("out.jsonl"));
        output.run();
        let said = fs::read_to_string(scratch.path("out.jsonl")).unwrap();
        fs::remove_file(scratch.path("out.jsonl")).unwrap();
        let said: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
        said["logits"]
            .as_array()
            .unwrap()
            .iter()
            .map(|x| x.as_f64().unwrap())
            .collect()
    });
    rows.collect()
}

#[track_caller]
fn assert_near(found: &[Vec<f64>], key: &str) {
    let expected = read_json(&pickles("expected.json"));
    for (found, expected) in found.iter().zip(expected[key].as_array().unwrap()) {
        for (found, expected) in found.iter().zip(expected.as_array().unwrap()) {
            let difference = (found - expected.as_f64().unwrap()).abs();
            assert!(
                difference < f64::from(TOLERANCE),
                "{key}: {found} and {expected}"
            );
        }
    }
}

/// The shards are in both layouts, and LayerNorms have the names of old checkpoints.
#[test]
fn shards_compute_what_transformers_does() {
    let scratch = Scratch::new();
    assert_near(&logits(&scratch, &pickles("model"), None), "logits");
}

#[test]
fn an_adapter_computes_what_peft_does() {
    let scratch = Scratch::new();
    let found = logits(&scratch, &pickles("model"), Some(&pickles("adapter")));
    assert_near(&found, "adapter_logits");
}

/// A result is always saved as safetensors.
#[test]
fn training_begins_from_shards_and_from_an_adapter() {
    let scratch = Scratch::new();
    let rows = "kebe zepi,no\nmoli limi,yes\n".repeat(8);
    let data = scratch.write("data.csv", format!("text,label\n{rows}"));
    for (flags, weights) in [
        ("", "model.safetensors"),
        (
            "--peft lora --peft-opt r=2 --peft-opt lora_alpha=4",
            "adapter_model.safetensors",
        ),
    ] {
        let run = scratch.path(&format!("run{}", flags.len()));
        let mut line =
            CommandLine::new("train --quiet --max-steps 1 --max-length 16 --validation-split 0.5")
                .words(flags)
                .path("--model", pickles("model"))
                .path("--train-file", &data)
                .path("--output", &run);
        if !flags.is_empty() {
            line = line.path("--init-adapter", pickles("adapter"));
        }
        line.run();
        assert!(run.join(weights).is_file(), "{weights}");
    }
}

/// Evaluates the model with a change that must be refused.
#[track_caller]
fn is_refused(damage: impl FnOnce(&Path)) {
    let scratch = Scratch::new();
    let model = scratch.path("model");
    fs::create_dir(&model).unwrap();
    for entry in fs::read_dir(pickles("model")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, model.join(path.file_name().unwrap())).unwrap();
    }
    damage(&model);
    let text = CommandLine::evaluate(&model).fail(3);
    assert!(
        scratch.hide_path(&text).starts_with("error: DIR/model"),
        "{text}"
    );
    assert!(!text.contains("panicked"), "{text}");
}

fn with(name: &'static str) -> impl FnOnce(&Path) {
    move |model| {
        fs::copy(pickles("hostile").join(name), model.join(SHARD)).unwrap();
    }
}

cases! { is_refused:
    a_shard_with_code(with("code.bin"));
    a_shard_with_code_in_the_older_layout(with("code_legacy.bin"));
    a_shard_that_is_a_whole_model(with("module.bin"));
    a_shard_with_a_nested_state_dict(with("nested.bin"));
    a_shard_that_is_another_pickle(with("plain_pickle.bin"));
    a_shard_that_is_cut_off(|model| {
        let bytes = fs::read(model.join(SHARD)).unwrap();
        fs::write(model.join(SHARD), &bytes[..bytes.len() / 2]).unwrap();
    });
    a_shard_that_is_missing(|model| fs::remove_file(model.join(SHARD)).unwrap());
    an_index_that_leads_outside(|model| {
        let index = model.join("pytorch_model.bin.index.json");
        fs::write(index, r#"{"weight_map": {"a": "../../pytorch_model.bin"}}"#).unwrap();
    });
}
