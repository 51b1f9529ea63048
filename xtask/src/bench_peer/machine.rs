//! The description of machine, programs and time in a record: enough to judge the figures, without
//! naming the machine or its folders. Called by [`super::run`].

use crate::python;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The setting in which the figures were measured.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// The processor's model, as the kernel names it.
    pub(crate) cpu: String,
    /// The number of threads that both sides may use.
    pub(crate) threads: usize,
    /// `YYYY-MM-DD`, UTC.
    pub(crate) date: String,
    /// The commit that was built, with `-modified` if the work tree differs.
    pub(crate) commit: String,
    /// The versions of rustc, Python and the peer's packages.
    pub(crate) versions: Value,
    memory_gib: f64,
    cores: usize,
}

impl Setting {
    /// Asks the system, git, rustc and Python.
    ///
    /// # Errors
    /// If one of them does not answer.
    pub(crate) fn read(
        root: &Path,
        python: &Path,
        peer: &Path,
        threads: usize,
    ) -> Result<Self, String> {
        let git = |arguments: &[&str]| {
            python::output(Command::new("git").current_dir(root).args(arguments))
        };
        let mut commit = git(&["rev-parse", "--short=10", "HEAD"])?;
        if !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty() {
            commit.push_str("-modified");
        }
        let text = python::output(Command::new(python).arg(peer).arg("versions"))?;
        let mut versions: Value = serde_json::from_str(&text)
            .map_err(|error| format!("the peer's versions: {error}: {text}"))?;
        versions["rustc"] = json!(python::output(Command::new("rustc").arg("--version"))?);
        Ok(Self {
            cpu: cpu_model(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
            threads,
            date: python::output(Command::new("date").args(["-u", "+%Y-%m-%d"]))?,
            commit,
            versions,
            memory_gib: memory_gib(&fs::read_to_string("/proc/meminfo").unwrap_or_default()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        })
    }

    /// The start of a record.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "cpu": self.cpu,
            "cores": self.cores,
            "memory_gib": self.memory_gib,
            "threads": self.threads,
            "date": self.date,
            "versions": self.versions,
        })
    }

    /// The record's file name without extension: processor and date.
    pub(crate) fn file_stem(&self) -> String {
        let mut name = String::new();
        for c in self.cpu.chars() {
            if c.is_ascii_alphanumeric() {
                name.push(c.to_ascii_lowercase());
            } else if !name.is_empty() && !name.ends_with('-') {
                name.push('-');
            }
        }
        format!("{}-{}", name.trim_end_matches('-'), self.date)
    }
}

/// The load average of the last minute. With other work on the machine the figures are worth less,
/// so the record contains it.
pub(crate) fn load() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

fn cpu_model(cpuinfo: &str) -> String {
    cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split_once(':'))
        .map_or_else(
            || std::env::consts::ARCH.to_owned(),
            |(_, model)| model.trim().to_owned(),
        )
}

fn memory_gib(meminfo: &str) -> f64 {
    let kib = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kib.map_or(0.0, |kib| (kib / 1024.0 / 1024.0 * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_named_after_processor_and_date() {
        let setting = Setting {
            cpu: cpu_model("processor\t: 0\nmodel name\t: Some(R) CPU @ 2.40GHz\n"),
            threads: 2,
            date: "2026-01-31".into(),
            commit: String::new(),
            versions: Value::Null,
            memory_gib: memory_gib("MemTotal:       24576000 kB\n"),
            cores: 2,
        };
        assert_eq!(setting.file_stem(), "some-r-cpu-2-40ghz-2026-01-31");
        assert_eq!(setting.memory_gib, 23.4);
    }
}
