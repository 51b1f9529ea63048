//! `progtune show DIR`: everything that the directory of a run records, finished or not. It reads
//! records only, so neither the model nor the plugins need to be there. Called by `main`.
//!
//! `records` reads the files, `settings` and `timeline` describe their parts.

mod records;
mod settings;
mod timeline;

use crate::{
    checkpoint::Shelf, json_text::to_text, progress::metrics_text, report::commands::quoted,
    result_files::short, run_directory::NEW_RUN,
};
use progtune_engine::{Result, base_model::BaseModel};
use progtune_plain_text::shown_line;
use progtune_process::{
    duration::in_words,
    grouped,
    terminal::{print, print_json, spaced},
};
use records::Records;
use serde_json::{Value, json};
use std::path::Path;

/// The column in which values begin, after their names.
const LEFT: usize = 12;

/// Prints the records of the run in `directory`, as text or as JSON.
///
/// # Errors
/// Fails if there is no run, or a record is damaged.
pub fn run_show(directory: &Path, as_json: bool) -> Result<()> {
    if as_json {
        return Ok(print_json(&json_of(directory)?)?);
    }
    Ok(print(spaced(&text_of(directory)?))?)
}

/// The records of the run in `directory` as JSON.
///
/// # Errors
/// Fails if there is no run, or a record is damaged.
pub fn json_of(directory: &Path) -> Result<String> {
    let records = Records::read(directory)?;
    Ok(to_text(&to_json(&records)) + "\n")
}

/// The records of the run in `directory` as text.
///
/// # Errors
/// Fails if there is no run, or a record is damaged.
pub fn text_of(directory: &Path) -> Result<String> {
    let records = Records::read(directory)?;
    let settings = settings::settings(&records);
    let epochs = timeline::epochs(&records);
    let mut text = settings::text(&settings);
    text += &versions(&records);
    text += &machine(&records);
    text += &inputs(&records);
    text += &timeline::text(&epochs, &records.metrics.evaluations);
    text += &ending(&records);
    Ok(text)
}

/// The state of a run: `finished`, `running` or `not finished`.
fn state(records: &Records) -> &'static str {
    match (&records.writer, &records.results) {
        (Some(_), None) => "running",
        (_, Some(_)) => "finished",
        (None, None) => "not finished",
    }
}

fn to_json(records: &Records) -> Value {
    let settings = settings::settings(records);
    let epochs = timeline::epochs(records);
    let writer = records.writer.as_ref();
    let writer = writer
        .map(|owner| json!({ "process": owner.pid, "host": owner.host, "since": owner.since }));
    json!({
        "directory": records.directory,
        "state": state(records),
        "writer": writer,
        "steps": records.steps(),
        "settings": settings::to_json(&settings),
        "run": without_origins(records.run.clone()),
        "plugins": plugins(records),
        "base_model": base_model(records).map(|base| base.to_json()),
        "epochs": timeline::to_json(&epochs),
        "evaluations": records.metrics.evaluations,
        "results": records.results,
    })
}

/// The circumstances without the origins, which stand with the settings.
fn without_origins(run: Option<Value>) -> Option<Value> {
    let mut run = run?;
    if let Some(run) = run.as_object_mut() {
        run.shift_remove("origins");
    }
    Some(run)
}

/// A line with a name and a value.
fn fact(name: &str, value: &str) -> String {
    format!("{name:<LEFT$} {}\n", shown_line(value))
}

/// A text in a record, or one that says that it was not recorded.
fn recorded(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "not recorded".into(),
        Some(other) => other.to_string(),
    }
}

/// The plugins of the plan, or of the result.
fn plugins(records: &Records) -> Value {
    let places = [&records.plan, &records.results];
    let mut plugins = places.into_iter().flatten().map(|of| &of["plugins"]);
    let found = plugins.find(|plugins| plugins.is_array());
    found.cloned().unwrap_or(Value::Null)
}

fn versions(records: &Records) -> String {
    let run = records.run.as_ref();
    let mut text = fact("progtune", &recorded(run.map(|run| &run["progtune"])));
    text += &fact(
        "interface",
        &recorded(run.map(|run| &run["plugin_interface"])),
    );
    for plugin in plugins(records).as_array().into_iter().flatten() {
        let name = match plugin["kind"].as_str() {
            Some("peft") => "method",
            _ => "schedule",
        };
        let hash = plugin["sha256"].as_str();
        let hash = hash.map_or(String::new(), |hash| format!(", sha256 {}", short(hash)));
        let (id, plugin) = (recorded(plugin.get("id")), recorded(plugin.get("plugin")));
        text += &fact(name, &format!("{id}: {plugin}{hash}"));
    }
    text
}

fn machine(records: &Records) -> String {
    let Some(run) = &records.run else {
        return fact("machine", "not recorded");
    };
    let machine = &run["machine"];
    let of = |key: &str| recorded(machine.get(key));
    let memory = machine["memory_bytes"].as_u64();
    let memory = memory.map_or(String::new(), |bytes| {
        format!(", {:.1} GiB", bytes as f64 / f64::from(1 << 30))
    });
    let mut text = fact("started", &recorded(run.get("started")));
    text += &fact(
        "machine",
        &format!(
            "{}, {} of {} cores{memory}, {} {}",
            of("processor"),
            of("threads"),
            of("cores"),
            of("system"),
            of("architecture"),
        ),
    );
    text += &fact(
        "computed",
        &format!(
            "{} on {}, {} kernels, {}",
            of("precision"),
            of("device"),
            of("kernels"),
            of("simd")
        ),
    );
    text
}

