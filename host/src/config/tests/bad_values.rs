//! Tests of the messages for single bad values, from each layer.

use super::*;

/// A flag, a bad value and a part of the expectation in its message, for every key with its own
/// check.
const BAD_VALUES: &[(&str, &str, &str)] = &[
    ("model", "", "a text that is not empty"),
    ("task", "", "a text that is not empty"),
    ("data", " ", "a text that is not empty"),
    ("train_file", "", "a path"),
    ("file_format", "xls", "one of `csv`, `tsv`, `jsonl`"),
    ("encoding", "utf-64", "the name of an encoding"),
    ("text_column", "", "a text that is not empty"),
    ("on_bad_row", "ignore", "one of `error`, `skip`"),
    (
        "problem_type",
        "classes",
        "one of `single_label_classification`",
    ),
    ("metrics", "acuracy", "one or more of accuracy, f1"),
    ("schedule", "none", "a name"),
    ("schedule_opt", "block", "NAME=VALUE"),
    ("peft_opt", "=8", "NAME=VALUE"),
    ("epochs", "0", "a whole number from 1 to 10000"),
    ("epochs", "-1", "a whole number from 1 to 10000"),
    ("epochs", "1.5", "a whole number from 1 to 10000"),
    ("epochs", "three", "a whole number from 1 to 10000"),
    ("epochs", "none", "a whole number from 1 to 10000"),
    ("batch_size", "0", "a whole number of at least 1"),
    ("batch_tokens", "0", "a whole number of at least 1"),
    ("batch_tokens", "many", "a whole number of at least 1"),
    ("eval_batch_size", "0", "a whole number of at least 1"),
    ("eval_batch_tokens", "0", "a whole number of at least 1"),
    (
        "gradient_accumulation_steps",
        "0",
        "a whole number of at least 1",
    ),
    ("lr", "0", "a number above 0"),
    ("lr", "-1e-3", "a number above 0"),
    ("lr", "NaN", "a number above 0"),
    ("lr", "inf", "a number above 0"),
    (
        "lr_scheduler",
        "liner",
        "one of `linear`, `cosine`, `polynomial`, `constant`",
    ),
    ("lr_end", "-1e-7", "a number of at least 0"),
    ("lr_power", "0", "a number above 0"),
    ("lr_restart", "epoch", "one of `none`, `stage`"),
    ("eval_strategy", "step", "one of `epoch`, `steps`, `no`"),
    ("eval_steps", "0", "a whole number of steps"),
    ("eval_steps", "1.5", "a whole number of steps"),
    (
        "early_stopping_patience",
        "0",
        "a whole number of at least 1",
    ),
    ("early_stopping_threshold", "-1", "a number of at least 0"),
    ("on_nonfinite", "ignore", "one of `stop`, `skip`"),
    ("weight_decay", "-0.1", "a number of at least 0"),
    ("warmup", "1.5", "a share of all steps"),
    ("warmup", "-1", "a share of all steps"),
    ("warmup", "nan", "a share of all steps"),
    ("adam_beta1", "1", "a number of at least 0 and below 1"),
    ("adam_beta2", "-0.1", "a number of at least 0 and below 1"),
    ("adam_epsilon", "0", "a number above 0"),
    ("max_length", "2", "a whole number of at least 3"),
    ("max_grad_norm", "-1", "a number of at least 0"),
    ("dropout", "1", "a number of at least 0 and below 1"),
    ("seed", "-1", "a whole number of at least 0"),
    (
        "seed",
        "18446744073709551616",
        "a whole number of at least 0",
    ),
    ("no_shuffle", "yes", "one of `true`, `false`"),
    ("no_group_by_length", "1", "one of `true`, `false`"),
    ("max_train_samples", "0", "a whole number of at least 1"),
    ("max_eval_samples", "0", "a whole number of at least 1"),
    ("max_test_samples", "0", "a whole number of at least 1"),
    ("sample", "last", "one of `stratified`, `random`, `first`"),
    ("max_steps", "0", "a whole number of at least 1"),
    ("init_adapter", "", "a text that is not empty"),
    ("train_pooler", "no", "one of `true`, `false`"),
    ("plugin", "", "a path"),
    ("plugin_dir", "", "a path"),
    ("lock", "", "a text that is not empty"),
    ("locked", "yes", "one of `true`, `false`"),
    ("plugin_isolation", "thread", "one of `process`, `none`"),
    ("threads", "0", "a whole number from 1 to 1024"),
    ("device", "gpu", "`auto`, `cpu`, `cuda` or `cuda:N`"),
    ("device", "cuda:x", "`auto`, `cpu`, `cuda` or `cuda:N`"),
    ("kernels", "fuse", "one of `auto`, `fused`, `composed`"),
    ("token_cache", "on", "one of `auto`, `off`, `overwrite`"),
    ("output", "", "a text that is not empty"),
    ("overwrite_output", "2", "one of `true`, `false`"),
    ("logging_steps", "0", "a whole number of at least 1"),
    ("frozen_dropout", "on", "one of `true`, `false`"),
    ("prefix_cache", "rom", "one of `auto`, `off`, `ram`, `disk`"),
    ("prefix_cache_budget", "0", "a size above 0 in bytes"),
    ("prefix_cache_budget", "2 apples", "a size above 0 in bytes"),
    ("prefix_cache_dtype", "bf16", "one of `f32`, `f16`"),
    ("recompute", "on", "one of `true`, `false`"),
    ("memory_budget", "2 gigs", "a size above 0 in bytes"),
    ("memory_budget", "0", "a size above 0 in bytes"),
];

