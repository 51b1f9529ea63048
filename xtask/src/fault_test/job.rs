//! The training run that `fault-test` repeats: a tiny model on generated rows, with every kind of
//! file that a run writes. Called by [`super`].

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// The flags of the job.
const FLAGS: &str = "train --seed 7 --validation-split 0.2 --schedule progressive --peft lora --epochs 3 --batch-size 8 \
                     --prefix-cache disk --prefix-cache-budget 8kB --token-cache auto --load-best-model-at-end --progress plain --color never \
                     --threads 1";

/// Files that differ between two equal runs: times, and the log.
const VOLATILE: &[&str] = &["metrics.jsonl", "log.txt", "all_results.json", "run.json"];

/// The contents of the output directory before the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// Nothing: the directory does not exist.
    Empty,
    /// The files of a run that was cut short.
    Unfinished,
    /// A finished run, which the new one replaces.
    Finished,
}

/// The end of a run.
pub(super) struct Outcome {
    pub(super) status: ExitStatus,
    pub(super) said: String,
    /// The operation that failed, as `NUMBER KIND NAME`.
    pub(super) failed: Option<String>,
}

impl Outcome {
    /// The errors and warnings, without the plan and the progress.
    pub(super) fn messages(&self) -> String {
        let starts = ["error:", "warning:", "thread "];
        let lines = self.said.lines();
        let messages = lines.filter(|line| starts.iter().any(|start| line.starts_with(start)));
        messages.collect::<Vec<_>>().join(" | ")
    }
}

/// The files of a directory by their names in it.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// The job and its directory.
pub(super) struct Job {
    scratch: tempfile::TempDir,
    program: PathBuf,
    model: PathBuf,
    /// The lasting files of an earlier run, and of the run itself.
    pub(super) earlier: Files,
    pub(super) expected: Files,
}

impl Job {
    /// Writes the data and makes the earlier run and the expected one.
    ///
    /// # Errors
    /// If the program cannot be run.
    pub(super) fn new(root: &Path, program: &Path) -> Result<Self, String> {
        let scratch =
            tempfile::tempdir().map_err(|error| format!("temporary directory: {error}"))?;
        let mut job = Self {
            scratch,
            program: program.to_owned(),
            model: root.join("tests/fixtures/parity/bert"),
            earlier: Files::new(),
            expected: Files::new(),
        };
        let mut rows = String::new();
        for row in 0..30 {
            let text = ["kebe zepi moli", "natomo gugifu", "fafe vepona gite kebe"][row % 3];
            rows += &format!(
                "{{\"text\": \"{text} {}\", \"label\": {}}}\n",
                row % 7,
                row % 2
            );
        }
        fs::write(job.data(), rows).map_err(|error| error.to_string())?;
        job.succeed(&["--lr", "0.01"])?;
        job.earlier = lasting(&job.output());
        let kept = job.scratch.path().join("earlier");
        fs::rename(job.output(), kept).map_err(|error| error.to_string())?;
        job.succeed(&[])?;
        job.expected = lasting(&job.output());
        if job.earlier == job.expected || job.expected.len() < 5 {
            return Err(format!(
                "two different runs with results: {:?}",
                job.expected.keys()
            ));
        }
        Ok(job)
    }

    fn data(&self) -> PathBuf {
        self.scratch.path().join("rows.jsonl")
    }

    /// The directory of everything that the runs write.
    pub(super) fn place(&self) -> PathBuf {
        self.scratch.path().join("case")
    }

    /// The output directory.
    pub(super) fn output(&self) -> PathBuf {
        self.place().join("run")
    }

    fn cache(&self) -> PathBuf {
        self.scratch.path().join("cache")
    }

    /// The directory of kept tokens.
    pub(super) fn tokens(&self) -> PathBuf {
        self.cache().join("tokenized")
    }

    fn log(&self) -> PathBuf {
        self.scratch.path().join("operations.txt")
    }

    /// Puts everything into the state before the run.
    ///
    /// # Errors
    /// If the file system refuses.
    pub(super) fn prepare(&self, start: Start) -> Result<(), String> {
        self.clear(&self.place())?;
        self.clear(&self.tokens())?;
        if start == Start::Empty {
            return Ok(());
        }
        let kept = self.scratch.path().join("earlier");
        let copied = copy_all(&kept, &self.output()).and_then(|()| {
            if start == Start::Unfinished {
                fs::remove_file(self.output().join("all_results.json"))?;
            }
            Ok(())
        });
        copied.map_err(|error| error.to_string())
    }

