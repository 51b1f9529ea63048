//! `cargo xtask bench-large`: how the time to the first step and the peak memory grow with the data
//! file. Called by `main`.
//!
//! Makes two JSONL files of short texts, one small and one large, and trains the embedded model on
//! each for a few steps, twice. The first run tokenises, and the second reuses the tokens that it
//! kept. Files and kept tokens lie in a temporary directory and are removed.

use crate::arguments::{Arguments, Others};
use crate::bench_peer::measure::{Run, measure};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

const HELP: &str = "\
cargo xtask bench-large [--rows N]… [--dir DIR] [--program FILE] [FLAG OF PROGTUNE]…
  --rows N        number of rows in a file; repeat it for more files [default: 100000 and 10000000]
  --dir DIR       directory for files and kept tokens, 150 bytes per row [default: the system's temporary directory]
  --program FILE  program to run [default: target/release/progtune]
Everything else is passed on to `progtune train`.
";

const STEPS: &str = "train --epochs 1 --max-steps 10 --batch-size 32 --max-length 64 --validation-split 0.001 \
                     --max-eval-samples 64 --sample first --label-column label --overwrite-output --quiet";

/// Runs the task.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), String> {
    let Some(arguments) = Arguments::read(HELP, Others::Anything, words)? else {
        return Ok(());
    };
    let mut rows = arguments.numbers("--rows", 10_000)?;
    let directory = arguments.path("--dir").unwrap_or_else(std::env::temp_dir);
    let program = arguments
        .path("--program")
        .unwrap_or_else(|| root.join("target/release/progtune"));
    if rows.is_empty() {
        rows = vec![100_000, 10_000_000];
    }
    if !program.is_file() {
        return Err(format!(
            "there is no {}: run `cargo build --release --workspace`",
            program.display()
        ));
    }
    let directory = directory.join(format!("progtune-bench-large-{}", std::process::id()));
    let result = measure_all(&program, &directory, &rows, arguments.others());
    let removed = fs::remove_dir_all(&directory);
    result?;
    removed.map_err(|error| format!("{}: cannot be removed: {error}", directory.display()))
}

fn measure_all(
    program: &Path,
    directory: &Path,
    rows: &[u64],
    flags: &[String],
) -> Result<(), String> {
    println!(
        "{:>12}  {:>10}  {:>8}  {:>14}  {:>8}",
        "rows", "", "file MB", "first step s", "peak MB"
    );
    let mut first = None;
    for &n in rows {
        let place = directory.join(n.to_string());
        let failed = |error| format!("{}: {error}", place.display());
        fs::create_dir_all(&place).map_err(failed)?;
        let file = place.join("rows.jsonl");
        write_rows(&file, n).map_err(failed)?;
        let megabytes = fs::metadata(&file).map_err(failed)?.len() as f64 / 1e6;
        let mut peaks = Vec::new();
        for what in ["tokenises", "takes over"] {
            let run = one_run(program, &place, flags)?;
            println!(
                "{n:>12}  {what:>10}  {megabytes:>8.1}  {:>14.2}  {:>8.1}",
                run.start_secs,
                run.peak_bytes / 1e6
            );
            peaks.push(run.peak_bytes);
        }
        let before = first.get_or_insert(peaks.clone());
        println!(
            "{:>12}  peak × {:.3} and × {:.3}",
            "",
            peaks[0] / before[0],
            peaks[1] / before[1]
        );
        fs::remove_dir_all(&place).map_err(failed)?;
    }
    Ok(())
}

fn one_run(program: &Path, place: &Path, flags: &[String]) -> Result<Run, String> {
    let output = place.join("run");
    let mut command = Command::new(program);
    command
        .args(STEPS.split_whitespace())
        .arg("--train-file")
        .arg(place.join("rows.jsonl"))
        .arg("--output")
        .arg(&output)
        .args(flags)
        .env("PROGTUNE_CACHE_DIR", place.join("cache"))
        .env("TMPDIR", place);
    measure(&mut command, &output, 0)
}

/// Writes rows of six to twenty words with one of two labels. The rows are determined by `n`.
fn write_rows(path: &Path, n: u64) -> std::io::Result<()> {
    const WORDS: [&str; 16] = [
        "the", "film", "was", "not", "very", "good", "story", "slow", "actors", "bright", "a",
        "long", "end", "dull", "and", "warm",
    ];
    let mut out = BufWriter::new(File::create(path)?);
    for row in 0..n {
        let random = row.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
        write!(out, "{{\"text\": \"")?;
        for at in 0..6 + random % 15 {
            write!(out, "{} ", WORDS[(random >> (3 * at) & 15) as usize])?;
        }
        let label = ["negative", "positive"][(random >> 7 & 1) as usize];
        writeln!(out, "{row}\", \"label\": \"{label}\"}}")?;
    }
    out.flush()
}
