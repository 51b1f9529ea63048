//! The run directory: nothing of value in it is lost.

use super::*;

#[test]
fn a_finished_run_is_replaced_only_on_demand() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    let line = CommandLine::train("bert", &run).words("--max-steps 1");
    line.run();
    let before = fs::read(run.join("model.safetensors")).unwrap();
    line.fail(2);
    assert_eq!(
        fs::read(run.join("model.safetensors")).unwrap(),
        before,
        "nothing was touched"
    );

    line.clone().words("--peft lora --overwrite-output").run();
    assert_files(&run, &PEFT_ADAPTER);
}

#[test]
fn an_unfinished_run_may_be_run_again() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    let line = CommandLine::train("bert", &run).words("--max-steps 2");
    line.clone().words("--lr 1e20").fail(5);
    assert!(!run.join("all_results.json").exists() && run.join("metrics.jsonl").exists());
    line.run();
    assert_files(&run, &CHECKPOINT);
    assert_eq!(metrics(&run).0.len(), 2);
}

#[test]
fn a_directory_that_is_no_run_is_left_alone() {
    let scratch = Scratch::new();
    let used = scratch.write("used/thesis.tex", "years of work");
    CommandLine::train("bert", &scratch.path("used")).fail(2);
    assert_eq!(files(&scratch.path("used")), ["thesis.tex"]);
    assert_eq!(fs::read_to_string(used).unwrap(), "years of work");
}

/// Overwriting the model or adapter that a run starts from would lose both.
#[test]
fn a_run_does_not_replace_what_it_starts_from() {
    let scratch = Scratch::new();
    let (full, lora) = (scratch.path("full"), scratch.path("lora"));
    CommandLine::train("bert", &full)
        .words("--max-steps 1")
        .run();
    CommandLine::train("bert", &lora)
        .words("--max-steps 1 --peft lora")
        .run();
    CommandLine::train_on(&full, &fixture("parity/data"), &full)
        .words("--overwrite-output")
        .fail(2);
    let line = CommandLine::train("bert", &lora)
        .words("--peft lora --overwrite-output")
        .path("--init-adapter", &lora);
    assert!(line.fail(2).contains("--init-adapter"));
    assert_files(&full, &CHECKPOINT);
    assert_files(&lora, &PEFT_ADAPTER);
}
