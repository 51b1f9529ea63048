//! The end of a run: early stopping, `--max-steps`, and numbers that are not finite. The fixture
//! has seven steps per epoch at batches of four.

use super::*;

fn train(run: &Path, words: &str) -> CommandLine {
    CommandLine::train("bert", run)
        .words("--batch-size 4 --seed 1")
        .words(words)
}

fn losses(run: &Path) -> Vec<f64> {
    let lines = read_jsonl(&run.join("metrics.jsonl")).into_iter();
    lines
        .filter_map(|line| line["eval_loss"].as_f64())
        .collect()
}

/// The number of evaluations after which a run with this patience ends.
fn expected_end(losses: &[f64], patience: usize) -> usize {
    let (mut best, mut waited) = (f64::INFINITY, 0);
    for (at, &loss) in losses.iter().enumerate() {
        waited = if loss < best { 0 } else { waited + 1 };
        best = best.min(loss);
        if waited == patience {
            return at + 1;
        }
    }
    losses.len()
}

#[test]
fn a_run_that_does_not_improve_ends_with_its_best_model() {
    let scratch = Scratch::new();
    let whole = scratch.path("whole");
    // The learning rate is far too high, so the loss rises again.
    let words = "--epochs 6 --lr 5e-3 --schedule progressive";
    train(&whole, words).run();
    let all = losses(&whole);
    for (patience, steps) in [(1, ""), (2, ""), (2, "--eval-steps 3")] {
        let run = scratch.path(&format!("{patience}{}", steps.len()));
        let early = format!("{words} {steps} --early-stopping-patience {patience}");
        let (report, said) = CommandLine::talking_train("bert", &run)
            .words("--batch-size 4 --seed 1 --progress plain")
            .words(&early)
            .output();
        let found = losses(&run);
        assert_eq!(found.len(), expected_end(&found, patience));
        let results = read_json(&run.join("all_results.json"));
        assert_eq!(results["end_reason"], "early_stopping", "{found:?} {all:?}");
        if steps.is_empty() {
            assert_eq!(found, all[..expected_end(&all, patience)]);
        }
        let best = found.iter().copied().fold(f64::INFINITY, f64::min);
        assert_eq!(results["eval_loss"].as_f64(), Some(best));
        let model: Value = serde_json::from_str(&CommandLine::evaluate(&run).run()).unwrap();
        assert!((model["eval_loss"].as_f64().unwrap() - best).abs() < 1e-6);
        // The stages that are missing are those of the whole run.
        let begun = results["epochs"].as_array().unwrap().len();
        let planned = read_json(&whole.join("all_results.json"));
        let missing: Vec<Value> = planned["epochs"].as_array().unwrap()[begun..]
            .iter()
            .map(|epoch| serde_json::json!({"epoch": epoch["epoch"], "blocks": epoch["blocks"]}))
            .collect();
        assert!(!missing.is_empty());
        assert_eq!(results["stages_not_reached"], Value::Array(missing));
        for expected in ["stopped early", "loss did not improve in", "not reached"] {
            assert!(report.contains(expected), "{expected}: {report}");
        }
        assert!(said.contains("early stopping after step"), "{said}");
    }
}

#[test]
fn a_run_says_why_it_ended() {
    let scratch = Scratch::new();
    for (words, reason, missing) in [
        ("--epochs 1 --early-stopping-patience 1", "completed", 0),
        ("--epochs 2 --max-steps 8", "max_steps", 0),
        ("--epochs 3 --max-steps 7", "max_steps", 2),
        ("--epochs 1 --max-steps 50", "completed", 0),
    ] {
        let run = scratch.path("run");
        train(&run, words).words("--overwrite-output").run();
        let results = read_json(&run.join("all_results.json"));
        assert_eq!(results["end_reason"], reason, "{words}");
        let stages = results["stages_not_reached"].as_array().unwrap();
        assert_eq!(stages.len(), missing, "{words}");
        assert_eq!(results["skipped_steps"], 0);
        let log = fs::read_to_string(run.join("log.txt")).unwrap();
        assert!(log.contains("training ended"), "{log}");
    }
}

/// Texts with numbers, of which the fifth is far outside the range of f32 when squared.
fn numbers(scratch: &Scratch) -> std::path::PathBuf {
    let words = ["kebe", "zepi", "moli", "natomo"];
    let rows = (0..12).map(|row| {
        let label = if row == 4 {
            "3e38".to_owned()
        } else {
            format!("{}.5", row % 4)
        };
        format!("{} {},{label}\n", words[row % 4], words[(row + 1) % 3])
    });
    scratch.write(
        "numbers.csv",
        format!("text,label\n{}", rows.collect::<String>()),
    )
}

fn train_on_numbers(scratch: &Scratch, run: &Path, words: &str) -> CommandLine {
    let validation = scratch.write("validation.csv", "text,label\nkebe,0.5\nzepi moli,1.5\n");
    CommandLine::new("train --quiet --no-shuffle --head-init pytorch --max-length 16")
        .path("--model", fixture("parity/bert"))
        .path("--train-file", numbers(scratch))
        .path("--validation-file", validation)
        .path("--output", run)
        .words(words)
}

