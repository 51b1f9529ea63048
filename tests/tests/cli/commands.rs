//! The commands through the built binary, on the tiny fixtures. This file tests what a run leaves,
//! `directory` where it goes, and `results`, `heads` and `adapters` what its result can be used
//! for; `origins` tests that a result knows where it came from, and `predicting` the forms of input
//! and of predictions. `repeating` tests bit-for-bit repetition, `tasks` other tasks and the
//! default run, `loss` what the loss counts and which epoch is kept. `evaluations` tests when a run
//! evaluates, and `stopping` when and how it ends. `planning` tests plans and
//! plugins, `progress` and `summary` the visible output, `printed_commands` its commands, `classes`
//! that of many classes. `batches` tests batches bounded by tokens, `token_cache` tokenised data on
//! disk.

mod adapters;
mod batches;
mod classes;
mod directory;
mod evaluations;
mod heads;
mod loss;
mod origins;
mod planning;
mod predicting;
mod printed_commands;
mod profile;
mod progress;
mod repeating;
mod results;
mod stopping;
mod summary;
mod tasks;
mod token_cache;

use progtune_tests::{
    command_line::CommandLine, fails, fixture, max_difference, messages, progtune, read_json,
    read_jsonl, read_safetensors, scratch::Scratch,
};
use serde_json::Value;
use std::{fs, path::Path, process::Stdio};

/// The files that every run leaves, and those that full fine-tuning of the BERT fixture adds.
const RECORDS: [&str; 10] = [
    "all_results.json",
    "checkpoints",
    "config.toml",
    "log.txt",
    "metrics.jsonl",
    "plan.json",
    "progtune_plugins.json",
    "run.json",
    "task.json",
    "verification.json",
];
const CHECKPOINT: [&str; 5] = [
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
];

/// The files of an adapter in PEFT's format.
const PEFT_ADAPTER: [&str; 3] = [
    "adapter_config.json",
    "adapter_model.safetensors",
    "progtune_base_model.json",
];

/// The files of an adapter in the method-neutral format.
const NEUTRAL_ADAPTER: [&str; 3] = [
    "adapter.safetensors",
    "progtune_adapter.json",
    "progtune_base_model.json",
];

