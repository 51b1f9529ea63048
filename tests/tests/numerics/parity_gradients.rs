//! Logits and gradients against PyTorch + Transformers on tiny random models, for both compute
//! paths.
//!
//! Reference: `tests/fixtures/parity/*/expected.safetensors` (torch 2.15.0, transformers 5.23.0,
//! peft 0.21.2). Tolerances: logits 1e-5; each parameter's gradient 1e-4 of the larger of its own
//! norm and a thousandth of the global norm.

use candle_core::{D, Device, Tensor};
use progtune::evaluate;
use progtune_datasets::SplitName;
use progtune_engine::{
    Batch, HeadKind,
    model::{Gradients, Kernels, Step, weights::canonical_name},
};
use progtune_pipeline::batch_order::BatchLimit;
use progtune_tests::{
    fixture, max_difference,
    model::{Wanted, examples, parity_examples},
    read_safetensors,
};

const STEP: Step = Step { seed: 0, number: 0 };
const PATHS: [Kernels; 2] = [Kernels::Fused, Kernels::Composed];

fn matrix(rows: &[Vec<f32>]) -> Tensor {
    let flat: Vec<f32> = rows.concat();
    Tensor::from_vec(flat, (rows.len(), rows[0].len()), &Device::Cpu).unwrap()
}

fn norm(t: &Tensor) -> f64 {
    t.sqr()
        .unwrap()
        .sum_all()
        .unwrap()
        .to_scalar::<f32>()
        .unwrap()
        .sqrt() as f64
}

fn wanted<'a>(model: &'a std::path::Path, outputs: usize, kernels: Kernels) -> Wanted<'a> {
    Wanted {
        model,
        method: "",
        options: &[],
        adapter: None,
        head: HeadKind::Sequence(outputs),
        kernels,
        dropout: Some(0.0),
    }
}

#[test]
fn logits_loss_and_every_gradient_equal_pytorchs() {
    for (name, outputs) in [("bert", 2), ("roberta", 2), ("bert_regression", 1)] {
        let path = fixture("parity").join(name);
        let expected = read_safetensors(&path.join("expected.safetensors"));
        let examples = parity_examples(name, 8);
        let lengths: Vec<i64> = examples.iter().map(|e| e.input_ids.len() as i64).collect();
        assert_eq!(
            expected["lengths"].to_vec1::<i64>().unwrap(),
            lengths,
            "{name}: the same tokens"
        );
        for kernels in PATHS {
            let mut setup = wanted(&path, outputs, kernels).build();
            setup.train_all();
            let model = &setup.model;
            let all: Vec<usize> = (0..8).collect();
            let batch = Batch::new(&examples, &all, model.config.first_position());
            let difference = max_difference(&model.logits(&batch).unwrap(), &expected["logits"]);
            assert!(
                difference < 1e-5,
                "{name} {kernels}: logits differ by {difference}"
            );

            let mut gradients = Gradients::new(&model.parameters);
            let loss = model.train(&batch, STEP, 8.0, &mut gradients).unwrap();
            let want = expected["loss"].to_vec1::<f32>().unwrap()[0] as f64;
            assert!(
                (loss - want).abs() < 1e-5,
                "{name} {kernels}: loss {loss}, PyTorch's {want}"
            );
            gradients.check_reached(&model.parameters).unwrap();

            let references: Vec<(String, &Tensor)> = expected
                .iter()
                .filter_map(|(key, value)| {
                    Some((
                        canonical_name(key.strip_prefix("grad.")?, model.config.architecture),
                        value,
                    ))
                })
                .collect();
            assert_eq!(
                references.len(),
                model.parameters.len(),
                "{name}: every parameter has a reference"
            );
            let global = references
                .iter()
                .map(|(_, g)| norm(g).powi(2))
                .sum::<f64>()
                .sqrt();
            let mut worst = 0f64;
            for (parameter, reference) in references {
                let id = model.parameters.id(&parameter).unwrap();
                let gradient = gradients.tensor(id, &model.parameters).unwrap().unwrap();
                let difference = norm(&(&gradient - reference).unwrap());
                let scale = norm(reference).max(global / 1000.0);
                worst = worst.max(difference / scale);
                assert!(
                    difference < 1e-4 * scale,
                    "{name} {kernels}: {parameter}: differs by {difference} of {scale}"
                );
            }
            println!("{name} {kernels}: worst gradient difference {worst:.1e} of its scale");
        }
    }
}

#[test]
fn a_gradient_accumulated_over_micro_batches_is_that_of_the_whole_batch() {
    let path = fixture("parity").join("bert");
    let examples = parity_examples("bert", 7);
    for kernels in PATHS {
        let mut setup = wanted(&path, 2, kernels).build();
        setup.train_all();
        let model = &setup.model;
        let batch = |indices: &[usize]| Batch::new(&examples, indices, 0);
        let (mut whole, mut parts) = (
            Gradients::new(&model.parameters),
            Gradients::new(&model.parameters),
        );
        let loss = model
            .train(&batch(&[0, 1, 2, 3, 4, 5, 6]), STEP, 7.0, &mut whole)
            .unwrap();
        let sum: f64 = [&[0, 1, 2][..], &[3, 4, 5], &[6]]
            .iter()
            .map(|indices| model.train(&batch(indices), STEP, 7.0, &mut parts).unwrap())
            .sum();
        assert!((loss - sum).abs() < 1e-6);
        for id in 0..model.parameters.len() {
            let a = whole.tensor(id, &model.parameters).unwrap().unwrap();
            let b = parts.tensor(id, &model.parameters).unwrap().unwrap();
            assert!(
                max_difference(&a, &b) < 1e-5,
                "{}",
                model.parameters.infos()[id].name
            );
        }
    }
}

