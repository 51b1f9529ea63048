//! A sweep: terminal control sequences are put into every text that a command reads, and never
//! appear in its output.

use progtune_plain_text::is_hidden;
use progtune_tests::{
    outside_plugins::{library_name, patched},
    profile_dir, progtune, read_json,
    scratch::Scratch,
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Colour, bell, carriage return, C1, right-to-left override, and a line that looks like a message.
const BAD: &str = "x\u{1b}[31my\u{7}\r\u{9b}2J\u{7f}\u{202e}z\u{2066}\u{feff}\nerror: fake";

/// Runs a command and checks every byte that it writes. Returns whether it succeeded.
#[track_caller]
fn clean(command: &mut Command) -> bool {
    let output = command.output().expect("the binary starts");
    let code = output.status.code();
    assert!(
        matches!(code, Some(0 | 2 | 3 | 4 | 5)),
        "{command:?}: {code:?}"
    );
    for bytes in [&output.stdout, &output.stderr] {
        look_at(&format!("{command:?}"), bytes);
    }
    output.status.success()
}

#[track_caller]
fn look_at(what: &str, bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).expect("UTF-8");
    let found = text
        .chars()
        .find(|&c| is_hidden(c) && c != '\n' && c != '\t');
    assert_eq!(found, None, "{what}: {text}");
    assert!(!text.contains("panicked"), "{what}: {text}");
    let fake = text.lines().find(|line| line.starts_with("error: fake"));
    assert_eq!(fake, None, "{what}: {text}");
}

fn words(line: &str) -> Command {
    let mut command = progtune();
    command.args(line.split_whitespace());
    command
}

/// A CSV file with a bad header and a bad second label.
fn csv(scratch: &Scratch, name: &str, text_column: &str, label: &str) -> PathBuf {
    let mut text = format!("\"{text_column}\",label\n");
    for row in 0..20 {
        let label = if row % 2 == 0 { "good" } else { label };
        text += &format!("words {row},\"{label}\"\n");
    }
    scratch.write(name, text)
}

const QUICK: &str = "--max-steps 1 --max-length 16 --peft lora";

#[test]
fn own_data_from_training_to_prediction() {
    let scratch = Scratch::new();
    let file = csv(&scratch, "data.csv", BAD, BAD);
    let with = |line: &str, flag: &str, file: &Path| {
        let mut command = words(line);
        command.arg(flag).arg(file);
        command
    };
    assert!(clean(
        words("data inspect")
            .arg("--text-column")
            .arg(BAD)
            .arg(&file)
    ));
    clean(words("data inspect").arg(&file));
    let ways = ["plain -vv", "json -v", "none"];
    for (how, number) in ways.into_iter().zip(0..) {
        let output = scratch.path(&format!("run{number}"));
        let mut train = words(&format!("{QUICK} --progress {how}"));
        train.arg("--text-column").arg(BAD);
        train
            .arg("--train-file")
            .arg(&file)
            .arg("--validation-file")
            .arg(&file);
        train.arg("--output").arg(&output);
        assert!(clean(&mut train), "{how}");
        let log = fs::read(output.join("log.txt")).expect("a log");
        look_at("log.txt", &log);
    }
    let run = scratch.path("run1");
    for line in ["evaluate", "predict"] {
        let flag = if line == "evaluate" {
            "--test-file"
        } else {
            "--input"
        };
        let mut command = with(line, flag, &file);
        command.arg("--adapter").arg(&run).args(["--task", "own"]);
        assert!(clean(&mut command), "{line}");
    }
}

#[test]
fn every_text_in_the_files_of_a_result() {
    let scratch = Scratch::new();
    let file = csv(&scratch, "data.csv", "text", "bad");
    for (method, number) in [("lora", 0), ("bitfit", 1), ("pfeiffer", 2)] {
        let run = scratch.path(&format!("run{number}"));
        let mut train = words(&format!(
            "--max-steps 1 --max-length 16 --quiet --peft {method}"
        ));
        train
            .arg("--train-file")
            .arg(&file)
            .arg("--validation-file")
            .arg(&file);
        assert!(clean(train.arg("--output").arg(&run)), "{method}");
        let whole = run.join("config.json").exists();
        let mut files: Vec<PathBuf> = fs::read_dir(&run)
            .expect("a directory")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        files.sort();
        let read = [
            "task.json",
            "adapter_config.json",
            "progtune_adapter.json",
            "progtune_plugins.json",
            "config.json",
            "tokenizer_config.json",
        ];
        for path in files
            .iter()
            .filter(|path| read.iter().any(|name| path.ends_with(name)))
        {
            let before = read_json(path);
            let changed: Vec<Value> = match before.as_object() {
                Some(object) => object
                    .keys()
                    .flat_map(|key| changes(&before, key))
                    .collect(),
                None => vec![json!([BAD]), json!([{ BAD: BAD }])],
            };
            for changed in changed {
                fs::write(path, changed.to_string()).expect("a file");
                let flag = if whole { "--model" } else { "--adapter" };
                let mut predict = words("predict --task own --max-eval-samples 2");
                predict.arg(flag).arg(&run).arg("--input").arg(&file);
                clean(&mut predict);
            }
            fs::write(path, before.to_string()).expect("a file");
        }
    }
}

/// A JSON object with a key renamed, and with that key's value replaced by a bad text.
fn changes(object: &Value, key: &str) -> [Value; 2] {
    let (mut value, mut name) = (object.clone(), object.clone());
    value[key] = match &object[key] {
        Value::Array(_) => json!([BAD, BAD]),
        Value::Object(_) => json!({ BAD: BAD }),
        _ => json!(BAD),
    };
    let map = name.as_object_mut().expect("an object");
    let old = map.shift_remove(key).expect("the key");
    map.insert(BAD.to_owned(), old);
    [value, name]
}

