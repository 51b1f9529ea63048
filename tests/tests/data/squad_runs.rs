//! Questions about texts from the command line: training, evaluation, prediction, own files,
//! adapters, and the paper's figures from runs. The texts are made up.

use candle_core::{DType, Device, Tensor};
use progtune_tests::{
    command_line::CommandLine, fixture, read_json, read_safetensors, scratch::Scratch,
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

/// SQuAD's JSON with `n` questions about texts that span several windows. With `has_unanswerable`,
/// every third question has no answer.
fn squad(n: usize, has_unanswerable: bool) -> String {
    let words = [
        "ab", "cde", "fg", "–", "hé", "ijk", "lm", "no", "pqr", "stu",
    ];
    let paragraphs = (0..n.div_ceil(3)).map(|at| {
        let text: Vec<&str> = (0..40 + at % 9).map(|word| words[(word * 7 + at) % 10]).collect();
        let context = text.join(" ");
        let questions = (0..3.min(n - 3 * at)).map(|of| {
            let number = 3 * at + of;
            let word = text[(5 * number) % text.len()];
            let before = context.split(word).next().unwrap();
            let answer = json!({"text": word, "answer_start": before.chars().count()});
            let mut question = json!({
                "id": format!("q{number}"), "question": format!("{word} {of}?"), "answers": [answer],
            });
            if has_unanswerable {
                question["is_impossible"] = json!(of == 2);
            }
            if has_unanswerable && of == 2 {
                question["answers"] = json!([]);
            }
            question
        });
        json!({"context": context, "qas": questions.collect::<Vec<_>>()})
    });
    json!({"data": [{"title": "T", "paragraphs": paragraphs.collect::<Vec<_>>()}]}).to_string()
}

/// A directory with `train.json` and `dev.json`.
fn data(scratch: &Scratch, has_unanswerable: bool) -> PathBuf {
    scratch.write("data/train.json", squad(24, has_unanswerable));
    let dev = scratch.write("data/dev.json", squad(12, has_unanswerable));
    dev.parent().unwrap().to_owned()
}

fn train(run: &Path) -> CommandLine {
    CommandLine::new(
        "train --quiet --epochs 2 --lr 1e-3 --batch-size 4 --max-length 48 --doc-stride 8",
    )
    .path("--model", fixture("parity/bert"))
    .path("--output", run)
}

fn evaluate(model: &Path) -> CommandLine {
    CommandLine::new("evaluate --max-length 48 --doc-stride 8").path("--model", model)
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// Asserts that an answer is empty if the odds favour none, and that the best spans' probabilities
/// sum to one.
fn answers_and_odds_agree(run: &Path) {
    let predictions = read_json(&run.join("predictions.json"));
    let ids: Vec<&String> = predictions.as_object().unwrap().keys().collect();
    assert_eq!((ids.len(), ids[0].as_str()), (12, "q0"));
    let odds = read_json(&run.join("null_odds.json"));
    let n_best = read_json(&run.join("nbest_predictions.json"));
    for (id, text) in predictions.as_object().unwrap() {
        assert_eq!(text == "", odds[id].as_f64().unwrap() > 0.0, "{id}");
        let spans = n_best[id].as_array().unwrap();
        let sum: f64 = spans
            .iter()
            .map(|span| span["probability"].as_f64().unwrap())
            .sum();
        assert!((sum - 1.0).abs() < 1e-5 && spans.len() <= 21, "{id}: {sum}");
    }
}

#[test]
fn a_run_on_squad_v2_leaves_answers_odds_and_a_model_without_pooler() {
    let scratch = Scratch::new();
    let (data, run) = (data(&scratch, true), scratch.path("run"));
    let words = "--task squad_v2 --schedule progressive";
    train(&run).words(words).path("--data", &data).run();
    let results = read_json(&run.join("all_results.json"));
    let rows: &[(&str, f64)] = &[
        ("eval_total", 12.0),
        ("eval_HasAns_total", 8.0),
        ("eval_NoAns_total", 4.0),
    ];
    for (key, value) in rows {
        assert_eq!(results[key], json!(value), "{results}");
    }
    for key in [
        "eval_exact",
        "eval_f1",
        "eval_best_f1",
        "eval_best_f1_thresh",
        "eval_loss",
    ] {
        assert!(results[key].is_f64(), "{key}: {results}");
    }
    let windows = results["train_samples"].as_u64().unwrap();
    assert!(windows > 24, "{windows} windows of 24 questions");
    answers_and_odds_agree(&run);
    let config = read_json(&run.join("config.json"));
    assert_eq!(config["architectures"], json!(["BertForQuestionAnswering"]));
    let weights = read_safetensors(&run.join("model.safetensors"));
    assert_eq!(weights["qa_outputs.weight"].dims(), [2, 32]);
    assert!(
        weights
            .keys()
            .all(|name| !name.contains("pooler") && !name.contains("classifier"))
    );

    let answers = scratch.path("answers");
    let words = "--task squad_v2 --null-threshold";
    let again = evaluate(&run)
        .words(words)
        .words("0")
        .path("--data", &data)
        .path("--answers", &answers);
    let again = parse(&again.run());
    for key in ["eval_f1", "eval_exact", "eval_best_f1_thresh", "eval_loss"] {
        assert_eq!(again[key], results[key], "{key}");
    }
    for name in [
        "predictions.json",
        "nbest_predictions.json",
        "null_odds.json",
    ] {
        assert_eq!(
            read_json(&answers.join(name)),
            read_json(&run.join(name)),
            "{name}"
        );
    }
    let none = evaluate(&run)
        .words(words)
        .words("-1e9")
        .path("--data", &data)
        .run();
    let none = parse(&none);
    assert_eq!(
        (&none["eval_NoAns_exact"], &none["eval_HasAns_f1"]),
        (&json!(100.0), &json!(0.0))
    );
}

#[test]
fn questions_of_ones_own_train_and_are_answered() {
    let scratch = Scratch::new();
    let train_file = scratch.write("mine.json", squad(30, false));
    let run = scratch.path("run");
    train(&run)
        .words("--validation-split 0.2")
        .path("--train-file", &train_file)
        .run();
    let task = read_json(&run.join("task.json"));
    assert_eq!(task["problem_type"], "question_answering");
    assert_eq!(task["has_unanswerable"], false);
    let results = read_json(&run.join("all_results.json"));
    assert!(
        results["eval_exact_match"].is_f64() && results["eval_f1"].is_f64(),
        "{results}"
    );
    assert_eq!(
        read_json(&run.join("predictions.json"))
            .as_object()
            .unwrap()
            .len(),
        6
    );
    assert!(!run.join("null_odds.json").exists());

    let test_file = scratch.write("more.json", squad(9, false));
    let measured = parse(&evaluate(&run).path("--test-file", &test_file).run());
    assert!(measured["eval_f1"].is_f64(), "{measured}");
    let asked = scratch.write(
        "asked.jsonl",
        "{\"question\": \"Où?\", \"context\": \"hé, no pqr\"}\n",
    );
    let predict = |task: &str, file: &Path| {
        let words = format!("predict --max-length 48 --doc-stride 8 --task {task}");
        CommandLine::new(&words)
            .path("--model", &run)
            .path("--input", file)
            .run()
    };
    for task in ["own", "squad"] {
        let said = parse(&predict(task, &asked));
        let [start, end] = ["start", "end"].map(|key| said[key].as_u64().unwrap() as usize);
        let text: String = "hé, no pqr".chars().skip(start).take(end - start).collect();
        assert_eq!(
            (said["id"].as_str(), said["answer"].as_str()),
            (Some("1"), Some(text.as_str()))
        );
    }
    assert_eq!(predict("own", &test_file).lines().count(), 9);

    let inspected = CommandLine::new("data inspect --max-length 48")
        .path("--model", fixture("parity/bert"))
        .path("--train-file", &train_file);
    let inspected = inspected.run();
    assert!(
        inspected.contains("train: 30 questions about 10 texts, 0 without an answer"),
        "{inspected}"
    );
}

#[test]
fn bad_questions_are_named_or_left_out_and_listed() {
    let scratch = Scratch::new();
    let good = squad(24, false);
    let bad = good.replacen("\"answer_start\":0", "\"answer_start\":1", 1);
    assert_ne!(good, bad);
    let file = scratch.write("mine.json", bad);
    let run = scratch.path("run");
    let line = train(&run)
        .words("--validation-split 0.2")
        .path("--train-file", &file);
    line.fail(3);
    let line = line.words("--on-bad-row skip");
    line.run();
    let log = fs::read_to_string(run.join("log.txt")).unwrap();
    assert!(
        log.contains("row left out: ") && log.contains("question `q0`"),
        "{log}"
    );

    let data = data(&scratch, true);
    train(&run)
        .words("--task squad --overwrite-output")
        .path("--data", &data)
        .fail(3);
    let line = CommandLine::new("train --quiet --task squad_v2 --max-length 48 --doc-stride 46")
        .path("--model", fixture("parity/bert"))
        .path("--data", &data)
        .path("--output", scratch.path("other"));
    line.fail(2);
    let long = squad(3, false).replacen(
        "\"question\":\"",
        &format!("\"question\":\"{}", "ab ".repeat(60)),
        1,
    );
    let file = scratch.write("long.json", long);
    let line = train(&run).words("--overwrite-output --validation-split 0.5");
    line.path("--train-file", &file)
        .path("--validation-file", &file)
        .fail(2);
    let line = train(&run)
        .words("--overwrite-output")
        .path("--train-file", &file);
    line.path("--validation-file", &file).fail(2);
}

#[test]
fn an_adapter_and_kept_tokens_change_nothing() {
    let scratch = Scratch::new();
    let data = data(&scratch, false);
    let run = scratch.path("run");
    let line = train(&run)
        .words("--task squad --peft lora --schedule progressive --threads 1")
        .path("--data", &data);
    line.run();
    let adapter = read_json(&run.join("adapter_config.json"));
    assert_eq!(adapter["task_type"], "QUESTION_ANS");
    assert_eq!(adapter["modules_to_save"], json!(["qa_outputs"]));
    let results = read_json(&run.join("all_results.json"));
    let line = evaluate(&fixture("parity/bert"))
        .path("--adapter", &run)
        .path("--data", &data);
    assert_eq!(parse(&line.run())["eval_f1"], results["eval_f1"]);
    // Run twice with one cache: the first run writes it, the second reads it.
    let evaluations: Vec<Value> = (0..2)
        .map(|_| {
            let mut command = progtune_tests::progtune();
            command
                .env("PROGTUNE_TOKEN_CACHE", "auto")
                .env("PROGTUNE_CACHE_DIR", scratch.path("cache"));
            let words = "evaluate --max-length 48 --doc-stride 8 --model".split(' ');
            let output = command
                .args(words)
                .arg(fixture("parity/bert"))
                .arg("--adapter")
                .arg(&run)
                .arg("--data")
                .arg(&data)
                .output()
                .unwrap();
            parse(&String::from_utf8(output.stdout).unwrap())
        })
        .collect();
    assert_eq!(
        fs::read_dir(scratch.path("cache/tokenized"))
            .unwrap()
            .count(),
        2
    );
    for result in evaluations {
        assert_eq!(result["eval_f1"], results["eval_f1"]);
        assert_eq!(result["eval_loss"], results["eval_loss"]);
    }
}

/// A model with BERT-base's shape in half precision, whose vocabulary adds only unused words to the
/// fixture's.
fn bert_base(scratch: &Scratch) -> PathBuf {
    let vocabulary = fs::read_to_string(fixture("parity/bert/vocab.txt")).unwrap();
    let known = vocabulary.lines().count();
    let more: String = (known..30_522)
        .map(|id| format!("[unused{id}]\n"))
        .collect();
    let vocabulary = scratch.write(
        "base/vocab.txt",
        vocabulary.trim_end().to_owned() + "\n" + &more,
    );
    let config = json!({
        "model_type": "bert", "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12,
        "num_attention_heads": 12, "intermediate_size": 3072, "max_position_embeddings": 512, "type_vocab_size": 2,
    });
    scratch.write("base/config.json", config.to_string());
    let mut tensors = HashMap::new();
    let mut add = |name: &str, shape: &[usize]| {
        let tensor = if name.contains("LayerNorm.weight") {
            Tensor::ones(shape, DType::F16, &Device::Cpu)
        } else {
            Tensor::full(0.01f32, shape, &Device::Cpu).and_then(|t| t.to_dtype(DType::F16))
        };
        tensors.insert(format!("bert.{name}"), tensor.unwrap());
    };
    for (name, rows) in [("word", 30_522), ("position", 512), ("token_type", 2)] {
        add(
            &format!("embeddings.{name}_embeddings.weight"),
            &[rows, 768],
        );
    }
    let mut layers: Vec<(String, &[usize])> = vec![("embeddings.LayerNorm".into(), &[768])];
    for block in 0..12 {
        let of = |layer: &str| format!("encoder.layer.{block}.{layer}");
        for layer in [
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
            "attention.output.dense",
        ] {
            layers.push((of(layer), &[768, 768]));
        }
        layers.push((of("intermediate.dense"), &[3072, 768]));
        layers.push((of("output.dense"), &[768, 3072]));
        layers.push((of("attention.output.LayerNorm"), &[768]));
        layers.push((of("output.LayerNorm"), &[768]));
    }
    for (layer, shape) in layers {
        add(&format!("{layer}.weight"), shape);
        add(&format!("{layer}.bias"), &shape[..1]);
    }
    let directory = vocabulary.parent().unwrap().to_owned();
    candle_core::safetensors::save(&tensors, directory.join("model.safetensors")).unwrap();
    directory
}

/// The paper's Table 2 (progtuning, updated parameters in millions), from runs with one step per
/// epoch.
#[test]
fn runs_of_bert_base_update_as_many_parameters_as_the_paper_says() {
    let scratch = Scratch::new();
    let model = bert_base(&scratch);
    let data = data(&scratch, true);
    scratch.write("v1/train.json", squad(2, false));
    let v1 = scratch.write("v1/dev.json", squad(1, false));
    for (task, data, schedule, epochs, paper) in [
        ("squad", v1.parent().unwrap(), "progressive", 3, 241.6),
        ("squad_v2", &data, "progressive", 2, 175.3),
        ("squad_v2", &data, "full", 2, 217.7),
    ] {
        let run = scratch.path("run");
        let words = format!(
            "train --quiet --overwrite-output --max-train-samples 1 --max-eval-samples 1 --max-length 64 --doc-stride 16 \
             --task {task} --schedule {schedule} --epochs {epochs}"
        );
        CommandLine::new(&words)
            .path("--model", &model)
            .path("--data", data)
            .path("--output", &run)
            .run();
        let updated = read_json(&run.join("all_results.json"))["total_updated_parameters"]
            .as_f64()
            .unwrap()
            / 1e6;
        println!("{task}, {schedule}, {epochs} epochs: {updated:.3} M, the paper prints {paper}");
        assert!(
            (updated - paper).abs() <= 0.1,
            "{task}, {schedule}: {updated}"
        );
        fs::remove_dir_all(run).unwrap();
    }
}
