//! The real MiniLM on real MRPC dev pairs: logits against transformers, and adapters exchanged with
//! PEFT.
//!
//! Reference: `tests/fixtures/minilm/` (torch 2.15.0, transformers 5.23.0, peft 0.21.2). The other
//! direction, PEFT loading what progtune saved, needs Python: `cargo xtask check-peft`. Here its
//! files are compared with PEFT's own: the same keys, shapes and configuration.

use candle_core::{Device, Tensor};
use progtune::evaluate;
use progtune_datasets::SplitName;
use progtune_engine::{HeadKind, model::Kernels};
use progtune_pipeline::batch_order::BatchLimit;
use progtune_tests::{
    fixture, max_difference, minilm,
    model::{Wanted, examples},
    read_json, read_jsonl, read_safetensors, run, shared_data,
};
use std::{collections::BTreeMap, path::Path};

const TOLERANCE: f32 = 1e-4;

/// MiniLM with the fixture's head, as a checkpoint directory.
fn with_head(minilm: &Path) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for name in ["config.json", "tokenizer.json", "vocab.txt"] {
        std::fs::copy(minilm.join(name), directory.path().join(name)).unwrap();
    }
    let mut weights =
        candle_core::safetensors::load(minilm.join("model.safetensors"), &Device::Cpu).unwrap();
    weights.extend(read_safetensors(&fixture("minilm/head.safetensors")));
    candle_core::safetensors::save(&weights, directory.path().join("model.safetensors")).unwrap();
    directory
}

fn logits(
    model: &Path,
    adapter: Option<&Path>,
    data: &Path,
    kernels: Kernels,
    limit: usize,
) -> Tensor {
    let dev = examples(
        model,
        "mrpc",
        &data.join("MRPC"),
        SplitName::Validation,
        Some(limit),
        128,
    );
    let method = if adapter.is_some() { "lora" } else { "" };
    let wanted = Wanted {
        model,
        method,
        options: &[],
        adapter,
        head: HeadKind::Sequence(2),
        kernels,
        dropout: None,
    };
    let (limit, dev) = (BatchLimit::Examples(32), dev.into());
    let rows = evaluate::logits(&wanted.build().model, &dev, limit).unwrap();
    Tensor::from_vec(rows.concat(), (rows.len(), 2), &Device::Cpu).unwrap()
}

#[test]
fn logits_equal_transformers_with_and_without_a_peft_adapter() {
    let (Some(minilm), Some(data)) = (minilm(), shared_data()) else {
        return;
    };
    let expected = read_safetensors(&fixture("minilm/expected.safetensors"));
    let model = with_head(&minilm);
    let adapter = fixture("minilm/peft_lora");
    // The composed path uses candle's primitives and is slow on a CPU, so only some of the pairs
    // are tested.
    for (kernels, limit) in [(Kernels::Fused, 408), (Kernels::Composed, 48)] {
        for (adapter, key) in [(None, "logits"), (Some(adapter.as_path()), "lora_logits")] {
            let got = logits(model.path(), adapter, &data, kernels, limit);
            assert_eq!(got.dims(), [limit, 2]);
            let difference = max_difference(&got, &expected[key].narrow(0, 0, limit).unwrap());
            println!("{key}, {kernels}: differs by at most {difference:.1e}");
            assert!(
                difference < TOLERANCE,
                "{key}, {kernels}: differs by {difference}"
            );
        }
    }
}

fn shapes(path: &Path) -> BTreeMap<String, Vec<usize>> {
    read_safetensors(path)
        .into_iter()
        .map(|(key, value)| (key, value.dims().to_vec()))
        .collect()
}

/// A LoRA run on the real model saves the same as PEFT, and the saved adapter gives the run's own
/// metrics.
#[test]
fn a_saved_lora_adapter_has_pefts_form_and_gives_the_same_results() {
    let (Some(minilm), Some(data)) = (minilm(), shared_data()) else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("run");
    let text = |path: &Path| path.display().to_string();
    let (model, data, output_text) = (text(&minilm), text(&data.join("MRPC")), text(&output));
    let common = ["--model", &model, "--task", "mrpc", "--data", &data];
    let mut train: Vec<&str> = common.to_vec();
    train.extend([
        "--schedule",
        "progressive",
        "--peft",
        "lora",
        "--max-steps",
        "6",
        "--batch-size",
        "16",
    ]);
    train.extend([
        "--max-eval-samples",
        "64",
        "--output",
        &output_text,
        "--quiet",
    ]);
    run(&train);

    let reference = fixture("minilm/peft_lora");
    let weights = "adapter_model.safetensors";
    assert_eq!(
        shapes(&output.join(weights)),
        shapes(&reference.join(weights))
    );
    let (ours, pefts) = (
        read_json(&output.join("adapter_config.json")),
        read_json(&reference.join("adapter_config.json")),
    );
    for key in [
        "peft_type",
        "task_type",
        "r",
        "lora_alpha",
        "bias",
        "modules_to_save",
        "target_modules",
        "inference_mode",
        "fan_in_fan_out",
        "use_rslora",
    ] {
        assert_eq!(ours[key], pefts[key], "{key}");
    }

    let mut arguments = vec!["evaluate"];
    arguments.extend(common);
    arguments.extend(["--adapter", &output_text, "--max-eval-samples", "64"]);
    let evaluated: serde_json::Value = serde_json::from_slice(&run(&arguments).stdout).unwrap();
    let lines = read_jsonl(&output.join("metrics.jsonl"));
    let last = lines
        .iter()
        .rev()
        .find(|line| line.get("eval_loss").is_some())
        .unwrap();
    for key in ["eval_accuracy", "eval_f1", "eval_loss"] {
        let (a, b) = (
            evaluated[key].as_f64().unwrap(),
            last[key].as_f64().unwrap(),
        );
        assert!(
            (a - b).abs() < 1e-6,
            "{key}: evaluated {a}, at the end of the run {b}"
        );
    }
}
