//! The times of a run's evaluations, and the learning rate over its stages. The fixture has seven
//! steps per epoch at batches of four.

use super::*;

fn train(run: &Path, words: &str) -> CommandLine {
    CommandLine::train("bert", run)
        .words("--batch-size 4 --seed 1")
        .words(words)
}

/// The step and the epoch of each evaluation.
fn moments(run: &Path) -> Vec<(u64, f64)> {
    let lines = read_jsonl(&run.join("metrics.jsonl")).into_iter();
    let evaluations = lines.filter(|line| line.get("eval_loss").is_some());
    evaluations
        .map(|line| {
            (
                line["step"].as_u64().unwrap(),
                line["epoch"].as_f64().unwrap(),
            )
        })
        .collect()
}

fn rates(run: &Path) -> Vec<f64> {
    let lines = read_jsonl(&run.join("metrics.jsonl")).into_iter();
    lines.filter_map(|line| line["lr"].as_f64()).collect()
}

#[test]
fn evaluations_inside_epochs_change_no_bit_of_training() {
    let scratch = Scratch::new();
    let (plain, often) = (scratch.path("plain"), scratch.path("often"));
    train(&plain, "--epochs 2").run();
    train(&often, "--epochs 2 --eval-steps 3").run();
    assert_eq!(moments(&plain), [(7, 1.0), (14, 2.0)]);
    let seventh = 1.0 / 7.0;
    assert_eq!(
        moments(&often),
        [
            (3, 3.0 * seventh),
            (6, 6.0 / 7.0),
            (7, 1.0),
            (9, 9.0 / 7.0),
            (12, 12.0 / 7.0),
            (14, 2.0)
        ]
    );
    let model = |run: &Path| fs::read(run.join("model.safetensors")).unwrap();
    assert!(model(&plain) == model(&often));
    let loss = |run: &Path| read_json(&run.join("all_results.json"))["eval_loss"].clone();
    assert_eq!(loss(&plain), loss(&often));
    let config = fs::read_to_string(often.join("config.toml")).unwrap();
    assert!(config.contains("eval_steps = 3\n"), "{config}");
}

#[test]
fn evaluations_by_shares_at_the_end_and_in_short_runs() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    for (words, expected) in [
        // Every third of 14 steps, rounded up; step 14 ends the run.
        ("--epochs 2 --eval-steps 0.33", &[5, 7, 10, 14][..]),
        ("--epochs 2 --eval-strategy no", &[14]),
        ("--epochs 2 --eval-steps 2 --max-steps 5", &[2, 4, 5]),
        (
            "--epochs 1 --eval-strategy steps --logging-steps 6",
            &[6, 7],
        ),
    ] {
        let line = train(&run, words).words("--overwrite-output");
        line.run();
        let steps: Vec<u64> = moments(&run).iter().map(|&(step, _)| step).collect();
        assert_eq!(steps, expected, "{words}");
        let results = read_json(&run.join("all_results.json"));
        assert!(results["eval_loss"].is_number(), "{words}");
        if words.contains(" no") {
            let epochs = results["epochs"].as_array().unwrap();
            assert!(epochs[0].get("eval_loss").is_none(), "{results}");
            assert!(epochs[1].get("eval_loss").is_some(), "{results}");
        }
    }
    let (report, _) = CommandLine::talking_train("bert", &run)
        .words("--epochs 2 --eval-strategy no --overwrite-output")
        .output();
    assert!(!report.contains("undefined"), "{report}");
    train(
        &scratch.path("wrong"),
        "--eval-strategy no --early-stopping-patience 1",
    )
    .fail(2);
    train(
        &scratch.path("wrong"),
        "--eval-strategy epoch --eval-steps 3",
    )
    .fail(2);
}

