//! Runs one side of a job as a child process and measures it from outside. Called by
//! [`super::run`].
//!
//! Both sides are measured in the same way. Wall time runs from the start of the process, and peak
//! memory is the kernel's count (`VmHWM`). `metrics.jsonl` has one line per step with `tokens`
//! (without padding) and `secs` (from the making of the batch to the end of the update).

use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The interval at which the child is observed: the accuracy of memory and of the first step.
const LOOK: Duration = Duration::from_millis(20);

/// The measurements of one run of one side.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    /// Tokens per second over the steps after the warm-up.
    pub(crate) tokens_per_second: f64,
    /// Seconds per step, as the mean after the warm-up.
    pub(crate) step_secs: f64,
    /// Seconds of all steps.
    pub(crate) train_secs: f64,
    /// Seconds of the whole process.
    pub(crate) wall_secs: f64,
    /// Seconds from the start of the process to the beginning of the first step.
    pub(crate) start_secs: f64,
    /// Peak resident memory in bytes.
    pub(crate) peak_bytes: f64,
    /// The number of steps.
    pub(crate) steps: usize,
    /// The number of tokens in all steps, without padding.
    pub(crate) tokens: f64,
    /// The side's own results (`eval_accuracy`, …).
    pub(crate) results: Map<String, Value>,
}

impl Run {
    /// The run as an object of the record.
    pub(crate) fn to_json(&self) -> Value {
        let mut value = json!({
            "tokens_per_second": self.tokens_per_second,
            "step_secs": self.step_secs,
            "train_secs": self.train_secs,
            "wall_secs": self.wall_secs,
            "start_secs": self.start_secs,
            "peak_bytes": self.peak_bytes,
            "steps": self.steps,
            "tokens": self.tokens,
        });
        for key in ["eval_accuracy", "eval_f1", "total_updated_parameters"] {
            if let Some(result) = self.results.get(key) {
                value[key] = result.clone();
            }
        }
        value
    }
}

/// Removes `output`, runs the command, which leaves `metrics.jsonl` there, and excludes `warm_up`
/// steps from the throughput.
///
/// # Errors
/// If the command cannot be started, fails, or makes no step after the warm-up.
pub(crate) fn measure(command: &mut Command, output: &Path, warm_up: usize) -> Result<Run, String> {
    let metrics = output.join("metrics.jsonl");
    // Over an earlier result, progtune writes elsewhere until the new one is complete, so its first
    // step would be seen at the end.
    let removed = fs::remove_dir_all(output);
    if output.exists() {
        return Err(format!("{}: {removed:?}", output.display()));
    }
    let name = command.get_program().to_string_lossy().into_owned();
    let seen = watch(command, &name, &metrics)?;
    let text =
        fs::read_to_string(&metrics).map_err(|error| format!("{}: {error}", metrics.display()))?;
    let steps = steps_of(&text)?;
    let (Some(&(_, first_secs)), Some(after)) = (steps.first(), steps.get(warm_up..)) else {
        return Err(format!("{name}: {} steps, warm-up {warm_up}", steps.len()));
    };
    if after.is_empty() {
        return Err(format!("{name}: no step after {warm_up} of warm-up"));
    }
    let sum = |steps: &[(f64, f64)]| {
        steps
            .iter()
            .fold((0.0, 0.0), |sum, step| (sum.0 + step.0, sum.1 + step.1))
    };
    let ((tokens, train_secs), (after_tokens, after_secs)) = (sum(&steps), sum(after));
    Ok(Run {
        tokens_per_second: after_tokens / after_secs,
        step_secs: after_secs / after.len() as f64,
        train_secs,
        wall_secs: seen.wall_secs,
        start_secs: (seen.first_step_secs - first_secs).max(0.0),
        peak_bytes: seen.peak_bytes,
        steps: steps.len(),
        tokens,
        results: results_of(output, &seen.stdout),
    })
}

/// The observations of a child process from outside, from its start to its end.
struct Seen {
    /// Seconds until the first step was in the metrics; those of the whole process if none was.
    first_step_secs: f64,
    wall_secs: f64,
    peak_bytes: f64,
    stdout: String,
}

/// Runs the command to its end and watches its memory and its file of metrics.
fn watch(command: &mut Command, name: &str, metrics: &Path) -> Result<Seen, String> {
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{name} cannot be started: {error}"))?;
    let mut first_step = None;
    let mut peak_bytes = 0f64;
    let status = loop {
        if let Some(status) = child
            .try_wait()
            .map_err(|error| format!("{name}: {error}"))?
        {
            break status;
        }
        peak_bytes = peak_bytes.max(resident_peak(&child));
        if first_step.is_none() && fs::read_to_string(metrics).is_ok_and(|t| t.contains('\n')) {
            first_step = Some(start.elapsed());
        }
        std::thread::sleep(LOOK);
    };
    let wall_secs = start.elapsed().as_secs_f64();
    if !status.success() {
        return Err(format!("{name} failed: {status}"));
    }
    // The output is a line or two and fits the pipe, so the child never waits for it to be read.
    let stdout = child
        .stdout
        .take()
        .map(std::io::read_to_string)
        .transpose()
        .map_err(|error| format!("{name}: {error}"))?
        .unwrap_or_default();
    Ok(Seen {
        first_step_secs: first_step.map_or(wall_secs, |time| time.as_secs_f64()),
        wall_secs,
        peak_bytes,
        stdout,
    })
}

/// The kernel's high-water mark of a process's resident memory, in bytes; 0 without /proc.
fn resident_peak(child: &Child) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    peak_of_status(&status)
}

fn peak_of_status(status: &str) -> f64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<f64>().ok())
        .map_or(0.0, |kib| kib * 1024.0)
}

/// The tokens and seconds of every step in `metrics.jsonl`; other lines are evaluations.
fn steps_of(text: &str) -> Result<Vec<(f64, f64)>, String> {
    let mut steps = Vec::new();
    for line in text.lines() {
        let value: Value = serde_json::from_str(line)
            .map_err(|error| format!("metrics.jsonl: {error}: {line}"))?;
        if let (Some(tokens), Some(secs)) = (value["tokens"].as_f64(), value["secs"].as_f64()) {
            steps.push((tokens, secs));
        }
    }
    Ok(steps)
}

/// The contents of progtune's `all_results.json`, or of the last line that the peer printed.
fn results_of(output: &Path, stdout: &str) -> Map<String, Value> {
    let file = fs::read_to_string(output.join("all_results.json")).ok();
    let line = stdout.lines().last().map(ToOwned::to_owned);
    file.or(line)
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_peak_are_read() {
        let text = "{\"step\":1,\"tokens\":10,\"secs\":0.5}\n{\"step\":1,\"eval_loss\":1.0}\n{\"step\":2,\"tokens\":20,\"secs\":1}\n";
        assert_eq!(steps_of(text).unwrap(), [(10.0, 0.5), (20.0, 1.0)]);
        assert!(steps_of("{").is_err());
        assert_eq!(
            peak_of_status("VmPeak:\t9 kB\nVmHWM:\t  12 kB\nVmRSS:\t 1 kB\n"),
            12288.0
        );
        assert_eq!(peak_of_status(""), 0.0);
    }
}