/// The base model, which a finished run records with its hash.
fn base_model(records: &Records) -> Option<BaseModel> {
    let of_result = records
        .results
        .as_ref()
        .map(|results| &results["base_model"]);
    let of_start = records.run.as_ref().map(|run| &run["model"]);
    let text = |value: &Value, key: &str| value[key].as_str().map(str::to_owned);
    let named = |value: &Value| {
        Some(BaseModel {
            name: text(value, "name")?,
            revision: text(value, "revision"),
            sha256: text(value, "sha256"),
        })
    };
    let mut places = [of_result, of_start].into_iter().flatten();
    let recorded = places.find_map(named);
    recorded.or_else(|| BaseModel::read(&records.directory).ok().flatten())
}

fn inputs(records: &Records) -> String {
    let base = base_model(records);
    let base = base.map_or("not recorded".to_owned(), |base| {
        let hash = base.sha256.as_deref();
        let hash = hash.map_or(String::new(), |hash| format!(", sha256 {}", short(hash)));
        format!("{}{hash}", base.typed())
    });
    let mut text = fact("model", &base);
    let data = records.run.as_ref().map(|run| &run["data"]);
    if let Some(directory) = data.and_then(|data| data["directory"].as_str()) {
        text += &fact("data", directory);
    }
    let files = data.and_then(|data| data["files"].as_array());
    for file in files.into_iter().flatten() {
        let (split, name) = (recorded(file.get("split")), recorded(file.get("file")));
        let bytes = file["bytes"].as_u64();
        let bytes = bytes.map_or(String::new(), |bytes| format!(", {} bytes", grouped(bytes)));
        let hash = file["sha256"].as_str();
        let hash = hash.map_or(String::new(), |hash| format!(", sha256 {}", short(hash)));
        text += &fact("data", &format!("{name} ({split}){bytes}{hash}"));
    }
    text
}

/// The end of a run: its result, or how far it came.
fn ending(records: &Records) -> String {
    let directory = records.directory.display().to_string();
    let steps = grouped(records.steps());
    let mut text = String::new();
    let unreadable = records.metrics.n_unreadable;
    if unreadable > 0 {
        text += &fact(
            "note",
            &format!("{unreadable} lines of metrics.jsonl are damaged and left out"),
        );
    }
    match (&records.results, &records.writer) {
        (Some(results), writer) => {
            text += &finished(results);
            if let Some(owner) = writer {
                let (pid, since) = (owner.pid, &owner.since);
                text += &fact(
                    "note",
                    &format!("process {pid} is replacing this run, since {since}"),
                );
            }
        }
        (None, Some(owner)) => {
            text += &fact(
                "state",
                &format!(
                    "running: {steps} steps so far, process {} since {}",
                    owner.pid, owner.since
                ),
            );
        }
        (None, None) => {
            let checkpoint = Shelf::of(&records.directory).steps().pop();
            let continues = checkpoint.map_or_else(String::new, |step| {
                format!(
                    "; `progtune resume {}` continues after step {step}",
                    quoted(&directory)
                )
            });
            text += &fact(
                "state",
                &format!(
                    "not finished: it failed or was ended after {steps} steps, and saved no result{continues}"
                ),
            );
        }
    }
    if records.has_new_run {
        let new = records.directory.join(NEW_RUN).display().to_string();
        text += &fact(
            "note",
            &format!(
                "the records of a run that was to replace it: progtune show {}",
                quoted(&new)
            ),
        );
    }
    text += &fact("directory", &directory);
    text
}

fn finished(results: &Value) -> String {
    let number = |key: &str| results[key].as_f64();
    let end = match results["end_reason"].as_str() {
        None => String::new(),
        Some(reason) => format!(" ({})", reason.replace('_', " ")),
    };
    let mut text = fact(
        "state",
        &format!(
            "finished after {} steps{end}, {} in all",
            number("train_steps").map_or("unrecorded".into(), |steps| grouped(steps as u64)),
            in_words(
                number("total_secs")
                    .or(number("train_runtime"))
                    .unwrap_or(0.0)
            ),
        ),
    );
    let stages = results["stages_not_reached"].as_array();
    if let Some(stages) = stages.filter(|stages| !stages.is_empty()) {
        let stages: Vec<String> = stages.iter().map(Value::to_string).collect();
        text += &fact("not reached", &stages.join(", "));
    }
    if let Some(results) = results.as_object() {
        for (name, prefix) in [("result", "eval_"), ("test", "test_")] {
            let measured = metrics_text(results, prefix);
            if !measured.is_empty() {
                text += &fact(name, &spaced(&measured));
            }
        }
    }
    if let Some(verification) = results["verification"].as_object() {
        let of = |key: &str| recorded(verification.get(key));
        text += &fact(
            "verified",
            &format!(
                "the saved result gave the logits of {} validation examples and {} probes",
                of("examples"),
                of("probes")
            ),
        );
    }
    if results["suspect"] == true {
        let reasons = results["suspect_reasons"].as_array();
        let reasons = reasons.into_iter().flatten().filter_map(Value::as_str);
        text += &fact("suspect", &reasons.collect::<Vec<_>>().join("; "));
    }
    text
}
