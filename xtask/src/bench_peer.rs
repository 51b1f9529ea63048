//! `cargo xtask bench-peer`: runs whole jobs of progtune (release build) and of PyTorch,
//! Transformers and PEFT on this machine, in alternation. Writes the medians and ratios as a table,
//! and every run as JSON. Called by `main`.
//!
//! It needs the real MiniLM (PROGTUNE_MINILM, otherwise target/minilm), GLUE's files
//! (PROGTUNE_SHARED) and a Python environment, which it makes under target/ unless one is given.
//! The peer's script is `xtask/bench_peer/peer.py`.

mod jobs;
mod machine;
pub(crate) mod measure;
mod record;
mod sides;

use crate::arguments::{Arguments, Others};
use crate::python;
use jobs::{Data, Extent, JOBS, Job};
use machine::Setting;
use record::Measured;
use sides::{Limits, Places};
use std::path::{Path, PathBuf};
use std::process::Command;

const HELP: &str = "\
cargo xtask bench-peer [--job NAME]… [--repeats N] [--steps N] [--warm-up N] [--rows N] [--threads N] [--venv DIR]
                       [--records DIR] [--before FILE]
  --job NAME     name of a job below; repeat it for more jobs [default: all]
  --repeats N    number of pairs of runs; the sides alternate [default: 3]
  --steps N      number of steps of a job that is not run whole; if given, it also limits whole jobs [default: 30]
  --warm-up N    number of first steps excluded from the throughput [default: 5]
  --rows N       number of training rows [default: all]
  --threads N    number of threads for both sides [default: all cores]
  --venv DIR     Python environment with torch, transformers, peft, scikit-learn [default: XTASK_PYTHON, else a new one]
  --records DIR  directory for the table and the JSON [default: xtask/bench_peer/records]
  --before FILE  an earlier progtune binary, which takes the peer's place; its plugins lie beside it. Nothing is recorded
Jobs:
";

/// The options of the command line.
struct Wanted {
    jobs: Vec<&'static Job>,
    repeats: u32,
    steps: Option<u32>,
    warm_up: usize,
    rows: Option<u32>,
    threads: usize,
    venv: Option<PathBuf>,
    records: PathBuf,
    before: Option<PathBuf>,
}

/// Builds, prepares, and runs every requested job; the record is written after each.
///
/// # Errors
/// If an argument is invalid, a prerequisite is missing, or a run fails.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), String> {
    let Some(wanted) = parse(root, words)? else {
        return Ok(());
    };
    let places = prepare(root, &wanted)?;
    let setting = Setting::read(root, &places.python, &places.peer, wanted.threads)?;
    let scratch = root.join("target/bench-peer");
    let mut table = String::new();
    for job in &wanted.jobs {
        let limits = Limits {
            steps: match job.extent {
                Extent::Steps => Some(wanted.steps.unwrap_or(30)),
                Extent::Whole => wanted.steps,
            },
            rows: wanted.rows,
            threads: wanted.threads,
        };
        let mut measured = Measured {
            job,
            limits,
            warm_up: wanted.warm_up,
            load: machine::load(),
            pairs: Vec::new(),
        };
        println!("{}: {}", job.name, job.describe());
        for repeat in 1..=wanted.repeats {
            let output = |side: &str| scratch.join(format!("{}-{side}", job.name));
            let (own, peer) = (output("progtune"), output("peer"));
            let mut command = sides::progtune(job, &places, limits, repeat, &own);
            let own = measure::measure(&mut command, &own, wanted.warm_up)?;
            let mut command = match &wanted.before {
                Some(binary) => {
                    let earlier = places.with_progtune(binary);
                    sides::progtune(job, &earlier, limits, repeat, &peer)
                }
                None => sides::peer(job, &places, limits, repeat, &peer),
            };
            let peer = measure::measure(&mut command, &peer, wanted.warm_up)?;
            println!(
                "  {repeat}/{}: {:.0} against {:.0} tokens/s, {:.1} against {:.1} s, {:.0} against {:.0} MiB",
                wanted.repeats,
                own.tokens_per_second,
                peer.tokens_per_second,
                own.wall_secs,
                peer.wall_secs,
                own.peak_bytes / 1048576.0,
                peer.peak_bytes / 1048576.0,
            );
            measured.pairs.push((own, peer));
        }
        if wanted.before.is_some() {
            println!("  median ratio {:.3}", measured.speed_up());
        } else {
            table = record::save(&wanted.records, &setting, &measured)?;
        }
    }
    print!("\n{table}");
    Ok(())
}

