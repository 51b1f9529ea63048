//! Configurations and checkpoints as people have them, drawn at random, each against Transformers.
//! Labels of every kind, which a saved model must still tell apart, are in
//! `configurations/label_sets.rs`.
//!
//! Reference: `fixtures/configurations.jsonl`, made by `make_configurations.py` with torch 2.15.0
//! and transformers 5.24.0. Tolerance 2e-5, relative above 1; 1e-4 for the gradients' norms. Every
//! draw is tried, and all failures are shown with their seeds.

mod label_runs;
mod label_sets;
mod messages;

use progtune_engine::{
    Assembly, Batch, EncodedExample, HeadKind, ModelSource, Result, Target,
    model::{
        Architecture, Device, Gradients, Kernels, Model, ModelConfig, Precision, Step,
        description::{ParameterInfo, parameters},
        weights::{HeadPolicy, checkpoint_key},
    },
    plan::ModelPlan,
};
use progtune_tests::{
    fixture, read_jsonl,
    scratch::{Scratch, TensorFile},
};
use safetensors::Dtype;
use serde_json::Value;
use std::{fs, path::Path};

const TOLERANCE: f64 = 2e-5;
const TYPES: [Dtype; 4] = [Dtype::F64, Dtype::F32, Dtype::F16, Dtype::BF16];

/// Multiples of 1/256, as in `make_configurations.py`: SplitMix64 from the FNV-1a hash of the name
/// and the seed.
fn values(seed: u64, name: &str, n: usize) -> Vec<f32> {
    let start = name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    let start = start.wrapping_add(seed);
    let value = |i: u64| {
        let z = start.wrapping_add((i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let k = ((z ^ (z >> 31)) >> 56) as i64 - 128;
        if name.ends_with("LayerNorm.weight") {
            1.0 + (k >> 4) as f32 / 16.0
        } else {
            k as f32 / 256.0
        }
    };
    (0..n as u64).map(value).collect()
}

fn bytes(values: &[f32], dtype: Dtype) -> Vec<u8> {
    let of = |x: &f32| match dtype {
        Dtype::F64 => f64::from(*x).to_le_bytes().to_vec(),
        Dtype::F16 => half::f16::from_f32(*x).to_le_bytes().to_vec(),
        Dtype::BF16 => half::bf16::from_f32(*x).to_le_bytes().to_vec(),
        _ => x.to_le_bytes().to_vec(),
    };
    values.iter().flat_map(of).collect()
}

/// Writes a draw's weights with the names and types that the draw gives.
fn write_weights(
    directory: &Path,
    draw: &Value,
    architecture: Architecture,
    infos: &[ParameterInfo],
) {
    let (seed, dtype) = (
        draw["seed"].as_u64().unwrap(),
        draw["dtype"].as_str().unwrap(),
    );
    let wrapper = draw["wrapper"].as_str().unwrap();
    let mut names: Vec<(String, &ParameterInfo)> = infos
        .iter()
        .map(|info| (checkpoint_key(&info.name, architecture), info))
        .collect();
    names.sort_by(|a, b| a.0.cmp(&b.0));
    let mut file = TensorFile {
        tensors: Default::default(),
    };
    for (at, (name, info)) in names.iter().enumerate() {
        let dtype = match dtype {
            "mixed" => TYPES[at % 4],
            name => *TYPES.iter().find(|of| format!("{of:?}") == name).unwrap(),
        };
        let bytes = bytes(&values(seed, name, info.size()), dtype);
        let bare = if draw["base_prefix"].as_bool().unwrap() {
            name
        } else {
            &info.name
        };
        let tensor = (dtype, info.shape.clone(), bytes);
        file.tensors.insert(format!("{wrapper}{bare}"), tensor);
    }
    file.write(&directory.join("model.safetensors"));
}

fn head_of(draw: &Value, n: usize) -> HeadKind {
    if draw["head"] == "token" {
        HeadKind::Token(n)
    } else {
        HeadKind::Sequence(n)
    }
}

fn model(
    source: &ModelSource,
    config: &ModelConfig,
    head: HeadKind,
    kernels: Kernels,
) -> Result<Model> {
    let model_plan = ModelPlan::new(config, head, None, false)?;
    let assembly = Assembly {
        source,
        config: config.clone(),
        head,
        labels: &config.labels,
        model_plan: &model_plan,
        adapter: None,
        policy: HeadPolicy::Require,
        head_bias: None,
        seed: 0,
        device: Device::Cpu,
        kernels,
        precision: Precision::F32,
    };
    let mut model = assembly.build()?;
    model.parameters.set_trainable(&model_plan.candidates);
    Ok(model)
}

/// The loss of a batch, and the norms of its gradients over the embeddings, the encoder and the
/// head.
fn gradient_norms(model: &Model, batch: &Batch) -> Result<(f64, [f64; 3])> {
    let mut gradients = Gradients::new(&model.parameters);
    let weight = model.loss_weighting.weight_of(&batch.labels);
    let step = Step { seed: 0, number: 0 };
    let loss = model.train(batch, step, weight, &mut gradients)?;
    gradients.check_reached(&model.parameters)?;
    let mut squares = [0.0; 3];
    for (id, info) in model.parameters.infos().iter().enumerate() {
        let part = ["embeddings.", "encoder."]
            .iter()
            .position(|part| info.name.starts_with(part));
        if let Some(gradient) = gradients.tensor(id, &model.parameters)? {
            let values = gradient.flatten_all()?.to_vec1::<f32>()?;
            squares[part.unwrap_or(2)] += values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        }
    }
    Ok((loss, squares.map(f64::sqrt)))
}

fn example(ids: &Value) -> EncodedExample {
    let ids: Vec<u32> = ids
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_u64().unwrap() as u32)
        .collect();
    EncodedExample {
        token_type_ids: vec![0; ids.len()],
        input_ids: ids,
        target: None,
    }
}

/// All numbers in a list of lists.
fn flat(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(flat).collect(),
        other => vec![other.as_f64().unwrap()],
    }
}

