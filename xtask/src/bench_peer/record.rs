//! The record of measurements: a JSON file with every run, and the Markdown table derived from it.
//! Called by [`super::run`].
//!
//! Runs on the same day and processor share a record; measuring a job again replaces it there.

use super::jobs::{Extent, Job};
use super::machine::Setting;
use super::measure::Run;
use super::sides::{self, Limits, Places};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;

/// The measurements of a job, in pairs: progtune's run and the peer's, one after the other.
pub(crate) struct Measured<'a> {
    pub(crate) job: &'a Job,
    pub(crate) limits: Limits,
    pub(crate) warm_up: usize,
    pub(crate) load: Option<f64>,
    pub(crate) pairs: Vec<(Run, Run)>,
}

impl Measured<'_> {
    /// The median of the pairs' ratios of tokens per second; above 1 is in favour of the first
    /// side.
    pub(crate) fn speed_up(&self) -> f64 {
        let ratios = self.pairs.iter();
        median(
            ratios
                .map(|(a, b)| a.tokens_per_second / b.tokens_per_second)
                .collect(),
        )
    }

    fn to_json(&self, setting: &Setting) -> Value {
        let (own, peer): (Vec<&Run>, Vec<&Run>) = self.pairs.iter().map(|(a, b)| (a, b)).unzip();
        let places = Places::named();
        let output = Path::new("OUT");
        let command = |side: fn(&Job, &Places, Limits, u32, &Path) -> std::process::Command| {
            sides::shown(&side(self.job, &places, self.limits, 1, output))
        };
        let side = |command: String, runs: &[&Run]| {
            json!({
                "command": command,
                "median": medians(runs),
                "runs": runs.iter().map(|run| run.to_json()).collect::<Vec<_>>(),
            })
        };
        json!({
            "description": self.job.describe(),
            "extent": match self.job.extent { Extent::Steps => "steps", Extent::Whole => "whole" },
            "commit": setting.commit,
            "threads": self.limits.threads,
            "load_before": self.load,
            "warm_up_steps": self.warm_up,
            "same_tokens": own.iter().zip(&peer).all(|(a, b)| a.tokens == b.tokens),
            "progtune": side(command(sides::progtune), &own),
            "peer": side(command(sides::peer), &peer),
        })
    }
}

/// The median of every number over the runs.
fn medians(runs: &[&Run]) -> Value {
    let all: Vec<Value> = runs.iter().map(|run| run.to_json()).collect();
    let keys = all.first().and_then(Value::as_object);
    let medians = keys.into_iter().flatten().map(|(key, _)| {
        let numbers = all.iter().filter_map(|run| run[key].as_f64()).collect();
        (key.clone(), json!(median(numbers)))
    });
    Value::Object(medians.collect())
}

/// The middle number, or the mean of the middle two; NaN if there are none.
pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let n = numbers.len();
    match (n, n % 2) {
        (0, _) => f64::NAN,
        (_, 1) => numbers[n / 2],
        _ => (numbers[n / 2 - 1] + numbers[n / 2]) / 2.0,
    }
}

