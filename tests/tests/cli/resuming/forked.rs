//! Finished runs that are extended, forked and replayed.

use super::*;
use progtune_tests::read_json;

#[test]
fn a_finished_run_is_extended() {
    let scratch = Scratch::new();
    let run = trained(&scratch, "run", "--schedule full --lr-scheduler constant");
    let longer = trained(
        &scratch,
        "longer",
        "--schedule full --lr-scheduler constant --epochs 4",
    );
    let (_, said) = CommandLine::new("resume")
        .words(&run.display().to_string())
        .words("--epochs 4")
        .output();
    assert!(said.contains("epochs was 3 and is 4"), "{said}");
    // With a constant learning rate and every block trained, nothing depends on the length.
    assert_same(&run, &everything(&longer), "extended");
}

#[test]
fn a_run_that_max_steps_ended_goes_on_inside_its_epoch() {
    let scratch = Scratch::new();
    let run = trained(
        &scratch,
        "run",
        "--schedule progressive --peft lora --max-steps 7",
    );
    assert_eq!(
        read_json(&run.join("all_results.json"))["end_reason"],
        "max_steps"
    );
    let whole = trained(&scratch, "whole", "--schedule progressive --peft lora");
    resume(&run, "--max-steps 1000").run();
    let weights = |run: &Path| fs::read(run.join("adapter_model.safetensors")).unwrap();
    assert!(weights(&run) == weights(&whole));
    let results = read_json(&run.join("all_results.json"));
    assert_eq!(results["end_reason"], "completed");
    assert_eq!(results["epochs"].as_array().unwrap().len(), 3);
}

#[test]
fn a_fork_with_the_same_settings_is_the_run_itself() {
    let scratch = Scratch::new();
    let run = trained(
        &scratch,
        "run",
        "--schedule progressive --peft lora --load-best-model-at-end",
    );
    let fork = scratch.path("fork");
    CommandLine::new("fork")
        .words(&run.display().to_string())
        .words("--at 1 --quiet")
        .path("--output", &fork)
        .run();
    assert_same(&fork, &everything(&run), "fork");

    let other = scratch.path("other");
    CommandLine::new("fork")
        .words(&run.display().to_string())
        .words("--at 2 --schedule full --quiet")
        .path("--output", &other)
        .run();
    let results = read_json(&other.join("all_results.json"));
    let blocks: Vec<&Value> = results["epochs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["blocks"])
        .collect();
    let before = read_json(&run.join("all_results.json"));
    assert_eq!(*blocks[0], before["epochs"][0]["blocks"]);
    assert_eq!(*blocks[1], before["epochs"][1]["blocks"]);
    assert_eq!(*blocks[2], before["epochs"][0]["blocks"], "every block");

    let message = CommandLine::new("fork")
        .words(&run.display().to_string())
        .words("--at 9 --quiet")
        .path("--output", scratch.path("none"))
        .fail(2);
    assert!(
        message.contains("the epochs that are kept are 1, 2, 3"),
        "{message}"
    );
    let message = CommandLine::new("fork")
        .words(&run.display().to_string())
        .words("--at 1 --peft-opt r=2 --quiet")
        .path("--output", scratch.path("none"))
        .fail(2);
    assert!(message.contains("other options of the method"), "{message}");
}

#[test]
fn a_replay_proves_a_result() {
    let scratch = Scratch::new();
    let run = trained(&scratch, "run", "--schedule progressive --peft lora");
    let replay = CommandLine::new("replay")
        .words(&run.display().to_string())
        .words("--threads 1 --quiet --overwrite-output");
    assert!(replay.run().contains("bit for bit"));
    let metrics = run.join("metrics.jsonl");
    let text = fs::read_to_string(&metrics).unwrap();
    fs::write(&metrics, text.replacen("\"loss\":0.", "\"loss\":1.", 1)).unwrap();
    let message = unrecorded(&replay, 5);
    assert!(message.contains("metrics.jsonl, line 1"), "{message}");
}
