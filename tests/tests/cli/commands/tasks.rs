//! Single sentences, regression, and the run without any arguments for model or data: embedded
//! model, generated task.

use super::*;

#[test]
fn roberta_learns_single_sentences() {
    let scratch = Scratch::new();
    let rows = |n: usize| {
        let words = ["kebe zepi", "moli natomo", "gugifu Fafe", "the end"];
        let row = |i: usize| format!("{} {} .\t{}\n", words[i % 4], words[i / 4 % 4], i % 2);
        "sentence\tlabel\n".to_owned() + &(0..n).map(row).collect::<String>()
    };
    scratch.write("data/train.tsv", rows(40));
    scratch.write("data/dev.tsv", rows(16));
    let run = scratch.path("run");
    CommandLine::new(
        "train --task sst2 --quiet --epochs 12 --lr 2e-3 --batch-size 4 --max-length 32 --no-group-by-length",
    )
    .path("--model", fixture("parity/roberta"))
    .path("--data", scratch.path("data"))
    .path("--output", &run)
    .run();
    let results = read_json(&run.join("all_results.json"));
    assert_eq!(
        results["eval_accuracy"], 1.0,
        "the first word tells: {results}"
    );
    assert!(
        results.get("eval_f1").is_none(),
        "SST-2's metric is accuracy"
    );
    assert_files(
        &run,
        &[
            "config.json",
            "merges.txt",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
            "vocab.json",
        ],
    );
    let config = read_json(&run.join("config.json"));
    assert_eq!(
        config["id2label"],
        serde_json::json!({"0": "negative", "1": "positive"})
    );
    assert_eq!(
        config["architectures"][0],
        "RobertaForSequenceClassification"
    );
    let input = scratch.write(
        "in.jsonl",
        "{\"sentence\": \"moli natomo the end .\"}\n{\"sentence\": \"kebe zepi the end .\"}\n",
    );
    let text = CommandLine::new("predict --task sst2 --quiet --max-length 32")
        .path("--model", &run)
        .path("--input", &input)
        .run();
    let labels: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["label"].clone())
        .collect();
    assert_eq!(labels, ["positive", "negative"]);
}

#[test]
fn a_regression_predicts_numbers() {
    let scratch = Scratch::new();
    let data = scratch.copy("data_stsb", "data");
    fs::copy(data.join("train.tsv"), data.join("dev.tsv")).unwrap();
    let run = scratch.path("run");
    CommandLine::new(
        "train --task stsb --quiet --epochs 40 --lr 3e-3 --max-length 64 --dropout 0 --warmup 0.1",
    )
    .path("--model", fixture("parity/bert_regression"))
    .path("--data", &data)
    .path("--output", &run)
    .run();
    let results = read_json(&run.join("all_results.json"));
    let first = &metrics(&run).1[0];
    assert!(
        results["eval_loss"].as_f64().unwrap() < 0.1 * first["eval_loss"].as_f64().unwrap(),
        "{first} {results}"
    );
    assert!(
        results["eval_pearson"].as_f64().unwrap() > 0.95,
        "{results}"
    );
    assert!(
        results["eval_spearmanr"].as_f64().unwrap() > 0.9,
        "{results}"
    );
    assert_eq!(
        read_json(&run.join("config.json"))["problem_type"],
        "regression"
    );
    let output = scratch.path("out.jsonl");
    CommandLine::new("predict --task stsb --quiet --max-length 64 --split validation")
        .path("--model", &run)
        .path("--data", &data)
        .path("--output", &output)
        .run();
    let lines = read_jsonl(&output);
    assert_eq!(lines.len(), 8);
    for line in lines {
        assert_eq!(line["logits"].as_array().unwrap().len(), 1);
        assert_eq!(line["label"], line["logits"][0]);
    }
}

/// A classifier with another size is randomly initialised, with a warning.
#[test]
fn a_head_of_another_size_is_made_new() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    CommandLine::train("bert_regression", &run)
        .words("--max-steps 1")
        .run();
    let log = fs::read_to_string(run.join("log.txt")).unwrap();
    assert!(
        log.contains("classifier.weight [1, 32] (needed: [2, 32])"),
        "{log}"
    );
    assert!(
        log.contains("randomly initialised: classifier.bias, classifier.weight"),
        "{log}"
    );
}

#[test]
fn the_default_run_needs_no_other_flag() {
    let scratch = Scratch::new();
    let directory = scratch.path("");
    let output = progtune()
        .args(["--max-steps", "3", "--max-eval-samples", "16"])
        .current_dir(&directory)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let run = directory.join("runs/sample-full-full-seed42");
    assert_files(&run, &CHECKPOINT);
    let (steps, evaluations) = metrics(&run);
    assert_eq!((steps.len(), evaluations.len()), (3, 1));
    assert_eq!(evaluations[0]["eval_samples"], 16);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(
        stdout.contains("saved in            runs/sample-full-full-seed42"),
        "{stdout}"
    );
}

/// The main use in short: the schedule and the method from dynamic libraries, on the embedded
/// model.
#[test]
fn progressive_lora_runs_on_the_embedded_model() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    CommandLine::new("--schedule progressive --peft lora --max-train-samples 16 --max-eval-samples 16 --epochs 3 --quiet")
        .path("--output", &run)
        .run();
    assert_files(&run, &PEFT_ADAPTER);
    let plan = read_json(&run.join("plan.json"));
    let blocks: Vec<usize> = plan["epochs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|epoch| epoch["blocks"].as_array().unwrap().len())
        .collect();
    assert_eq!(blocks, [6, 4, 2]);
    assert_eq!(metrics(&run).0.len(), 6);
    let text = CommandLine::new("evaluate --quiet --max-eval-samples 16")
        .path("--adapter", &run)
        .run();
    assert_eq!(
        measured(&serde_json::from_str(&text).unwrap()),
        measured(&read_json(&run.join("all_results.json")))
    );
}

/// The generated pairs need no data either. They work for training, plans with steps, evaluation
/// and prediction.
#[test]
fn generated_pairs_need_no_data() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    let flags = "--task sample_pairs --peft lora --max-steps 2 --max-train-samples 16 --max-eval-samples 16 --quiet";
    CommandLine::new(flags).path("--output", &run).run();
    let results = read_json(&run.join("all_results.json"));
    assert_eq!(results["train_samples"], 16);
    let text = CommandLine::new("evaluate --quiet --max-eval-samples 16")
        .path("--adapter", &run)
        .run();
    assert_eq!(
        measured(&serde_json::from_str(&text).unwrap()),
        measured(&results)
    );

    let pair = r#"{"sentence1": "anna saw a dog.", "sentence2": "anna saw an animal."}"#;
    let input = scratch.write("pairs.jsonl", format!("{pair}\n"));
    let text = CommandLine::new("predict --quiet")
        .path("--adapter", &run)
        .path("--input", &input)
        .run();
    let line: Value = serde_json::from_str(&text).unwrap();
    assert!(
        ["entailment", "not_entailment"].contains(&line["label"].as_str().unwrap()),
        "{line}"
    );
}
