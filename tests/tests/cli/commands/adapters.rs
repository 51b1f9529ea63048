//! Several adapters on one base: each gives the same results as by itself, under its own name, and
//! the base is in memory once.

use super::*;
use progtune_engine::{
    Assembly, HeadKind, ModelSource,
    adapter::Adapter,
    model::{Device, Kernels, Precision, weights::HeadPolicy},
    plan::ModelPlan,
};
use progtune_tests::profile_dir;
use std::path::PathBuf;

fn trained(scratch: &Scratch, peft: &str, seed: u32) -> PathBuf {
    let run = scratch.path(&format!("{peft}-{seed}"));
    CommandLine::train("bert", &run)
        .words(&format!(
            "--max-steps 4 --lr 3e-3 --peft {peft} --seed {seed}"
        ))
        .run();
    run
}

fn evaluated(line: CommandLine) -> Value {
    serde_json::from_str(&line.run()).unwrap()
}

fn predict() -> CommandLine {
    CommandLine::new("predict --task mrpc --quiet --max-length 64 --split validation")
        .path("--model", fixture("parity/bert"))
        .path("--data", fixture("parity/data"))
}

#[test]
fn each_adapter_gives_what_it_gives_alone() {
    let scratch = Scratch::new();
    let base = fixture("parity/bert");
    let lora = trained(&scratch, "lora", 1);
    let other = trained(&scratch, "lora", 2);
    let bottleneck = trained(&scratch, "adapter", 1);
    let together = |line: CommandLine| {
        line.path("--adapter", &lora)
            .path("--adapter", format!("other={}", other.display()))
            .path("--adapter", format!("small={}", bottleneck.display()))
            .words("--adapter none")
    };
    let all = evaluated(together(CommandLine::evaluate(&base)));
    assert_eq!(keys(&all), ["lora-1", "other", "small", "none"]);
    let lines: Vec<Value> = together(predict())
        .run()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    for (name, directory) in [
        ("lora-1", Some(&lora)),
        ("other", Some(&other)),
        ("small", Some(&bottleneck)),
        ("none", None),
    ] {
        let alone = |line: CommandLine| match directory {
            Some(directory) => line.path("--adapter", directory),
            None => line,
        };
        let single = evaluated(alone(CommandLine::evaluate(&base)));
        assert_eq!(measured(&all[name]), measured(&single), "{name}");
        let text = alone(predict()).run();
        let single: Vec<Value> = text
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        assert_eq!(single.len(), lines.len());
        for (line, single) in lines.iter().zip(&single) {
            assert_eq!(&line[name], single, "{name}");
            assert!(single["logits"].is_array());
        }
    }
    assert_ne!(measured(&all["lora-1"]), measured(&all["other"]));
}

#[test]
fn evaluating_several_shows_a_table() {
    let scratch = Scratch::new();
    let lora = trained(&scratch, "lora", 1);
    let (results, table) = CommandLine::new("evaluate --task mrpc --max-length 64")
        .path("--model", fixture("parity/bert"))
        .path("--data", fixture("parity/data"))
        .words("--adapter base=none")
        .path("--adapter", &lora)
        .output();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    let words = |line: &str| -> Vec<String> { line.split_whitespace().map(String::from).collect() };
    assert_eq!(
        words(lines[0]),
        ["adapter", "accuracy", "f1", "combined_score", "loss"]
    );
    let results: Value = serde_json::from_str(&results).unwrap();
    for (line, name) in lines[1..].iter().zip(["base", "lora-1"]) {
        let words = words(line);
        assert_eq!(words[0], name);
        let accuracy = results[name]["eval_accuracy"].as_f64().unwrap();
        assert_eq!(words[1], format!("{accuracy:.4}"));
    }
}

#[test]
fn an_error_names_the_adapter() {
    let scratch = Scratch::new();
    let lora = trained(&scratch, "lora", 1);
    let wrong = scratch.copy("bert/lora", "wrong");
    progtune_tests::scratch::set_key(&wrong.join("adapter_config.json"), "r", 7.into());
    let line = |second: &str| {
        CommandLine::evaluate(&fixture("parity/bert"))
            .path("--adapter", &lora)
            .path("--adapter", format!("second={second}"))
    };
    line(&wrong.display().to_string()).fail(3);
    line("/nowhere").fail(3);
    CommandLine::evaluate(&fixture("parity/bert"))
        .path("--adapter", &lora)
        .path("--adapter", &lora)
        .fail(2);
}

