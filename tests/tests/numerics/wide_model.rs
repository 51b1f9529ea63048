//! The fused path against the composed one on a model as wide as real ones. With hidden size 256,
//! rows fill whole vectors, panels and groups, and the loops over them run more than once. The
//! weights are drawn here.
//!
//! Reference: the composed path, which is candle's primitives with autograd. Tolerances: logits and
//! loss 1e-5; each parameter's gradient 1e-4 of the larger of its own norm and a thousandth of the
//! global norm. The losses of later steps have 1e-4.

use candle_core::Tensor;
use progtune_engine::{
    Batch, EncodedExample, HeadKind, ModelSource,
    model::{Gradients, Kernels, Step, description::parameters},
    optim::{AdamW, Settings},
};
use progtune_tests::{
    cases, max_difference,
    model::{Wanted, parity_examples},
    scratch::{Scratch, TensorFile, set_key},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

const HEAD: HeadKind = HeadKind::Sequence(2);
const SETTINGS: Settings = Settings {
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weight_decay: 0.01,
    max_grad_norm: 1.0,
};

/// Pseudorandom numbers in -1 to 1.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// A BERT with two blocks, four heads and drawn weights, and the parity fixture's tokenizer.
fn wide_bert(scratch: &Scratch) -> PathBuf {
    let model = scratch.copy("bert", "wide");
    for (key, value) in [
        ("hidden_size", 256),
        ("intermediate_size", 1024),
        ("num_attention_heads", 4),
        ("num_hidden_layers", 2),
    ] {
        set_key(&model.join("config.json"), key, value.into());
    }
    let config = ModelSource::Directory(model.clone().into())
        .config()
        .unwrap();
    let mut draws = Draws(256);
    let mut file = TensorFile {
        tensors: BTreeMap::new(),
    };
    for info in parameters(&config, HEAD) {
        let n = info.shape.iter().product();
        let around = if info.name.ends_with("LayerNorm.weight") {
            1.0
        } else {
            0.0
        };
        let values: Vec<f32> = (0..n).map(|_| around + 0.08 * draws.next()).collect();
        let key = if info.name.starts_with("classifier") {
            info.name
        } else {
            format!("bert.{}", info.name)
        };
        file.set(&key, &info.shape, &values);
    }
    file.write(&model.join("model.safetensors"));
    model
}

/// The results of one path: logits, the first step's gradients, and the loss of each step.
struct Outcome {
    logits: Tensor,
    gradients: Vec<(String, Tensor)>,
    losses: Vec<f64>,
}

fn train(model: &Path, method: &str, kernels: Kernels, examples: &[EncodedExample]) -> Outcome {
    let mut setup = Wanted {
        model,
        method,
        options: &[],
        adapter: None,
        head: HEAD,
        kernels,
        dropout: Some(0.1),
    }
    .build();
    setup.train_all();
    let model = &setup.model;
    let all: Vec<usize> = (0..examples.len()).collect();
    let batch = Batch::new(examples, &all, model.config.first_position());
    let mut outcome = Outcome {
        logits: model.logits(&batch).unwrap(),
        gradients: Vec::new(),
        losses: Vec::new(),
    };
    let mut gradients = Gradients::new(&model.parameters);
    let mut optimizer = AdamW::new(SETTINGS);
    for number in 0..4 {
        let step = Step { seed: 5, number };
        let n = examples.len() as f64;
        outcome
            .losses
            .push(model.train(&batch, step, n, &mut gradients).unwrap());
        if number == 0 {
            let infos = model.parameters.infos().iter().enumerate();
            outcome.gradients = infos
                .filter_map(|(id, info)| {
                    let gradient = gradients.tensor(id, &model.parameters).unwrap()?;
                    Some((info.name.clone(), gradient))
                })
                .collect();
        }
        let norms = optimizer
            .norms(&model.parameters, &mut gradients, model.config.blocks())
            .unwrap();
        optimizer
            .step(
                &model.parameters,
                &mut gradients,
                Some(norms.global),
                1e-4,
                &|_| 1.0,
            )
            .unwrap();
    }
    outcome
}

fn norm(tensor: &Tensor) -> f64 {
    let squares = tensor.sqr().unwrap().sum_all().unwrap();
    f64::from(squares.to_scalar::<f32>().unwrap()).sqrt()
}

/// Asserts that the two paths agree when they train with a method, or everything.
fn paths_agree(method: &str) {
    let scratch = Scratch::new();
    let model = wide_bert(&scratch);
    let examples = parity_examples("bert", 8);
    let [fused, composed] = [Kernels::Fused, Kernels::Composed]
        .map(|kernels| train(&model, method, kernels, &examples));
    let difference = max_difference(&fused.logits, &composed.logits);
    assert!(difference < 1e-5, "logits differ by {difference}");
    let squares = composed.gradients.iter().map(|(_, g)| norm(g).powi(2));
    let global = squares.sum::<f64>().sqrt();
    assert_eq!(fused.gradients.len(), composed.gradients.len());
    let mut worst = 0f64;
    for ((name, ours), (_, reference)) in fused.gradients.iter().zip(&composed.gradients) {
        let scale = norm(reference).max(global / 1000.0);
        let difference = norm(&(ours - reference).unwrap());
        worst = worst.max(difference / scale);
        assert!(
            difference < 1e-4 * scale,
            "{name}: differs by {difference} of {scale}"
        );
    }
    let losses: Vec<f64> = fused
        .losses
        .iter()
        .zip(&composed.losses)
        .map(|(a, b)| (a - b).abs())
        .collect();
    let largest = losses.iter().copied().fold(0.0, f64::max);
    println!("logits {difference:.1e}, gradients {worst:.1e} of their scale, losses {largest:.1e}");
    assert!(losses[0] < 1e-5, "{:?} {:?}", fused.losses, composed.losses);
    assert!(largest < 1e-4, "{:?} {:?}", fused.losses, composed.losses);
    assert!(
        fused.losses[3] < fused.losses[0],
        "it learns: {:?}",
        fused.losses
    );
}

cases! { paths_agree:
    a_wide_model_trained_in_full("");
    a_wide_model_trained_with_lora("lora");
}
