//! Results have the same bits with plugins in their own processes and in this one.

use progtune_tests::command_line::CommandLine;
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path};

/// The contents of a run directory that do not depend on time and place: every file with weights,
/// and records without their times.
fn results(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut results = BTreeMap::new();
    for file in fs::read_dir(directory).expect("a run").flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        let bytes = || fs::read(file.path()).expect("a file");
        if name.ends_with(".safetensors") {
            results.insert(name, bytes());
        } else if name == "metrics.jsonl" {
            let lines = String::from_utf8(bytes()).expect("text");
            for (number, line) in lines.lines().enumerate() {
                let mut line: Value = serde_json::from_str(line).expect("JSON");
                let object = line.as_object_mut().expect("an object");
                object.retain(|key, _| {
                    !["sec", "time", "memory", "bytes", "rss"]
                        .iter()
                        .any(|part| key.contains(part))
                });
                results.insert(format!("{name}:{number}"), line.to_string().into_bytes());
            }
        } else if name == "plan.json" {
            results.insert(name, bytes());
        }
    }
    results
}

#[test]
fn runs_are_the_same_bits_with_and_without_isolation() {
    let runs = [
        "--schedule progressive",
        "--schedule lisa --schedule-opt interval_steps=1 --peft lora",
        "--schedule auto-freeze --peft adapter",
        "--schedule gradual-unfreeze --peft vera",
        "--schedule single-block --peft dora",
        "--schedule auto-freeze",
    ];
    for run in runs {
        let folder = tempfile::tempdir().expect("a directory");
        let train = |isolation: &str| {
            let output = folder.path().join(isolation);
            CommandLine::train("bert", &output)
                .words("--epochs 3 --batch-size 8 --max-train-samples 24 --max-eval-samples 8 --threads 1")
                .words(run)
                .words(&format!("--plugin-isolation {isolation}"))
                .run();
            results(&output)
        };
        let (process, none) = (train("process"), train("none"));
        assert!(
            process.keys().any(|name| name.ends_with(".safetensors"))
                && process.contains_key("plan.json")
                && process.contains_key("metrics.jsonl:0"),
            "{run}: {:?}",
            process.keys()
        );
        let differing: Vec<&String> = process
            .iter()
            .filter(|(name, bytes)| none.get(*name) != Some(*bytes))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(process.len(), none.len(), "{run}");
        assert!(differing.is_empty(), "{run}: {differing:?}");
    }
}
