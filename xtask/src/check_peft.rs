//! `cargo xtask check-peft`: PEFT and Transformers load what progtune saved and give the same logits. Called by `main`.
//!
//! Trains a few steps of full fine-tuning and of every method that PEFT has on the real MiniLM and MRPC with the release binary, then lets
//! `tests/fixtures/check_peft.py` compare. Needs `tools/fetch_minilm.sh target/minilm` and the shared data.

use crate::python;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Trains, predicts and compares, once a kind of result.
///
/// # Errors
/// When something needed is absent, or the logits differ.
pub(crate) fn run(root: &Path, _: &[String]) -> Result<(), String> {
    let minilm = given("PROGTUNE_MINILM", root.join("target/minilm"));
    let shared = given("PROGTUNE_SHARED", root.join("../shared"));
    let data = shared.join("data").join("MRPC");
    for (path, what) in [
        (
            minilm.join("model.safetensors"),
            "tools/fetch_minilm.sh target/minilm",
        ),
        (data.join("dev.tsv"), "PROGTUNE_SHARED=DIR"),
    ] {
        if !path.exists() {
            return Err(format!("{} is absent: {what}", path.display()));
        }
    }
    let python = python::interpreter(root)?;
    python::run(
        Command::new("cargo")
            .current_dir(root)
            .args(["build", "--release"]),
    )?;
    for method in ["none", "lora", "dora", "ia3", "vera", "prefix"] {
        let output = root.join("target").join("check-peft").join(method);
        let predictions = output.join("predictions.jsonl");
        let progtune = || Command::new(root.join("target/release/progtune"));
        let mut train = progtune();
        train
            .arg("--model")
            .arg(&minilm)
            .args(["--task", "mrpc", "--data"])
            .arg(&data);
        train.args([
            "--schedule",
            "progressive",
            "--peft",
            method,
            "--max-steps",
            "20",
            "--batch-size",
            "16",
        ]);
        train
            .args([
                "--max-eval-samples",
                "64",
                "--quiet",
                "--overwrite-output",
                "--output",
            ])
            .arg(&output);
        python::run(&mut train)?;
        let adapter = method != "none";
        let model = if adapter { &minilm } else { &output };
        let mut predict = progtune();
        predict
            .arg("predict")
            .arg("--model")
            .arg(model)
            .args(["--task", "mrpc", "--data"])
            .arg(&data);
        predict
            .args(["--split", "validation", "--output"])
            .arg(&predictions);
        let mut check = Command::new(&python);
        check
            .arg(root.join("tests/fixtures/check_peft.py"))
            .arg("--base")
            .arg(model);
        if adapter {
            predict.arg("--adapter").arg(&output);
            check.arg("--adapter").arg(&output);
        }
        python::run(&mut predict)?;
        check
            .arg("--predictions")
            .arg(&predictions)
            .args(["--task", "mrpc", "--data"]);
        check.arg(data.join("dev.tsv"));
        python::run(&mut check)?;
    }
    Ok(())
}

fn given(variable: &str, default: PathBuf) -> PathBuf {
    std::env::var_os(variable).map_or(default, PathBuf::from)
}