#[test]
fn every_bad_value_names_key_origin_expected_and_found() {
    for &(key, value, expected) in BAD_VALUES {
        let known = find_key(key).unwrap();
        let flag = format!("{}={value}", known.flag());
        let text = message(&[&flag], &[], "");
        let start = format!("{key} (from flag {}): expected {expected}", known.flag());
        assert!(text.starts_with(&start), "{flag}: {text}");
        assert!(
            text.contains(&format!("found `{value}`; ")),
            "{flag}: {text}"
        );
        // An empty variable counts as unset, because files and shells set it that way.
        if !value.is_empty() {
            let text = message(&[], &[(&known.variable(), value)], "");
            let start = format!(
                "{key} (from environment variable {}): expected {expected}",
                known.variable()
            );
            assert!(text.starts_with(&start), "{}: {text}", known.variable());
        }
        if !key.ends_with("_opt") {
            let text = message(&[], &[], &format!("{key} = {value:?}\n"));
            assert!(text.starts_with(&format!("{key} (from file ")), "{text}");
            assert!(
                text.contains(&format!("run.toml): expected {expected}")),
                "{text}"
            );
        }
    }
}

/// The values that shells complete are exactly the accepted ones.
#[test]
fn the_choices_of_a_key_are_those_it_is_refused_for() {
    let mut with_names = 0;
    for flag in key_flags().filter(|flag| flag.about().scope != Scope::Inference) {
        let key = flag.about();
        let Err(error) = resolve_with(&[&format!("{}=no-such-name", key.flag())], &[], "") else {
            continue;
        };
        let text = error.to_string();
        let Some((_, list)) = text.split_once("expected one of ") else {
            continue;
        };
        let list = list.split(", found").next().unwrap_or_default();
        let expected: Vec<&str> = list
            .split(", ")
            .map(|name| name.trim_matches('`'))
            .collect();
        if expected != ["true", "false"] {
            assert_eq!(flag.names(), expected, "{}", key.name);
            with_names += 1;
        }
    }
    assert!(with_names >= 9, "{with_names}");
}

#[test]
fn advice_has_the_form_of_the_origin() {
    let text = message(&["--epochs", "0"], &[], "");
    assert_eq!(
        text,
        "epochs (from flag --epochs): expected a whole number from 1 to 10000, found `0`; give something like --epochs 3"
    );
    let text = message(&[], &[("PROGTUNE_LR", "fast")], "");
    assert!(
        text.ends_with("set it to something like PROGTUNE_LR=5e-4"),
        "{text}"
    );
    let text = message(&[], &[], "device = \"tpu\"\n");
    assert!(
        text.ends_with("write something like `device = \"auto\"`"),
        "{text}"
    );
    let text = message(&[], &[], "peft = \"lora\"\npeft_opt = 8\n");
    assert!(
        text.ends_with("write something like `peft_opt = { r = 8 }`"),
        "{text}"
    );
    let text = message(&["--lr-scheduler", "liner"], &[], "");
    assert!(text.ends_with("did you mean 'linear'?"), "{text}");
}

#[test]
fn values_of_the_wrong_kind_in_a_file() {
    for file in [
        "epochs = [1]\n",
        "epochs = { a = 1 }\n",
        "no_shuffle = [true]\n",
        "plugin_dir = [1]\n",
    ] {
        let text = message(&[], &[], file);
        assert!(
            text.contains("(from file ") && text.contains("expected"),
            "{text}"
        );
    }
    let text = message(&[], &[], "peft = \"lora\"\npeft_opt = { r = { x = 1 } }\n");
    assert!(text.starts_with("peft_opt.r (from file "), "{text}");
}
