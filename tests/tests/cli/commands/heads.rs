//! Heads that come from elsewhere: another order of labels, a pooler that only the adapter has.

use super::*;
use candle_core::{Device, Tensor};
use progtune_tests::read_safetensors;

/// Swaps the two outputs of a saved head and the names in `id2label`: the same model in another
/// order.
fn with_other_order(
    scratch: &Scratch,
    from: &Path,
    weights: &str,
    prefix: &str,
    name: &str,
) -> std::path::PathBuf {
    let to = scratch.path(name);
    fs::create_dir_all(&to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
    let mut tensors = read_safetensors(&from.join(weights));
    let order = Tensor::new(&[1u32, 0], &Device::Cpu).unwrap();
    for suffix in ["weight", "bias"] {
        let key = format!("{prefix}classifier.{suffix}");
        let swapped = tensors[&key].index_select(&order, 0).unwrap();
        tensors.insert(key, swapped);
    }
    candle_core::safetensors::save(&tensors, to.join(weights)).unwrap();
    to
}

fn name_labels(model: &Path, labels: [&str; 2]) {
    let path = model.join("config.json");
    let mut config = read_json(&path);
    config["id2label"] = serde_json::json!({"0": labels[0], "1": labels[1]});
    config["label2id"] = serde_json::json!({labels[0]: 0, labels[1]: 1});
    fs::write(path, config.to_string()).unwrap();
}

fn evaluated(line: CommandLine) -> Vec<(String, Value)> {
    measured(&serde_json::from_str(&line.run()).unwrap())
}

#[test]
fn a_head_with_another_order_of_labels_gives_the_same_results() {
    let scratch = Scratch::new();
    let base = fixture("parity/bert");
    let model = with_other_order(&scratch, &base, "model.safetensors", "", "swapped");
    let straight = evaluated(CommandLine::evaluate(&base));
    assert_ne!(
        evaluated(CommandLine::evaluate(&model)),
        straight,
        "ids count without names"
    );
    name_labels(&model, ["Equivalent", "Not-Equivalent"]);
    assert_eq!(evaluated(CommandLine::evaluate(&model)), straight);

    // A PEFT adapter uses the order of its base, and one that is saved over such a base keeps it.
    let lora = base.join("lora");
    let adapter = with_other_order(
        &scratch,
        &lora,
        "adapter_model.safetensors",
        "base_model.model.",
        "adapter",
    );
    let straight = evaluated(CommandLine::evaluate(&base).path("--adapter", &lora));
    assert_eq!(
        evaluated(CommandLine::evaluate(&model).path("--adapter", &adapter)),
        straight
    );
    let run = scratch.path("run");
    CommandLine::train_on(&model, &fixture("parity/data"), &run)
        .words("--peft lora --max-steps 1 --lr 1e-12 --dropout 0 --weight-decay 0")
        .path("--init-adapter", &adapter)
        .run();
    let (saved, given) = (
        read_safetensors(&run.join("adapter_model.safetensors")),
        read_safetensors(&adapter.join("adapter_model.safetensors")),
    );
    for (key, value) in &given {
        assert!(
            progtune_tests::max_difference(value, &saved[key]) < 1e-6,
            "{key}"
        );
    }
}

/// A pooler that the starting adapter brought belongs to the result, trained or not.
#[test]
fn a_trained_pooler_stays_with_the_adapter() {
    let scratch = Scratch::new();
    let (first, second) = (scratch.path("first"), scratch.path("second"));
    CommandLine::train("bert", &first)
        .words("--peft lora --train-pooler --epochs 2 --lr 1e-2")
        .run();
    CommandLine::train("bert", &second)
        .words("--peft lora --max-steps 1 --lr 1e-9")
        .path("--init-adapter", &first)
        .run();
    let keys = |run: &Path| {
        let mut keys: Vec<String> = read_safetensors(&run.join("adapter_model.safetensors"))
            .into_keys()
            .collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(&second), keys(&first));
    assert!(keys(&first).iter().any(|key| key.contains("pooler")));
    let found =
        evaluated(CommandLine::evaluate(&fixture("parity/bert")).path("--adapter", &second));
    assert_eq!(
        found,
        measured(&read_json(&second.join("all_results.json")))
    );
}

#[test]
fn train_pooler_that_changes_nothing_is_refused() {
    let scratch = Scratch::new();
    for (model, peft) in [("bert", "none"), ("roberta", "lora")] {
        CommandLine::train(model, &scratch.path("run"))
            .words("--train-pooler --max-steps 1")
            .path("--peft", peft)
            .fail(2);
    }
}
