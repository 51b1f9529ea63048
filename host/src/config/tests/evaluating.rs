//! Tests of evaluations, early stopping, and the settings of learning-rate curves.

use super::*;

fn evaluations(flags: &[&str], file: &str) -> (EvalStrategy, Option<EvalSteps>) {
    let config = resolve_with(flags, &[], file).unwrap_or_else(|error| panic!("{error}"));
    assert_round_trip(&config);
    let Evaluations { strategy, steps } = config.evaluating.evaluations;
    (strategy, steps)
}

#[test]
fn steps_between_evaluations_imply_their_strategy() {
    let every = |steps| (EvalStrategy::Steps, Some(EvalSteps::Steps(steps)));
    assert_eq!(evaluations(&["--eval-steps", "20"], ""), every(20));
    assert_eq!(evaluations(&["--eval-strategy", "steps"], ""), every(50));
    let flags = ["--eval-strategy", "steps", "--logging-steps", "7"];
    assert_eq!(evaluations(&flags, ""), every(7), "as in transformers");
    let share = (EvalStrategy::Steps, Some(EvalSteps::Share(0.25)));
    assert_eq!(evaluations(&["--eval-steps", "0.25"], ""), share);
    let no = (EvalStrategy::No, None);
    assert_eq!(evaluations(&["--eval-strategy", "no"], ""), no);
    // The file of an earlier run has no strategy that would contradict the flag.
    let file = RunConfig::default().to_toml();
    assert_eq!(evaluations(&["--eval-steps", "20"], &file), every(20));
    let flags = ["--eval-strategy", "epoch", "--eval-steps", "none"];
    let epoch = (EvalStrategy::Epoch, None);
    assert_eq!(evaluations(&flags, "eval_steps = 9\n"), epoch);
}

#[test]
fn evaluations_that_contradict_each_other_are_refused() {
    let text = message(&["--eval-strategy", "epoch", "--eval-steps", "5"], &[], "");
    assert!(
        text.starts_with("eval_steps (from flag --eval-steps) and eval_strategy epoch (from flag"),
        "{text}"
    );
    for wrong in ["0", "1.5", "-3"] {
        let flag = format!("--eval-steps={wrong}");
        let text = message(&[&flag], &[], "");
        assert!(text.contains("expected a whole number of steps"), "{text}");
    }
    let flags = ["--eval-strategy", "no", "--early-stopping-patience", "2"];
    let text = message(&flags, &[], "");
    assert!(text.contains("exclude each other"), "{text}");
}

#[test]
fn early_stopping_keeps_the_best_model() {
    let config = resolve_with(&["--early-stopping-patience", "3"], &[], "").unwrap();
    assert_eq!(config.training.best_model_metric.as_deref(), Some("loss"));
    let expected = EarlyStopping {
        patience: 3,
        threshold: 0.0,
    };
    assert_eq!(config.evaluating.early_stopping, Some(expected));
    assert_round_trip(&config);
    let file = RunConfig::default().to_toml();
    let flags = [
        "--early-stopping-patience=1",
        "--metric-for-best-model=f1",
        "--early-stopping-threshold=0.5",
    ];
    let config = resolve_with(&flags, &[], &file).unwrap();
    assert_eq!(config.training.best_model_metric.as_deref(), Some("f1"));
    let text = message(&["--early-stopping-threshold", "0.1"], &[], "");
    assert!(
        text.starts_with("--early-stopping-patience is missing"),
        "{text}"
    );
}

#[test]
fn only_the_polynomial_curve_has_an_end_and_a_power() {
    for flag in ["--lr-end", "--lr-power"] {
        let text = message(&[flag, "0.5", "--lr-scheduler", "cosine"], &[], "");
        let expected = "and lr_scheduler cosine (from flag --lr-scheduler) exclude each other";
        assert!(text.contains(expected), "{text}");
    }
    let flags = ["--lr-scheduler=polynomial", "--lr-end=1e-3", "--lr-power=2"];
    let optimizer = resolve_with(&flags, &[], "").unwrap().optimizer;
    assert_eq!(optimizer.lr_shape(1e-2).unwrap().power, 2.0);
    let text = optimizer.lr_shape(1e-3).unwrap_err().to_string();
    assert!(
        text.starts_with("--lr-end 1e-3: expected a number below the peak learning rate"),
        "{text}"
    );
    let constant = resolve_with(&["--lr-scheduler=constant-with-warmup"], &[], "").unwrap();
    assert_eq!(constant.optimizer.lr_scheduler, LrScheduler::Constant);
}
