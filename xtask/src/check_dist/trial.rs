//! Tries an unpacked archive as a user would: its plugins, the first command, and the use of its
//! result. Called by `check_dist`.

use super::{files, hidden::Hidden};
use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// The first command in README, and the directory of its result.
const FIRST_COMMAND: [&str; 4] = ["--schedule", "progressive", "--peft", "lora"];
const FIRST_RUN: &str = "runs/sample-progressive-lora-seed42";

/// The program as a user runs it: from its own directory, with only a home and a path in the
/// environment.
pub(super) struct Trial {
    program: PathBuf,
    plugins: PathBuf,
    /// The directory in which it is run.
    work: PathBuf,
    home: PathBuf,
    /// A directory on `PATH` with a link to the program.
    links: PathBuf,
    pub(super) hidden: Hidden,
}

impl Trial {
    pub(super) fn new(place: &Path, unpacked: &Path, hidden: Hidden) -> Result<Self, String> {
        let trial = Self {
            program: unpacked.join("progtune"),
            plugins: unpacked.join("plugins"),
            work: place.join("work"),
            home: place.join("home"),
            links: place.join("bin"),
            hidden,
        };
        let failed = |error: std::io::Error| format!("{}: {error}", place.display());
        for directory in [&trial.work, &trial.home, &trial.links] {
            fs::create_dir(directory).map_err(failed)?;
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(&trial.program, trial.links.join("progtune")).map_err(failed)?;
        Ok(trial)
    }

    fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Said, String> {
        self.run_as(self.program.as_os_str(), arguments)
    }

    /// Runs a program, which must succeed.
    fn run_as<S: AsRef<OsStr>>(&self, program: &OsStr, arguments: &[S]) -> Result<Said, String> {
        let mut command: Command = self.hidden.command(program);
        let path = format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", self.links.display());
        command
            .args(arguments)
            .current_dir(&self.work)
            .env_clear()
            .env("PATH", path)
            .env("HOME", &self.home);
        let shown: Vec<String> = arguments
            .iter()
            .map(|argument| argument.as_ref().display().to_string())
            .collect();
        let shown = format!("progtune {}", shown.join(" "));
        let shown = shown.replace(&self.plugins.display().to_string(), "plugins");
        let started = Instant::now();
        let output = command
            .output()
            .map_err(|error| format!("{shown}: {error}"))?;
        let said = Said {
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        if !output.status.success() {
            return Err(format!(
                "{shown}: {}\n{}{}",
                output.status, said.out, said.err
            ));
        }
        println!(
            "check-dist: {shown} ({:.1} s)",
            started.elapsed().as_secs_f64()
        );
        Ok(said)
    }

    /// Checks that all plugins are found and count as shipped, so that the user need not trust any
    /// first; also through a link on `PATH`.
    pub(super) fn lists_its_plugins(&self, libraries: usize) -> Result<(), String> {
        let listed = self.run(&["plugins", "list", "--json"])?;
        let entries: Value = listed.json()?;
        let entries = entries.as_array().cloned().unwrap_or_default();
        let from: BTreeSet<&str> = entries
            .iter()
            .filter_map(|entry| entry["plugin"].as_str())
            .collect();
        if from.len() != libraries {
            return Err(format!(
                "plugins list: found those of {} libraries out of {libraries}: {from:?}",
                from.len()
            ));
        }
        if let Some(entry) = entries.iter().find(|entry| entry["shipped"] != true) {
            return Err(format!(
                "plugins list: {} does not count as shipped: {entry}",
                entry["id"]
            ));
        }
        if !listed.err.is_empty() {
            return Err(format!("plugins list: said {}", listed.err));
        }
        let by_link = self.run_as(OsStr::new("progtune"), &["plugins", "list", "--json"])?;
        if by_link.out == listed.out {
            Ok(())
        } else {
            Err(format!(
                "plugins list: through a link on PATH it is {}",
                by_link.out
            ))
        }
    }

    /// Runs the contract of every plugin, with their graphs, which shows that stripping has removed
    /// nothing that is read.
    pub(super) fn checks_its_plugins(&self) -> Result<(), String> {
        for library in files(&self.plugins)? {
            let checked = self.run(&[
                OsStr::new("plugins"),
                OsStr::new("check"),
                library.as_os_str(),
            ])?;
            if checked.out.contains("FAIL") {
                return Err(checked.out);
            }
        }
        Ok(())
    }

    /// Checks that a user's own plugin takes the interface from the archive.
    pub(super) fn starts_a_plugin(&self) -> Result<(), String> {
        let said = self.run(&["plugins", "new", "my-own", "--kind", "schedule"])?;
        let interface = self.plugins.with_file_name("plugin-api");
        if said.out.contains(&format!("from {}", interface.display())) {
            Ok(())
        } else {
            Err(format!(
                "plugins new: expected the interface from {}: {}",
                interface.display(),
                said.out
            ))
        }
    }

    pub(super) fn trains(&self, full: bool) -> Result<(), String> {
        let steps: &[&str] = if full { &[] } else { &["--max-steps", "20"] };
        let said = self.run(&[&FIRST_COMMAND[..], steps].concat())?;
        if said.err.contains("not pinned") {
            return Err(format!(
                "the first command warns of its own plugins:\n{}",
                said.err
            ));
        }
        if full {
            println!("check-dist: eval_accuracy {}", self.accuracy()?);
        }
        Ok(())
    }

    /// The accuracy that the run reports for its result.
    fn accuracy(&self) -> Result<Value, String> {
        let path = self.work.join(FIRST_RUN).join("all_results.json");
        let text =
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let results: Value =
            serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        if results["eval_accuracy"].is_number() {
            Ok(results["eval_accuracy"].clone())
        } else {
            Err(format!("{}: has no eval_accuracy", path.display()))
        }
    }

    /// Checks that evaluation reports the same as the run, and that there are predictions.
    pub(super) fn uses_the_result(&self) -> Result<(), String> {
        let evaluated = self.run(&["evaluate", "--adapter", FIRST_RUN])?.json()?;
        let expected = self.accuracy()?;
        if evaluated["eval_accuracy"] != expected {
            return Err(format!(
                "evaluate: expected eval_accuracy {expected}, as the run has it, found {evaluated}"
            ));
        }
        let lines = [
            "predict",
            "--adapter",
            FIRST_RUN,
            "--split",
            "validation",
            "--max-eval-samples",
            "5",
        ];
        let predicted = self.run(&lines)?.out;
        let is_prediction = |line: &str| {
            serde_json::from_str::<Value>(line).is_ok_and(|line| line["label"].is_string())
        };
        match predicted.lines().filter(|line| is_prediction(line)).count() {
            5 => Ok(()),
            _ => Err(format!(
                "predict: expected five lines with a label, found\n{predicted}"
            )),
        }
    }
}

/// The output of a command.
struct Said {
    out: String,
    err: String,
}

impl Said {
    fn json(&self) -> Result<Value, String> {
        serde_json::from_str(&self.out)
            .map_err(|error| format!("expected JSON ({error}), found\n{}", self.out))
    }
}
