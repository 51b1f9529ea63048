//! The round trip over random configurations: progtune loads adapters made by PEFT, and PEFT loads
//! adapters saved by progtune, with equal logits. Called by [`super::run`], or separately with
//! `--matrix`.

use crate::arguments::{Arguments, Others};
use crate::python;
use std::path::Path;
use std::process::Command;

/// The number of random configurations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Matrix {
    /// The random seed.
    pub seed: u64,
    /// The number of PEFT configurations.
    pub rows: u64,
    /// The number of progtune runs.
    pub draws: u64,
    /// Whether to use the debug build, which exists while one works on progtune.
    pub debug: bool,
}

impl Matrix {
    /// Checks both directions.
    ///
    /// # Errors
    /// If a row differs, or a program cannot be started.
    pub(super) fn run(self, root: &Path, python: &Path) -> Result<(), String> {
        self.read_from_peft(root, python)?;
        self.to_peft(root, python)
    }

    fn read_from_peft(self, root: &Path, python: &Path) -> Result<(), String> {
        let work = root.join("target/check-peft");
        std::fs::create_dir_all(&work).map_err(|error| format!("{}: {error}", work.display()))?;
        let file = work.join(format!("matrix-{}.json", self.seed));
        python::run(
            Command::new(python)
                .arg(root.join("tests/fixtures/make_peft_matrix.py"))
                .args(["--seed", &self.seed.to_string()])
                .args(["--rows", &self.rows.to_string()])
                .arg("--output")
                .arg(&file),
        )?;
        let mut test = Command::new("cargo");
        test.current_dir(root).arg("test");
        if !self.debug {
            test.arg("--release");
        }
        python::run(
            test.args(["--workspace", "--test", "numerics", "--"])
                .args([
                    "--nocapture",
                    "peft_matrix::adapters_give_pefts_logits_and_merge",
                ])
                .env("PROGTUNE_PEFT_MATRIX", file),
        )
    }

    fn to_peft(self, root: &Path, python: &Path) -> Result<(), String> {
        let build = if self.debug { "debug" } else { "release" };
        python::run(
            Command::new(python)
                .arg(root.join("tests/fixtures/check_peft_saved.py"))
                .args(["--seed", &self.seed.to_string()])
                .args(["--draws", &self.draws.to_string()])
                .arg("--progtune")
                .arg(root.join("target").join(build).join("progtune"))
                .arg("--work")
                .arg(root.join("target/check-peft/saved")),
        )
    }
}

const HELP: &str = "\
cargo xtask check-peft [--matrix] [--seed N] [--rows N] [--draws N] [--debug]

Loads progtune's saved models in PEFT and Transformers, loads PEFT's in progtune, and compares logits.

  --matrix    check only the random configurations, without MiniLM and the shared data
  --seed N    random seed [default: 2]
  --rows N    number of PEFT configurations that progtune loads [default: 240]
  --draws N   number of progtune runs that PEFT loads [default: 40]
  --debug     use the debug build of the test and the program (with --matrix)
";

/// Parses the command line into the matrix, and whether only that is checked; `None` after
/// `--help`.
///
/// # Errors
/// If an argument is unknown or not a number.
pub(super) fn parse(words: &[String]) -> Result<Option<(Matrix, bool)>, String> {
    let Some(arguments) = Arguments::read(HELP, Others::Refused, words)? else {
        return Ok(None);
    };
    let matrix = Matrix {
        seed: arguments.number("--seed", 0)?.unwrap_or(2),
        rows: arguments.number("--rows", 0)?.unwrap_or(240),
        draws: arguments.number("--draws", 0)?.unwrap_or(40),
        debug: arguments.has("--debug"),
    };
    let alone = arguments.has("--matrix");
    if matrix.debug && !alone {
        return Err("--debug: only with --matrix; the other checks use the release build".into());
    }
    Ok(Some((matrix, alone)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_checked() {
        let parsed = |text: &str| {
            let args: Vec<String> = text.split_whitespace().map(String::from).collect();
            parse(&args)
        };
        let (matrix, alone) = parsed("--matrix --seed 7 --rows 200").unwrap().unwrap();
        assert_eq!((matrix.seed, matrix.rows, alone), (7, 200, true));
        assert!(
            parsed("--rows many")
                .unwrap_err()
                .contains("--rows many: expected a whole number")
        );
        assert!(parsed("--row 1").unwrap_err().contains("no such argument"));
        assert!(parsed("--debug").unwrap_err().contains("--matrix"));
    }
}
