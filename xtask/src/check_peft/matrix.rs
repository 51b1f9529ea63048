//! The round trip over drawn configurations: adapters that PEFT makes are loaded by progtune, adapters that progtune saves by
//! PEFT, with equal logits. Called by [`super::run`], or alone with `--matrix`.

use crate::python;
use std::path::Path;
use std::process::Command;

/// How much is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Matrix {
    /// The seed of the draws.
    pub seed: u64,
    /// Configurations of PEFT.
    pub rows: u64,
    /// Runs of progtune.
    pub draws: u64,
    /// With the debug build, which is there while one works on it.
    pub debug: bool,
}

impl Matrix {
    /// Both directions.
    ///
    /// # Errors
    /// When a row differs, or something cannot be started.
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
            test.args(["--package", "progtune-tests", "--test", "peft_matrix", "--"])
                .args(["--nocapture", "adapters_give_pefts_logits_and_merge"])
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

Lets PEFT and Transformers load what progtune saved, and progtune what PEFT saved, and compares logits.

  --matrix    only the drawn configurations: neither MiniLM nor the shared data are needed
  --seed N    the seed of the draws [default: 2]
  --rows N    configurations of PEFT that progtune loads [default: 240]
  --draws N   runs of progtune that PEFT loads [default: 40]
  --debug     use the debug build of the test and the program (with --matrix)
";

/// What the command line asks for: the draws, and whether they are all; `None` after `--help`.
///
/// # Errors
/// When an argument is not known or is no number.
pub(super) fn parse(args: &[String]) -> Result<Option<(Matrix, bool)>, String> {
    let mut matrix = Matrix {
        seed: 2,
        rows: 240,
        draws: 40,
        debug: false,
    };
    let mut alone = false;
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        let place = match flag.as_str() {
            "--help" => {
                print!("{HELP}");
                return Ok(None);
            }
            "--matrix" => {
                alone = true;
                continue;
            }
            "--debug" => {
                matrix.debug = true;
                continue;
            }
            "--seed" => &mut matrix.seed,
            "--rows" => &mut matrix.rows,
            "--draws" => &mut matrix.draws,
            _ => {
                return Err(format!(
                    "{flag}: unknown; see cargo xtask check-peft --help"
                ));
            }
        };
        let number = args.next().and_then(|text| text.parse().ok());
        *place = number.ok_or_else(|| format!("{flag}: expected a number after it"))?;
    }
    if matrix.debug && !alone {
        return Err("--debug: only with --matrix; the other checks take the release build".into());
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
                .contains("--rows: expected a number")
        );
        assert!(parsed("--row 1").unwrap_err().contains("unknown"));
        assert!(parsed("--debug").unwrap_err().contains("--matrix"));
    }
}
