//! Merging: the model with a method folded into its weights gives the logits of the model with the
//! method. This holds for every built method, with and without its merge graphs, and for hand-made
//! rewrites in every place.

use candle_core::{Device as Place, Tensor};
use progtune_engine::{
    Assembly, Batch, Error, HeadKind, ModelSource,
    merge::merge,
    model::{Device, Kernels, Model, Precision, description::parameters, weights::HeadPolicy},
    plan::ModelPlan,
    plugin::EntryKind,
};
use progtune_plugin_api::{
    graph::{Graph, GraphBuilder, Op},
    open::Ext,
    records::{Mode, Rewrite},
};
use progtune_tests::{
    command_line::CommandLine,
    fixture, max_difference,
    model::{Wanted, parity_examples},
    profile_dir, read_json, read_jsonl, read_safetensors,
    scratch::Scratch,
};
use std::{fs, path::Path};

const HEAD: HeadKind = HeadKind::Sequence(2);
/// The largest difference allowed between logits after merging.
const TOLERANCE: f32 = 1e-5;
/// Methods that do not change weights: non-linear ones, or rows for attention.
const NOT_WEIGHTS: [&str; 4] = ["adapter", "pfeiffer", "parallel", "prefix"];

fn logits(model: &Model, name: &str) -> Tensor {
    let mut examples = parity_examples(name, 8);
    for example in &mut examples {
        // A prefix takes up positions.
        let longest = model.config.max_tokens();
        example.input_ids.truncate(longest);
        example.token_type_ids.truncate(longest);
    }
    let all: Vec<usize> = (0..8).collect();
    let batch = Batch::new(&examples, &all, model.config.first_position());
    model.logits(&batch).unwrap()
}

/// Moves everything the method trains to other values, as training would: up to 0.2 away.
fn move_candidates(model: &Model, model_plan: &ModelPlan) {
    for (number, &id) in model_plan.candidates.iter().enumerate() {
        let value = model.parameters.variable(id).as_detached_tensor();
        let n = value.elem_count();
        let noise = |i: usize| 0.2 * ((i * 31 + number * 17) as f32 * 0.7).sin();
        let noise = Tensor::from_vec((0..n).map(noise).collect(), value.dims(), &Place::Cpu);
        let moved = (value + noise.unwrap()).unwrap();
        model.parameters.set(id, &moved).unwrap();
    }
}

fn without_merge_graphs(rewrites: &[Rewrite]) -> Vec<Rewrite> {
    let strip = |rewrite: &Rewrite| Rewrite {
        merge: None.into(),
        merge_bias: None.into(),
        ..rewrite.clone()
    };
    rewrites.iter().map(strip).collect()
}

#[test]
fn every_method_merges_or_says_why_not() {
    let plugins = progtune_engine::plugin::discover(&[profile_dir()]).unwrap();
    let methods = plugins.entries().iter();
    let mut ids: Vec<&str> = methods
        .filter(|entry| entry.kind == EntryKind::Method)
        .map(|entry| entry.id.as_str())
        .collect();
    ids.dedup();
    assert!(ids.contains(&"lora") && ids.contains(&"bitfit") && ids.contains(&"adapter"));
    for name in ["bert", "roberta"] {
        for &method in &ids {
            let setup = Wanted {
                model: &fixture("parity").join(name),
                method,
                options: &[],
                adapter: None,
                head: HeadKind::Sequence(2),
                kernels: Kernels::Fused,
                dropout: None,
            }
            .build();
            move_candidates(&setup.model, &setup.model_plan);
            let expected = logits(&setup.model, name);
            let rewrites = &setup.model_plan.rewrites;
            match merge(&setup.model, HEAD, rewrites, method) {
                Ok(merged) => {
                    assert!(!NOT_WEIGHTS.contains(&method), "{method} cannot be merged");
                    let infos = merged.parameters.infos();
                    assert!(infos.iter().all(|info| info.added.is_none()));
                    let difference = max_difference(&expected, &logits(&merged, name));
                    println!("{name} {method}: merged within {difference:.1e}");
                    assert!(difference < TOLERANCE, "{name} {method}: {difference}");
                }
                Err(error) => {
                    println!("{name} {method}: {error}");
                    assert!(NOT_WEIGHTS.contains(&method), "{name} {method}: {error}");
                    assert_eq!(error.exit_code(), 2);
                    assert!(error.to_string().contains("encoder.layer."), "{error}");
                    continue;
                }
            }
            // The same from only the forward graphs, if they are affine.
            match merge(&setup.model, HEAD, &without_merge_graphs(rewrites), method) {
                Ok(merged) => {
                    let difference = max_difference(&expected, &logits(&merged, name));
                    println!("{name} {method}: by its forward within {difference:.1e}");
                    assert!(difference < TOLERANCE, "{name} {method}: {difference}");
                }
                Err(error) => {
                    assert_ne!(method, "lora", "{error}");
                    assert!(matches!(error, Error::Usage(_)), "{method}: {error}");
                }
            }
        }
    }
}

