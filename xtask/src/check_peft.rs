//! `cargo xtask check-peft`: checks that PEFT and Transformers load what progtune saved and compute
//! the same logits. Called by `main`.
//!
//! With the release binary it trains a few steps of full fine-tuning, and of every method that PEFT
//! has, on the real MiniLM and MRPC. It merges the adapters that can be merged into plain
//! checkpoints, and `tests/fixtures/check_peft.py` compares each. The same follows for tags
//! (WNUT17, `check_tags.py`) and questions (SQuAD, `check_questions.py`), and for the random
//! configurations of [`matrix`]. Finally progtune and `huggingface_hub` read each other's files in
//! the hub's cache. It needs `tools/fetch_minilm.sh target/minilm` and the shared data, except with
//! `--matrix`.

mod matrix;

use crate::python;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Trains, predicts and compares, once for each kind of result.
///
/// # Errors
/// If a prerequisite is missing, or the logits differ.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<(), String> {
    let Some((matrix, alone)) = matrix::parse(args)? else {
        return Ok(());
    };
    if alone {
        return matrix.run(root, &python::interpreter(root)?);
    }
    let minilm = given("PROGTUNE_MINILM", root.join("target/minilm"));
    let shared = given("PROGTUNE_SHARED", root.join("../shared"));
    let data = shared.join("data");
    for (path, what) in [
        (
            minilm.join("model.safetensors"),
            "tools/fetch_minilm.sh target/minilm",
        ),
        (data.join("MRPC/dev.tsv"), "PROGTUNE_SHARED=DIR"),
    ] {
        if !path.exists() {
            return Err(format!("{} is absent: {what}", path.display()));
        }
    }
    let python = python::interpreter(root)?;
    python::run(Command::new("cargo").current_dir(root).args([
        "build",
        "--release",
        "--workspace",
    ]))?;
    let job = Job {
        root,
        python,
        minilm,
        data,
    };
    for method in ["none", "lora", "dora", "ia3", "vera", "prefix"] {
        job.pairs_with(method)?;
    }
    for method in ["none", "lora"] {
        job.tags(method)?;
        job.questions(method)?;
    }
    matrix.run(root, &job.python)?;
    share_the_hubs_cache(root, &job.python)
}

/// Runs the test in which progtune and Python share the hub's cache.
fn share_the_hubs_cache(root: &Path, python: &Path) -> Result<(), String> {
    let words = [
        "test",
        "--release",
        "--workspace",
        "--test",
        "data",
        "hub::python::",
    ];
    let mut command = Command::new("cargo");
    python::run(
        command
            .current_dir(root)
            .args(words)
            .env("PROGTUNE_PYTHON", python),
    )
}

struct Job<'a> {
    root: &'a Path,
    python: PathBuf,
    minilm: PathBuf,
    data: PathBuf,
}