#[test]
fn configuration_and_flags() {
    let scratch = Scratch::new();
    for key in [
        "device", "model", "task", "schedule", "peft", "lr", "metrics", "output", BAD,
    ] {
        let mut table = toml_line(key, BAD);
        clean(words("plan --config").arg(scratch.write("c.toml", &table)));
        table = format!("[{}]\na = 1\n", serde_json::to_string(key).expect("text"));
        clean(words("plan --config").arg(scratch.write("c.toml", &table)));
    }
    for flag in [
        "--task",
        "--schedule",
        "--peft",
        "--lr",
        "--model",
        "--device",
        "--metrics",
        "--peft-opt",
        "--config",
        "--plugin",
        "--schedule-opt",
        "--train-file",
        "--data",
        "--color",
        "--progress",
        "--plugin-dir",
        "--init-adapter",
        "--epochs",
    ] {
        clean(words("plan").arg(flag).arg(BAD));
        clean(words("plan --peft lora").arg(flag).arg(format!("k={BAD}")));
    }
    clean(words("plan --task sample").arg(format!("--{BAD}")));
    clean(progtune().arg(BAD));
    for line in [
        "plugins show",
        "plugins why",
        "plugins install",
        "plugins lock",
        "plugins remove",
        "data inspect",
        "predict --input",
    ] {
        clean(words(line).arg(BAD));
    }
}

#[test]
fn variables_and_names_of_files() {
    let scratch = Scratch::new();
    for name in [
        "PROGTUNE_LR",
        "PROGTUNE_TASK",
        "PROGTUNE_MODEL",
        "PROGTUNE_CONFIG",
        "PROGTUNE_DEVICE",
        "PROGTUNE_SCHEDULE",
        "PROGTUNE_LOG",
        "PROGTUNE_PLUGIN_DIR",
        "PROGTUNE_COLOR",
        "PROGTUNE_PROGRESS",
        "HF_HOME",
        "HF_ENDPOINT",
    ] {
        clean(words("plan --model org/name").env(name, BAD));
    }
    let svg = scratch.path("plan.svg");
    let named = csv(
        &scratch,
        &format!("{}.csv", BAD.replace('/', "")),
        "text",
        "b",
    );
    let output = scratch.path(BAD);
    let mut train = words(QUICK);
    train
        .arg("--train-file")
        .arg(&named)
        .arg("--validation-file")
        .arg(&named);
    assert!(clean(train.arg("--output").arg(&output)), "names of files");
    look_at("log.txt", &fs::read(output.join("log.txt")).expect("a log"));
    clean(train.arg("--output").arg(&output));
    clean(words("plan --svg").arg(&svg));
    look_at("plan.svg", &fs::read(&svg).expect("a drawing"));
}

fn toml_line(key: &str, value: &str) -> String {
    // TOML escapes the same characters as JSON.
    let quoted = |text: &str| serde_json::to_string(text).expect("text");
    let line = format!("{} = {}\n", quoted(key), quoted(value));
    line.replace('\u{7f}', "\\u007f")
}

#[test]
fn tags_and_questions() {
    let scratch = Scratch::new();
    let sentence = json!({ "words": ["a", BAD], "tags": ["O", format!("B-{BAD}")] });
    let tags = scratch.write("tags.jsonl", format!("{sentence}\n").repeat(6));
    let columns = "--text-column words --label-column tags --problem-type token_classification";
    clean(words(&format!("data inspect {columns}")).arg(&tags));
    let mut train = words(&format!("{QUICK} {columns}"));
    train
        .arg("--train-file")
        .arg(&tags)
        .arg("--validation-file")
        .arg(&tags);
    clean(train.arg("--output").arg(scratch.path("tags")));
    for answer in ["Rome", BAD] {
        let question = json!({ "id": BAD, "title": BAD, "context": format!("In Rome {BAD}"), "question": BAD,
            "answers": { "text": [answer], "answer_start": [3] } });
        let file = scratch.write("questions.jsonl", format!("{question}\n").repeat(2));
        clean(words("data inspect").arg(&file));
        let mut train = words(QUICK);
        train
            .arg("--train-file")
            .arg(&file)
            .arg("--validation-file")
            .arg(&file);
        clean(train.arg("--output").arg(scratch.path("questions")));
    }
}

#[test]
fn plugins_and_their_manifests() {
    let scratch = Scratch::new();
    let library =
        fs::read(profile_dir().join(library_name("progtune_peft_ia3"))).expect("a plugin");
    // Change texts in the manifest, and those that the library itself returns.
    for (from, to) in [
        (
            &b"progtune-peft-ia3"[..],
            &b"\x1b[31m-\x07eft-i\xc2\x9bqqq"[..],
        ),
        (b"progtune-peft-ia3", b"\xe2\x80\xaeogtune-peft-ia"),
        (b"Apache-2.0", b"\x1b]0;a\x07\r\nbb"),
    ] {
        let changed = patched(&library, from, to);
        let file = scratch.write("plugin/libchanged.so", changed);
        for line in [
            "plugins list --json",
            "plugins list",
            "plugins show ia3",
            "plugins why ia3",
            "plan --peft ia3",
        ] {
            clean(words(line).arg("--plugin").arg(&file));
        }
        clean(words("plugins check").arg(&file));
        clean(words("plugins list --plugin-dir").arg(scratch.path("plugin")));
    }
}
