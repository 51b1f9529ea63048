//! The training runs of `check-fake-gpu`: tiny models on generated rows, once on the fake GPU and
//! once on the CPU. Called by [`super`].

use super::Counts;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const METHODS: [&str; 11] = [
    "none", "lora", "dora", "vera", "kron-a", "ia3", "bitfit", "adapter", "pfeiffer", "parallel",
    "prefix",
];
const SCHEDULES: [&str; 9] = [
    "full",
    "progressive",
    "grow-from-hb",
    "wo-lb",
    "single-block",
    "top-k",
    "gradual-unfreeze",
    "lisa",
    "auto-freeze",
];
/// The schedules of every method in a bounded check.
const FEW_SCHEDULES: usize = 2;

pub(super) const COMMON: &str = "--seed 7 --validation-split 0.2 --epochs 3 --batch-size 8 --progress none --token-cache off --threads 1 \
                      --overwrite-output";

/// The greatest difference of losses, relative to the loss.
const TOLERANCE: f64 = 1e-4;
/// The same where operands are rounded to bf16, in other places than on the CPU.
const TOLERANCE_OF_BF16: f64 = 2e-2;

/// The program, the fake libraries, and a directory for everything that runs write.
pub(super) struct Place {
    pub(super) program: PathBuf,
    pub(super) libraries: PathBuf,
    pub(super) scratch: tempfile::TempDir,
    pub(super) model: PathBuf,
}

/// The losses of a run, step by step, and then of its evaluations.
type Losses = Vec<f64>;

impl Place {
    /// Writes the rows of every task.
    pub(super) fn write_data(&self) -> Result<(), String> {
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
        for (name, text) in [("rows.jsonl", rows), ("tags.conll", tags)] {
            let path = self.scratch.path().join(name);
            fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }

    /// Trains with these words; `directory` is the name of the run.
    pub(super) fn train(&self, words: &str, directory: &str) -> Result<Output, String> {
        let mut command = Command::new(&self.program);
        command
            .arg("train")
            .args(COMMON.split_whitespace())
            .args(words.split_whitespace())
            .arg("--output")
            .arg(self.scratch.path().join(directory));
        self.run(&mut command)
    }

    /// Runs a command of the program where the fake libraries are found first.
    pub(super) fn run(&self, command: &mut Command) -> Result<Output, String> {
        command
            .current_dir(self.scratch.path())
            .env("LD_LIBRARY_PATH", &self.libraries)
            .env("FAKE_CUDA_COUNTS", self.counts_file())
            .output()
            .map_err(|error| format!("{}: {error}", self.program.display()))
    }

    pub(super) fn counts_file(&self) -> PathBuf {
        self.scratch.path().join("counts.txt")
    }

    /// The losses of a run that must succeed.
    fn losses(&self, words: &str, directory: &str) -> Result<Losses, String> {
        let output = self.train(words, directory)?;
        if !output.status.success() {
            return Err(format!("{words}: {}: {}", output.status, said(&output)));
        }
        losses_of(&self.scratch.path().join(directory))
    }
}

/// Everything that a command printed to its error stream.
pub(super) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

pub(super) fn losses_of(run: &Path) -> Result<Losses, String> {
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

/// One run on both devices.
pub(super) struct Job {
    pub(super) name: String,
    /// Model, data, method and schedule.
    words: String,
    precision: &'static str,
}

impl Job {
    fn new(place: &str, words: String, precision: &'static str) -> Self {
        Self {
            name: place.to_owned(),
            words,
            precision,
        }
    }

    /// Trains on both devices. Returns what was seen.
    ///
    /// # Errors
    /// If a loss differs by more than the tolerance.
    pub(super) fn compare(&self, place: &Place) -> Result<String, String> {
        let words = self
            .words
            .replace("MODELS", &place.model.display().to_string());
        let cpu = if self.precision == "bf16" {
            "bf16"
        } else {
            "f32"
        };
        let expected = place.losses(&format!("{words} --device cpu --precision {cpu}"), "cpu")?;
        let precision = self.precision;
        let on_gpu = format!("{words} --device cuda --precision {precision}");
        let found = place.losses(&on_gpu, "gpu")?;
        let counts = Counts::read(&place.counts_file())?;
        if found.len() != expected.len() || found.len() < 4 {
            return Err(format!(
                "{}: {} losses, {} on the CPU",
                self.name,
                found.len(),
                expected.len()
            ));
        }
        let pairs = found.iter().zip(&expected);
        let worst = pairs.map(|(f, e)| (f - e).abs() / e.abs().max(1e-3));
        let worst = worst.fold(0.0, f64::max);
        let tolerance = if precision == "bf16" {
            TOLERANCE_OF_BF16
        } else {
            TOLERANCE
        };
        // The negation also refuses NaN.
        if !(worst <= tolerance) {
            return Err(format!(
                "{}: losses differ by {worst:.1e}: {found:?}, on the CPU {expected:?}",
                self.name
            ));
        }
        let candle = counts.of_candle();
        Ok(format!(
            "{} losses differ by at most {worst:.1e}{}",
            found.len(),
            if candle.is_empty() {
                String::new()
            } else {
                format!("; candle's kernels: {}", candle.join(", "))
            }
        ))
    }
}

/// The jobs: every method with every schedule or with two, then everything else once.
pub(super) fn all(every_schedule: bool) -> Vec<Job> {
    let bert = "--model MODELS/bert";
    let rows = "--train-file rows.jsonl --text-column text";
    let n = if every_schedule {
        SCHEDULES.len()
    } else {
        FEW_SCHEDULES
    };
    let mut jobs = Vec::new();
    for method in METHODS {
        for schedule in &SCHEDULES[..n] {
            let words =
                format!("{bert} {rows} --label-column label --peft {method} --schedule {schedule}");
            jobs.push(Job::new(&format!("{method}, {schedule}"), words, "f32"));
        }
    }
    let classes = format!("{rows} --label-column label");
    for (name, words, precision) in [
        (
            "bf16, full fine-tuning",
            format!("{bert} {classes} --peft none"),
            "bf16",
        ),
        (
            "bf16, LoRA",
            format!("{bert} {classes} --peft lora --schedule progressive"),
            "bf16",
        ),
        (
            "tf32, LoRA",
            format!("{bert} {classes} --peft lora"),
            "tf32",
        ),
        (
            "RoBERTa",
            format!("--model MODELS/roberta {classes} --peft lora"),
            "f32",
        ),
        (
            "VeRA in layers of several widths",
            format!(
                "{bert} {classes} --peft vera --peft-opt target_modules=query,intermediate.dense,output.dense"
            ),
            "f32",
        ),
        (
            "regression",
            format!("{bert} {rows} --label-column score --problem-type regression --peft none"),
            "f32",
        ),
        (
            "token classification",
            format!(
                "{bert} --train-file tags.conll --problem-type token_classification --peft lora"
            ),
            "f32",
        ),
        (
            "recomputed activations",
            format!("{bert} {classes} --peft none --recompute"),
            "f32",
        ),
        (
            "accumulated gradients",
            format!("{bert} {classes} --peft none --gradient-accumulation-steps 2"),
            "f32",
        ),
    ] {
        jobs.push(Job::new(name, words, precision));
    }
    jobs
}