fn files(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[track_caller]
fn assert_files(directory: &Path, expected: &[&str]) {
    let mut expected: Vec<&str> = RECORDS.iter().chain(expected).copied().collect();
    expected.sort_unstable();
    assert_eq!(files(directory), expected);
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

/// The lines of `metrics.jsonl`: steps first, then evaluations.
fn metrics(run: &Path) -> (Vec<Value>, Vec<Value>) {
    read_jsonl(&run.join("metrics.jsonl"))
        .into_iter()
        .partition(|line| line.get("loss").is_some())
}

fn column(steps: &[Value], key: &str) -> Vec<f64> {
    steps
        .iter()
        .map(|step| step[key].as_f64().unwrap())
        .collect()
}

fn losses(run: &Path) -> Vec<f64> {
    column(&metrics(run).0, "loss")
}

/// The values in an evaluation that do not depend on the clock.
fn measured(evaluation: &Value) -> Vec<(String, Value)> {
    let clock = [
        "eval_runtime",
        "eval_samples_per_second",
        "eval_steps_per_second",
    ];
    let map = evaluation.as_object().unwrap();
    map.iter()
        .filter(|(key, _)| key.starts_with("eval_") && !clock.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

#[test]
fn a_run_leaves_its_records_and_its_result() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    let stdout = CommandLine::train("bert", &run)
        .words("--epochs 2 --schedule progressive")
        .run();
    assert_eq!(stdout, "", "--quiet");
    assert_files(&run, &CHECKPOINT);

    let (steps, evaluations) = metrics(&run);
    assert_eq!(steps.len(), 8, "27 rows in batches of 8, twice");
    for (i, step) in steps.iter().enumerate() {
        assert_eq!(
            keys(step),
            ["step", "epoch", "loss", "lr", "grad_norm", "tokens", "secs"]
        );
        assert_eq!(step["step"], i + 1);
        assert_eq!(step["epoch"], i / 4 + 1);
        assert!(column(std::slice::from_ref(step), "secs")[0] > 0.0);
        assert!(column(std::slice::from_ref(step), "grad_norm")[0] > 0.0);
    }
    let tokens = column(&steps, "tokens");
    assert_eq!(
        tokens[..4].iter().sum::<f64>(),
        tokens[4..].iter().sum::<f64>(),
        "every row once an epoch"
    );
    assert_eq!(evaluations.len(), 2);
    let eval_keys = [
        "eval_accuracy",
        "eval_f1",
        "eval_combined_score",
        "eval_loss",
        "eval_runtime",
        "eval_samples_per_second",
        "eval_steps_per_second",
        "eval_samples",
    ];
    for (i, evaluation) in evaluations.iter().enumerate() {
        assert_eq!(keys(evaluation)[..2], ["step", "epoch"]);
        assert_eq!(keys(evaluation)[2..], eval_keys);
        assert_eq!(
            (&evaluation["step"], &evaluation["epoch"]),
            (&(4 * (i + 1)).into(), &(i + 1).into())
        );
        assert_eq!(evaluation["eval_samples"], 12);
    }

    let results = read_json(&run.join("all_results.json"));
    let train_keys = [
        "epoch",
        "train_loss",
        "train_runtime",
        "train_samples",
        "train_samples_per_second",
        "train_steps_per_second",
    ];
    for key in eval_keys.iter().chain(&train_keys) {
        assert!(results[key].is_number(), "{key} is Hugging Face's");
    }
    assert_eq!(measured(&results), measured(&evaluations[1]));
    assert_eq!(results["train_samples"], 27);
    assert_eq!(results["epoch"], 2.0);
    let mean = column(&steps, "loss").iter().sum::<f64>() / 8.0;
    assert!((results["train_loss"].as_f64().unwrap() - mean).abs() < 1e-12);

    let plan = read_json(&run.join("plan.json"));
    assert_eq!(
        results["total_updated_parameters"],
        plan["total_updated_parameters"]
    );
    assert_eq!(plan["plugins"][0]["id"], "progressive");
    assert_eq!(plan["plugins"][0]["sha256"].as_str().unwrap().len(), 64);
    let log = fs::read_to_string(run.join("log.txt")).unwrap();
    assert!(
        log.lines().count() >= 5 && log.contains("stage") && log.contains("evaluation"),
        "{log}"
    );
}

#[test]
fn other_methods_leave_an_adapter_in_place_of_a_checkpoint() {
    let scratch = Scratch::new();
    for (method, expected) in [
        ("bitfit", CHECKPOINT.as_slice()),
        ("lora", &PEFT_ADAPTER),
        ("ia3", &PEFT_ADAPTER),
        ("adapter", &NEUTRAL_ADAPTER),
        ("kron-a", &NEUTRAL_ADAPTER),
    ] {
        let run = scratch.path(method);
        CommandLine::train("bert", &run)
            .words("--max-steps 1")
            .path("--peft", method)
            .run();
        assert_files(&run, expected);
        assert_eq!(
            read_json(&run.join("plan.json"))["plugins"][1]["id"],
            method
        );
    }
}

#[test]
fn the_resolved_configuration_runs_again() {
    let scratch = Scratch::new();
    let (first, second) = (scratch.path("first"), scratch.path("second"));
    CommandLine::train("bert", &first)
        .words("--epochs 2 --lr 3e-4 --warmup 0.25 --weight-decay 0.01 --seed 7 --dropout 0.2 --batch-size 5")
        .words("--schedule wo-lb --schedule-opt embeddings=first-part --peft lora --peft-opt r=3")
        .words("--peft-opt target_modules=query,dense --max-train-samples 20 --frozen-dropout --max-grad-norm 0.5")
        .run();
    let config = first.join("config.toml");
    CommandLine::new("--quiet")
        .path("--config", &config)
        .path("--output", &second)
        .run();
    assert_eq!(metrics(&second).0.len(), 8);
    assert_eq!(losses(&second), losses(&first));
    let adapter = "adapter_model.safetensors";
    assert_eq!(
        fs::read(second.join(adapter)).unwrap(),
        fs::read(first.join(adapter)).unwrap()
    );
    CommandLine::new("--quiet")
        .path("--config", &config)
        .fail(2);
}

#[test]
fn max_steps_stops_early_and_changes_nothing_before() {
    let scratch = Scratch::new();
    let (long, short) = (scratch.path("long"), scratch.path("short"));
    let flags = "--epochs 2 --lr 1e-3 --schedule progressive";
    CommandLine::train("bert", &long).words(flags).run();
    CommandLine::train("bert", &short)
        .words(flags)
        .words("--max-steps 3")
        .run();
    assert_eq!(losses(&short), losses(&long)[..3]);
    let (steps, evaluations) = metrics(&short);
    let rates: Vec<f64> = (0..3)
        .map(|step| 1e-3 * f64::from(8 - step) / 8.0)
        .collect();
    assert_eq!(
        column(&steps, "lr"),
        rates,
        "the horizon is that of --epochs"
    );
    assert_eq!(evaluations.len(), 1, "it is evaluated where it stops");
    assert_eq!(
        read_json(&short.join("plan.json"))["epochs"],
        read_json(&long.join("plan.json"))["epochs"]
    );
    assert_eq!(read_json(&short.join("all_results.json"))["epoch"], 0.75);
}

#[test]
fn accumulated_batches_are_one_batch() {
    for peft in ["none", "lora"] {
        let scratch = Scratch::new();
        let (whole, parts) = (scratch.path("whole"), scratch.path("parts"));
        let flags = "--no-shuffle --dropout 0 --epochs 2 --lr 1e-3";
        CommandLine::train("bert", &whole)
            .words(flags)
            .words("--batch-size 4")
            .path("--peft", peft)
            .run();
        CommandLine::train("bert", &parts)
            .words(flags)
            .words("--batch-size 2 --gradient-accumulation-steps 2")
            .path("--peft", peft)
            .run();
        let (whole, parts) = (metrics(&whole).0, metrics(&parts).0);
        assert_eq!(
            (whole.len(), parts.len()),
            (14, 14),
            "the last step of an epoch has 3 rows"
        );
        for key in ["loss", "grad_norm", "lr", "tokens"] {
            for (step, (a, b)) in column(&whole, key)
                .iter()
                .zip(column(&parts, key))
                .enumerate()
            {
                assert!(
                    (a - b).abs() < 1e-5 * a.abs().max(1.0),
                    "{peft}: {key} of step {}: {a}, {b}",
                    step + 1
                );
            }
        }
    }
}

#[test]
fn the_learning_rate_warms_up_and_falls() {
    let scratch = Scratch::new();
    for (flags, expected) in [
        ("--warmup 0.5", [0.0, 0.25, 0.5, 0.75, 1.0, 0.75, 0.5, 0.25]),
        (
            "--warmup 2",
            [
                0.0,
                0.5,
                1.0,
                5.0 / 6.0,
                4.0 / 6.0,
                3.0 / 6.0,
                2.0 / 6.0,
                1.0 / 6.0,
            ],
        ),
        (
            "--warmup 2 --lr-scheduler constant",
            [0.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
        ),
    ] {
        let run = scratch.path("run");
        CommandLine::train("bert", &run)
            .words("--epochs 2 --lr 1e-4 --overwrite-output")
            .words(flags)
            .run();
        for (found, expected) in column(&metrics(&run).0, "lr").iter().zip(expected) {
            assert!(
                (found - 1e-4 * expected).abs() < 1e-16,
                "{flags}: {found}, expected {expected} of 1e-4"
            );
        }
    }
}

/// `| head` closes its end early. That must not cost the run, nor what it has learnt.
#[test]
fn a_reader_that_leaves_ends_nothing() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    let mut child = CommandLine::talking_train("bert", &run)
        .words("--logging-steps 1")
        .command()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_files(&run, &CHECKPOINT);
}

/// Output to a full disk is reported, with the code for a file that cannot be written.
#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_an_error() {
    for arguments in [["plugins", "list"], ["plan", "--json"]] {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        fails(progtune().args(arguments).stdout(full), 3);
    }
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let status = progtune()
        .args(["plan", "--epochs", "0"])
        .stderr(full)
        .status()
        .unwrap();
    assert_eq!(
        status.code(),
        Some(2),
        "the message is lost, its code is not"
    );
}