    fn clear(&self, directory: &Path) -> Result<(), String> {
        match fs::remove_dir_all(directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(format!("{}: {error}", directory.display()))
            }
            _ => Ok(()),
        }
    }

    /// The command, with a failure if one is planned.
    pub(super) fn command(&self, plan: Option<&str>, overwrites: bool) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(FLAGS.split_whitespace())
            .arg("--model")
            .arg(&self.model)
            .arg("--train-file")
            .arg(self.data())
            .arg("--output")
            .arg(self.output())
            .args(overwrites.then_some("--overwrite-output"))
            .env("PROGTUNE_CACHE_DIR", self.cache())
            .env_remove("PROGTUNE_FAULT")
            .env_remove("PROGTUNE_FAULT_LOG");
        if let Some(plan) = plan {
            command
                .env("PROGTUNE_FAULT", plan)
                .env("PROGTUNE_FAULT_LOG", self.log());
        }
        command
    }

    /// Runs the job.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub(super) fn train(&self, plan: Option<&str>, overwrites: bool) -> Result<Outcome, String> {
        let _ = fs::remove_file(self.log());
        let run = self.command(plan, overwrites).output();
        let run = run.map_err(|error| format!("{}: {error}", self.program.display()))?;
        let failed = self.operations();
        let failed = failed
            .iter()
            .find_map(|line| line.strip_suffix(" <- fault"));
        Ok(Outcome {
            status: run.status,
            said: String::from_utf8_lossy(&run.stderr).into_owned(),
            failed: failed.map(str::to_owned),
        })
    }

    /// The operations of the last run with a plan.
    fn operations(&self) -> Vec<String> {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Continues a copy of what a run left, if it has a checkpoint. Returns how that ended, and the
    /// directory of the copy.
    ///
    /// # Errors
    /// If the copy cannot be made, or the program cannot be started.
    pub(super) fn resume_copy(&self) -> Result<Option<(Outcome, PathBuf)>, String> {
        let copy = self.scratch.path().join("copy");
        self.clear(&copy)?;
        let files = all_files(&self.output());
        let is_state =
            |name: &String| name.contains("checkpoints/step-") && name.ends_with(".json");
        if !files.keys().any(is_state) {
            return Ok(None);
        }
        copy_all(&self.output(), &copy).map_err(|error| error.to_string())?;
        let run = Command::new(&self.program)
            .arg("resume")
            .arg(&copy)
            .args(["--progress", "plain", "--color", "never"])
            .env("PROGTUNE_CACHE_DIR", self.cache())
            .env_remove("PROGTUNE_FAULT")
            .output()
            .map_err(|error| format!("{}: {error}", self.program.display()))?;
        let outcome = Outcome {
            status: run.status,
            said: String::from_utf8_lossy(&run.stderr).into_owned(),
            failed: None,
        };
        Ok(Some((outcome, copy)))
    }

    /// The operations of the job if nothing fails.
    ///
    /// # Errors
    /// If it fails, or the program was built without the feature.
    pub(super) fn count(&self, start: Start) -> Result<Vec<String>, String> {
        self.prepare(start)?;
        let outcome = self.train(Some("count"), start != Start::Empty)?;
        let operations = self.operations();
        if !outcome.status.success() || operations.is_empty() {
            return Err(format!(
                "{}: expected a run and its operations, found {} and {} operations; build it with --features \
                 progtune/faults\n{}",
                self.program.display(),
                outcome.status,
                operations.len(),
                outcome.said
            ));
        }
        Ok(operations)
    }

    fn succeed(&self, flags: &[&str]) -> Result<(), String> {
        let run = self.command(None, false).args(flags).output();
        let run = run.map_err(|error| format!("{}: {error}", self.program.display()))?;
        if run.status.success() {
            return Ok(());
        }
        Err(format!(
            "{}: {}\n{}",
            self.program.display(),
            run.status,
            String::from_utf8_lossy(&run.stderr)
        ))
    }
}

/// The files that two equal runs leave alike.
pub(super) fn lasting(directory: &Path) -> Files {
    let mut files = all_files(directory);
    files.retain(|name, _| !VOLATILE.contains(&name.as_str()) && !name.contains('/'));
    files
}

/// Every file below a directory.
pub(super) fn all_files(directory: &Path) -> Files {
    let mut found = Files::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let (Ok(bytes), Ok(below)) = (fs::read(&path), path.strip_prefix(directory)) {
                found.insert(below.display().to_string(), bytes);
            }
        }
    }
    found
}

fn copy_all(from: &Path, to: &Path) -> std::io::Result<()> {
    for (name, bytes) in all_files(from) {
        let path = to.join(name);
        fs::create_dir_all(path.parent().unwrap_or(to))?;
        fs::write(path, bytes)?;
    }
    Ok(())
}
