//! `cargo xtask check-tokenizers`: checks that AutoTokenizer and progtune read the same random
//! tokenizer files and give the same ids. Called by `main`.
//!
//! `tests/fixtures/make_tokenizers.py` generates files, settings and texts, and encodes them with
//! the installed transformers. The test `tokenizers` encodes them here and saves each tokenizer.
//! AutoTokenizer then reads the saved files. Differences are printed.

use crate::arguments::{Arguments, Others};
use crate::python;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

const HELP: &str = "\
cargo xtask check-tokenizers [--seed N] [--draws N]

  --seed N     random seed, which is printed [default: a new one each time]
  --draws N    number of tokenizers [default: 600, at least 200]

XTASK_PYTHON names a Python with transformers; without it one is installed.
";

/// Generates tokenizers, compares their ids, and compares the saved files.
///
/// # Errors
/// If an argument is invalid, Python is missing, or anything differs.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), String> {
    let Some(arguments) = Arguments::read(HELP, Others::Refused, words)? else {
        return Ok(());
    };
    let seed = arguments.number("--seed", 0)?.unwrap_or_else(fresh_seed);
    let draws = arguments.number("--draws", 200)?.unwrap_or(600);
    let python = python::interpreter(root)?;
    let folder = root.join("target").join("check-tokenizers");
    let (rows, saved) = (folder.join("rows.json"), folder.join("saved"));
    if saved.exists() {
        std::fs::remove_dir_all(&saved).map_err(|e| format!("{}: {e}", saved.display()))?;
    }
    std::fs::create_dir_all(&saved).map_err(|e| format!("{}: {e}", saved.display()))?;
    let script = root.join("tests/fixtures/make_tokenizers.py");
    let make = || {
        let mut make = Command::new(&python);
        // The library's panics are part of the expected results; their backtraces are noise.
        make.env("RUST_BACKTRACE", "0")
            .arg(&script)
            .arg("--out")
            .arg(&rows);
        make
    };
    println!("drawing {draws} tokenizers with the seed {seed}");
    python::run(
        make()
            .args(["--seed", &seed.to_string()])
            .args(["--draws", &draws.to_string()]),
    )?;
    let compared = python::run(
        Command::new("cargo")
            .current_dir(root)
            .args(["test", "--workspace"])
            .args(["--test", "data", "tokenizers::", "--", "--nocapture"])
            .env("PROGTUNE_TOKENIZER_ROWS", &rows)
            .env("PROGTUNE_TOKENIZER_SAVED", &saved),
    );
    let read_again = python::run(make().arg("--verify").arg(&saved));
    compared?;
    read_again
}

/// A seed that differs from run to run and is short enough to type.
fn fresh_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(1, |now| now.as_secs() % 1_000_000)
}
