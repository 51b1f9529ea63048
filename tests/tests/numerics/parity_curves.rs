//! Loss curves against PyTorch + Transformers + PEFT: {full, LoRA, BitFit, adapter ×2} × four
//! schedules × {BERT, RoBERTa}, and the further methods × {full, progressive}. Each takes 20 steps
//! through the built binary and the built plugins, from the same head and adapter.
//!
//! Reference: `tests/fixtures/parity/curves.json`, `method_curves.json` (torch 2.15.0, transformers
//! 5.23.0, peft 0.21.2; see the README there). Tolerance 1e-4 on every loss; the reference itself
//! is within 1.5e-6 of float64.

use progtune_tests::{fixture, read_json, read_jsonl, run};
use serde_json::Value;
use std::path::Path;

const LOSS_TOLERANCE: f64 = 1e-4;

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap())
        .collect()
}

/// Trains as the reference did, and leaves the run in `output`.
fn train_as(reference: &Value, curves: &Value, kernels: &str, output: &Path) {
    let text = |key: &str| reference[key].as_str().unwrap();
    let (model, method, schedule) = (text("model"), text("method"), text("schedule"));
    let settings = &curves["models"][model];
    let parity = fixture("parity");
    let mut arguments: Vec<String> = [
        "--task",
        "mrpc",
        "--no-shuffle",
        "--dropout",
        "0",
        "--seed",
        "0",
        "--quiet",
    ]
    .map(String::from)
    .to_vec();
    let mut flag = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
    flag("--model", parity.join(model).display().to_string());
    flag("--data", parity.join("data").display().to_string());
    flag("--schedule", schedule.to_owned());
    flag("--epochs", settings["epochs"].to_string());
    flag("--max-steps", settings["steps"].to_string());
    flag("--max-train-samples", settings["train_rows"].to_string());
    flag("--sample", "first".to_owned());
    flag("--batch-size", curves["batch_size"].to_string());
    flag("--max-length", curves["max_length"].to_string());
    flag("--weight-decay", curves["weight_decay"].to_string());
    flag("--max-grad-norm", curves["max_grad_norm"].to_string());
    flag("--lr", reference["lr"].to_string());
    flag("--kernels", kernels.to_owned());
    flag("--output", output.display().to_string());
    let start = reference["adapter"].as_str().unwrap_or(method);
    match (method, reference["peft"].as_str()) {
        ("full", _) => {}
        ("bitfit", _) => flag("--peft", "bitfit".into()),
        (_, id) => {
            let old = if method == "lora" { "lora" } else { "adapter" };
            flag("--peft", id.unwrap_or(old).into());
            let start = parity.join(model).join(start);
            flag("--init-adapter", start.display().to_string());
        }
    }
    for option in reference["options"].as_array().into_iter().flatten() {
        flag("--peft-opt", option.as_str().unwrap().to_owned());
    }
    run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Trains as the reference did, and returns the largest difference between losses.
fn compare(reference: &Value, curves: &Value, kernels: &str) -> f64 {
    let text = |key: &str| reference[key].as_str().unwrap();
    let (model, method, schedule) = (text("model"), text("method"), text("schedule"));
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("run");
    train_as(reference, curves, kernels, &output);
    let lines = read_jsonl(&output.join("metrics.jsonl"));
    let steps: Vec<&Value> = lines
        .iter()
        .filter(|line| line.get("loss").is_some())
        .collect();
    let name = format!("{model} {method} {schedule} ({kernels})");
    let (losses, norms) = (
        numbers(&reference["loss"]),
        numbers(&reference["grad_norm"]),
    );
    assert_eq!(steps.len(), losses.len(), "{name}");
    let mut worst = 0f64;
    for (i, (line, (loss, norm))) in steps.iter().zip(losses.iter().zip(&norms)).enumerate() {
        let got = line["loss"].as_f64().unwrap();
        worst = worst.max((got - loss).abs());
        assert!(
            (got - loss).abs() < LOSS_TOLERANCE,
            "{name}: step {}: loss {got}, PyTorch's {loss}",
            i + 1
        );
        let got = line["grad_norm"].as_f64().unwrap();
        assert!(
            (got - norm).abs() < 1e-3 * norm.max(1.0),
            "{name}: step {}: gradient norm {got}, PyTorch's {norm}",
            i + 1
        );
    }
    let plan = read_json(&output.join("plan.json"));
    assert_eq!(
        plan["total_updated_parameters"], reference["updated_parameters"],
        "{name}"
    );
    let blocks: Vec<Value> = plan["epochs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|epoch| epoch["blocks"].clone())
        .collect();
    assert_eq!(Value::Array(blocks), reference["blocks"], "{name}");
    worst
}

fn compare_all(file: &str, model: &str, kernels: &str, stride: usize) {
    let curves = read_json(&fixture("parity/curves.json"));
    let runs = read_json(&fixture("parity").join(file));
    let runs = runs["runs"].as_array().unwrap();
    let mine: Vec<&Value> = runs
        .iter()
        .filter(|run| run["model"] == model)
        .step_by(stride)
        .collect();
    assert!(
        mine.len() >= 19 / stride,
        "the fixture has {} runs of {model}",
        mine.len()
    );
    let worst = mine
        .iter()
        .map(|reference| compare(reference, &curves, kernels))
        .fold(0.0, f64::max);
    println!(
        "{model}, {kernels}: {} curves, largest difference of a loss {worst:.2e}",
        mine.len()
    );
}

#[test]
fn bert_curves_equal_pytorchs() {
    compare_all("curves.json", "bert", "fused", 1);
}

#[test]
fn roberta_curves_equal_pytorchs() {
    compare_all("curves.json", "roberta", "fused", 1);
}

#[test]
fn the_further_methods_curves_equal_pefts_with_bert() {
    compare_all("method_curves.json", "bert", "fused", 1);
}

#[test]
fn the_further_methods_curves_equal_pefts_with_roberta() {
    compare_all("method_curves.json", "roberta", "fused", 1);
}

/// The compute path for CUDA, run on the CPU: every third curve of each model.
#[test]
fn composed_curves_equal_pytorchs() {
    for file in ["curves.json", "method_curves.json"] {
        compare_all(file, "bert", "composed", 3);
        compare_all(file, "roberta", "composed", 3);
    }
}
