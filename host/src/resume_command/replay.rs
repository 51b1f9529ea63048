//! `progtune replay`: runs a recorded run again, and compares its results with the recorded ones.

use super::{absolute_path, beside, recorded, run_of};
use crate::{
    config::{Beginning, RunConfig, Sources, output_flag},
    digest,
    flags::Arguments,
    recipe,
    run_directory::{METRICS, RESULTS, WEIGHTS},
};
use progtune_engine::{Error, Result};
use progtune_process::terminal;
use serde_json::Value;
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Instant,
};

/// Parts of the keys whose values differ between two equal runs: durations, speeds, memory, and
/// what the caches could spare.
const VOLATILE: [&str; 8] = [
    "secs",
    "runtime",
    "per_second",
    "startup",
    "peak",
    "prefix_cache",
    "hub",
    "file",
];

/// The longest list of differences in a message.
const MOST_DIFFERENCES: usize = 5;

/// The configuration of the run that repeats a recorded one, and the directory of the latter.
///
/// # Errors
/// Fails if the directory is not that of a finished run, or a value is invalid.
pub fn replay_config(arguments: &Arguments, sources: &Sources) -> Result<(RunConfig, PathBuf)> {
    let run = run_of(arguments)?;
    if !run.join(RESULTS).is_file() {
        return Err(Error::Usage(format!(
            "{}: expected a finished run, but it has no {RESULTS}; continue it with `progtune resume` first",
            run.display()
        )));
    }
    let output = match arguments.texts(output_flag()).pop() {
        Some(typed) => absolute_path(Path::new(&typed)),
        None => beside(&run, "replay"),
    };
    let recorded = recorded(&run)?;
    let config = RunConfig::resolve_again(arguments, sources, &recorded, &output, Beginning::New)?;
    Ok((config, run))
}

/// Runs a recorded run again and compares.
///
/// # Errors
/// Fails if the run does, or if a result differs.
pub fn run_replay(config: &RunConfig, run: &Path, started: Instant) -> Result<()> {
    recipe::train(config, started)?;
    let again = config.output_dir();
    let differences = differences(run, &again)?;
    if differences.is_empty() {
        let line = format!(
            "replayed: weights, losses and evaluations are those of {}, bit for bit\n",
            run.display()
        );
        return Ok(terminal::print(line)?);
    }
    let mut words: Vec<String> = differences.iter().take(MOST_DIFFERENCES).cloned().collect();
    if differences.len() > words.len() {
        words.push(format!("and {} more", differences.len() - words.len()));
    }
    Err(Error::Training(format!(
        "{}: not the results of {}: {}; compare the versions, the machine and the plugins in both",
        again.display(),
        run.display(),
        words.join("; ")
    )))
}

/// The differences between the results of two runs, except in durations and the like.
fn differences(run: &Path, again: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for name in WEIGHTS {
        let hash = |directory: &Path| match digest::of_file(&directory.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other
                .map(Some)
                .map_err(Error::io(&directory.join(name), "read")),
        };
        if hash(run)? != hash(again)? {
            found.push(format!("{name} differs"));
        }
    }
    let lines = |directory: &Path| -> Result<Vec<Value>> {
        let path = directory.join(METRICS);
        let text = fs::read_to_string(&path).map_err(Error::io(&path, "read"))?;
        let line = |line| serde_json::from_str::<Value>(line).unwrap_or_default();
        Ok(text.lines().map(line).map(without_volatile).collect())
    };
    let (before, now) = (lines(run)?, lines(again)?);
    if before.len() != now.len() {
        let counts = (before.len(), now.len());
        found.push(format!(
            "{METRICS} had {} lines and has {}",
            counts.0, counts.1
        ));
    }
    let pairs = before.iter().zip(&now).zip(1..);
    for ((before, now), line) in pairs.filter(|((before, now), _)| before != now) {
        found.push(format!("{METRICS}, line {line}: {now} instead of {before}"));
    }
    Ok(found)
}

/// A record without durations and the like.
fn without_volatile(record: Value) -> Value {
    match record {
        Value::Object(map) => {
            let is_kept = |key: &str| !VOLATILE.iter().any(|part| key.contains(part));
            let kept = map.into_iter().filter(|(key, _)| is_kept(key));
            Value::Object(
                kept.map(|(key, value)| (key, without_volatile(value)))
                    .collect(),
            )
        }
        other => other,
    }
}