/// Several adapters on one base share every value that no adapter replaces.
#[test]
fn the_base_is_in_memory_once() {
    let scratch = Scratch::new();
    let source = ModelSource::Directory(fixture("parity/bert").into());
    let config = source.config().unwrap();
    let plugins = progtune_engine::plugin::discover(&[profile_dir()]).unwrap();
    let head = HeadKind::Sequence(2);
    let opened: Vec<(Adapter, ModelPlan)> = [("lora", 1), ("lora", 2), ("adapter", 1)]
        .map(|(peft, seed)| {
            let adapter = Adapter::read(&trained(&scratch, peft, seed), &config).unwrap();
            let method = plugins.method(peft, &adapter.options).unwrap();
            let model_plan = ModelPlan::new(&config, head, Some(&method), false).unwrap();
            (adapter, model_plan)
        })
        .into();
    let assembly = |model_plan, adapter| Assembly {
        source: &source,
        config: config.clone(),
        head,
        labels: &[],
        model_plan,
        adapter,
        policy: HeadPolicy::Require,
        head_bias: None,
        seed: 0,
        device: Device::Cpu,
        kernels: Kernels::Auto,
        precision: Precision::F32,
    };
    let base = assembly(&opened[0].1, None)
        .read_base(HeadPolicy::MakeNew)
        .unwrap();
    let build =
        |(adapter, model_plan)| assembly(model_plan, Some(adapter)).build_on(&base).unwrap();
    let models: Vec<_> = opened.iter().map(|(a, b)| build((a, b))).collect();
    let place = |model: &progtune_engine::model::Model, name: &str| {
        let id = model.parameters.id(name).unwrap();
        model.parameters.host(id).as_ptr() as usize
    };
    let (mut shared, mut own) = (0, 0);
    for info in models[0]
        .parameters
        .infos()
        .iter()
        .filter(|info| info.added.is_none())
    {
        let places: std::collections::BTreeSet<usize> = models
            .iter()
            .map(|model| place(model, &info.name))
            .collect();
        if info.is_classifier() {
            assert_eq!(places.len(), 3, "{}: each has its own head", info.name);
            own += info.size();
        } else {
            assert_eq!(places.len(), 1, "{}: it is there more than once", info.name);
            shared += info.size();
        }
    }
    println!("{shared} numbers shared by three models, {own} of their own in each");
}

/// Heads for two tasks on one base: each reads its own columns, with its own labels.
#[test]
fn adapters_may_be_for_different_tasks() {
    let scratch = Scratch::new();
    let base = fixture("parity/bert");
    let pairs = trained(&scratch, "lora", 1);
    let scores = scratch.path("scores");
    let rows = fs::read(fixture("parity/data_stsb/train.tsv")).unwrap();
    for name in ["stsb/train.tsv", "stsb/dev.tsv"] {
        scratch.write(name, &rows);
    }
    CommandLine::new(
        "train --task stsb --quiet --max-length 64 --max-steps 4 --lr 3e-3 --peft lora",
    )
    .path("--model", &base)
    .path("--data", scratch.path("stsb"))
    .path("--output", &scores)
    .run();
    let text = "a man plays a guitar";
    let rows: Vec<String> = (0..5)
        .map(|n| format!("{{\"sentence1\": \"{text}\", \"sentence2\": \"{n} women sing\"}}\n"))
        .collect();
    let input = scratch.write("pairs.jsonl", rows.concat());
    let predict = |adapters: &[&Path]| -> Vec<Value> {
        let line = CommandLine::new("predict --quiet --max-length 64")
            .path("--model", &base)
            .path("--input", &input);
        let line = adapters
            .iter()
            .fold(line, |line, path| line.path("--adapter", path));
        let text = line.run();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let both = predict(&[&pairs, &scores]);
    let (first, second) = (predict(&[&pairs]), predict(&[&scores]));
    assert_eq!(both.len(), 5);
    for (line, (first, second)) in both.iter().zip(first.iter().zip(&second)) {
        assert_eq!((&line["lora-1"], &line["scores"]), (first, second));
        assert_eq!(first["logits"].as_array().unwrap().len(), 2);
        assert!(["equivalent", "not_equivalent"].contains(&first["label"].as_str().unwrap()));
        assert_eq!(second["label"], second["logits"][0]);
    }

    // The data belongs to one task.
    let evaluate = || {
        CommandLine::new("evaluate --quiet --max-length 64")
            .path("--model", &base)
            .path("--adapter", &pairs)
    };
    evaluate()
        .path("--adapter", &scores)
        .path("--data", fixture("parity/data"))
        .fail(2);
    let recorded = evaluated(evaluate());
    let without = evaluated(evaluate().path("--data", fixture("parity/data")));
    let with = evaluated(CommandLine::evaluate(&base).path("--adapter", &pairs));
    assert_eq!(measured(&without), measured(&with));
    assert_eq!(measured(&recorded), measured(&with), "the data of its run");
}
