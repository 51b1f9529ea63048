//! The place of `check-fake-gpu` and `check-gpu`: the program, the libraries, generated rows, and
//! how a run is made there. Called by both and by the other parts.

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The flags of every run.
const COMMON: &str = "--seed 7 --validation-split 0.2 --epochs 3 --batch-size 8 --progress none --token-cache off --threads 1 \
                      --overwrite-output";

/// The program, and a directory for everything that runs write.
pub(crate) struct Place {
    pub(crate) program: PathBuf,
    /// The directory of the fake libraries; `None` for a real GPU.
    pub(crate) libraries: Option<PathBuf>,
    pub(crate) scratch: tempfile::TempDir,
    pub(crate) model: PathBuf,
}

/// The losses of a run, step by step, and then of its evaluations.
type Losses = Vec<f64>;

impl Place {
    /// A place for a program, with the rows of every task.
    ///
    /// # Errors
    /// If there is no such program, or nothing can be written.
    pub(crate) fn new(
        root: &Path,
        program: Option<PathBuf>,
        libraries: Option<PathBuf>,
    ) -> Result<Self, String> {
        let program = program.unwrap_or_else(|| root.join("target/cuda/release/progtune"));
        if !program.is_file() {
            return Err(format!(
                "{}: there is no such program; build it with `cargo xtask build-cuda`",
                program.display()
            ));
        }
        let scratch = tempfile::tempdir();
        let place = Self {
            program,
            libraries,
            scratch: scratch.map_err(|error| format!("temporary directory: {error}"))?,
            model: root.join("tests/fixtures/parity"),
        };
        place.write_data()?;
        Ok(place)
    }

    /// Writes the rows of every task.
    fn write_data(&self) -> Result<(), String> {
        let (mut rows, mut tags) = (String::new(), String::new());
        for row in 0..30 {
            let text = ["kebe zepi moli", "natomo gugifu", "fafe vepona gite kebe"][row % 3];
            rows += &format!(
                "{{\"text\": \"{text} {}\", \"label\": {}, \"score\": {}}}\n",
                row % 7,
                row % 2,
                row as f64 / 10.0
            );
            for (at, word) in text.split(' ').enumerate() {
                tags += &format!("{word}\t{}\n", ["O", "B-X"][(at + row) % 2]);
            }
            tags += "\n";
        }
        let words = [
            "good", "bad", "film", "plot", "actor", "scene", "story", "music",
        ];
        let text = |row: usize| (0..30).map(|at| words[(row + at) % 8]).collect::<Vec<_>>();
        let long: String = (0..200)
            .map(|row| {
                let text = text(row).join(" ");
                format!("{{\"text\": \"{text}\", \"label\": {}}}\n", row % 2)
            })
            .collect();
        for (name, text) in [
            ("rows.jsonl", rows),
            ("tags.conll", tags),
            ("long.jsonl", long),
        ] {
            let path = self.scratch.path().join(name);
            fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }

    /// Trains with these words; `directory` is the name of the run.
    pub(crate) fn train(&self, words: &str, directory: &str) -> Result<Output, String> {
        self.run(&mut self.training(&self.program, words, directory))
    }

    /// The command that trains with these words and a program.
    pub(crate) fn training(&self, program: &Path, words: &str, directory: &str) -> Command {
        let mut command = Command::new(program);
        command
            .arg("train")
            .args(COMMON.split_whitespace())
            .args(words.split_whitespace())
            .arg("--output")
            .arg(self.scratch.path().join(directory))
            .current_dir(self.scratch.path());
        command
    }

    /// Runs a command of the program where its libraries are found.
    pub(crate) fn run(&self, command: &mut Command) -> Result<Output, String> {
        if let Some(libraries) = &self.libraries {
            command
                .env("LD_LIBRARY_PATH", libraries)
                .env("FAKE_CUDA_COUNTS", self.counts_file());
        }
        command
            .current_dir(self.scratch.path())
            .output()
            .map_err(|error| format!("{}: {error}", self.program.display()))
    }

    pub(crate) fn counts_file(&self) -> PathBuf {
        self.scratch.path().join("counts.txt")
    }

    /// The losses of a run that must succeed.
    pub(crate) fn losses(&self, words: &str, directory: &str) -> Result<Losses, String> {
        let output = self.train(words, directory)?;
        if !output.status.success() {
            return Err(format!("{words}: {}: {}", output.status, said(&output)));
        }
        losses_of(&self.scratch.path().join(directory))
    }
}

/// Everything that a command printed to its error stream.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

pub(crate) fn losses_of(run: &Path) -> Result<Losses, String> {
    let path = run.join("metrics.jsonl");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let losses = lines.flat_map(|line| {
        let keys = ["loss", "eval_loss"].map(|key| line[key].as_f64());
        keys.into_iter().flatten().collect::<Vec<_>>()
    });
    Ok(losses.collect())
}