fn rewrite(site: &str, mode: Mode, graph: Graph) -> Rewrite {
    Rewrite {
        site: site.into(),
        mode,
        graph,
        merge: None.into(),
        merge_bias: None.into(),
        ext: Ext::new(),
    }
}

/// The BERT fixture with hand-made rewrites, which read its own parameters.
fn with_rewrites(rewrites: Vec<Rewrite>) -> Model {
    let source = ModelSource::Directory(fixture("parity/bert").into());
    let config = source.config().unwrap();
    let parameters = parameters(&config, HEAD);
    let model_plan = ModelPlan {
        candidates: (0..parameters.len()).collect(),
        parameters,
        rewrites,
        suggested_lr: None,
        position_shift: 0,
        blocks: 5,
    };
    Assembly {
        source: &source,
        config,
        head: HEAD,
        labels: &[],
        model_plan: &model_plan,
        adapter: None,
        policy: HeadPolicy::Require,
        head_bias: None,
        seed: 1,
        device: Device::Cpu,
        kernels: Kernels::Fused,
        precision: Precision::F32,
    }
    .build()
    .unwrap()
}

/// y ⊙ (1 + scale) + shift.
fn scaled_and_shifted(input: &str, scale: &str, shift: &str) -> Graph {
    let mut g = GraphBuilder::new();
    let (y, scale, shift) = (g.input(input), g.base(scale), g.base(shift));
    let one = g.constant(1.0, &[]);
    let scale = g.add(scale, one);
    let y = g.mul(y, scale);
    g.add(y, shift);
    g.finish()
}

/// y + (0.5·x)·Wᵀ.
fn with_more_of_x(weight: &str) -> Graph {
    let mut g = GraphBuilder::new();
    let (x, y, w) = (g.input("x"), g.input("y"), g.base(weight));
    let x = g.scale(x, 0.5);
    let delta = g.linear(x, w);
    g.add(y, delta);
    g.finish()
}

/// W + 0.25·W.
fn larger_weight() -> Graph {
    let mut g = GraphBuilder::new();
    let w = g.input("w");
    let more = g.scale(w, 0.25);
    g.add(w, more);
    g.finish()
}

