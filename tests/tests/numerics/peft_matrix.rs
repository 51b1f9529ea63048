//! PEFT's adapters in every form: configurations that a generator drew, with the logits that PEFT
//! computes. Each is written to a directory as PEFT saves it, loaded, compared, merged and compared
//! again.
//!
//! Reference: `tests/fixtures/peft_matrix.json` (from `make_peft_matrix.py`; peft 0.21.2).
//! Tolerances: logits 1e-4, which is rounding for logits of a few units; the merged model 1e-5 of
//! the largest. `PROGTUNE_PEFT_MATRIX` names another file from the same generator (`cargo xtask
//! check-peft` makes one with a new seed).

mod refused;

use progtune_engine::{
    Assembly, Batch, EncodedExample, HeadKind, ModelSource,
    adapter::Adapter,
    merge::merge,
    model::{Device, Kernels, Model, Precision, weights::HeadPolicy},
    plugin::{self, Plugins},
};
use progtune_tests::{
    fixture, profile_dir, read_json,
    scratch::{Scratch, TensorFile},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The largest difference allowed between our logits and PEFT's.
const TOLERANCE: f32 = 1e-4;
/// The largest difference allowed for the merged model's logits, relative to the largest logit.
const MERGED: f32 = 1e-5;

/// The generator's file.
struct Matrix {
    json: Value,
}

impl Matrix {
    fn open() -> Self {
        let given = std::env::var_os("PROGTUNE_PEFT_MATRIX").map(PathBuf::from);
        let path = given.unwrap_or_else(|| fixture("peft_matrix.json"));
        Self {
            json: read_json(&path),
        }
    }

    fn rows(&self) -> &[Value] {
        self.json["rows"].as_array().unwrap()
    }

    /// Writes the directory of a base model.
    fn write_base(&self, at: usize, directory: &Path) {
        fs::create_dir_all(directory).unwrap();
        let base = &self.json["bases"][at];
        fs::write(directory.join("config.json"), base["config"].to_string()).unwrap();
        write_tensors(&base["tensors"], 0, &directory.join("model.safetensors"));
    }

    /// Writes the directory of an adapter.
    fn write_adapter(&self, row: &Value, directory: &Path) {
        fs::create_dir_all(directory).unwrap();
        let own = row["config"].as_object().unwrap();
        let kind = own["peft_type"].as_str().unwrap();
        let mut config = self.json["defaults"][kind].clone();
        for (key, value) in own {
            config[key] = value.clone();
        }
        fs::write(directory.join("adapter_config.json"), config.to_string()).unwrap();
        let seed = row["seed"].as_u64().unwrap();
        let path = directory.join("adapter_model.safetensors");
        write_tensors(&row["tensors"], seed, &path);
    }

    fn examples(&self) -> Vec<EncodedExample> {
        let numbers = |list: &Value| -> Vec<u32> {
            let numbers = list.as_array().unwrap().iter();
            numbers
                .map(|number| number.as_u64().unwrap() as u32)
                .collect()
        };
        let inputs = self.json["inputs"].as_array().unwrap().iter();
        inputs
            .map(|input| EncodedExample {
                input_ids: numbers(&input[0]),
                token_type_ids: numbers(&input[1]),
                target: None,
            })
            .collect()
    }
}

/// Numbers for a tensor, with the same bits as the generator's `fill`.
fn fill(key: &str, n: usize, seed: u64) -> Vec<f32> {
    let hash = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
    let state = format!("{seed}:{key}")
        .bytes()
        .fold(0xCBF2_9CE4_8422_2325, hash);
    let number = |i: u64| {
        let z = state.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let z = z ^ (z >> 31);
        let u = (z >> 40) as f32 / (1 << 23) as f32 - 1.0;
        let is_factor = ["LayerNorm.weight", "lora_magnitude_vector", "ia3_l"]
            .iter()
            .any(|end| key.ends_with(end));
        if is_factor {
            1.0 + u * 0.25
        } else if key.ends_with("bias") {
            u * 0.25
        } else {
            u * 0.5
        }
    };
    (1..=n as u64).map(number).collect()
}

fn write_tensors(shapes: &Value, seed: u64, path: &Path) {
    let mut file = TensorFile {
        tensors: BTreeMap::new(),
    };
    for (key, shape) in shapes.as_object().unwrap() {
        let shape: Vec<usize> = shape
            .as_array()
            .unwrap()
            .iter()
            .map(|size| size.as_u64().unwrap() as usize)
            .collect();
        // If PEFT keeps a copy beside a saved module, the two are equal.
        let name = key.replace(".modules_to_save.default", "");
        let name = name.replace(".modules_to_save", "");
        file.set(key, &shape, &fill(&name, shape.iter().product(), seed));
    }
    file.write(path);
}

fn head_of(base: &Value) -> HeadKind {
    match base["task"].as_str().unwrap() {
        "SEQ_CLS" => HeadKind::Sequence(3),
        "TOKEN_CLS" => HeadKind::Token(3),
        _ => HeadKind::QuestionAnswering,
    }
}

/// The base model with an adapter.
struct Loaded {
    adapter: Adapter,
    model: Model,
    head: HeadKind,
    model_plan: progtune_engine::plan::ModelPlan,
}

fn load(
    plugins: &Plugins,
    base: &Path,
    head: HeadKind,
    directory: &Path,
    kernels: Kernels,
    labels: &[String],
) -> Result<Loaded, String> {
    let source = ModelSource::Directory(base.to_owned().into());
    let config = source.config().map_err(|e| e.to_string())?;
    let adapter = Adapter::read(directory, &config).map_err(|e| e.to_string())?;
    let model_plan = adapter
        .model_plan(plugins, &config, head)
        .map_err(|e| e.to_string())?;
    let model = Assembly {
        source: &source,
        config,
        head,
        labels,
        model_plan: &model_plan,
        adapter: Some(&adapter),
        policy: HeadPolicy::Require,
        head_bias: None,
        seed: 0,
        device: Device::Cpu,
        kernels,
        precision: Precision::F32,
    }
    .build()
    .map_err(|e| e.to_string())?;
    Ok(Loaded {
        adapter,
        model,
        head,
        model_plan,
    })
}

fn logits(model: &Model, examples: &[EncodedExample]) -> Vec<f32> {
    let all: Vec<usize> = (0..examples.len()).collect();
    let batch = Batch::new(examples, &all, model.config.first_position());
    let logits = model.logits(&batch).unwrap();
    logits.flatten_all().unwrap().to_vec1().unwrap()
}

/// The largest difference; another length or a NaN counts as infinite.
fn difference(a: &[f32], b: &[f32]) -> f32 {
    if a.len() != b.len() {
        return f32::INFINITY;
    }
    let off = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    off.fold(0.0, |most, off| {
        if off.is_nan() {
            f32::INFINITY
        } else {
            most.max(off)
        }
    })
}

/// A row's differences: from PEFT, and after merging.
fn compare(
    row: &Value,
    loaded: &Loaded,
    examples: &[EncodedExample],
) -> Result<(f32, f32), String> {
    let expected: Vec<f32> = row["logits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value.as_f64().unwrap() as f32)
        .collect();
    let found = logits(&loaded.model, examples);
    let off = difference(&found, &expected);
    if off > TOLERANCE {
        return Err(format!("logits differ by {off:e}"));
    }
    let method = loaded.adapter.method.as_str();
    let merged = merge(
        &loaded.model,
        loaded.head,
        &loaded.model_plan.rewrites,
        method,
    );
    let merged = merged.map_err(|e| format!("merging: {e}"))?;
    let largest = found.iter().fold(1f32, |most, value| most.max(value.abs()));
    let after = difference(&logits(&merged, examples), &found) / largest;
    if after > MERGED {
        return Err(format!("the merged model's logits differ by {after:e}"));
    }
    Ok((off, after))
}

#[test]
fn adapters_give_pefts_logits_and_merge() {
    let (matrix, scratch) = (Matrix::open(), Scratch::new());
    let plugins = plugin::discover(&[profile_dir()]).unwrap();
    let examples = matrix.examples();
    let bases = matrix.json["bases"].as_array().unwrap();
    for at in 0..bases.len() {
        matrix.write_base(at, &scratch.path(&format!("base-{at}")));
    }
    let mut failures = Vec::new();
    let (mut most, mut most_merged, mut carried) = (0f32, 0f32, 0);
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let mut keys = BTreeSet::new();
    for (number, row) in matrix.rows().iter().enumerate() {
        let base = row["base"].as_u64().unwrap() as usize;
        let directory = scratch.path(&format!("adapter-{number}"));
        matrix.write_adapter(row, &directory);
        let head = head_of(&bases[base]);
        let path = scratch.path(&format!("base-{base}"));
        let loaded = load(&plugins, &path, head, &directory, Kernels::Fused, &[]);
        let outcome = loaded.and_then(|loaded| {
            carried += usize::from(loaded.adapter.carried.is_some());
            *kinds.entry(loaded.adapter.method.clone()).or_default() += 1;
            compare(row, &loaded, &examples)
        });
        let own = row["config"].as_object().unwrap();
        keys.extend(own.keys().cloned());
        match outcome {
            Ok((off, merged)) => {
                most = most.max(off);
                most_merged = most_merged.max(merged);
            }
            Err(why) => failures.push(format!(
                "row {number} (seed {}, base {base}): {why}\n    {}",
                row["seed"], row["config"]
            )),
        }
        fs::remove_dir_all(&directory).unwrap();
    }
    let rows = matrix.rows().len();
    println!(
        "{} of {rows} rows agree with PEFT: {kinds:?}, {carried} beyond the plugins' options; largest difference {most:e}, \
         merged {most_merged:e}; settings varied: {}",
        rows - failures.len(),
        keys.into_iter().collect::<Vec<_>>().join(", ")
    );
    assert!(
        failures.is_empty(),
        "{} of {rows} rows fail:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(rows >= 200, "the matrix has {rows} rows, fewer than 200");
}
