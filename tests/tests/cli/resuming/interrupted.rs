//! Runs that are stopped save a checkpoint first, and continue.
#![cfg(unix)]

use super::*;
use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

/// Sends a signal to a run after a step, and returns its exit code and what it said.
fn stop(line: &CommandLine, step: u64, signal: &str) -> (Option<i32>, String) {
    let mut command = line.command();
    let mut child = command
        .args(["--progress", "json"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut is_sent = false;
    for text in BufReader::new(child.stderr.take().unwrap()).lines() {
        let text = text.unwrap();
        if !is_sent
            && text.contains("\"event\":\"step\"")
            && text.contains(&format!("\"step\":{step},"))
        {
            let id = child.id().to_string();
            let sent = Command::new("kill")
                .args([&format!("-{signal}"), &id])
                .status();
            assert!(sent.unwrap().success());
            is_sent = true;
        }
        said += &(text + "\n");
    }
    (child.wait().unwrap().code(), said)
}

fn line(run: &Path) -> CommandLine {
    CommandLine::talking_train("bert", run)
        .words("--epochs 40 --batch-size 4 --schedule progressive --peft lora --lr 1e-3 --save-strategy epoch")
}

#[test]
fn a_signal_saves_and_the_run_continues_with_the_same_bits() {
    let scratch = Scratch::new();
    let whole = scratch.path("whole");
    line(&whole).words("--quiet").run();
    let expected = everything(&whole);
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let cut = scratch.path(signal);
        let (status, said) = stop(&line(&cut), 3, signal);
        assert_eq!(status, Some(code), "{said}");
        assert!(!cut.join("all_results.json").exists(), "{said}");
        let step = steps(&cut).pop().unwrap();
        let words = format!(
            "`progtune resume {}` continues after step {step}",
            cut.display()
        );
        let last = said.lines().last().unwrap();
        assert!(
            last.contains("interrupted after") && last.contains(&words),
            "{last}"
        );
        resume(&cut, "").run();
        assert_same(&cut, &expected, signal);
    }
}

#[test]
fn without_checkpoints_nothing_is_kept() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    let line = CommandLine::talking_train("bert", &run).words("--epochs 40 --save-strategy no");
    let (status, said) = stop(&line, 2, "TERM");
    assert_eq!(status, Some(143));
    let last = said.lines().last().unwrap();
    assert!(last.contains("but no result was saved"), "{last}");
    let message = resume(&run, "").fail(2);
    assert!(message.contains("no checkpoint is here"), "{message}");
}
