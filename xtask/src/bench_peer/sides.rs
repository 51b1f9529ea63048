//! The command lines of the two sides of a job, for running and, with names in place of folders,
//! for the record. Called by [`super::run`].

use super::jobs::{Data, Extent, Job, Padding, PeerPrecision};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The number of tokens at which sequences are truncated, and to which full padding fills up.
const MAX_LENGTH: &str = "128";

/// The limits that a user of the task can change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The number of steps of a job of [`Extent::Steps`], including the warm-up; `None` for whole
    /// jobs means all.
    pub(crate) steps: Option<u32>,
    /// The number of training rows; `None` means all.
    pub(crate) rows: Option<u32>,
    /// The number of threads of both sides.
    pub(crate) threads: usize,
}

/// The locations of programs, models and data.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// The release binary.
    pub(crate) progtune: PathBuf,
    /// The interpreter.
    pub(crate) python: PathBuf,
    /// The peer script.
    pub(crate) peer: PathBuf,
    /// The real MiniLM.
    pub(crate) minilm: PathBuf,
    /// The random model with BERT-base's shape, whose folder also contains its sentences.
    pub(crate) base: PathBuf,
    /// GLUE's folders.
    pub(crate) data: PathBuf,
}

impl Places {
    /// Names in place of folders.
    pub(crate) fn named() -> Self {
        Self {
            progtune: "progtune".into(),
            python: "python".into(),
            peer: "peer.py".into(),
            minilm: "MINILM".into(),
            base: "BASE".into(),
            data: "GLUE".into(),
        }
    }

    /// The same places with another binary.
    pub(crate) fn with_progtune(&self, binary: &Path) -> Self {
        Self {
            progtune: binary.into(),
            ..self.clone()
        }
    }

    fn model(&self, job: &Job) -> &Path {
        match job.data {
            Data::Base => &self.base,
            Data::Mrpc | Data::Sst2 => &self.minilm,
        }
    }

    fn data(&self, job: &Job) -> PathBuf {
        match job.data {
            Data::Base => self.base.clone(),
            Data::Mrpc => self.data.join("MRPC"),
            Data::Sst2 => self.data.join("SST-2"),
        }
    }
}

/// progtune's side.
pub(crate) fn progtune(
    job: &Job,
    places: &Places,
    limits: Limits,
    seed: u32,
    output: &Path,
) -> Command {
    let mut command = Command::new(&places.progtune);
    // The caller's settings must not influence the run.
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("PROGTUNE_") {
            command.env_remove(key);
        }
    }
    command.arg("train");
    add_same(&mut command, job, places, limits, seed, output);
    command.args(["--schedule", job.schedule, "--quiet", "--overwrite-output"]);
    // The peer takes the first rows.
    if limits.rows.is_some() || job.extent == Extent::Steps {
        command.args(["--sample", "first"]);
    }
    command
}

/// The peer's side.
pub(crate) fn peer(
    job: &Job,
    places: &Places,
    limits: Limits,
    seed: u32,
    output: &Path,
) -> Command {
    let mut command = Command::new(&places.python);
    command
        .env("HF_HUB_OFFLINE", "1")
        .env("OMP_NUM_THREADS", limits.threads.to_string())
        .env("TOKENIZERS_PARALLELISM", "true")
        .arg(&places.peer)
        .arg("train");
    add_same(&mut command, job, places, limits, seed, output);
    command.args(["--schedule", job.peer_schedule]);
    match job.padding {
        Padding::Dynamic => command.arg("--group"),
        Padding::Full => command.args(["--pad-to", MAX_LENGTH]),
    };
    if job.peer_precision == PeerPrecision::Bf16 {
        command.arg("--bf16");
    }
    command
}

/// Adds the flags that have the same names on both sides.
fn add_same(
    command: &mut Command,
    job: &Job,
    places: &Places,
    limits: Limits,
    seed: u32,
    output: &Path,
) {
    command.arg("--model").arg(places.model(job));
    command.args(["--task", job.task()]);
    command.arg("--data").arg(places.data(job));
    command.args(["--peft", job.peft, "--lr", job.lr()]);
    command.args(["--weight-decay", "0.01", "--max-length", MAX_LENGTH]);
    command.args(["--eval-batch-size", "64"]);
    let mut number = |flag: &str, value: u32| {
        command.arg(flag).arg(value.to_string());
    };
    number("--epochs", job.epochs);
    number("--batch-size", job.batch_size);
    number("--threads", limits.threads as u32);
    number("--seed", seed);
    if let Some(rows) = limits.rows {
        number("--max-train-samples", rows);
    }
    if let Some(steps) = limits.steps {
        number("--max-steps", steps);
    }
    if job.extent == Extent::Steps {
        number("--max-eval-samples", 1);
    }
    command.arg("--output").arg(output);
}

/// A command as a reader would type it.
pub(crate) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_do_the_same_job() {
        let job = Job::find("sst2-lora-padded").unwrap();
        let limits = Limits {
            steps: Some(30),
            rows: None,
            threads: 2,
        };
        let places = Places::named();
        let same = "--model MINILM --task sst2 --data GLUE/SST-2 --peft lora --lr 5e-4 --weight-decay 0.01 \
                    --max-length 128 --eval-batch-size 64 --epochs 3 --batch-size 32 --threads 2 --seed 1 \
                    --max-steps 30 --max-eval-samples 1 --output OUT";
        assert_eq!(
            shown(&progtune(job, &places, limits, 1, Path::new("OUT"))),
            format!(
                "progtune train {same} --schedule full --quiet --overwrite-output --sample first"
            )
        );
        assert_eq!(
            shown(&peer(job, &places, limits, 1, Path::new("OUT"))),
            format!("python peer.py train {same} --schedule full --pad-to 128")
        );
    }
}