#[test]
fn rewrites_at_every_place_are_folded_in_their_order() {
    let block = |rest: &str| format!("encoder.layer.1.{rest}");
    let (norm, bias) = (
        block("output.LayerNorm.weight"),
        block("attention.self.query.bias"),
    );
    let (wide, wide_too) = (
        block("intermediate.dense.bias"),
        "encoder.layer.0.intermediate.dense.bias",
    );
    let out = |site: String, graph: Graph| rewrite(&site, Mode::OUTPUT, graph);
    let rewrites = vec![
        // The last one in the layer is listed first.
        out(
            block("intermediate"),
            scaled_and_shifted("y", &wide, wide_too),
        ),
        out(block("output"), scaled_and_shifted("y", &norm, &bias)),
        out(
            block("output.dense"),
            with_more_of_x(&block("output.dense.weight")),
        ),
        rewrite(&block("output.dense"), Mode::WEIGHT, larger_weight()),
        out(block("output.dense"), scaled_and_shifted("y", &norm, &bias)),
        out(
            block("attention.output"),
            scaled_and_shifted("y", &norm, &bias),
        ),
        out(
            block("attention.self.key"),
            scaled_and_shifted("y", &norm, &bias),
        ),
        out(
            block("intermediate.dense"),
            scaled_and_shifted("y", &wide, wide_too),
        ),
        out("pooler.dense".into(), with_more_of_x("pooler.dense.weight")),
        out("classifier".into(), with_more_of_x("classifier.weight")),
    ];
    let model = with_rewrites(rewrites.clone());
    let plain = logits(&with_rewrites(Vec::new()), "bert");
    let expected = logits(&model, "bert");
    assert!(
        max_difference(&plain, &expected) > 1e-3,
        "they do something"
    );
    let merged = merge(&model, HEAD, &rewrites, "by hand").unwrap();
    let difference = max_difference(&expected, &logits(&merged, "bert"));
    println!("by hand: within {difference:.1e}");
    assert!(difference < TOLERANCE, "{difference}");
}

#[test]
fn what_cannot_be_merged_is_named_with_the_reason() {
    let gelu = || {
        let mut g = GraphBuilder::new();
        let y = g.input("y");
        g.unary(Op::GELU, y);
        g.finish()
    };
    let residual = || {
        let mut g = GraphBuilder::new();
        let (y, residual) = (g.input("y"), g.input("residual"));
        g.add(y, residual);
        g.finish()
    };
    let twice = || {
        let mut g = GraphBuilder::new();
        let y = g.input("y");
        g.scale(y, 2.0);
        g.finish()
    };
    let mut rewrites: Vec<Rewrite> = (0..5)
        .map(|n| {
            rewrite(
                &format!("encoder.layer.{n}.attention.self.query"),
                Mode::OUTPUT,
                gelu(),
            )
        })
        .collect();
    rewrites.push(rewrite("encoder.layer.0.output", Mode::OUTPUT, residual()));
    rewrites.push(rewrite("encoder.layer.0", Mode::OUTPUT, twice()));
    let model = with_rewrites(rewrites.clone());
    let text = merge(&model, HEAD, &rewrites, "odd")
        .err()
        .unwrap()
        .to_string();
    assert_eq!(
        text,
        "the method odd cannot be merged into the model's weights:\n  \
         encoder.layer.0.attention.self.query, encoder.layer.1.attention.self.query, \
         encoder.layer.2.attention.self.query and 2 more: gelu of the row is not linear\n  \
         encoder.layer.0.output: it reads `residual`, which no linear layer next to it has as input or output\n  \
         encoder.layer.0: no linear layer ends or begins at the block end\n\
         Keep the adapter, and use it with --adapter"
    );
}

/// A plugin whose merge graph differs from its forward graph would silently give a wrong model.
#[test]
fn a_wrong_merge_graph_is_found() {
    let query = "encoder.layer.0.attention.self.query";
    let mut wrong = rewrite(
        query,
        Mode::OUTPUT,
        with_more_of_x(&format!("{query}.weight")),
    );
    wrong.merge = Some(larger_weight()).into();
    let model = with_rewrites(vec![wrong.clone()]);
    let error = merge(&model, HEAD, &[wrong], "wrong").err().unwrap();
    assert_eq!(error.exit_code(), 3);
    assert!(
        error
            .to_string()
            .starts_with("the method wrong: its merge graphs do not compute what its rewrites do"),
        "{error}"
    );
}

fn trained(scratch: &Scratch, model: &str, peft: &str) -> std::path::PathBuf {
    let run = scratch.path(peft);
    CommandLine::train(model, &run)
        .words("--epochs 1 --lr 3e-3")
        .path("--peft", peft)
        .run();
    run
}

fn predicted(line: CommandLine, scratch: &Scratch, name: &str) -> Vec<Vec<f64>> {
    let output = scratch.path(name);
    line.words("--task mrpc --split validation --max-length 64 --quiet")
        .path("--data", fixture("parity/data"))
        .path("--output", &output)
        .run();
    let numbers = |value: &serde_json::Value| -> Vec<f64> {
        let logits = value["logits"].as_array().unwrap();
        logits.iter().map(|v| v.as_f64().unwrap()).collect()
    };
    read_jsonl(&output).iter().map(numbers).collect()
}