fn help() -> String {
    let mut text = HELP.to_owned();
    for job in JOBS {
        text.push_str(&format!("  {:<20} {}\n", job.name, job.describe()));
    }
    text
}

/// `None` after `--help`.
fn parse(root: &Path, words: &[String]) -> Result<Option<Wanted>, String> {
    let Some(arguments) = Arguments::read(&help(), Others::Refused, words)? else {
        return Ok(None);
    };
    let job = |name| Job::find(name).ok_or_else(|| format!("there is no job {name}\n\n{}", help()));
    let all_cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let mut wanted = Wanted {
        jobs: arguments
            .values("--job")
            .map(job)
            .collect::<Result<_, _>>()?,
        repeats: arguments.number("--repeats", 1)?.unwrap_or(3),
        steps: arguments.number("--steps", 1)?,
        warm_up: arguments.number("--warm-up", 1)?.unwrap_or(5),
        rows: arguments.number("--rows", 1)?,
        threads: arguments.number("--threads", 1)?.unwrap_or_else(all_cores),
        venv: arguments.path("--venv"),
        records: arguments
            .path("--records")
            .unwrap_or_else(|| root.join("xtask/bench_peer/records")),
        before: arguments.path("--before"),
    };
    if wanted.jobs.is_empty() {
        wanted.jobs.extend(JOBS);
    }
    if wanted.steps.is_some_and(|n| n as usize <= wanted.warm_up) {
        return Err("--steps must be more than --warm-up".into());
    }
    Ok(Some(wanted))
}

/// Finds model, data and Python, builds progtune, and makes the model with BERT-base's shape if a
/// job needs it.
fn prepare(root: &Path, wanted: &Wanted) -> Result<Places, String> {
    let given =
        |variable: &str, default: PathBuf| std::env::var_os(variable).map_or(default, Into::into);
    let minilm = given("PROGTUNE_MINILM", root.join("target/minilm"));
    let data = given("PROGTUNE_SHARED", root.join("../shared")).join("data");
    for (path, what) in [
        (
            minilm.join("model.safetensors"),
            "run tools/fetch_minilm.sh target/minilm, or set PROGTUNE_MINILM",
        ),
        (
            data.join("MRPC/train.tsv"),
            "set PROGTUNE_SHARED to a folder with data/MRPC and data/SST-2",
        ),
    ] {
        if !path.exists() {
            return Err(format!("{} is absent: {what}", path.display()));
        }
    }
    let python = match &wanted.venv {
        Some(venv) => venv.join("bin").join("python"),
        None => python::interpreter(root)?,
    };
    let mut build = Command::new("cargo");
    build
        .current_dir(root)
        .args(["build", "--release", "--quiet"]);
    python::run(&mut build)?;
    let places = Places {
        progtune: root.join("target/release/progtune"),
        python,
        peer: root.join("xtask/bench_peer/peer.py"),
        minilm,
        base: root.join("target/bench-peer/base"),
        data,
    };
    let wants_base = wanted.jobs.iter().any(|job| job.data == Data::Base);
    // The sentences are written last.
    if wants_base && !places.base.join("dev.tsv").exists() {
        let mut base = Command::new(&places.python);
        base.arg(&places.peer).arg("base");
        base.arg("--tokenizer").arg(&places.minilm);
        base.arg("--output").arg(&places.base);
        python::run(&mut base)?;
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Result<Wanted, String> {
        let words: Vec<String> = words.split_whitespace().map(Into::into).collect();
        parse(Path::new("root"), &words).map(|wanted| wanted.expect("it is no question for help"))
    }

    #[test]
    fn arguments_are_read() {
        let wanted = parsed("--job base-lora --job mrpc-full --repeats 2 --venv v").unwrap();
        let names: Vec<&str> = wanted.jobs.iter().map(|job| job.name).collect();
        assert_eq!(names, ["base-lora", "mrpc-full"]);
        assert_eq!((wanted.repeats, wanted.warm_up), (2, 5));
        assert_eq!(parsed("").unwrap().jobs.len(), JOBS.len());
        for (words, message) in [
            ("--job nothing", "there is no job nothing"),
            ("--repeats", "--repeats: expected N after it"),
            ("--repeats 0", "expected a whole number from 1"),
            ("--steps 5", "--steps must be more than --warm-up"),
            ("--speed 3", "--speed: no such argument"),
        ] {
            let error = parsed(words).err().unwrap_or_default();
            assert!(error.contains(message), "{words}: {error}");
        }
    }
}
