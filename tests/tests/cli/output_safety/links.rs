//! Links and foreign files in an output directory: nothing is written through them, and no foreign
//! file is lost.

use super::*;
use std::os::unix::fs::symlink;

const PRECIOUS: &str = "years of work";

/// Runs that write different files: a checkpoint on own data with its best epoch, an adapter,
/// answers to questions.
fn kinds(scratch: &Scratch) -> Vec<(&'static str, CommandLine)> {
    let rows: String = (0..12)
        .map(|row| format!("kebe zepi {row},{}\n", ["a", "b"][row % 2]))
        .collect();
    let csv = scratch.write("own.csv", format!("text,label\n{rows}"));
    let questions: Vec<String> = (0..4)
        .map(|id| {
            format!(
                r#"{{"id": "{id}", "question": "kebe ?", "answers": [{{"text": "zepi", "answer_start": 5}}]}}"#
            )
        })
        .collect();
    let squad = scratch.write(
        "squad.json",
        format!(
            r#"{{"version": "1.1", "data": [{{"title": "t", "paragraphs": [{{"context": "kebe zepi moli natomo", "qas": [{}]}}]}}]}}"#,
            questions.join(", ")
        ),
    );
    let base = || {
        CommandLine::new("train --quiet --max-length 32 --epochs 2 --prefix-cache disk")
            .path("--model", fixture("parity/bert"))
            .words("--overwrite-output")
    };
    vec![
        (
            "checkpoint",
            base()
                .words("--metric-for-best-model loss --validation-split 0.5")
                .path("--train-file", csv),
        ),
        (
            "adapter",
            base()
                .words("--task mrpc --peft lora --schedule grow-from-hb")
                .path("--data", fixture("parity/data")),
        ),
        (
            "answers",
            base()
                .words("--doc-stride 8")
                .path("--validation-file", &squad)
                .path("--train-file", &squad),
        ),
    ]
}

/// The names that such a run writes, including those that are gone at its end.
fn written(kind: &str, output: &Path) -> Vec<String> {
    let mut all = names(output);
    all.retain(|name| !name.contains('/'));
    if kind == "checkpoint" {
        all.push("best.safetensors".into());
        all.push("best-1.safetensors".into());
        all.push("nonfinite-step-1.json".into());
    }
    all.sort();
    all.dedup();
    all
}

#[test]
fn a_link_at_any_name_that_a_run_writes_is_replaced() {
    let scratch = Scratch::new();
    for (kind, line) in kinds(&scratch) {
        let finished = scratch.path(&format!("{kind}-finished"));
        line.clone().path("--output", &finished).run();
        let expected = names(&finished);
        let all = written(kind, &finished);
        assert!(all.len() >= 8, "{all:?}");
        for name in all {
            let output = scratch.path(&format!("{kind}-out"));
            fs::create_dir(&output).unwrap();
            fs::copy(finished.join("config.toml"), output.join("config.toml")).unwrap();
            let canary = scratch.write("canary", PRECIOUS);
            let _ = fs::remove_file(output.join(&name));
            symlink(&canary, output.join(&name)).unwrap();
            // A canary is not a valid configuration, so the directory is not a run's.
            match name.as_str() {
                "config.toml" => {
                    line.clone().path("--output", &output).fail(2);
                }
                _ => {
                    line.clone().path("--output", &output).run();
                    assert_eq!(names(&output), expected, "{kind}, {name}");
                    assert!(!output.join(&name).is_symlink(), "{kind}, {name}");
                }
            }
            assert_eq!(
                fs::read_to_string(&canary).unwrap(),
                PRECIOUS,
                "{kind}, {name}"
            );
            fs::remove_dir_all(&output).unwrap();
        }
    }
}

/// The same for other names of foreign files, and for links to missing files, all at once.
#[test]
fn hard_links_and_dangling_ones_are_replaced_as_well() {
    let scratch = Scratch::new();
    for (kind, line) in kinds(&scratch) {
        let finished = scratch.path(&format!("{kind}-finished"));
        line.clone().path("--output", &finished).run();
        for is_hard in [true, false] {
            let output = scratch.path(&format!("{kind}-{is_hard}"));
            fs::create_dir(&output).unwrap();
            fs::copy(finished.join("config.toml"), output.join("config.toml")).unwrap();
            let planted = |name: &str| scratch.path(&format!("{kind}-{is_hard}-{name}-canary"));
            let all = written(kind, &finished);
            let all: Vec<&String> = all.iter().filter(|name| *name != "config.toml").collect();
            for name in &all {
                if is_hard {
                    fs::write(planted(name), PRECIOUS).unwrap();
                    fs::hard_link(planted(name), output.join(name)).unwrap();
                } else {
                    symlink(planted(name), output.join(name)).unwrap();
                }
            }
            line.clone().path("--output", &output).run();
            assert_eq!(names(&output), names(&finished));
            for name in &all {
                let found = fs::read_to_string(planted(name)).ok();
                assert_eq!(
                    found.as_deref(),
                    is_hard.then_some(PRECIOUS),
                    "{kind}, {name}"
                );
            }
        }
    }
}

