//! The further PEFT methods against PyTorch + Transformers + PEFT from the same start, for both
//! compute paths. Compared are logits, loss and the gradient of every trained parameter. Files that
//! are read in PEFT's formats are saved unchanged.
//!
//! Reference: `tests/fixtures/parity/*/methods.safetensors` (torch 2.15.0, transformers 5.23.0,
//! peft 0.21.2). Tolerances: logits and loss 1e-5; each parameter's gradient 1e-4 of the larger of
//! its own norm and a thousandth of the global norm.

use candle_core::{Device, Tensor};
use progtune::evaluate;
use progtune_datasets::{ProblemType, SplitName};
use progtune_engine::{
    Batch, HeadKind,
    adapter::{Adapter, Provenance, peft::Format},
    model::{Gradients, Kernels, Step},
};
use progtune_pipeline::batch_order::BatchLimit;
use progtune_tests::{
    fixture, max_difference,
    model::{Setup, Wanted, examples, parity_examples},
    read_json, read_safetensors,
};
use serde_json::Value;
use std::{collections::HashMap, path::Path};

const STEP: Step = Step { seed: 0, number: 0 };
const PATHS: [Kernels; 2] = [Kernels::Fused, Kernels::Composed];
const MODELS: [&str; 2] = ["bert", "roberta"];
/// The method's id, and the directory with its start values.
const METHODS: [(&str, &str); 9] = [
    ("lora", "lora_rs"),
    ("dora", "dora"),
    ("ia3", "ia3"),
    ("vera", "vera"),
    ("kron-a", "kron_a"),
    ("pfeiffer", "pfeiffer"),
    ("parallel", "parallel"),
    ("prefix", "prefix"),
    ("prefix", "prefix_projection"),
];

fn norm(t: &Tensor) -> f64 {
    let squares = t.sqr().unwrap().sum_all().unwrap();
    f64::from(squares.to_scalar::<f32>().unwrap()).sqrt()
}

/// The model with a method at its saved start, and with everything it selects trainable.
fn setup(model: &Path, method: &str, adapter: &Path, kernels: Kernels) -> Setup {
    let mut setup = Wanted {
        model,
        method,
        options: &[],
        adapter: Some(adapter),
        head: HeadKind::Sequence(2),
        kernels,
        dropout: Some(0.0),
    }
    .build();
    setup.train_all();
    setup
}

/// Computes loss and gradients for the first training rows. Returns the worst difference between
/// gradients, relative to their scale.
fn compare_gradients(
    setup: &Setup,
    name: &str,
    start: &str,
    expected: &HashMap<String, Tensor>,
) -> f64 {
    let model = &setup.model;
    let batch = Batch::new(
        &parity_examples(name, 8),
        &[0, 1, 2, 3, 4, 5, 6, 7],
        model.config.first_position(),
    );
    let mut gradients = Gradients::new(&model.parameters);
    let loss = model.train(&batch, STEP, 8.0, &mut gradients).unwrap();
    let want = f64::from(expected[&format!("{start}.loss")].to_vec1::<f32>().unwrap()[0]);
    assert!(
        (loss - want).abs() < 1e-5,
        "{name} {start}: loss {loss}, PyTorch's {want}"
    );
    gradients.check_reached(&model.parameters).unwrap();
    let before = format!("{start}.grad.");
    let references: HashMap<&str, &Tensor> = expected
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(&before)?, value)))
        .collect();
    let trainable: Vec<usize> = model.parameters.trainable().collect();
    assert_eq!(
        trainable.len(),
        references.len(),
        "{name} {start}: everything trained has a reference"
    );
    let global = references.values().map(|g| norm(g).powi(2)).sum::<f64>();
    let mut worst = 0f64;
    for id in trainable {
        let parameter = &model.parameters.infos()[id].name;
        let reference = references
            .get(parameter.as_str())
            .unwrap_or_else(|| panic!("{name} {start}: PyTorch does not train {parameter}"));
        let gradient = gradients.tensor(id, &model.parameters).unwrap().unwrap();
        let scale = norm(reference).max(global.sqrt() / 1000.0);
        let difference = norm(&(&gradient - *reference).unwrap());
        worst = worst.max(difference / scale);
        assert!(
            difference < 1e-4 * scale,
            "{name} {start}: {parameter}: differs by {difference} of {scale}"
        );
    }
    worst
}

#[test]
fn logits_loss_and_every_gradient_equal_pefts() {
    for name in MODELS {
        let path = fixture("parity").join(name);
        let expected = read_safetensors(&path.join("methods.safetensors"));
        let data = fixture("parity/data");
        let dev = examples(&path, "mrpc", &data, SplitName::Validation, None, 60).into();
        for (method, start) in METHODS {
            for kernels in PATHS {
                let setup = setup(&path, method, &path.join(start), kernels);
                let rows = evaluate::logits(&setup.model, &dev, BatchLimit::Examples(5)).unwrap();
                let shape = (rows.len(), 2);
                let rows = Tensor::from_vec(rows.concat(), shape, &Device::Cpu).unwrap();
                let difference = max_difference(&rows, &expected[&format!("{start}.logits")]);
                assert!(
                    difference < 1e-5,
                    "{name} {start} {kernels}: logits differ by {difference}"
                );
                let worst = compare_gradients(&setup, name, start, &expected);
                println!(
                    "{name} {start} {kernels}: logits differ by {difference:.1e}, gradients by {worst:.1e} of their scale"
                );
            }
        }
    }
}

