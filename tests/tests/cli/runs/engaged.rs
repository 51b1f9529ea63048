//! The effect of training on each part. Reference: the difference of the files before and after, in
//! f64; tolerance 1e-9 relative, because the sums have another order.

use super::*;
use candle_core::{DType, Tensor};
use progtune_tests::read_safetensors;
use std::collections::HashMap;

fn part<'a>(engaged: &'a Value, name: &str, block: Option<u64>) -> &'a Value {
    let parts = engaged.as_array().expect("a list").iter();
    let found = parts
        .filter(|part| part["part"] == name)
        .find(|part| part["block"].as_u64() == block);
    found.unwrap_or_else(|| panic!("{name} {block:?} in {engaged:#}"))
}

fn norm(values: impl Iterator<Item = Tensor>) -> f64 {
    let square = |value: Tensor| -> candle_core::Result<f64> {
        value.to_dtype(DType::F64)?.sqr()?.sum_all()?.to_scalar()
    };
    let squares = values.map(|value| square(value).expect("numbers"));
    squares.sum::<f64>().sqrt()
}

#[test]
fn blocks_that_an_epoch_freezes_have_fewer_steps_and_move_less() {
    let scratch = Scratch::new();
    let run = trained(
        &scratch,
        "--schedule grow-from-hb --epochs 2 --lr 1e-3 --batch-size 9",
    );
    let results = read_json(&run.join("all_results.json"));
    let plan = read_json(&run.join("plan.json"));
    let engaged = &results["engaged"];
    let before = read_safetensors(&fixture("parity/bert/model.safetensors"));
    let after = read_safetensors(&run.join("model.safetensors"));
    let of_block = |tensors: &HashMap<String, Tensor>, block: u64| -> Vec<String> {
        let place = format!("encoder.layer.{block}.");
        let keys = tensors.keys().filter(|key| key.contains(&place));
        keys.cloned().collect()
    };
    for block in 0..5 {
        let epochs = plan["epochs"].as_array().unwrap().iter();
        let trained = epochs.filter(|epoch| {
            let blocks = epoch["blocks"].as_array().unwrap();
            blocks.contains(&block.into())
        });
        let steps = 3 * trained.count() as u64;
        let part = part(engaged, "block", Some(block));
        assert_eq!(part["steps"], steps, "block {block}");
        let keys = of_block(&after, block);
        let changes = keys.iter().map(|key| (&after[key] - &before[key]).unwrap());
        let expected = norm(changes);
        let change = part["change"].as_f64().unwrap();
        if steps == 0 {
            assert_eq!((change, expected), (0.0, 0.0), "block {block}");
            assert_eq!(part["initial_norm"], Value::Null);
        } else {
            assert!(change > 0.0);
            // The reference subtracts in f32, which rounds each difference.
            assert!(
                (change / expected - 1.0).abs() < 1e-6,
                "{change} {expected}"
            );
            let initial = norm(keys.iter().map(|key| before[key].clone()));
            let found = part["initial_norm"].as_f64().unwrap();
            assert!((found / initial - 1.0).abs() < 1e-9, "{found} {initial}");
            let relative = part["relative_change"].as_f64().unwrap();
            assert!((relative - change / found).abs() < 1e-12);
        }
    }
    assert_eq!(part(engaged, "head", None)["steps"], 6);
}

/// The matrices B start at zero and the classifier is the checkpoint's, so both parts have norms.
#[test]
fn the_parameters_that_a_method_adds_count() {
    let scratch = Scratch::new();
    let run = trained(&scratch, "--peft lora --peft-opt r=4 --max-steps 2");
    let engaged = &read_json(&run.join("all_results.json"))["engaged"];
    let block = part(engaged, "block", Some(2));
    assert_eq!(block["parameters"], 2 * 2 * 4 * 32);
    assert!(block["relative_change"].as_f64().unwrap() > 0.0);
    let embeddings = part(engaged, "embeddings", None);
    assert_eq!(
        (&embeddings["steps"], &embeddings["parameters"]),
        (&0.into(), &0.into())
    );
}

#[test]
fn what_was_trained_in_vain_gets_a_warning() {
    let scratch = Scratch::new();
    // The first step of a warm-up has the learning rate 0.
    let line = CommandLine::talking_train("bert", &scratch.path("run"))
        .words("--max-steps 1 --warmup 2 --peft lora");
    let (stdout, stderr) = line.output();
    assert!(
        stderr
            .contains("blocks 0-4, the head: trained for up to 1 steps, but no parameter changed"),
        "{stderr}"
    );
    assert!(
        stdout.contains("\nchange              blocks 0.0 %, head 0.0 %"),
        "{stdout}"
    );
}
