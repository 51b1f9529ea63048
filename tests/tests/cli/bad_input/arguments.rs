//! Arguments and configuration that cannot be meant, and plugins that are none: exit code 2, nothing written.

use super::*;

/// A dynamic library of the system that is no plugin.
fn foreign_library() -> Vec<u8> {
    let maps = fs::read_to_string("/proc/self/maps").expect("Linux");
    let path = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .find(|path| path.contains("libc.so"));
    fs::read(path.expect("the C library")).unwrap()
}

#[test]
fn bad_arguments_are_named() {
    let scratch = Scratch::new();
    let train = |flags: &str| CommandLine::train("bert", &scratch.path("run")).words(flags);
    let task = |name: &str| {
        CommandLine::new("train --quiet")
            .path("--task", name)
            .path("--model", bert())
            .path("--data", fixture("parity/data"))
            .path("--output", scratch.path("run"))
    };
    check(
        &scratch,
        vec![
            Case::new(
                "--epochs 0",
                train("--epochs 0"),
                2,
                &[
                    "epochs",
                    "flag --epochs",
                    "from 1",
                    "found `0`",
                    "--epochs 3",
                ],
            ),
            Case::new(
                "--epochs 99999",
                train("--epochs 99999"),
                2,
                &["a whole number from 1 to 10000"],
            ),
            Case::new(
                "--batch-size -4",
                train("--batch-size=-4"),
                2,
                &["flag --batch-size", "found `-4`"],
            ),
            Case::new(
                "--lr NaN",
                train("--lr NaN"),
                2,
                &["flag --lr", "a number above 0", "found `NaN`"],
            ),
            Case::new(
                "--dropout 1",
                train("--dropout 1"),
                2,
                &["flag --dropout", "below 1"],
            ),
            Case::new(
                "--warmup 1.5",
                train("--warmup 1.5"),
                2,
                &["flag --warmup", "found `1.5`"],
            ),
            Case::new(
                "--threads 100000",
                train("--threads 100000"),
                2,
                &["flag --threads", "from 1 to 1024"],
            ),
            Case::new(
                "--device gpu",
                train("--device gpu"),
                2,
                &["flag --device", "`cpu`, `cuda` or `cuda:N`"],
            ),
            Case::new(
                "--max-length 4 with pairs for RoBERTa",
                CommandLine::new("train --task mrpc --quiet --max-length 4")
                    .path("--model", fixture("parity/roberta"))
                    .path("--data", fixture("parity/data"))
                    .path("--output", scratch.path("run")),
                2,
                &[
                    "--max-length 4",
                    "expected at least 5",
                    "4 special tokens to a pair",
                ],
            ),
            Case::new(
                "--max-length 2",
                CommandLine::new("plan --max-length 2"),
                2,
                &[
                    "flag --max-length",
                    "from 3",
                    "two special tokens and a word",
                    "found `2`",
                ],
            ),
            Case::new(
                "--seed -1",
                train("--seed=-1"),
                2,
                &["flag --seed", "from 0", "found `-1`"],
            ),
            Case::new(
                "--batch-size beyond reason",
                CommandLine::train_on(&bert(), &scratch.path("absent"), &scratch.path("run"))
                    .words("--batch-size 99999999999999999999"),
                2,
                &["flag --batch-size"],
            ),
            Case::new(
                "unknown schedule",
                train("--schedule progresive"),
                2,
                &[
                    "no schedule 'progresive'",
                    "did you mean 'progressive'",
                    "available: auto-freeze, full",
                ],
            ),
            Case::new(
                "unknown method",
                train("--peft lroa"),
                2,
                &["no method 'lroa'", "did you mean 'lora'"],
            ),
            Case::new(
                "unknown task",
                task("mrcp"),
                2,
                &[
                    "unknown task `mrcp`",
                    "the nearest name is `mrpc`",
                    "`cola`",
                ],
            ),
            Case::new(
                "questions without files",
                task("squad"),
                3,
                &[
                    "no file for the split `train` of task `squad`",
                    "`train-v1.1.json`",
                ],
            ),
            Case::new(
                "task without --data",
                CommandLine::new("train --task mrpc"),
                3,
                &[
                    "nyu-mll/glue: no such directory",
                    "HF_HUB_OFFLINE forbids the network",
                    "mrpc/train-00000-of-00001.parquet",
                    "--data DIR",
                ],
            ),
            Case::new(
                "undeclared option",
                train("--peft lora --peft-opt rank=4"),
                2,
                &[
                    "option 'rank' of 'lora': not declared",
                    "lora_alpha",
                    "progtune plugins show lora",
                ],
            ),
            Case::new(
                "undeclared schedule option",
                train("--schedule progressive --schedule-opt emebddings=first-part"),
                2,
                &[
                    "option 'emebddings' of 'progressive'",
                    "did you mean 'embeddings'",
                ],
            ),
            Case::new(
                "option out of range",
                train("--peft lora --peft-opt r=0"),
                2,
                &[
                    "option 'r' of 'lora'",
                    "expected a number from 1 to 65536, found 0",
                ],
            ),
            Case::new(
                "option out of the model's range",
                train("--schedule single-block --schedule-opt block=5"),
                2,
                &["option 'block'", "expected 0 to 4", "found 5"],
            ),
            Case::new(
                "option that is no number",
                train("--peft lora --peft-opt r=many"),
                2,
                &["option 'r' of 'lora'", "'many'"],
            ),
            Case::new(
                "pattern that matches nothing",
                train("--peft lora --peft-opt target_modules=qery"),
                2,
                &["target_modules", "'qery'", "did you mean 'query'"],
            ),
            Case::new(
                "option without a value",
                train("--peft lora --peft-opt r"),
                2,
                &["expected NAME=VALUE", "found `r`"],
            ),
            Case::new(
                "option without a method",
                train("--peft-opt r=4"),
                2,
                &["peft_opt", "choose a method with --peft"],
            ),
            Case::new(
                "misspelt flag",
                train("--epochz 3"),
                2,
                &["'--epochz'", "'--epochs'"],
            ),
            Case::new(
                "misspelt command",
                CommandLine::new("trian"),
                2,
                &["'trian'", "'train'"],
            ),
            Case::new(
                "evaluating a base model",
                CommandLine::new("evaluate --quiet --max-eval-samples 4"),
                3,
                &[
                    "embedded model: this model has no head yet",
                    "--model",
                    "--adapter",
                ],
            ),
            Case::new(
                "plugins show of none",
                CommandLine::new("plugins show lroa"),
                2,
                &["no schedule or method 'lroa'", "'lora'"],
            ),
        ],
    );
    assert!(
        !scratch.path("run").exists(),
        "nothing is written for a wrong argument"
    );
}