#[test]
fn an_evaluation_inside_an_epoch_can_be_the_best() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    // The learning rate is far too high, so the loss rises again.
    train(
        &run,
        "--epochs 3 --lr 5e-3 --eval-steps 2 --load-best-model-at-end --save-strategy no",
    )
    .run();
    let lines = read_jsonl(&run.join("metrics.jsonl")).into_iter();
    let losses: Vec<(u64, f64, f64)> = lines
        .filter_map(|line| {
            let number = |key: &str| line[key].as_f64();
            Some((
                line["step"].as_u64()?,
                number("epoch")?,
                number("eval_loss")?,
            ))
        })
        .collect();
    let best = losses.iter().fold(
        losses[0],
        |best, &line| {
            if line.2 < best.2 { line } else { best }
        },
    );
    assert_ne!(
        best.0 % 7,
        0,
        "the best is inside an epoch here: {losses:?}"
    );
    let results = read_json(&run.join("all_results.json"));
    assert_eq!(results["best_step"], best.0);
    assert_eq!(results["best_epoch"].as_f64(), Some(best.1));
    assert_eq!(results["eval_loss"].as_f64(), Some(best.2));
    let files = fs::read_dir(&run).unwrap().flatten();
    let left: Vec<_> = files
        .map(|file| file.file_name().into_string().unwrap())
        .filter(|name| name.starts_with("best"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    let said: Value = serde_json::from_str(&CommandLine::evaluate(&run).run()).unwrap();
    assert!((said["eval_loss"].as_f64().unwrap() - best.2).abs() < 1e-6);
}

/// A progressive run of three epochs trains another set in each, so three curves of seven steps
/// follow each other.
#[test]
fn the_learning_rate_starts_again_with_each_stage() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    let words = "--epochs 3 --schedule progressive --lr 1 --warmup 2 --lr-scheduler cosine";
    let words = format!("{words} --max-grad-norm 1e-9 --lr-restart stage");
    train(&run, &words).run();
    let wave = |step: f64| 0.5 * (1.0 + (std::f64::consts::PI * step / 5.0).cos());
    let curve = [
        0.0,
        0.5,
        wave(0.0),
        wave(1.0),
        wave(2.0),
        wave(3.0),
        wave(4.0),
    ];
    for (found, expected) in rates(&run).iter().zip(curve.iter().cycle()) {
        assert!(
            (found - expected).abs() < 1e-12,
            "{found}, expected {expected}"
        );
    }
    assert_eq!(rates(&run).len(), 21);
    let planned = read_json(&run.join("plan.json"));
    assert_eq!(planned["lr_restart_epochs"], serde_json::json!([1, 2, 3]));
    let plan = |epochs: u32| {
        CommandLine::new("plan --schedule progressive --lr-restart stage --epochs")
            .words(&epochs.to_string())
            .path("--model", fixture("parity/bert"))
            .run()
    };
    let text = plan(3);
    assert!(
        text.contains("learning rate: a new curve in each epoch"),
        "{text}"
    );
    // Of six epochs with five blocks, two train the same ones.
    let text = plan(6);
    let expected = "learning rate: a new curve from each of the epochs 1, 3, 4, 5, 6";
    assert!(text.contains(expected), "{text}");
    // Epochs that train the same parameters share a curve, which is then that of the whole run.
    let (with, without) = (scratch.path("with"), scratch.path("without"));
    train(&with, "--epochs 2 --warmup 0.1 --lr-restart stage").run();
    train(&without, "--epochs 2 --warmup 0.1").run();
    assert_eq!(rates(&with), rates(&without));
}

/// A schedule that decides within epochs has curves to the end of the run.
#[test]
fn the_curves_of_undecided_stages_lead_to_the_end() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    let words =
        "--epochs 2 --schedule lisa --schedule-opt interval_steps=4 --lr 1e-3 --lr-restart stage";
    train(&run, words).run();
    // The rate is the peak at the start of a curve, and falls in a line to zero at step 14.
    let mut start = 0;
    for (step, lr) in (0..).zip(rates(&run)) {
        if lr == 1e-3 {
            start = step;
        }
        let expected = 1e-3 * f64::from(14 - step) / f64::from(14 - start);
        assert!((lr - expected).abs() < 1e-15, "{step}: {lr}, {expected}");
    }
    assert!(read_json(&run.join("plan.json"))["lr_restart_epochs"].is_null());
    assert!(rates(&run).iter().filter(|&&lr| lr == 1e-3).count() > 1);
}

#[test]
fn a_polynomial_curve_ends_below_its_peak() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    let curve = "--epochs 1 --lr-scheduler polynomial --lr 1e-3 --lr-power 2";
    train(&run, &format!("{curve} --lr-end 1e-4")).run();
    let rates = rates(&run);
    assert_eq!(rates[0], 1e-3);
    let expected = 9e-4 * (1.0f64 / 7.0).powi(2) + 1e-4;
    assert!((rates[6] - expected).abs() < 1e-15, "{rates:?}");
    train(&scratch.path("wrong"), &format!("{curve} --lr-end 1e-3")).fail(2);
    train(&scratch.path("wrong"), "--lr-power 2").fail(2);
}