impl Job<'_> {
    fn progtune(&self) -> Command {
        Command::new(self.root.join("target/release/progtune"))
    }

    /// The arguments for training on sentence pairs, which is the default.
    fn pairs(&self) -> Vec<OsString> {
        let data = self.data.join("MRPC");
        ["--task", "mrpc", "--data"]
            .map(OsString::from)
            .into_iter()
            .chain([data.into()])
            .collect()
    }

    fn train(&self, data: &[OsString], method: &str, output: &Path) -> Result<(), String> {
        let mut train = self.progtune();
        train
            .args(["--max-steps", "20", "--batch-size", "16"])
            .args(["--schedule", "progressive", "--peft", method])
            .args(["--max-eval-samples", "64", "--quiet", "--overwrite-output"])
            .arg("--model")
            .arg(&self.minilm)
            .args(data)
            .arg("--output")
            .arg(output);
        python::run(&mut train)
    }

    /// Trains on sentence pairs, and lets Transformers or PEFT predict the same ones: from the
    /// adapter, and from the checkpoint that it is merged into.
    fn pairs_with(&self, method: &str) -> Result<(), String> {
        let output = self.root.join("target").join("check-peft").join(method);
        let predictions = output.join("predictions.jsonl");
        self.train(&self.pairs(), method, &output)?;
        if method == "none" {
            self.predict(&output, None, &predictions)?;
            return self.compare(&output, None, &predictions);
        }
        self.predict(&self.minilm, Some(&output), &predictions)?;
        self.compare(&self.minilm, Some(&output), &predictions)?;
        if method == "prefix" {
            // Keys and values do not change a weight.
            return Ok(());
        }
        // The merged checkpoint by itself, in Transformers, must give the same results as the
        // adapter here.
        let merged = output.with_extension("merged");
        self.merge(&output, &merged)?;
        self.compare(&merged, None, &predictions)
    }

    /// Trains on tags, and lets Transformers or PEFT tag the same sentences.
    fn tags(&self, method: &str) -> Result<(), String> {
        let output = self.output("tags", method);
        let file = |name: &str| self.data.join("WNUT17").join(name).into_os_string();
        let data = [
            OsString::from("--train-file"),
            file("wnut17train.conll"),
            "--validation-file".into(),
            file("emerging.dev.conll"),
        ];
        self.train(&data, method, &output)?;
        let predictions = output.join("predictions.jsonl");
        let mut predict = self.progtune();
        predict
            .args(["predict", "--task", "own", "--input"])
            .arg(file("emerging.test.annotated"))
            .args(["--file-format", "conll", "--output"])
            .arg(&predictions)
            .args(self.model(method, &output));
        python::run(&mut predict)?;
        let mut check = self.script("check_tags.py");
        check
            .args(self.model(method, &output))
            .arg("--predictions")
            .arg(predictions);
        python::run(&mut check)
    }

    /// Trains on questions, and lets Transformers or PEFT answer the same ones.
    fn questions(&self, method: &str) -> Result<(), String> {
        let output = self.output("questions", method);
        let dev = self.data.join("XQuAD/xquad.en.json");
        let data = [
            OsString::from("--task"),
            "squad".into(),
            "--data".into(),
            self.data.join("SQuAD/split").into(),
        ];
        self.train(&data, method, &output)?;
        let mut predict = self.progtune();
        predict
            .args(["predict", "--task", "squad", "--quiet", "--input"])
            .arg(&dev)
            .arg("--answers")
            .arg(&output)
            .arg("--output")
            .arg(output.join("answers.jsonl"))
            .args(self.model(method, &output));
        python::run(&mut predict)?;
        let mut check = self.script("check_questions.py");
        check
            .args(self.model(method, &output))
            .arg("--data")
            .arg(dev)
            .arg("--nbest")
            .arg(output.join("nbest_predictions.json"));
        python::run(&mut check)
    }

    fn output(&self, kind: &str, method: &str) -> PathBuf {
        let name = format!("{kind}-{method}");
        self.root.join("target").join("check-peft").join(name)
    }

    /// The arguments that name a result to progtune and to the scripts: a checkpoint, or the base
    /// model with an adapter.
    fn model(&self, method: &str, output: &Path) -> Vec<OsString> {
        match method {
            "none" => vec!["--model".into(), output.into()],
            _ => vec![
                "--model".into(),
                self.minilm.clone().into(),
                "--adapter".into(),
                output.into(),
            ],
        }
    }

    fn script(&self, name: &str) -> Command {
        let mut script = Command::new(&self.python);
        script.arg(self.root.join("tests/fixtures").join(name));
        script
    }

    fn predict(
        &self,
        model: &Path,
        adapter: Option<&Path>,
        predictions: &Path,
    ) -> Result<(), String> {
        let mut predict = self.progtune();
        predict
            .args(["predict", "--split", "validation"])
            .args(self.pairs())
            .arg("--model")
            .arg(model)
            .arg("--output")
            .arg(predictions);
        if let Some(adapter) = adapter {
            predict.arg("--adapter").arg(adapter);
        }
        python::run(&mut predict)
    }

    fn merge(&self, adapter: &Path, output: &Path) -> Result<(), String> {
        if output.exists() {
            std::fs::remove_dir_all(output)
                .map_err(|error| format!("{}: {error}", output.display()))?;
        }
        let mut merge = self.progtune();
        merge
            .args(["merge", "--quiet", "--model"])
            .arg(&self.minilm)
            .arg("--adapter")
            .arg(adapter)
            .arg("--output")
            .arg(output);
        python::run(&mut merge)
    }

    /// Compares the results of Transformers and PEFT with these predictions.
    fn compare(
        &self,
        base: &Path,
        adapter: Option<&Path>,
        predictions: &Path,
    ) -> Result<(), String> {
        let mut check = self.script("check_peft.py");
        check
            .args(["--task", "mrpc", "--base"])
            .arg(base)
            .arg("--predictions")
            .arg(predictions)
            .arg("--data")
            .arg(self.data.join("MRPC/dev.tsv"));
        if let Some(adapter) = adapter {
            check.arg("--adapter").arg(adapter);
        }
        python::run(&mut check)
    }
}

fn given(variable: &str, default: PathBuf) -> PathBuf {
    std::env::var_os(variable).map_or(default, PathBuf::from)
}
