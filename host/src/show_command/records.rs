//! The records in a run's directory, as far as they are there: a run that ended early has fewer,
//! and an older one has no `run.json`. Nothing else is read, neither model nor plugins.

use crate::{
    config::export::FIRST_LINE,
    run_directory::{CONFIG, METRICS, NEW_RUN, PLAN, RESULTS, RUN},
};
use progtune_engine::{Error, Result};
use progtune_process::files::{
    Owner,
    bounded::{self, LARGEST_TEXT, read_text},
    lock::writer,
    near_path,
};
use serde_json::{Map, Value};
use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

/// The longest line of `metrics.jsonl` that is read in one piece. An evaluation of thousands of
/// classes has some 100 KB.
const LONGEST_LINE: u64 = 1 << 24;

/// The records of a run.
pub(super) struct Records {
    /// The directory.
    pub directory: PathBuf,
    /// `config.toml`.
    pub config: toml::Table,
    /// `run.json`; `None` for a run of an earlier version.
    pub run: Option<Value>,
    /// `plan.json`.
    pub plan: Option<Value>,
    /// `all_results.json`; `None` if the run is not finished.
    pub results: Option<Value>,
    /// The steps and evaluations in `metrics.jsonl`.
    pub metrics: Metrics,
    /// The process that writes into the directory now.
    pub writer: Option<Owner>,
    /// Whether the directory holds a run that was to replace this one.
    pub has_new_run: bool,
}

/// The contents of `metrics.jsonl`.
#[derive(Default)]
pub(super) struct Metrics {
    /// The steps of each epoch, by its number from 1.
    pub epochs: Vec<Steps>,
    /// The evaluations in order, as they were written.
    pub evaluations: Vec<Map<String, Value>>,
    /// Number of lines that are no records.
    pub n_unreadable: usize,
}

/// The steps of an epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Steps {
    /// Their number.
    pub n: u64,
    /// The sum of their losses.
    pub loss: f64,
    /// The sum of their durations in seconds.
    pub secs: f64,
}

impl Records {
    /// Reads the records of a run.
    ///
    /// # Errors
    /// Fails if there is no run in the directory, or a record is damaged.
    pub(super) fn read(directory: &Path) -> Result<Self> {
        let config = config(directory)?;
        let parent = directory.parent().unwrap_or(directory);
        // A run that replaces another one holds the lock of the directory above.
        let is_new = directory.file_name().is_some_and(|name| name == NEW_RUN);
        Ok(Self {
            config,
            run: json(directory, RUN)?,
            plan: json(directory, PLAN)?,
            results: json(directory, RESULTS)?,
            metrics: Metrics::read(&directory.join(METRICS))?,
            writer: writer(if is_new { parent } else { directory }),
            has_new_run: directory.join(NEW_RUN).join(CONFIG).is_file(),
            directory: directory.to_owned(),
        })
    }

    /// Number of steps that were recorded.
    pub(super) fn steps(&self) -> u64 {
        self.metrics.epochs.iter().map(|epoch| epoch.n).sum()
    }
}

fn config(directory: &Path) -> Result<toml::Table> {
    let path = directory.join(CONFIG);
    if !path.is_file() {
        let near = if directory.exists() {
            String::new()
        } else {
            near_path(directory)
        };
        return Err(Error::Model(format!(
            "{}: expected the directory of a run, with {CONFIG}; found none{}",
            directory.display(),
            if near.is_empty() {
                "; check the path"
            } else {
                near.as_str()
            }
        )));
    }
    let text = read_text(&path, LARGEST_TEXT).map_err(Error::io(&path, "read"))?;
    let damaged = |what: String| Error::Model(format!("{}: {what}", path.display()));
    if !text.starts_with(FIRST_LINE) {
        return Err(damaged(format!(
            "expected the configuration that a run wrote, which begins with `{FIRST_LINE}`; pass the directory of a run"
        )));
    }
    text.parse().map_err(|error: toml::de::Error| {
        damaged(format!(
            "not TOML: {}; restore the file from a copy",
            error.message()
        ))
    })
}

fn json(directory: &Path, name: &str) -> Result<Option<Value>> {
    let path = directory.join(name);
    if !path.is_file() {
        return Ok(None);
    }
    let text = read_text(&path, LARGEST_TEXT).map_err(Error::io(&path, "read"))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| {
        Error::Model(format!(
            "{}: expected JSON, found an error: {error}; restore the file from a copy",
            path.display()
        ))
    })?;
    Ok(Some(value))
}

impl Metrics {
    /// Reads the file line by line; without a file there are no records.
    fn read(path: &Path) -> Result<Self> {
        let mut metrics = Self::default();
        if !path.is_file() {
            return Ok(metrics);
        }
        let file = bounded::open(path).map_err(Error::io(path, "read"))?;
        let mut file = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut part = file.by_ref().take(LONGEST_LINE);
            let length = part.read_until(b'\n', &mut line);
            if length.map_err(Error::io(path, "read"))? == 0 {
                return Ok(metrics);
            }
            match serde_json::from_slice(&line) {
                Ok(Value::Object(line)) => metrics.add(line),
                _ => metrics.n_unreadable += 1,
            }
        }
    }

    fn add(&mut self, line: Map<String, Value>) {
        let number = |key: &str| line.get(key).and_then(Value::as_f64);
        // An evaluation within an epoch may have a fraction.
        let epoch = number("epoch").unwrap_or(0.0).ceil();
        let Some(loss) = number("loss").or(line.contains_key("lr").then_some(f64::NAN)) else {
            return self.evaluations.push(line);
        };
        if !(1.0..=1e6).contains(&epoch) {
            self.n_unreadable += 1;
            return;
        }
        let epoch = epoch as usize;
        if self.epochs.len() < epoch {
            self.epochs.resize(epoch, Steps::default());
        }
        let steps = &mut self.epochs[epoch - 1];
        steps.n += 1;
        steps.loss += loss;
        steps.secs += number("secs").unwrap_or(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn steps_are_summed_and_damaged_lines_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(METRICS);
        fs::write(
            &path,
            "{\"step\":1,\"epoch\":1,\"loss\":0.5,\"lr\":1,\"secs\":1}\n\
             {\"step\":2,\"epoch\":1,\"loss\":0.25,\"lr\":1,\"secs\":2}\n\
             {\"step\":2,\"epoch\":0.5,\"eval_loss\":0.7}\nno record\n\
             {\"step\":3,\"epoch\":3,\"loss\":null,\"lr\":1,\"secs\":1}\n",
        )
        .unwrap();
        let metrics = Metrics::read(&path).unwrap();
        assert_eq!(metrics.epochs.len(), 3);
        let first = Steps {
            n: 2,
            loss: 0.75,
            secs: 3.0,
        };
        assert_eq!(metrics.epochs[0], first);
        assert!(metrics.epochs[2].loss.is_nan());
        assert_eq!(metrics.evaluations.len(), 1);
        assert_eq!(metrics.n_unreadable, 1);
        assert!(Records::read(folder.path()).is_err());
    }
}
