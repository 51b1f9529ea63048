//! The training runs of `check-fake-gpu` and `check-gpu`: tiny models on generated rows, once on
//! the GPU and once on the CPU. Called by both.

use super::{counts::Counts, place::Place};

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

/// The greatest difference of losses, relative to the loss.
const TOLERANCE: f64 = 1e-4;
/// The same where operands have 10 bits of the CPU's 23.
const TOLERANCE_OF_TF32: f64 = 5e-3;
/// The same where operands are rounded to bf16, in other places than on the CPU.
const TOLERANCE_OF_BF16: f64 = 2e-2;

/// One run on both devices.
pub(crate) struct Job {
    pub(crate) name: String,
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
    pub(crate) fn compare(&self, place: &Place) -> Result<String, String> {
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
        // NaN counts as the worst.
        let worst = worst.fold(0.0, |a: f64, b| if b.is_nan() || b > a { b } else { a });
        let tolerance = match precision {
            "bf16" => TOLERANCE_OF_BF16,
            // The fake GPU computes tf32 in f32.
            "tf32" if place.libraries.is_none() => TOLERANCE_OF_TF32,
            _ => TOLERANCE,
        };
        if worst.is_nan() || worst > tolerance {
            return Err(format!(
                "{}: losses differ by {worst:.1e}: {found:?}, on the CPU {expected:?}",
                self.name
            ));
        }
        // Only the fake libraries count.
        let candle = match place.libraries {
            Some(_) => Counts::read(&place.counts_file())?.of_candle(),
            None => Vec::new(),
        };
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
pub(crate) fn all(every_schedule: bool) -> Vec<Job> {
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
