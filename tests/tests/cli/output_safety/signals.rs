//! Signals in every part of a command: the exit code of the signal, a message, and no temporary
//! files. The next run removes what a killed run leaves.

use super::*;
use progtune_tests::same_environment;

/// Rows, and words per row. Their tokens take some seconds, and need a file before half of them
/// exist. A signal that is sent when the file appears arrives well before the end, even on a busy
/// machine.
const MANY: (usize, u32) = (140_000, 60);

/// Whether a temporary file of tokens is being written in the cache.
fn has_temporary(scratch: &Scratch) -> bool {
    let cache = scratch.path("cache/tokenized");
    cache.is_dir()
        && leftovers(&cache)
            .iter()
            .any(|name| name.ends_with(".tokens"))
}

/// The files that are left in a test's directories, except its own files.
fn left(scratch: &Scratch) -> Vec<String> {
    let mut left = leftovers(&scratch.path("cache"));
    left.extend(names(&scratch.path("tmp")));
    left
}

#[test]
fn a_run_can_be_stopped_while_it_reads_and_tokenises() {
    let scratch = Scratch::new();
    let file = big_with_words(&scratch, MANY.0, MANY.1);
    let output = scratch.path("run");
    for (phase, doing) in [
        ("read", "reading the data"),
        ("tokenize", "tokenising the train split"),
    ] {
        for (signal, code) in [("INT", 130), ("TERM", 130)] {
            let _ = fs::remove_dir_all(scratch.path("cache"));
            let mut running = Running::start(&mut train_on_big(&scratch, &file, &output));
            running.wait_for(&format!("\"phase\":\"{phase}\""));
            if phase == "tokenize" {
                wait_until("a temporary file", || has_temporary(&scratch));
            }
            let start = Instant::now();
            send(&running.child, signal);
            let (status, said) = running.end();
            assert_eq!(status.code(), Some(code), "{phase}, {signal}: {said}");
            // Allow two seconds, because the machine may be busy.
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "{:?}",
                start.elapsed()
            );
            let last = said.lines().last().unwrap();
            assert_eq!(
                last,
                format!(
                    "{{\"event\":\"error\",\"message\":\"interrupted while {doing}; nothing was \
                     saved\",\"exit_code\":{code}}}"
                )
            );
            assert_eq!(left(&scratch), [""; 0], "{phase}, {signal}");
            assert!(!output.exists(), "{phase}, {signal}");
        }
    }
}

/// Commands that only compute end the same way, with only a message and the code.
#[test]
fn evaluating_and_predicting_can_be_stopped() {
    let scratch = Scratch::new();
    let file = big(&scratch, 60_000);
    let run = scratch.path("run");
    let mut command = train_on_big(&scratch, &file, &run);
    command.args(["--max-train-samples", "8", "--max-eval-samples", "8"]);
    assert!(command.output().unwrap().status.success());
    let predictions = scratch.path("predictions.jsonl");
    let lines = [
        CommandLine::new("evaluate").path("--validation-file", &file),
        CommandLine::new("predict --task own")
            .path("--input", &file)
            .path("--output", &predictions),
    ];
    for line in lines {
        let mut command = line
            .words("--progress json")
            .path("--model", &run)
            .command();
        with_own_places(&scratch, &mut command);
        let mut running = Running::start(&mut command);
        running.wait_for("\"phase\":\"compute\"");
        send(&running.child, "INT");
        let (status, said) = running.end();
        assert_eq!(status.code(), Some(130), "{said}");
        assert!(
            said.lines()
                .last()
                .unwrap()
                .contains("interrupted while computing"),
            "{said}"
        );
        assert!(!predictions.exists());
        assert_eq!(left(&scratch), [""; 0], "{said}");
    }
}

/// Code that never checks whether to stop: the command is ended from outside after a while. A
/// second signal ends it at once.
#[test]
fn a_second_signal_does_not_wait_for_a_step() {
    let scratch = Scratch::new();
    let output = scratch.path("run");
    // One step takes long: all rows, a thousand times over.
    let file = big(&scratch, 20_000);
    let words = "--validation-split 0.1 --epochs 2 --batch-size 18000 --peft lora";
    // The second signal decides, because it is the one that ends the command.
    for (first, second, code) in [("INT", "INT", 130), ("INT", "TERM", 143)] {
        let mut running = Running::start(&mut train_on_file(&scratch, words, &file, &output));
        running.wait_for("\"event\":\"start\"");
        send(&running.child, first);
        running.wait_for("stopping after this step");
        send(&running.child, second);
        let (status, said) = running.end();
        assert_eq!(status.code(), Some(code), "{said}");
        let last = said.lines().last().unwrap();
        assert!(
            last.contains("interrupted at once; no result was saved"),
            "{said}"
        );
        assert_eq!(left(&scratch), [""; 0]);
        assert_eq!(leftovers(&output), [""; 0], "the lock is gone as well");
    }
}