/// Puts the job into the day's record and rewrites its table, which is returned.
///
/// # Errors
/// If the folder cannot be written, or an earlier record in it is damaged.
pub(crate) fn save(
    directory: &Path,
    setting: &Setting,
    measured: &Measured<'_>,
) -> Result<String, String> {
    fs::create_dir_all(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    let path = directory.join(format!("{}.json", setting.file_stem()));
    let mut jobs = match fs::read_to_string(&path) {
        Ok(text) => {
            let mut old: Value =
                serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
            old["jobs"].as_object_mut().map(std::mem::take)
        }
        Err(_) => None,
    }
    .unwrap_or_default();
    jobs.insert(measured.job.name.into(), measured.to_json(setting));
    let mut record = setting.to_json();
    record["jobs"] = Value::Object(jobs);
    let table = to_markdown(&record);
    for (path, text) in [
        (path.clone(), format!("{record:#}\n")),
        (path.with_extension("md"), table.clone()),
    ] {
        fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(table)
}

/// A pair of columns in the tables: heading, key of the medians, divisor, digits, whether more is
/// better.
type Column = (&'static str, &'static str, f64, usize, bool);

const MIB: f64 = 1024.0 * 1024.0;
const SPEED: Column = ("tokens/s", "tokens_per_second", 1.0, 0, true);
const MEMORY: Column = ("peak MiB", "peak_bytes", MIB, 0, false);
const START: Column = ("start s", "start_secs", 1.0, 1, false);
const WALL: Column = ("wall s", "wall_secs", 1.0, 1, false);
const TRAIN: Column = ("steps s", "train_secs", 1.0, 1, false);

const DEFINITIONS: &str = "\
Each figure is the median over the runs, progtune's left, the peer's right, then the ratio: above 1 is in progtune's
favour. *pairs* are the single ratios of the first figure, run by run; the sides alternate. *tokens/s*: real tokens over
the seconds of the steps after the warm-up, a step from the making of its batch to the end of the update. *peak MiB*:
the kernel's high-water mark of the process. *start s*: from the start of the process to the beginning of the first
step. *wall s*: the whole process, with start, training, evaluation after each epoch and saving (the peer saves
nothing). *steps s*: all training steps alone. *load*: the machine's load before the job, which should be near 0.
";

/// The tables for readers.
fn to_markdown(record: &Value) -> String {
    let versions = &record["versions"];
    let word = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut text = format!(
        "# progtune against PyTorch, Transformers and PEFT\n\n\
         {}, {} cores, {} GiB; {}; {}, python {}, torch {}, transformers {}, peft {}.\n\
         Made by `cargo xtask bench-peer`; every run is in the JSON file beside this one.\n",
        word(&record["cpu"]),
        record["cores"],
        record["memory_gib"],
        word(&record["date"]),
        word(&versions["rustc"]),
        word(&versions["python"]),
        word(&versions["torch"]),
        word(&versions["transformers"]),
        word(&versions["peft"]),
    );
    let empty = Map::new();
    let jobs = record["jobs"].as_object().unwrap_or(&empty);
    for (title, extent, columns, quality) in [
        ("First steps", "steps", [SPEED, MEMORY, START], false),
        ("Whole jobs", "whole", [WALL, TRAIN, MEMORY], true),
    ] {
        let rows: Vec<(&String, &Value)> = jobs
            .iter()
            .filter(|(_, job)| job["extent"] == extent)
            .collect();
        if !rows.is_empty() {
            text.push_str(&format!(
                "\n## {title}\n\n{}",
                table(&rows, &columns, quality)
            ));
        }
    }
    text.push_str(&format!("\n{DEFINITIONS}\n## What was run\n\n"));
    for (name, job) in jobs {
        text.push_str(&format!(
            "- **{name}**: {}; {} warm-up steps, {} threads{}\n  - `{}`\n  - `{}`\n",
            word(&job["description"]),
            job["warm_up_steps"],
            job["threads"],
            if job["same_tokens"] == json!(true) {
                "; the same number of tokens on both sides"
            } else {
                ""
            },
            word(&job["progtune"]["command"]),
            word(&job["peer"]["command"]),
        ));
    }
    text
}

fn table(rows: &[(&String, &Value)], columns: &[Column], quality: bool) -> String {
    let mut heading = vec!["job"];
    for (name, ..) in columns {
        heading.extend([name, "peer", "×"]);
    }
    heading.push("pairs");
    if quality {
        heading.extend(["accuracy", "peer"]);
    }
    heading.extend(["load", "commit"]);
    let mut text = format!("| {} |\n|", heading.join(" | "));
    text.push_str("---|");
    text.push_str(&"---:|".repeat(heading.len() - 2));
    text.push_str("---|\n");
    for (name, job) in rows {
        let (own, peer) = (&job["progtune"], &job["peer"]);
        let mut cells = vec![(*name).clone()];
        for column in columns {
            let (_, key, divisor, digits, _) = *column;
            let value = |side: &Value| number(&side["median"][key]) / divisor;
            cells.push(format!("{:.digits$}", value(own)));
            cells.push(format!("{:.digits$}", value(peer)));
            cells.push(format!("**{:.2}**", ratio(column, value(own), value(peer))));
        }
        let pairs = own["runs"].as_array().into_iter().flatten();
        let pairs = pairs
            .zip(peer["runs"].as_array().into_iter().flatten())
            .map(|(a, b)| {
                let key = columns[0].1;
                format!(
                    "{:.2}",
                    ratio(&columns[0], number(&a[key]), number(&b[key]))
                )
            });
        cells.push(pairs.collect::<Vec<_>>().join(" "));
        if quality {
            for side in [own, peer] {
                cells.push(format!("{:.3}", number(&side["median"]["eval_accuracy"])));
            }
        }
        cells.push(format!("{:.1}", number(&job["load_before"])));
        cells.push(job["commit"].as_str().unwrap_or_default().to_owned());
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// The ratio of the sides; above 1 is in progtune's favour.
fn ratio((.., more_is_better): &Column, own: f64, peer: f64) -> f64 {
    if *more_is_better {
        own / peer
    } else {
        peer / own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(vec![]).is_nan());
    }

    #[test]
    fn a_table_has_ratios_in_progtunes_favour() {
        let side = |speed: f64, peak: f64| {
            let run = json!({ "tokens_per_second": speed, "peak_bytes": peak, "start_secs": 2.0 });
            json!({ "command": "c", "median": run, "runs": [run] })
        };
        let record = json!({ "jobs": { "a": {
            "extent": "steps", "commit": "abc", "load_before": 0.5, "description": "d",
            "progtune": side(30.0, MIB), "peer": side(10.0, 3.0 * MIB),
        }}});
        let text = to_markdown(&record);
        assert!(
            text.contains("| a | 30 | 10 | **3.00** | 1 | 3 | **3.00** | 2.0 | 2.0 | **1.00** | 3.00 | 0.5 | abc |"),
            "{text}"
        );
        assert!(!text.contains("Whole jobs"), "{text}");
    }
}
