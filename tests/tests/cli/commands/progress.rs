//! The visible output of a command: as lines, as events, or none. Control characters from a file
//! are never visible.

use super::*;
use std::process::Output;

/// A run into `run` with warnings (the checkpoint's head has another size).
fn command(run: &Path, words: &str) -> std::process::Command {
    CommandLine::talking_train("bert_regression", run)
        .words(words)
        .command()
}

#[track_caller]
fn said(command: &mut std::process::Command) -> (Output, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    (output, stdout, stderr)
}

/// Parses every line of a stream as an event.
#[track_caller]
fn events(stream: &str) -> Vec<Value> {
    let event = |line: &str| -> Value {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(event["event"].is_string(), "{line}");
        event
    };
    stream.lines().map(event).collect()
}

fn of<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    let is_it = |event: &&Value| event["event"] == name;
    events.iter().filter(is_it).collect()
}

/// An event without its name, as in the records.
fn body(event: &Value) -> Value {
    let mut body = event.as_object().unwrap().clone();
    body.shift_remove("event");
    Value::Object(body)
}

#[test]
fn a_program_can_follow_a_run_by_events_alone() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    let flags = "--epochs 3 --schedule progressive --peft lora --progress json";
    let (output, stdout, stderr) = said(&mut command(&run, flags));
    assert!(output.status.success(), "{stderr}");
    let events = events(&stderr);
    let known = [
        "phase",
        "start",
        "stage",
        "step",
        "evaluation",
        "end",
        "warning",
        "message",
    ];
    for event in &events {
        assert!(known.contains(&event["event"].as_str().unwrap()), "{event}");
    }

    let start = of(&events, "start")[0];
    assert_eq!(of(&events, "start").len(), 1);
    assert_eq!(start["plan"], read_json(&run.join("plan.json")));
    assert_eq!(
        (&start["last_step"], &start["train_samples"]),
        (&12.into(), &27.into())
    );
    assert_eq!(start["prefix_cache_starts"], serde_json::json!([0, 0, 1]));
    assert!(start["prefix_cache_bytes"].as_u64().unwrap() > 0, "{start}");

    let (steps, evaluations) = metrics(&run);
    let bodies = |name: &str| of(&events, name).into_iter().map(body).collect::<Vec<_>>();
    assert_eq!(bodies("step"), steps, "the same numbers as metrics.jsonl");
    assert_eq!(bodies("evaluation"), evaluations);
    let stages = of(&events, "stage");
    let steps: Vec<u64> = stages.iter().map(|e| e["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [0, 4, 8]);
    assert_eq!(stages[2]["blocks"], serde_json::json!([3, 4]));

    let end = events.last().unwrap();
    assert_eq!(end["event"], "end");
    assert_eq!(body(end), read_json(&run.join("all_results.json")));
    // Every phase that takes long is announced, and finished before training.
    for phase in ["read", "plugin", "tokenize", "load", "save"] {
        let of_phase = |event: &&&Value| event["phase"] == phase;
        let phases = of(&events, "phase");
        let finished = phases.iter().filter(of_phase).map(|e| &e["finished"]);
        let finished: Vec<&Value> = finished.collect();
        assert!(
            finished.first() == Some(&&false.into()) && finished.last() == Some(&&true.into()),
            "{phase}: {finished:?}"
        );
    }
    assert!(stdout.starts_with("epoch  blocks"), "results: {stdout}");
}

#[test]
fn warnings_and_errors_are_events_too() {
    let scratch = Scratch::new();
    let foreign = scratch.write("plugins/a.so", "a text");
    let run = scratch.path("run");
    let mut line = command(&run, "--max-steps 1 --progress json");
    line.arg("--plugin-dir").arg(foreign.parent().unwrap());
    let (output, _, stderr) = said(&mut line);
    assert!(output.status.success(), "{stderr}");
    let found = events(&stderr);
    let warning = of(&found, "warning")[0]["message"].as_str().unwrap();
    assert!(
        warning.contains("a.so: expected a dynamic library"),
        "{warning}"
    );

    for (words, code) in [
        ("--epochz 3", 2),
        ("--epochs 0", 2),
        ("--schedule progresive", 2),
        ("--lr 1e20", 5),
        ("--quiet", 2),
    ] {
        let run = scratch.path("failing");
        let (output, stdout, stderr) =
            said(&mut command(&run, &format!("--progress json {words}")));
        assert_eq!(output.status.code(), Some(code), "{words}: {stderr}");
        assert_eq!(stdout, "", "{words}");
        let events = events(&stderr);
        assert_eq!(of(&events, "error").len(), 1, "{words}: {stderr}");
        let error = events.last().unwrap();
        assert_eq!(
            (&error["event"], &error["exit_code"]),
            (&"error".into(), &code.into())
        );
        messages::check(error["message"].as_str().unwrap());
    }

    // The environment selects it too, and events can contain more of the log.
    let mut line = command(&scratch.path("logged"), "--max-steps 1 -v");
    let (output, _, stderr) = said(line.env("PROGTUNE_PROGRESS", "json"));
    assert!(output.status.success(), "{stderr}");
    let log = events(&stderr);
    let infos = of(&log, "log");
    assert!(
        infos.iter().any(|event| event["level"] == "info"),
        "{stderr}"
    );
}

#[test]
fn other_commands_speak_in_events_as_well() {
    let data = fixture("parity/data");
    let mut line = progtune();
    line.args([
        "evaluate",
        "--task",
        "mrpc",
        "--max-length",
        "64",
        "--progress",
        "json",
    ])
    .arg("--model")
    .arg(fixture("parity/bert"))
    .arg("--data")
    .arg(data);
    let (output, stdout, stderr) = said(&mut line);
    assert!(output.status.success(), "{stderr}");
    let events = events(&stderr);
    let computed = of(&events, "phase")
        .into_iter()
        .rfind(|event| event["phase"] == "compute")
        .unwrap();
    assert_eq!(
        (&computed["done"], &computed["total"]),
        (&12.into(), &12.into())
    );
    let results: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(results["eval_samples"], 12);
}

#[test]
fn lines_in_a_file_have_no_control_characters() {
    let scratch = Scratch::new();
    for (name, words, variables) in [
        ("plain", "--progress plain", vec![]),
        ("auto", "", vec![]),
        ("dumb", "", vec![("TERM", "dumb")]),
        (
            "no-color",
            "",
            vec![("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")],
        ),
        ("never", "--color never", vec![("CLICOLOR_FORCE", "1")]),
    ] {
        let run = scratch.path(name);
        let words = format!("--max-steps 5 --logging-steps 2 --schedule progressive {words}");
        let (output, stdout, stderr) = said(command(&run, &words).envs(variables));
        assert!(output.status.success(), "{stderr}");
        let control = |c: char| c.is_control() && c != '\n';
        assert!(!stderr.contains(control), "{name}: {stderr:?}");
        assert!(!stdout.contains(control), "{name}: {stdout:?}");
        let steps: Vec<&str> = stderr
            .lines()
            .filter_map(|line| line.strip_prefix("step ")?.split("  ").next())
            .collect();
        assert_eq!(steps, ["2/5", "4/5", "5/5"], "{name}: {stderr}");
        // The time so far and the expected time, the same for the last step and evaluation.
        let (_, course) = stderr
            .lines()
            .rfind(|line| line.starts_with("step "))
            .unwrap()
            .rsplit_once("  ")
            .unwrap();
        let (elapsed, total) = course
            .split_once(" of ")
            .unwrap_or_else(|| panic!("{stderr}"));
        assert!(elapsed.contains(':') && total.contains(':'), "{stderr}");
        assert!(stderr.contains("\nepoch 2/3 after "), "{stderr}");
    }
}

#[test]
fn colours_are_asked_for_or_had_in_a_terminal() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    let words = "--max-steps 1 --schedule progressive --color always";
    let (_, stdout, stderr) = said(&mut command(&run, words));
    assert!(stderr.contains("\u{1b}[38;5;33m■■■■■\u{1b}[0m"), "{stderr}");
    assert!(stdout.contains("\u{1b}[38;5;28maccuracy"), "{stdout}");
    let (_, _, stderr) = said(&mut command(&run, "--color always"));
    assert!(
        stderr.starts_with("\u{1b}[38;5;160merror\u{1b}[0m: ") && stderr.contains("a finished run"),
        "{stderr}"
    );
    let plan = progtune()
        .args(["plan", "--schedule", "progressive"])
        .env("CLICOLOR_FORCE", "1")
        .output()
        .unwrap();
    let plan = String::from_utf8(plan.stdout).unwrap();
    assert!(plan.contains("\u{1b}[38;5;33m■"), "{plan}");
}

#[test]
fn none_leaves_warnings_and_quiet_leaves_errors() {
    let scratch = Scratch::new();
    scratch.write("plugins/a.so", "a text");
    let line = |name: &str, words: &str| {
        let mut line = command(&scratch.path(name), &format!("--max-steps 1 {words}"));
        line.arg("--plugin-dir").arg(scratch.path("plugins"));
        let (output, stdout, stderr) = said(&mut line);
        assert!(output.status.success(), "{stderr}");
        (stdout, stderr)
    };
    let (stdout, stderr) = line("none", "--progress none");
    assert!(
        stderr.lines().count() == 2 && stderr.lines().all(|line| line.starts_with("warning: ")),
        "{stderr}"
    );
    assert!(stdout.contains("\nsaved in "), "{stdout}");
    assert_eq!(line("quiet", "--quiet"), (String::new(), String::new()));
    let (_, stderr) = line("both", "--progress none -v");
    assert!(stderr.contains("\ninfo: "), "-v adds the log: {stderr}");
    let (output, _, stderr) = said(&mut command(&scratch.path("x"), "--quiet --progress plain"));
    assert_eq!(output.status.code(), Some(2));
    messages::check(&stderr);
}
