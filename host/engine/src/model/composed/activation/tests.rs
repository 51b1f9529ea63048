//! Values and derivatives of every activation on both paths, compared with PyTorch's.
//!
//! Reference: `tests/fixtures/activations.json`, made by `make_configurations.py` with torch 2.15.0
//! and transformers 5.24.0 in double precision, including kinks and far ends. The tolerance is
//! 2e-6, relative above 1.

use super::*;
use crate::model::config::ModelConfig;
use candle_core::{Device, Var};
use progtune_kernels::activation;
use serde_json::{Value, json};

const FIXTURE: &str = include_str!("../../../../../../tests/fixtures/activations.json");

fn numbers(value: &Value) -> Vec<f32> {
    let list = value.as_array().unwrap().iter();
    list.map(|x| x.as_f64().unwrap() as f32).collect()
}

/// The differences from the reference, one per line.
fn differences(about: &str, x: &[f32], found: &[f32], expected: &[f32]) -> Vec<String> {
    let rows = x.iter().zip(found).zip(expected);
    let bad = rows.filter(|((_, found), expected)| {
        let difference = (**found - **expected).abs();
        difference.is_nan() || difference > 2e-6 * expected.abs().max(1.0)
    });
    bad.map(|((x, found), expected)| format!("{about} at {x}: {found}, PyTorch's {expected}"))
        .collect()
}

#[test]
fn values_and_slopes_are_pytorchs() {
    let fixture: Value = serde_json::from_str(FIXTURE).unwrap();
    let x = numbers(&fixture["x"]);
    let mut faults = Vec::new();
    let mut n = 0;
    for (name, reference) in fixture["activations"].as_object().unwrap() {
        let (y, slope) = (numbers(&reference["y"]), numbers(&reference["slope"]));
        let config = json!({
            "model_type": "bert", "vocab_size": 4, "hidden_size": 2, "num_hidden_layers": 1,
            "num_attention_heads": 1, "intermediate_size": 2, "hidden_act": name,
        });
        let activation = ModelConfig::parse(&config.to_string(), name)
            .unwrap()
            .activation;
        let mut found = vec![f32::NAN; x.len()];
        activation::forward(&mut found, &x, activation);
        faults.extend(differences(&format!("{name}, fused"), &x, &found, &y));
        let mut d = vec![1.0; x.len()];
        activation::backward(&mut d, &x, activation);
        faults.extend(differences(&format!("{name}', fused"), &x, &d, &slope));

        let input = Var::from_slice(&x, x.len(), &Device::Cpu).unwrap();
        let output = forward(&input, activation).unwrap();
        let store = output.sum_all().unwrap().backward().unwrap();
        let found = output.to_vec1::<f32>().unwrap();
        faults.extend(differences(&format!("{name}, composed"), &x, &found, &y));
        let d = store.get(&input).unwrap().to_vec1::<f32>().unwrap();
        faults.extend(differences(&format!("{name}', composed"), &x, &d, &slope));
        n += 1;
    }
    assert_eq!(n, 22, "every name");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