/// An evaluation between two epochs can be stopped. The one after the last step belongs to the
/// result.
#[test]
fn a_run_is_stopped_between_its_epochs_and_not_after_the_last_one() {
    let scratch = Scratch::new();
    let file = big(&scratch, 40_000);
    let train = |epochs: &str, output: &Path| {
        let words = format!("--validation-split 0.5 --max-train-samples 16 --epochs {epochs}");
        train_on_file(&scratch, &words, &file, output)
    };
    let stopped = scratch.path("stopped");
    let mut running = Running::start(&mut train("2", &stopped));
    running.wait_for("\"phase\":\"compute\"");
    send(&running.child, "TERM");
    let (status, said) = running.end();
    assert_eq!(status.code(), Some(143), "{said}");
    assert!(
        said.contains("interrupted after 2 steps; `progtune resume"),
        "{said}"
    );
    assert!(!stopped.join("all_results.json").exists());

    let finished = scratch.path("finished");
    let mut running = Running::start(&mut train("1", &finished));
    running.wait_for("\"phase\":\"compute\"");
    send(&running.child, "TERM");
    let (status, said) = running.end();
    assert!(status.success(), "{said}");
    assert!(
        said.contains("saving the result; press Ctrl-C again"),
        "{said}"
    );
    assert!(finished.join("all_results.json").exists());
    assert!(finished.join("model.safetensors").exists());
}

/// A closed terminal stops a run, unless the run was started with `nohup`.
#[test]
fn a_run_under_nohup_outlives_its_terminal() {
    let scratch = Scratch::new();
    let output = scratch.path("run");
    let train = endless(&output).words("--overwrite-output").command();
    // The tests themselves may run under nohup, which every program below inherits.
    let mut env = Command::new("env");
    env.arg("--default-signal=HUP");
    env.arg(train.get_program()).args(train.get_args());
    let mut running = Running::start(same_environment(&mut env, &train));
    wait_for_a_step(&mut running, &output);
    send(&running.child, "HUP");
    let (status, said) = running.end();
    assert_eq!(status.code(), Some(129), "{said}");

    let mut nohup = Command::new("nohup");
    nohup.arg(train.get_program()).args(train.get_args());
    let mut running = Running::start(same_environment(&mut nohup, &train));
    wait_for_a_step(&mut running, &output);
    send(&running.child, "HUP");
    let steps =
        || fs::read_to_string(output.join("metrics.jsonl")).map_or(0, |t| t.lines().count());
    let before = steps();
    wait_until("more steps", || steps() > before + 2);
    send(&running.child, "TERM");
    let (status, said) = running.end();
    assert_eq!(status.code(), Some(143), "{said}");
}

#[test]
fn what_a_killed_run_leaves_is_removed_by_the_next_and_what_a_living_one_uses_is_not() {
    let scratch = Scratch::new();
    let file = big_with_words(&scratch, MANY.0, MANY.1);
    let start = |name: &str| {
        let output = scratch.path(name);
        let running = Running::start(&mut train_on_big(&scratch, &file, &output));
        wait_until("a temporary file", || has_temporary(&scratch));
        running
    };
    let killed = start("killed");
    send(&killed.child, "KILL");
    killed.end();
    let of_killed = left(&scratch);
    assert_eq!(of_killed.len(), 1, "{of_killed:?}");
    // Put one in each place where a run may leave some.
    let name = of_killed[0].rsplit('/').next().unwrap();
    fs::write(scratch.path("tmp").join(name), "").unwrap();
    let output = scratch.path("next");
    fs::create_dir(&output).unwrap();
    fs::write(output.join(name), "").unwrap();

    let living = start("living");
    wait_until("another temporary file", || {
        left(&scratch).iter().any(|found| !found.ends_with(name))
    });
    send(&living.child, "STOP");
    let of_living: Vec<String> = left(&scratch);
    let mut next = short(&output).command();
    with_own_places(&scratch, &mut next);
    let done = next.output().unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let still: Vec<String> = left(&scratch);
    assert_eq!(still.len(), 1, "{of_living:?}, then {still:?}");
    assert!(!still[0].ends_with(name) && of_living.contains(&still[0]));
    assert_eq!(leftovers(&output), [""; 0]);
    send(&living.child, "CONT");
    send(&living.child, "INT");
    let (status, said) = living.end();
    assert_eq!(status.code(), Some(130), "{said}");
    assert_eq!(left(&scratch), [""; 0]);
}