/// A description of values that differ from the reference by more than `tolerance`, relative above
/// 1.
fn differs(what: &str, found: Vec<f64>, expected: Vec<f64>, tolerance: f64) -> Option<String> {
    let is_off = |(found, expected): (&f64, &f64)| {
        let difference = (found - expected).abs();
        difference.is_nan() || difference > tolerance * expected.abs().max(1.0)
    };
    let differ = found.len() != expected.len() || found.iter().zip(&expected).any(is_off);
    differ.then(|| format!("{what} {found:?}, Transformers' {expected:?}"))
}

/// The fault in a draw that Transformers reads.
fn fault_of(directory: &Path, draw: &Value) -> Option<String> {
    let source = ModelSource::Directory(directory.to_owned().into());
    let config = match source.config() {
        Ok(config) => config,
        Err(error) => return Some(error.to_string()),
    };
    let labels: Vec<&str> = draw["labels"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    if config.labels != labels {
        return Some(format!(
            "labels {:?}, Transformers' {labels:?}",
            config.labels
        ));
    }
    let head = head_of(draw, labels.len());
    write_weights(
        directory,
        draw,
        config.architecture,
        &parameters(&config, head),
    );
    let rows = draw["input_ids"].as_array().unwrap().iter();
    let mut examples: Vec<EncodedExample> = rows.map(example).collect();
    for (at, example) in examples.iter_mut().enumerate() {
        let class = |at: usize| (at % labels.len()) as u32;
        let tokens = 0..example.input_ids.len();
        example.target = Some(match head {
            HeadKind::Token(_) => Target::Tags(tokens.map(|at| Some(class(at))).collect()),
            _ => Target::Class(class(at)),
        });
    }
    let batch = Batch::new(&examples, &[0, 1], config.first_position());
    let mut config = config;
    config.override_dropout(0.0);
    for kernels in [Kernels::Fused, Kernels::Composed] {
        let model = match model(&source, &config, head, kernels) {
            Ok(model) => model,
            Err(error) => return Some(format!("{kernels}: {error}")),
        };
        let logits = model.logits(&batch).unwrap();
        let found = logits.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let found = found.into_iter().map(f64::from).collect();
        let (loss, norms) = gradient_norms(&model, &batch).unwrap();
        let gradients = &draw["gradients"];
        let of = ["embeddings", "encoder", "head"].map(|part| gradients[part].as_f64().unwrap());
        let fault = differs("logits", found, flat(&draw["logits"]), TOLERANCE)
            .or_else(|| differs("loss", vec![loss], flat(&draw["loss"]), TOLERANCE))
            .or_else(|| differs("gradients", norms.to_vec(), of.to_vec(), 1e-4));
        if let Some(fault) = fault {
            return Some(format!("{kernels}: {fault}"));
        }
    }
    None
}

/// The message for a draw that Transformers refuses. It concerns the configuration, or weights that
/// do not fit it.
fn refusal_of(directory: &Path, draw: &Value) -> Result<()> {
    let source = ModelSource::Directory(directory.to_owned().into());
    let config = source.config()?;
    let head = HeadKind::Sequence(config.labels.len());
    // The tables in the draw's own weights have other rows: those before the key was changed.
    let key = draw["refused"].as_str().unwrap();
    let mut right = config.clone();
    match key {
        "vocab_size" => right.encoder.vocab_size += 1,
        "max_position_embeddings" => right.encoder.max_position_embeddings += 1,
        "type_vocab_size" => right.encoder.type_vocab_size += 1,
        _ => {}
    }
    write_weights(
        directory,
        draw,
        config.architecture,
        &parameters(&right, head),
    );
    let batch = Batch::new(
        &[example(&draw["input_ids"][0])],
        &[0],
        config.first_position(),
    );
    model(&source, &config, head, Kernels::Fused)?.logits(&batch)?;
    Ok(())
}

#[test]
fn every_drawn_configuration_gives_transformers_logits_or_one_message() {
    let scratch = Scratch::new();
    let (mut n_read, mut n_refused, mut faults) = (0, 0, Vec::new());
    for draw in read_jsonl(&fixture("configurations.jsonl")) {
        let directory = scratch.path(&format!("draw-{}", draw["seed"]));
        fs::create_dir(&directory).unwrap();
        fs::write(
            directory.join("config.json"),
            draw["config"].as_str().unwrap(),
        )
        .unwrap();
        let fault = match draw["refused"].as_str() {
            None => {
                n_read += 1;
                fault_of(&directory, &draw)
            }
            Some(key) => {
                n_refused += 1;
                match refusal_of(&directory, &draw) {
                    Ok(()) => Some(format!("`{key}` is not refused")),
                    Err(error) => {
                        let text = error.to_string();
                        let names = text.contains(&format!("`{key}`")) && text.lines().count() < 12;
                        (!names).then(|| format!("`{key}` is not named: {text}"))
                    }
                }
            }
        };
        if let Some(fault) = fault {
            let (seed, config) = (&draw["seed"], &draw["config"]);
            faults.push(format!("draw {seed}: {fault}\n    {config}"));
        }
    }
    println!("{n_read} configurations with equal logits, {n_refused} refused");
    assert!(n_read >= 200, "{n_read} draws");
    let shown = faults.join("\n");
    assert!(faults.is_empty(), "{} draws fail:\n{shown}", faults.len());
}