#[test]
fn adapters_give_the_logits_of_peft_and_pytorch() {
    for name in ["bert", "roberta"] {
        let path = fixture("parity").join(name);
        let expected = read_safetensors(&path.join("expected.safetensors"));
        let dev = examples(
            &path,
            "mrpc",
            &fixture("parity/data"),
            SplitName::Validation,
            None,
            64,
        )
        .into();
        for (method, directory) in [
            ("", ""),
            ("lora", "lora"),
            ("adapter", "adapter"),
            ("adapter", "adapter_houlsby"),
        ] {
            for kernels in PATHS {
                let adapter = path.join(directory);
                let setup = Wanted {
                    method,
                    adapter: (!directory.is_empty()).then_some(adapter.as_path()),
                    ..wanted(&path, 2, kernels)
                }
                .build();
                let rows = evaluate::logits(&setup.model, &dev, BatchLimit::Examples(5)).unwrap();
                let key = if directory.is_empty() {
                    "eval_logits".into()
                } else {
                    format!("{directory}_logits")
                };
                let difference = max_difference(&matrix(&rows), &expected[&key]);
                assert!(
                    difference < 1e-5,
                    "{name} {key} {kernels}: differs by {difference}"
                );
            }
        }
    }
}

/// With dropout on, the two paths draw the same masks, so their gradients agree.
#[test]
fn fused_and_composed_agree_under_dropout() {
    for (name, method) in [
        ("bert", ""),
        ("roberta", ""),
        ("bert", "lora"),
        ("roberta", "adapter"),
    ] {
        let path = fixture("parity").join(name);
        let examples = parity_examples(name, 6);
        let run = |kernels| {
            let options: &[(&str, &str)] = if method == "lora" {
                &[("lora_dropout", "0.2")]
            } else {
                &[]
            };
            let mut setup = Wanted {
                method,
                options,
                dropout: Some(0.3),
                ..wanted(&path, 2, kernels)
            }
            .build();
            setup.train_all();
            let model = setup.model;
            let batch = Batch::new(&examples, &[5, 0, 3, 1], model.config.first_position());
            let mut gradients = Gradients::new(&model.parameters);
            let loss = model.train(&batch, STEP, 4.0, &mut gradients).unwrap();
            let tensors: Vec<Option<Tensor>> = (0..model.parameters.len())
                .map(|id| gradients.tensor(id, &model.parameters).unwrap())
                .collect();
            (loss, tensors)
        };
        let (fused, composed) = (run(Kernels::Fused), run(Kernels::Composed));
        assert!(
            (fused.0 - composed.0).abs() < 1e-5,
            "{name} {method}: {} and {}",
            fused.0,
            composed.0
        );
        for (a, b) in fused.1.iter().zip(&composed.1) {
            if let (Some(a), Some(b)) = (a, b) {
                assert!(max_difference(a, b) < 2e-4, "{name} {method}");
            }
        }
    }
}

/// The encoder against candle-transformers' own BERT, which shares no code with ours.
#[test]
fn the_encoder_equals_candle_transformers() {
    let path = fixture("parity").join("bert");
    let setup = wanted(&path, 2, Kernels::Fused).build();
    let weights =
        candle_core::safetensors::load(path.join("model.safetensors"), &Device::Cpu).unwrap();
    let builder =
        candle_nn::VarBuilder::from_tensors(weights.clone(), candle_core::DType::F32, &Device::Cpu);
    let config = setup.model.config.encoder.clone();
    let oracle =
        candle_transformers::models::bert::BertModel::load(builder.pp("bert"), &config).unwrap();
    let examples = parity_examples("bert", 3);
    for index in 0..3 {
        let example = &examples[index];
        let ids = Tensor::new(&example.input_ids[..], &Device::Cpu)
            .unwrap()
            .unsqueeze(0)
            .unwrap();
        let types = Tensor::new(&example.token_type_ids[..], &Device::Cpu)
            .unwrap()
            .unsqueeze(0)
            .unwrap();
        let first = oracle
            .forward(&ids, &types, None)
            .unwrap()
            .get(0)
            .unwrap()
            .get(0)
            .unwrap()
            .unsqueeze(0)
            .unwrap();
        let layer = |x: &Tensor, name: &str| {
            x.matmul(&weights[&format!("{name}.weight")].t().unwrap())
                .unwrap()
                .broadcast_add(&weights[&format!("{name}.bias")])
                .unwrap()
        };
        let want = layer(
            &layer(&first, "bert.pooler.dense").tanh().unwrap(),
            "classifier",
        );
        let got = setup
            .model
            .logits(&Batch::new(&examples, &[index], 0))
            .unwrap();
        assert!(max_difference(&got, &want) < 1e-5);
        assert_eq!(want.dim(D::Minus1).unwrap(), 2);
    }
}