/// A later run opens the prefix cache again: its file, and its directory.
#[test]
fn a_planted_prefix_cache_is_not_written_to() {
    let scratch = Scratch::new();
    let line = |output: &Path| {
        CommandLine::talking_train("bert", output)
            .words("--epochs 3 --peft lora --schedule progressive --prefix-cache disk")
    };
    let reference = scratch.path("reference");
    line(&reference).run();
    let expected = fs::read(reference.join("adapter_model.safetensors")).unwrap();
    for how in ["link", "dangling", "hard", "pipe", "directory link"] {
        let output = scratch.path(&how.replace(' ', "-"));
        let elsewhere = scratch.path(&format!("elsewhere-{}", how.replace(' ', "-")));
        fs::create_dir_all(&elsewhere).unwrap();
        let canary = elsewhere.join("rows.bin");
        fs::create_dir_all(&output).unwrap();
        fs::copy(reference.join("config.toml"), output.join("config.toml")).unwrap();
        let cache = output.join("prefix-cache");
        if how != "dangling" {
            fs::write(&canary, PRECIOUS).unwrap();
        }
        match how {
            "directory link" => symlink(&elsewhere, &cache).unwrap(),
            _ => {
                fs::create_dir(&cache).unwrap();
                let rows = cache.join("rows.bin");
                match how {
                    "hard" => fs::hard_link(&canary, &rows).unwrap(),
                    "pipe" => {
                        let made = Command::new("mkfifo").arg(&rows).status();
                        assert!(made.unwrap().success());
                    }
                    _ => symlink(&canary, &rows).unwrap(),
                }
            }
        }
        let (_, said) = line(&output).output();
        let found = fs::read_to_string(&canary).ok();
        assert_eq!(
            found.as_deref(),
            (how != "dangling").then_some(PRECIOUS),
            "{how}"
        );
        assert_eq!(
            fs::read(output.join("adapter_model.safetensors")).unwrap(),
            expected,
            "{how}"
        );
        let is_refused = how == "directory link";
        assert_eq!(said.contains("symbolic link"), is_refused, "{how}: {said}");
        assert_eq!(
            cache.exists(),
            is_refused,
            "{how}: the cache is gone at the end"
        );
    }
}

#[test]
fn answers_go_through_no_link() {
    let scratch = Scratch::new();
    let (_, line) = kinds(&scratch).remove(2);
    let run = scratch.path("run");
    line.path("--output", &run).run();
    let [answers, elsewhere] = ["answers", "elsewhere"].map(|name| scratch.path(name));
    fs::create_dir_all(&elsewhere).unwrap();
    let evaluate = || {
        CommandLine::new("evaluate --quiet --max-length 32 --doc-stride 8")
            .path("--model", &run)
            .path("--validation-file", scratch.path("squad.json"))
            .path("--answers", &answers)
    };
    evaluate().run();
    let written = names(&answers);
    assert_eq!(written, ["nbest_predictions.json", "predictions.json"]);
    for name in &written {
        let canary = scratch.write(&format!("elsewhere/{name}"), PRECIOUS);
        fs::remove_file(answers.join(name)).unwrap();
        symlink(canary, answers.join(name)).unwrap();
    }
    evaluate().run();
    assert_eq!(names(&answers), written);
    for (_, bytes) in tree(&elsewhere) {
        assert_eq!(bytes, PRECIOUS.as_bytes());
    }
    // There is one directory per model, and one of them leads elsewhere.
    symlink(&elsewhere, answers.join("none")).unwrap();
    let lora = scratch.path("lora");
    let (_, line) = kinds(&scratch).remove(2);
    line.words("--peft lora").path("--output", &lora).run();
    CommandLine::new("evaluate --quiet --max-length 32 --doc-stride 8")
        .path("--model", &run)
        .words("--adapter none")
        .path("--adapter", format!("a={}", lora.display()))
        .path("--validation-file", scratch.path("squad.json"))
        .path("--answers", &answers)
        .fail(2);
    for (_, bytes) in tree(&elsewhere) {
        assert_eq!(bytes, PRECIOUS.as_bytes());
    }
}

/// A device is written to. It is not replaced, although the superuser could do that.
#[test]
fn predictions_may_go_to_a_device() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    short(&run).run();
    let link = scratch.path("out.jsonl");
    let canary = scratch.write("canary", PRECIOUS);
    symlink(&canary, &link).unwrap();
    let predict = |output: &str| {
        CommandLine::new("predict --task mrpc --quiet --split validation --max-length 64")
            .path("--model", &run)
            .path("--data", fixture("parity/data"))
            .path("--output", output)
    };
    let printed = predict("/dev/stdout").run();
    assert_eq!(printed.lines().count(), 12);
    assert!(Path::new("/dev/stdout").is_symlink());
    predict(link.to_str().unwrap()).run();
    assert!(!link.is_symlink());
    assert_eq!(fs::read_to_string(&link).unwrap(), printed);
    assert_eq!(fs::read_to_string(canary).unwrap(), PRECIOUS);
}