/// With dropout on, the two paths draw the same masks, so their gradients agree.
#[test]
fn fused_and_composed_agree_under_dropout() {
    for (name, (method, start)) in MODELS
        .into_iter()
        .flat_map(|name| METHODS.map(|method| (name, method)))
    {
        let path = fixture("parity").join(name);
        let examples = parity_examples(name, 6);
        let own = match method {
            "lora" | "dora" => "lora_dropout",
            "vera" => "vera_dropout",
            "kron-a" => "dropout",
            _ => "",
        };
        let options = [(own, "0.2")];
        let run = |kernels| {
            let adapter = path.join(start);
            let mut setup = Wanted {
                model: &path,
                method,
                options: &options[usize::from(own.is_empty())..],
                adapter: Some(&adapter),
                head: HeadKind::Sequence(2),
                kernels,
                dropout: Some(0.3),
            }
            .build();
            setup.train_all();
            let model = setup.model;
            let batch = Batch::new(&examples, &[5, 0, 3, 1], model.config.first_position());
            let mut gradients = Gradients::new(&model.parameters);
            let loss = model.train(&batch, STEP, 4.0, &mut gradients).unwrap();
            let ids: Vec<usize> = model.parameters.trainable().collect();
            let tensors = ids.into_iter().map(|id| {
                let tensor = gradients.tensor(id, &model.parameters).unwrap();
                (model.parameters.infos()[id].name.clone(), tensor.unwrap())
            });
            (loss, tensors.collect::<Vec<_>>())
        };
        let (fused, composed) = (run(Kernels::Fused), run(Kernels::Composed));
        assert!(
            (fused.0 - composed.0).abs() < 1e-5,
            "{name} {start}: {} and {}",
            fused.0,
            composed.0
        );
        for ((parameter, a), (_, b)) in fused.1.iter().zip(&composed.1) {
            let difference = max_difference(a, b);
            assert!(
                difference < 2e-4,
                "{name} {start}: {parameter} differs by {difference}"
            );
        }
    }
}

/// PEFT's saved files, read and written again, have the same tensors under the same keys, and the
/// same settings.
#[test]
fn pefts_adapters_are_written_as_they_were_read() {
    for name in MODELS {
        let path = fixture("parity").join(name);
        for (method, start) in METHODS {
            let source = path.join(start);
            if !source.join("adapter_config.json").exists() {
                continue;
            }
            let setup = setup(&path, method, &source, Kernels::Fused);
            let adapter = Adapter::read(&source, &setup.model.config).unwrap();
            assert_eq!(adapter.method, method);
            let theirs = read_json(&source.join("adapter_config.json"));
            let options: Vec<(String, Value)> = theirs
                .as_object()
                .unwrap()
                .iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            let about = Provenance {
                base_model: name,
                base_revision: None,
                problem_type: ProblemType::SingleLabelClassification,
                task: "mrpc",
                method,
                options: &options,
                plugin: "",
                head_order: None,
            };
            let directory = tempfile::tempdir().unwrap();
            let (parameters, rewrites) = (&setup.model.parameters, &setup.model_plan.rewrites);
            Format::of(method, parameters)
                .expect("PEFT has the method")
                .save(
                    directory.path(),
                    parameters,
                    &setup.model_plan.candidates,
                    &setup.model.config,
                    rewrites,
                    about,
                )
                .unwrap();
            let ours = read_json(&directory.path().join("adapter_config.json"));
            for (key, value) in ours.as_object().unwrap() {
                let same = match (value.as_f64(), theirs[key].as_f64()) {
                    (Some(ours), Some(theirs)) => ours == theirs,
                    _ => *value == theirs[key],
                };
                // PEFT names the head twice for prefix tuning.
                assert!(
                    same || key == "modules_to_save",
                    "{name} {start}: {key} is {value}, PEFT's {}",
                    theirs[key]
                );
            }
            let file = "adapter_model.safetensors";
            let (ours, theirs) = (
                read_safetensors(&directory.path().join(file)),
                read_safetensors(&source.join(file)),
            );
            assert_eq!(ours.len(), theirs.len(), "{name} {start}");
            for (key, value) in &theirs {
                let found = ours.get(key);
                let found = found.unwrap_or_else(|| panic!("{name} {start}: no tensor {key}"));
                assert_eq!(max_difference(found, value), 0.0, "{name} {start}: {key}");
            }
        }
    }
}
