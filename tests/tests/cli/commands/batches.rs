//! Batches bounded by tokens. Each example occurs once per epoch, and every batch stays within its
//! budget. Each epoch has as many steps as the learning rate and the schedule were told. The bits
//! are the same for any number of threads.

use super::*;

/// The token count of the fixture's longest example with this model, and that of all examples.
fn sizes(model: &str) -> (f64, f64) {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    CommandLine::train(model, &run)
        .words("--batch-size 1 --epochs 1 --lr 0.00001")
        .run();
    let tokens = column(&metrics(&run).0, "tokens");
    (
        tokens.iter().copied().fold(0.0, f64::max),
        tokens.iter().sum(),
    )
}

#[test]
fn every_example_comes_once_an_epoch_within_the_budget() {
    for (model, flags) in [
        ("bert", ""),
        ("roberta", ""),
        ("bert", "--no-group-by-length"),
        ("bert", "--no-shuffle"),
    ] {
        let (longest, all) = sizes(model);
        let budget = (2.5 * longest) as u64;
        let scratch = Scratch::new();
        let run = scratch.path("run");
        CommandLine::train(model, &run)
            .words("--epochs 4 --lr 1e-3 --schedule progressive")
            .words(flags)
            .path("--batch-tokens", budget.to_string())
            .run();
        let steps = metrics(&run).0;
        let per_epoch = steps.len() / 4;
        assert!(
            per_epoch > 1 && per_epoch < 27,
            "{model} {flags}: {per_epoch}"
        );
        for (epoch, steps) in steps.chunks(per_epoch).enumerate() {
            assert!(steps.iter().all(|step| step["epoch"] == epoch + 1));
            let tokens = column(steps, "tokens");
            assert_eq!(tokens.iter().sum::<f64>(), all, "{model} {flags}");
            assert!(tokens.iter().all(|&n| n <= budget as f64), "{tokens:?}");
        }
        // The curve ends with the last step.
        for (step, lr) in column(&steps, "lr").iter().enumerate() {
            let expected = 1e-3 * (steps.len() - step) as f64 / steps.len() as f64;
            assert!(
                (lr - expected).abs() < 1e-15,
                "step {step}: {lr}, {expected}"
            );
        }
        let results = read_json(&run.join("all_results.json"));
        assert_eq!(results["epoch"], 4.0);
        let plan = read_json(&run.join("plan.json"));
        assert_eq!(
            results["total_updated_parameters"],
            plan["total_updated_parameters"]
        );
    }
}

#[test]
fn an_example_beyond_the_budget_is_a_batch_by_itself() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    CommandLine::train("bert", &run)
        .words("--epochs 1 --batch-tokens 1")
        .run();
    assert_eq!(metrics(&run).0.len(), 27, "a row each");
}

#[test]
fn early_stop_and_accumulation_are_as_with_examples() {
    let (longest, _) = sizes("bert");
    let scratch = Scratch::new();
    let [long, short, parts, whole] =
        ["long", "short", "parts", "whole"].map(|name| scratch.path(name));
    let train = |run: &Path, flags: &str| {
        CommandLine::train("bert", run)
            .words("--epochs 2 --lr 1e-3 --dropout 0")
            .words(flags)
            .run();
        column(&metrics(run).0, "loss")
    };
    let tokens = format!("--batch-tokens {}", 2.0 * longest);
    let losses = train(&long, &tokens);
    let stopped = train(&short, &format!("{tokens} --max-steps 3"));
    assert_eq!(stopped, losses[..3]);
    // All batches of an epoch in one step are equivalent to the whole set in one batch.
    let parts = train(
        &parts,
        &format!("{tokens} --gradient-accumulation-steps 1000"),
    );
    let whole = train(&whole, "--batch-size 27");
    assert_eq!((parts.len(), whole.len()), (2, 2));
    for (a, b) in parts.iter().zip(&whole) {
        assert!((a - b).abs() < 1e-5, "{a}, {b}");
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let result = |flags: &str| {
        let scratch = Scratch::new();
        let run = scratch.path("run");
        CommandLine::train("bert", &run)
            .words("--epochs 2 --dropout 0.3 --lr 1e-3 --batch-tokens 100 --peft lora")
            .words(flags)
            .run();
        fs::read(run.join("adapter_model.safetensors")).unwrap()
    };
    let one = result("--threads 1");
    for flags in [
        "--threads 2",
        "--threads 4",
        "--seed 42",
        "--eval-batch-tokens 70",
    ] {
        assert!(result(flags) == one, "{flags}");
    }
    assert!(result("--seed 43") != one);
}

#[test]
fn evaluation_does_not_depend_on_its_budget() {
    let line = CommandLine::evaluate(&fixture("parity/bert"));
    let evaluate =
        |flags: &str| -> Value { serde_json::from_str(&line.clone().words(flags).run()).unwrap() };
    let expected = measured(&evaluate(""));
    for flags in ["--eval-batch-tokens 1", "--eval-batch-tokens 100"] {
        for ((key, found), (_, expected)) in measured(&evaluate(flags)).iter().zip(&expected) {
            let difference = found.as_f64().unwrap() - expected.as_f64().unwrap();
            assert!(difference.abs() < 1e-6, "{flags}: {key}: {difference}");
        }
    }
}

#[test]
fn bad_budgets_are_refused() {
    let scratch = Scratch::new();
    for flags in [
        "--batch-tokens 0",
        "--batch-tokens many",
        "--batch-tokens=-5",
        "--eval-batch-tokens 0",
        "--batch-size 8 --batch-tokens 512",
        "--eval-batch-size 8 --eval-batch-tokens 512",
        "--token-cache on",
    ] {
        let run = scratch.path("run");
        CommandLine::train("bert", &run).words(flags).fail(2);
        assert!(!run.exists());
    }
    CommandLine::evaluate(&fixture("parity/bert"))
        .words("--eval-batch-tokens 0")
        .fail(2);
}

/// A run reports the time to its first step.
#[test]
fn the_start_is_timed() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    CommandLine::train("bert", &run)
        .words("--max-steps 1")
        .run();
    let results = read_json(&run.join("all_results.json"));
    let secs = results["startup_secs"].as_f64().unwrap();
    assert!(secs > 0.0 && secs < 60.0, "{secs}");
}

/// A run that is asked to stop does so after its step, whatever is assembled ahead.
#[cfg(unix)]
#[test]
fn an_interrupted_run_ends_at_once() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    let mut child = CommandLine::train("bert", &run)
        .words("--epochs 10000")
        .command()
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let steps = || fs::read_to_string(run.join("metrics.jsonl")).map_or(0, |t| t.lines().count());
    while steps() < 3 {
        assert_eq!(child.try_wait().unwrap(), None, "it trains");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let killed = std::process::Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(143), "{text}");
    assert!(text.contains("interrupted after"), "{text}");
    assert!(!run.join("all_results.json").exists());
}
