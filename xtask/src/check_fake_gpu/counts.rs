//! The calls that a training step makes to CUDA, counted by the fake libraries. Called by
//! [`super`].

use super::place::{Place, said};
use std::{collections::BTreeMap, fs, path::Path};

/// The counts of one run, by the name of the call.
pub(super) struct Counts(BTreeMap<String, u64>);

/// The calls in the table.
const CALLS: [&str; 7] = [
    "launches",
    "products",
    "allocations",
    "copies to the device",
    "copies back",
    "synchronisations",
    "memory sets",
];

/// The jobs in the table, with the most calls that a step may make. Losses and norms are read once
/// an epoch, which has three steps here: one copy back and two memory sets.
const JOBS: [(&str, &str, [f64; 7]); 3] = [
    (
        "full fine-tuning",
        "--peft none",
        [129.0, 96.0, 0.0, 2.0, 0.34, 0.34, 1.67],
    ),
    (
        "full fine-tuning, bf16",
        "--peft none --precision bf16",
        [131.0, 96.0, 0.0, 2.0, 0.34, 0.34, 1.67],
    ),
    (
        "LoRA",
        "--peft lora",
        [121.0, 122.0, 0.0, 2.0, 0.34, 0.34, 1.67],
    ),
];

impl Counts {
    /// Reads the file that the fake libraries write.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let text =
            fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
        let counts = lines.filter_map(|(name, n)| Some((name.to_owned(), n.parse().ok()?)));
        Ok(Self(counts.collect()))
    }

    pub(super) fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// The kernels of candle that were launched, and how often.
    pub(super) fn of_candle(&self) -> Vec<String> {
        let own = self.0.iter();
        let names = own.filter_map(|(name, n)| {
            let kernel = name.strip_prefix("launches of candle's ")?;
            Some(format!("{kernel} ×{n}"))
        });
        names.collect()
    }
}

/// The calls of one training step, from runs of different lengths.
///
/// # Errors
/// If a run fails, or makes more calls than it may.
pub(super) fn table(place: &Place) -> Result<String, String> {
    let mut table = String::from("| a step of a model with five blocks |");
    table.extend(CALLS.iter().map(|call| format!(" {call} |")));
    table += "\n|---|";
    table += &"---|".repeat(CALLS.len());
    table += "\n";
    for (name, words, most) in JOBS {
        let counts = |steps: u32| {
            let words = format!(
                "--model {} --train-file rows.jsonl --eval-strategy no --save-strategy no --max-steps {steps} --device cuda {words}",
                place.model.join("bert").display()
            );
            let output = place.train(&words, "counted")?;
            if !output.status.success() {
                return Err(said(&output));
            }
            Counts::read(&place.counts_file())
        };
        // Steps 4 to 9 have batches of the sizes of steps 1 to 3, so nothing new is allocated.
        let (few, many) = (counts(3)?, counts(9)?);
        table += &format!("| {name} |");
        for (call, most) in CALLS.iter().zip(most) {
            let n = (many.of(call) - few.of(call)) as f64 / 6.0;
            table += &format!(" {n:.1} |");
            if n > most {
                return Err(format!("{name}: {n:.2} {call} a step, at most {most}"));
            }
        }
        table += "\n";
    }
    Ok(table)
}
