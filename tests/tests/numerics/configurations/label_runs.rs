//! Label sets through the binary: trained, evaluated, with LoRA, merged. Some sets are named and
//! some drawn, for classes, sets of labels and tags (`label_sets.rs` draws them).

use super::{
    label_sets::{Draw, Kind, N_DRAWS, write_base},
    *,
};
use progtune_tests::{command_line::CommandLine, read_json};

/// The number of drawn sets that go through the binary, and of drawn tag sets in addition.
const N_RUNS: u64 = 12;

/// The sets that go through the binary: rows with one class each, and the label names in the base
/// model's head.
const RUNS: [(&[&str], Option<&[&str]>); 6] = [
    (&["us", "US"], None),
    (&["-1", "0", "1"], None),
    (&["A", "A-", "B+", "B"], None),
    (&["a b", "a-b", "a_b"], Some(&["a_b", "a b", "a-b"])),
    (
        &["notequivalent", "equivalent"],
        Some(&["NOT-EQUIVALENT", "Equivalent"]),
    ),
    (
        &["İ", "i", "\u{202e}i"],
        Some(&["LABEL_0", "LABEL_1", "LABEL_2"]),
    ),
];

/// The values that a class report and the metrics share; times differ.
fn measured(results: &Value) -> Vec<(String, Value)> {
    let entries = results.as_object().unwrap().iter();
    let kept = entries.filter(|(key, _)| {
        key.starts_with("eval_")
            && !["runtime", "second", "samples"]
                .iter()
                .any(|of| key.contains(of))
    });
    kept.map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// The draws that go through the binary.
fn draws_to_run() -> Vec<Draw> {
    let names = |list: &[&str]| -> Vec<String> { list.iter().map(|&l| l.to_owned()).collect() };
    let named = RUNS.into_iter().map(|(labels, head)| Draw {
        labels: names(labels),
        kind: Kind::Classes,
        is_csv: false,
        base: head.map(names),
        rows: (0..12)
            .map(|row| {
                (
                    format!("the {}", ["dog", "cat runs", "a of"][row % 3]),
                    vec![row % labels.len()],
                )
            })
            .collect(),
    });
    let drawn = (0..N_RUNS).map(|at| Draw::new(N_DRAWS + at));
    let tags = (0..N_RUNS).map(|at| Draw::of_tags(N_DRAWS + at));
    named.chain(drawn).chain(tags).collect()
}

#[test]
fn the_binary_gives_a_runs_figures_again_with_lora_and_merged_too() {
    let scratch = Scratch::new();
    for (at, draw) in draws_to_run().into_iter().enumerate() {
        let labels = &draw.labels;
        let problem_type = draw.problem_type().as_str();
        let path = |name: &str| scratch.path(&format!("{at}-{name}"));
        let (base, data) = (path("base"), path(draw.file()));
        write_base(&base, draw.base.as_deref());
        draw.write(&data);
        let train = |output: &Path, peft: &str| {
            CommandLine::new("train --quiet --epochs 1 --batch-size 4 --lr 1e-2")
                .words(&format!("--problem-type {problem_type}"))
                .path("--model", &base)
                .path("--train-file", &data)
                .path("--validation-file", &data)
                .path("--output", output)
                .words(peft)
                .run();
            measured(&read_json(&output.join("all_results.json")))
        };
        let evaluate = |model: &Path, adapter: Option<&Path>| {
            let line = CommandLine::new("evaluate --quiet --task own")
                .path("--model", model)
                .path("--validation-file", &data);
            let line = match adapter {
                Some(adapter) => line.path("--adapter", adapter),
                None => line,
            };
            measured(&serde_json::from_str(&line.run()).unwrap())
        };
        let (full, lora, merged) = (path("full"), path("lora"), path("merged"));
        let figures = train(&full, "");
        assert!(figures.len() > 3, "{figures:?}");
        assert_eq!(evaluate(&full, None), figures, "{labels:?}");
        let figures = train(&lora, "--peft lora");
        assert_eq!(evaluate(&base, Some(&lora)), figures, "{labels:?}, LoRA");
        CommandLine::new("merge --quiet")
            .path("--model", &base)
            .path("--adapter", &lora)
            .path("--output", &merged)
            .run();
        assert_close(&evaluate(&merged, None), &figures, labels);
    }
}

/// Merging rounds: the loss is equal up to rounding, and everything else is unchanged.
#[track_caller]
fn assert_close(found: &[(String, Value)], expected: &[(String, Value)], labels: &[String]) {
    assert_eq!(found.len(), expected.len());
    for ((key, found), (_, expected)) in found.iter().zip(expected) {
        match (found.as_f64(), expected.as_f64()) {
            (Some(found), Some(expected)) => {
                assert!(
                    (found - expected).abs() < 1e-5,
                    "{labels:?}, merged: {key} {found}, {expected}"
                );
            }
            _ => assert_eq!(found, expected, "{labels:?}, merged: {key}"),
        }
    }
}