fn merge_line(model: &Path, adapter: &Path, output: &Path) -> CommandLine {
    CommandLine::new("merge")
        .path("--model", model)
        .path("--adapter", adapter)
        .path("--output", output)
}

#[test]
fn a_merged_checkpoint_predicts_what_the_adapter_predicts() {
    for model in ["bert", "roberta"] {
        let scratch = Scratch::new();
        let base = fixture("parity").join(model);
        let run = trained(&scratch, model, "lora");
        let merged = scratch.path("merged");
        let said = merge_line(&base, &run, &merged).run();
        assert!(said.contains("progtune predict --model"), "{said}");
        let adapter = CommandLine::new("predict")
            .path("--model", &base)
            .path("--adapter", &run);
        let expected = predicted(adapter, &scratch, "adapter.jsonl");
        let plain = predicted(
            CommandLine::new("predict").path("--model", &merged),
            &scratch,
            "merged.jsonl",
        );
        assert_eq!(expected.len(), plain.len());
        for (a, b) in expected.iter().flatten().zip(plain.iter().flatten()) {
            assert!((a - b).abs() < f64::from(TOLERANCE), "{model}: {a} and {b}");
        }
        let config = read_json(&merged.join("config.json"));
        assert_eq!(config["id2label"]["1"], "equivalent");
        assert_eq!(config["dtype"], "float32");
        for name in ["tokenizer.json", "tokenizer_config.json"] {
            assert!(merged.join(name).is_file(), "{name}");
        }
        // Nothing of the method is left, and every key of the base is there.
        let mut keys: Vec<String> = read_safetensors(&merged.join("model.safetensors"))
            .into_keys()
            .collect();
        let mut base_keys: Vec<String> = read_safetensors(&base.join("model.safetensors"))
            .into_keys()
            .collect();
        keys.sort();
        base_keys.sort();
        assert_eq!(keys, base_keys);

        let half = scratch.path("half");
        merge_line(&base, &run, &half)
            .words("--dtype bf16 --quiet")
            .run();
        assert_eq!(read_json(&half.join("config.json"))["dtype"], "bfloat16");
        let size = |path: &Path| fs::metadata(path.join("model.safetensors")).unwrap().len();
        assert!(size(&half) < size(&merged) * 2 / 3);
        let rounded = predicted(
            CommandLine::new("predict").path("--model", &half),
            &scratch,
            "half.jsonl",
        );
        for (a, b) in expected.iter().flatten().zip(rounded.iter().flatten()) {
            assert!((a - b).abs() < 0.1, "{model}: {a} and {b}");
        }
    }
}

#[test]
fn merging_refuses_what_it_cannot_do() {
    let scratch = Scratch::new();
    let base = fixture("parity/bert");
    let out = scratch.path("out");
    let bottleneck = trained(&scratch, "bert", "adapter");
    merge_line(&base, &bottleneck, &out).fail(2);
    assert!(!out.exists(), "nothing is written");

    let plain = trained(&scratch, "bert", "bitfit");
    merge_line(&base, &plain, &out).fail(3);

    let lora = trained(&scratch, "bert", "lora");
    let full = scratch.path("full");
    fs::create_dir_all(&full).unwrap();
    fs::write(full.join("x"), "").unwrap();
    merge_line(&base, &lora, &full).fail(2);

    // An adapter from PEFT itself does not name its task, and can be merged without one.
    let foreign = scratch.copy("bert/lora", "foreign");
    for (words, name) in [("--quiet", "out"), ("--task mrpc --quiet", "named")] {
        let out = scratch.path(name);
        merge_line(&base, &foreign, &out).words(words).run();
        assert!(out.join("model.safetensors").is_file(), "{words}");
    }
    let bytes = |name: &str| fs::read(scratch.path(name).join("model.safetensors")).unwrap();
    assert!(bytes("out") == bytes("named"), "the same weights");
}
