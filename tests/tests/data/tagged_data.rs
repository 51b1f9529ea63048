//! Sentences with tags and texts with several labels from the command line: training, evaluation,
//! prediction, `data inspect` and merging. The files are made up, or come from WNUT17.

use progtune_tests::{
    command_line::CommandLine, fixture, read_json, scratch::Scratch, shared_data,
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Sentences whose words determine the tags: `kebe` and the next word are an entity, `moli` is one
/// by itself.
fn conll(n: usize) -> String {
    let parts = [
        "kebe B-x\nzepi I-x\n",
        "the O\n",
        "moli B-y\n",
        "natomo O\n",
    ];
    let sentence = |i: usize| {
        let order = [i % 4, (i + 1 + i / 4) % 4, (i / 2) % 4];
        order.map(|at| parts[at]).concat() + "\n"
    };
    (0..n).map(sentence).collect()
}

fn train(run: &Path) -> CommandLine {
    CommandLine::new("train --quiet --epochs 14 --lr 3e-3 --batch-size 4 --max-length 32")
        .path("--model", fixture("parity/roberta"))
        .path("--output", run)
}

fn lines(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The description of the task of [`conll`].
#[track_caller]
fn assert_task(run: &Path) {
    assert_eq!(
        read_json(&run.join("task.json")),
        json!({
            "problem_type": "token_classification",
            "labels": ["B-x", "B-y", "I-x", "O"],
            "text_column": "1",
            "pair_column": null,
            "label_column": "2",
            "max_length": 32,
            "punctuation_is_apart": true,
        })
    );
}

#[test]
fn a_column_file_trains_and_its_model_finds_entities() {
    let scratch = Scratch::new();
    let data = scratch.write("train.conll", conll(48));
    let dev = scratch.write("dev.conll", conll(12));
    let run = scratch.path("run");
    train(&run)
        .path("--train-file", &data)
        .path("--validation-file", &dev)
        .path("--test-file", &dev)
        .run();
    let results = read_json(&run.join("all_results.json"));
    assert_eq!(results["eval_f1"], 1.0, "the words tell: {results}");
    assert_eq!(results["eval_accuracy"], 1.0);
    assert_eq!(results["test_precision"], 1.0);
    assert_eq!(results["eval_per_class"]["y"]["f1"], 1.0);
    assert!(results.get("eval_confusion_matrix").is_none());
    let config = read_json(&run.join("config.json"));
    assert_eq!(
        config["architectures"],
        json!(["RobertaForTokenClassification"])
    );
    assert_eq!(
        config["id2label"],
        json!({"0": "B-x", "1": "B-y", "2": "I-x", "3": "O"})
    );
    assert!(config.get("problem_type").is_none());
    // A word within a text follows a space. Anyone who loads the tokenizer is told so.
    assert_eq!(
        read_json(&run.join("tokenizer_config.json"))["add_prefix_space"],
        true
    );
    assert_task(&run);

    // The run's own model, given only its directory.
    let evaluation =
        CommandLine::new("evaluate --quiet --max-length 32 --metrics f1_strict,recall")
            .path("--model", &run)
            .path("--validation-file", &dev)
            .run();
    let evaluation: Value = serde_json::from_str(&evaluation).unwrap();
    assert_eq!(evaluation["eval_f1_strict"], 1.0, "{evaluation}");
    assert_eq!(evaluation["eval_recall"], 1.0);
    let input = scratch.write("in.conll", "the\nkebe\nzepi\n\nmoli\n");
    let predict = |more: &str| {
        let command = CommandLine::new("predict --task own --quiet").words(more);
        lines(&command.path("--model", &run).path("--input", &input).run())
    };
    let said = predict("--max-length 32");
    assert_eq!(said.len(), 2);
    assert_eq!(said[0]["tokens"], json!(["the", "kebe", "zepi"]));
    assert_eq!(said[0]["tags"], json!(["O", "B-x", "I-x"]));
    assert_eq!(said[0]["entities"][0]["type"], "x");
    assert_eq!(said[0]["entities"][0]["text"], "kebe zepi");
    assert_eq!(said[0]["entities"][0]["start"], 1);
    assert!(said[0]["scores"][0].as_f64().unwrap() > 0.5);
    assert_eq!(said[1]["tags"], json!(["B-y"]));
    // Truncated words have no tag, and the program says so.
    let cut = CommandLine::new("predict --task own --max-length 4")
        .path("--model", &run)
        .path("--input", &input);
    let (text, messages) = cut.output();
    assert_eq!(lines(&text)[0]["tags"][2], Value::Null);
    assert!(
        messages.contains(", in 1 sentence; they are beyond --max-length 4"),
        "{messages}"
    );

    // Without task.json, like a checkpoint from Hugging Face.
    fs::remove_file(run.join("task.json")).unwrap();
    assert_eq!(predict("--max-length 32"), said);
}

#[test]
fn schedules_and_methods_train_tags_on_bert() {
    let scratch = Scratch::new();
    let rows = conll(12);
    let sentences = rows.split("\n\n").filter(|s| !s.is_empty());
    let jsonl: String = sentences
        .map(|sentence| {
            let (words, tags): (Vec<&str>, Vec<&str>) = sentence
                .lines()
                .filter_map(|line| line.split_once(' '))
                .unzip();
            json!({"tokens": words, "ner_tags": tags}).to_string() + "\n"
        })
        .collect();
    let data = scratch.write("all.jsonl", jsonl);
    for (words, file) in [
        ("--schedule progressive --peft lora", "adapter_config.json"),
        ("--schedule grow-from-hb --peft bitfit", "model.safetensors"),
        ("--schedule lisa --kernels composed", "model.safetensors"),
    ] {
        let run = scratch.path(&words.replace(' ', "_"));
        CommandLine::new("train --quiet --epochs 2 --validation-split 0.25 --max-length 32")
            .words(words)
            .path("--model", fixture("parity/bert"))
            .path("--output", &run)
            .path("--train-file", &data)
            .run();
        let results = read_json(&run.join("all_results.json"));
        assert_eq!(results["train_samples"], 9, "{words}");
        assert!(results["eval_loss"].as_f64().unwrap() > 0.0, "{words}");
        assert!(run.join(file).exists(), "{words}");
        if !words.contains("lora") {
            continue;
        }
        assert_eq!(read_json(&run.join(file))["task_type"], "TOKEN_CLS");
        // The adapter and the model that it is merged into agree.
        let evaluate = |command: CommandLine| -> Value {
            let text = command.path("--test-file", &data).run();
            let mut value: Value = serde_json::from_str(&text).unwrap();
            value["eval_loss"].take()
        };
        let of_adapter = evaluate(
            CommandLine::new("evaluate --quiet --max-length 32")
                .path("--model", fixture("parity/bert"))
                .path("--adapter", &run),
        );
        let merged = scratch.path("merged");
        CommandLine::new("merge --quiet")
            .path("--model", fixture("parity/bert"))
            .path("--adapter", &run)
            .path("--output", &merged)
            .run();
        assert_eq!(
            read_json(&merged.join("config.json"))["architectures"],
            json!(["BertForTokenClassification"])
        );
        let of_merged =
            evaluate(CommandLine::new("evaluate --quiet --max-length 32").path("--model", &merged));
        let difference = of_adapter.as_f64().unwrap() - of_merged.as_f64().unwrap();
        assert!(difference.abs() < 1e-4, "{of_adapter} {of_merged}");
    }
}
/// A text and its labels: two, one or none.
fn several_labels(i: usize) -> (String, Vec<&'static str>) {
    let words = ["kebe zepi", "moli natomo", "the end"];
    let (a, b) = (i % 2, i / 2 % 2);
    let labels = [(a, "x"), (b, "y")]
        .iter()
        .filter(|(holds, _)| *holds == 1)
        .map(|(_, label)| *label)
        .collect();
    let text = format!("{} {} {}", words[a], words[1 + b], words[i % 3]);
    (text, labels)
}

/// Eight such rows as a CSV whose labels are separated by semicolons.
fn separated_labels(scratch: &Scratch) -> PathBuf {
    let rows: String = (0..8)
        .map(|i| {
            let (text, labels) = several_labels(i);
            format!("{text},{}\n", labels.join(";"))
        })
        .collect();
    scratch.write("e.csv", "text,labels\n".to_owned() + &rows)
}

#[test]
fn several_labels_a_text() {
    let scratch = Scratch::new();
    let jsonl: String = (0..48)
        .map(|i| {
            let (text, labels) = several_labels(i);
            json!({"text": text, "labels": labels}).to_string() + "\n"
        })
        .collect();
    let data = scratch.write("d.jsonl", jsonl);
    let run = scratch.path("run");
    train(&run)
        .path("--train-file", &data)
        .path("--validation-file", &data)
        .run();
    let results = read_json(&run.join("all_results.json"));
    assert!(
        results["eval_f1_micro"].as_f64().unwrap() > 0.9,
        "the words tell: {results}"
    );
    for key in ["f1_macro", "f1_weighted", "accuracy", "auroc"] {
        assert!(
            results[format!("eval_{key}")].as_f64().unwrap() > 0.8,
            "{key}: {results}"
        );
    }
    assert_eq!(results["eval_per_class"]["x"]["support"], 24);
    let config = read_json(&run.join("config.json"));
    assert_eq!(config["problem_type"], "multi_label_classification");
    // The same model on a CSV with a separator.
    let csv = separated_labels(&scratch);
    let evaluation = CommandLine::new("evaluate --quiet --max-length 32 --label-separator ;")
        .path("--model", &run)
        .path("--validation-file", &csv)
        .run();
    let evaluation: Value = serde_json::from_str(&evaluation).unwrap();
    assert!(
        evaluation["eval_f1_micro"].as_f64().unwrap() > 0.8,
        "{evaluation}"
    );
    let said = CommandLine::new("predict --quiet --max-length 32")
        .path("--model", &run)
        .path("--test-file", &csv)
        .run();
    let said = lines(&said);
    assert_eq!(said.len(), 8);
    for line in said {
        let logits = line["logits"].as_array().unwrap();
        let holds = logits.iter().filter(|x| x.as_f64().unwrap() > 0.0).count();
        assert_eq!(line["label"].as_array().unwrap().len(), holds, "{line}");
        assert_eq!(line["scores"].as_array().unwrap().len(), 2);
    }
}

/// A run that was trained with a separator remembers it.
#[test]
fn several_labels_with_a_separator() {
    let scratch = Scratch::new();
    let csv = separated_labels(&scratch);
    let again = scratch.path("again");
    train(&again)
        .words("--max-steps 1 --validation-split 0.25 --label-separator ;")
        .path("--train-file", &csv)
        .run();
    assert_eq!(read_json(&again.join("task.json"))["label_separator"], ";");
    let inspected = CommandLine::new("data inspect --label-separator ;")
        .words(csv.to_str().unwrap())
        .run();
    assert!(inspected.contains("labels: x, y"), "{inspected}");
    assert!(
        inspected.contains("x                               4  50.0 %"),
        "{inspected}"
    );
}

#[test]
fn inspection_and_messages() {
    let scratch = Scratch::new();
    let file = scratch.write("t.iob", "a I-x\nb O\n\nc I-x\nd B-x\n\na I-x\nb O\n");
    let text = CommandLine::new("data inspect --max-length 3")
        .path("--train-file", &file)
        .run();
    for part in [
        "1                        text",
        "columns: words `1` (guessed), tags `2` (guessed)",
        "tags: B-x, I-x, O",
        "tags that continue no entity: 3, the first \"I-x\"",
        "--repair-tags bio changes them to B-",
        "train: 3 sentences, 6 words",
        "I-x                             3  50.0 %",
        "entities: x 4",
        "cut at 3 tokens: 3 rows (100.0 %)",
        "within train: 1 sentences",
    ] {
        assert!(text.contains(part), "expected `{part}` in:\n{text}");
    }
    let text = CommandLine::new("data inspect --repair-tags bio")
        .path("--train-file", &file)
        .run();
    assert!(text.contains("tags changed: 3"), "{text}");
    for (words, code) in [
        ("--metrics f1_macro", 2),
        ("--repair-tags iob", 2),
        ("--label-column 3", 3),
        ("--problem-type regression", 3),
    ] {
        train(&scratch.path("run"))
            .words("--validation-split 0.5")
            .path("--train-file", &file)
            .words(words)
            .fail(code);
    }
}

/// The files train unchanged; the steps are few.
#[test]
fn wnut17_trains_as_it_comes() {
    let Some(data) = shared_data() else { return };
    let scratch = Scratch::new();
    let run = scratch.path("run");
    CommandLine::new(
        "train --quiet --peft bitfit --max-steps 2 --max-length 64 --max-train-samples 200 --max-eval-samples 50 \
         --problem-type token_classification",
    )
    .path("--train-file", data.join("WNUT17/wnut17train.conll"))
    .path("--validation-file", data.join("WNUT17/emerging.dev.conll"))
    .path("--output", &run)
    .run();
    let results = read_json(&run.join("all_results.json"));
    assert_eq!(results["eval_samples"], 50);
    assert!(
        results["eval_accuracy"].as_f64().unwrap() > 0.0,
        "{results}"
    );
    let inspected = CommandLine::new("data inspect --problem-type token_classification")
        .path("--test-file", data.join("WNUT17/emerging.test.annotated"))
        .run();
    assert!(
        inspected.contains("test: 1,287 sentences, 23,394 words"),
        "{inspected}"
    );
}
