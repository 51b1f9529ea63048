//! A builder for command lines: it collects words and paths, then runs to success or to the failure
//! that a test expects. The tests that drive the built binary use it.

use crate::{fixture, progtune, run, run_failing};
use std::{
    ffi::OsStr,
    path::Path,
    process::{Command, Output},
};

/// The arguments of one call of the binary.
#[derive(Debug, Clone, Default)]
pub struct CommandLine {
    arguments: Vec<String>,
}

impl CommandLine {
    /// Starts with words that are separated by spaces.
    pub fn new(words: &str) -> Self {
        Self::default().words(words)
    }

    /// Training of a tiny model from `fixtures/parity` on the MRPC fixture, quietly, into `output`.
    pub fn train(model: &str, output: &Path) -> Self {
        Self::talking_train(model, output).words("--quiet")
    }

    /// Same as [`Self::train`], but not quiet.
    pub fn talking_train(model: &str, output: &Path) -> Self {
        Self::talking_train_on(
            &fixture("parity").join(model),
            &fixture("parity/data"),
            output,
        )
    }

    /// Training of the model in a directory on MRPC data, quietly, into `output`.
    pub fn train_on(model: &Path, data: &Path, output: &Path) -> Self {
        Self::talking_train_on(model, data, output).words("--quiet")
    }

    fn talking_train_on(model: &Path, data: &Path, output: &Path) -> Self {
        Self::new("train --task mrpc --max-length 64")
            .path("--model", model)
            .path("--data", data)
            .path("--output", output)
    }

    /// Evaluation of a model on the MRPC fixture.
    pub fn evaluate(model: &Path) -> Self {
        Self::new("evaluate --task mrpc --quiet --max-length 64")
            .path("--model", model)
            .path("--data", fixture("parity/data"))
    }

    /// Adds words that are separated by spaces.
    pub fn words(mut self, words: &str) -> Self {
        self.arguments
            .extend(words.split_whitespace().map(String::from));
        self
    }

    /// Adds a flag with a path or another single value.
    pub fn path(mut self, flag: &str, value: impl AsRef<OsStr>) -> Self {
        let value = value.as_ref().to_str().expect("fixture paths are UTF-8");
        self.arguments.extend([flag.to_owned(), value.to_owned()]);
        self
    }

    fn arguments(&self) -> Vec<&str> {
        self.arguments.iter().map(String::as_str).collect()
    }

    /// The process, for tests that run it in their own way.
    pub fn command(&self) -> Command {
        let mut command = progtune();
        command.args(&self.arguments);
        command
    }

    /// Runs the command, asserts that it succeeds, and returns its standard output.
    #[track_caller]
    pub fn run(&self) -> String {
        let Output { stdout, .. } = run(&self.arguments());
        String::from_utf8(stdout).expect("output is UTF-8")
    }

    /// Runs the command, asserts that it succeeds, and returns its standard output and standard
    /// error.
    #[track_caller]
    pub fn output(&self) -> (String, String) {
        let Output { stdout, stderr, .. } = run(&self.arguments());
        let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
        (text(stdout), text(stderr))
    }

    /// Runs the command, asserts that it fails with `code` and without a panic, and returns its
    /// standard error.
    #[track_caller]
    pub fn fail(&self, code: i32) -> String {
        run_failing(&self.arguments(), code)
    }
}
