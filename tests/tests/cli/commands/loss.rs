//! The weight of labels in the training loss, and the epoch whose model is the result.

use super::*;

fn curve(run: &Path, key: &str) -> Vec<f64> {
    let records = read_jsonl(&run.join("metrics.jsonl"));
    let values = records.iter().filter_map(|record| record[key].as_f64());
    values.collect()
}

fn train(run: &Path, words: &str) -> CommandLine {
    CommandLine::train("bert", run)
        .words("--epochs 2 --batch-size 9 --dropout 0 --no-shuffle --seed 3")
        .words(words)
}

#[test]
fn weights_and_smoothing_change_the_loss_of_training_alone() {
    let scratch = Scratch::new();
    let losses = |name: &str, words: &str| {
        let run = scratch.path(name);
        train(&run, words).run();
        (curve(&run, "loss"), curve(&run, "eval_loss"), run)
    };
    let (plain, plain_eval, _) = losses("plain", "");
    let (even, _, _) = losses("even", "--class-weights 2,2");
    for (a, b) in plain.iter().zip(&even) {
        assert!(
            (a - b).abs() < 1e-6,
            "weights that are equal count nothing: {a} {b}"
        );
    }
    let (balanced, _, run) = losses("balanced", "--class-weights balanced");
    assert!(
        (balanced[0] - plain[0]).abs() > 1e-4,
        "{balanced:?} {plain:?}"
    );
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    assert!(config.contains("class_weights = \"balanced\""), "{config}");
    let (smoothed, smoothed_eval, _) = losses("smoothed", "--label-smoothing 0.2");
    assert!((smoothed[0] - plain[0]).abs() > 1e-4);
    // After the same two steps with other gradients the losses are close, and neither is smoothed.
    assert!(
        (smoothed_eval[0] - plain_eval[0]).abs() < 0.05,
        "{smoothed_eval:?} {plain_eval:?}"
    );
    let (alias, _, _) = losses("alias", "--label-smoothing-factor 0.2");
    assert_eq!(alias, smoothed);

    train(&scratch.path("wrong"), "--class-weights 1,2,3").fail(2);
    train(&scratch.path("wrong"), "--class-weights 1,-2").fail(2);
}

#[test]
fn the_best_epoch_is_the_result() {
    let scratch = Scratch::new();
    for (name, words, metric, lower) in [
        ("loss", "--load-best-model-at-end", "eval_loss", true),
        ("f1", "--metric-for-best-model eval_f1", "eval_f1", false),
    ] {
        let run = scratch.path(name);
        // The learning rate is far too high, so the loss rises again.
        CommandLine::train("bert", &run)
            .words("--epochs 6 --batch-size 4 --lr 5e-3 --seed 1")
            .words(words)
            .run();
        let values = curve(&run, metric);
        assert_eq!(values.len(), 6);
        let mut best = 0;
        for (epoch, value) in values.iter().enumerate() {
            let better = if lower {
                *value < values[best]
            } else {
                *value > values[best]
            };
            if better {
                best = epoch;
            }
        }
        assert_ne!(
            best, 5,
            "{metric}: the last epoch is not the best here: {values:?}"
        );
        let results = read_json(&run.join("all_results.json"));
        assert_eq!(results["best_epoch"], best as u64 + 1);
        assert_eq!(results["best_metric"].as_f64(), Some(values[best]));
        assert_eq!(results[metric].as_f64(), Some(values[best]));
        assert!(!run.join("best.safetensors").exists());
        let said: Value = serde_json::from_str(&CommandLine::evaluate(&run).run()).unwrap();
        let again = said[metric].as_f64().unwrap();
        assert!(
            (again - values[best]).abs() < 1e-6,
            "{metric}: {again} {values:?}"
        );
    }
    CommandLine::train("bert", &scratch.path("wrong"))
        .words("--metric-for-best-model pearson")
        .fail(2);
    assert!(!scratch.path("wrong").exists());
}