#[test]
fn a_bad_example_is_named_and_ends_the_run() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    let line = |words: &str| train_on_numbers(&scratch, &run, words);
    let best = "--eval-steps 2 --load-best-model-at-end";
    let said = line(&format!("--batch-size 1 --no-group-by-length {best}")).fail(5);
    assert!(said.contains("step 5: training diverged"), "{said}");
    assert!(said.contains("training example 4 is in"), "{said}");
    let step = read_json(&run.join("nonfinite-step-5.json"));
    assert_eq!(step["examples"].as_array().unwrap().len(), 1);
    assert_eq!(step["examples"][0]["index"], 4);
    assert!(step["examples"][0]["labels"].as_f64().unwrap() > 1e38);
    assert!(step["examples"][0]["input_ids"].as_array().unwrap().len() > 2);
    assert_eq!(step["examples"][0]["text"], "kebe moli");
    assert_eq!(step["step"], 5);
    assert!(!step["not_finite"].as_array().unwrap().is_empty());
    assert_eq!(step["parameters"], serde_json::json!([]));
    assert_eq!(step["block_grad_norms"].as_object().unwrap().len(), 5);
    // Of the evaluations before it, only the best one has a file.
    let left = |start: &str| -> Vec<String> {
        let files = fs::read_dir(&run).unwrap().flatten();
        let names = files.map(|file| file.file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(start)).collect()
    };
    assert_eq!(left("best").len(), 1, "{:?}", left("best"));
    // The next run replaces everything that this one left.
    line("--batch-size 1 --no-group-by-length --max-steps 2").run();
    assert!(left("best").is_empty() && left("nonfinite").is_empty());
}

#[test]
fn a_skipped_step_changes_nothing() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    let words = "--batch-size 1 --no-group-by-length --epochs 2 --on-nonfinite skip";
    let line = train_on_numbers(&scratch, &run, words);
    line.run();
    let results = read_json(&run.join("all_results.json"));
    assert_eq!(results["skipped_steps"], 2);
    assert_eq!(results["train_steps"], 24);
    assert_eq!(results["end_reason"], "completed");
    assert!(results["train_loss"].as_f64().unwrap() < 1e6, "{results}");
    let lines = read_jsonl(&run.join("metrics.jsonl")).into_iter();
    let skipped: Vec<Value> = lines.filter(|line| line["skipped"] == true).collect();
    let steps: Vec<u64> = skipped
        .iter()
        .map(|line| line["step"].as_u64().unwrap())
        .collect();
    assert_eq!(steps, [5, 17]);
    assert!(skipped[0]["lr"].as_f64().unwrap() > 0.0);
    for step in [5, 17] {
        assert!(run.join(format!("nonfinite-step-{step}.json")).exists());
    }
    // A run of only this step leaves every parameter of the checkpoint as it was.
    let only = scratch.path("only");
    let words = "--batch-size 12 --max-steps 1 --on-nonfinite skip";
    train_on_numbers(&scratch, &only, words).run();
    let base = read_safetensors(&fixture("parity/bert/model.safetensors"));
    let trained = read_safetensors(&only.join("model.safetensors"));
    let encoder = trained.iter().filter(|(name, _)| name.contains("encoder"));
    let mut count = 0;
    for (name, value) in encoder {
        assert_eq!(max_difference(value, &base[name]), 0.0, "{name}");
        count += 1;
    }
    assert!(count > 50, "{count}");
    assert!(read_json(&only.join("all_results.json"))["train_loss"].is_null());
}

#[test]
fn a_step_is_taken_back_to_the_checkpoint() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    let words = "--batch-size 1 --no-group-by-length --epochs 1 --save-total-limit 9";
    // Step 5 is bad. With the checkpoint after step 4 nothing is lost, and it is as if skipped.
    train_on_numbers(&scratch, &run, &format!("{words} --on-nonfinite skip")).run();
    let skipped = fs::read(run.join("model.safetensors")).unwrap();
    let taken_back = |steps: u64| {
        let run = scratch.path(&format!("rollback-{steps}"));
        let words = format!("{words} --on-nonfinite rollback --save-steps {steps}");
        train_on_numbers(&scratch, &run, &words).run();
        let results = read_json(&run.join("all_results.json"));
        assert_eq!(results["skipped_steps"], 1);
        let log = fs::read_to_string(run.join("log.txt")).unwrap();
        let back = format!(
            "step 5: skipped, and parameters taken back to step {}",
            4 / steps * steps
        );
        assert!(log.contains(&back), "{log}");
        fs::read(run.join("model.safetensors")).unwrap()
    };
    assert!(taken_back(4) == skipped);
    assert!(taken_back(3) != skipped, "step 4 is taken back, too");
    let none = scratch.path("none");
    let line = train_on_numbers(&scratch, &none, &format!("{words} --on-nonfinite rollback"));
    let said = line.fail(5);
    assert!(
        said.contains("there is no checkpoint to go back to"),
        "{said}"
    );
}

#[test]
fn skipping_ends_when_nothing_is_left_to_save() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    let words = "--epochs 3 --eval-strategy no --save-strategy no --on-nonfinite skip --lr";
    let said = train(&run, &format!("{words} 1e20")).fail(5);
    assert!(
        said.contains("the 9 steps before it were skipped"),
        "{said}"
    );
    for step in 2..=11 {
        assert!(
            run.join(format!("nonfinite-step-{step}.json")).exists(),
            "{step}"
        );
    }
    // An update of this size is no number, and no later step can be computed from it.
    let said = train(&run, &format!("{words} 1e39")).fail(5);
    assert!(
        said.contains("step 2: training diverged: expected finite parameters"),
        "{said}"
    );
    let said = train(&run, &format!("{words} 1e39 --max-steps 1")).fail(5);
    assert!(
        said.contains("step 1: training diverged: expected finite parameters"),
        "{said}"
    );
    assert!(!run.join("nonfinite-step-2.json").exists());
}