#[test]
fn bad_configuration_files_are_named() {
    let scratch = Scratch::new();
    let with = |name: &str, text: &str| {
        let file = scratch.write(name, text);
        CommandLine::train("bert", &scratch.path("run")).path("--config", file)
    };
    check(
        &scratch,
        vec![
            Case::new(
                "unknown key",
                with("key.toml", "epoch = 3\n"),
                2,
                &["DIR/key.toml", "`epoch`", "did you mean 'epochs'"],
            ),
            Case::new(
                "not TOML",
                with("syntax.toml", "epochs = \n"),
                2,
                &["DIR/syntax.toml", "line 1"],
            ),
            Case::new(
                "bad value in a file",
                with("value.toml", "epochs = 0\n"),
                2,
                &[
                    "epochs (from file DIR/value.toml)",
                    "found `0`",
                    "write something like `epochs = 3`",
                ],
            ),
            Case::new(
                "bad type in a file",
                with("type.toml", "epochs = [3]\n"),
                2,
                &["epochs (from file DIR/type.toml)", "found an array"],
            ),
            Case::new(
                "no such file",
                CommandLine::new("").path("--config", scratch.path("none.toml")),
                2,
                &[
                    "DIR/none.toml: cannot read the configuration file",
                    "--config",
                ],
            ),
        ],
    );
    let output = progtune_tests::progtune()
        .arg("plan")
        .env("PROGTUNE_EPOCHZ", "3")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(
        text.contains("PROGTUNE_EPOCHZ") && text.contains("PROGTUNE_EPOCHS"),
        "{text}"
    );
}

#[test]
fn libraries_that_are_no_plugins_are_named() {
    let scratch = Scratch::new();
    let name = format!(
        "{}foreign{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    );
    scratch.write(&format!("plugins/{name}"), foreign_library());
    let run = scratch.path("run");
    let train = |flags: &str| CommandLine::train("bert", &run).words(flags);
    check(
        &scratch,
        vec![
            Case::new(
                "foreign library in --plugin-dir",
                train("--schedule foreign").path("--plugin-dir", scratch.path("plugins")),
                2,
                &[
                    "no schedule 'foreign'",
                    "not used: DIR/plugins",
                    "expected a progtune plugin",
                ],
            ),
            Case::new(
                "--plugin-dir that is not there",
                train("").path("--plugin-dir", scratch.path("none")),
                2,
                &["plugin directory DIR/none", "give an existing directory"],
            ),
        ],
    );
    // A run that does not need it goes on, and says so in its log and on the terminal.
    let output = progtune_tests::progtune()
        .args(["plan", "--plugin-dir"])
        .arg(scratch.path("plugins"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success()
            && text.contains(&name)
            && text.contains("expected a progtune plugin"),
        "{text}"
    );
}
