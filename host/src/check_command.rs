//! `progtune check DIR`: proves that a result is whole. Its files have the recorded hashes, it can
//! be loaded, and the loaded model gives the recorded logits. Called by `main`.
//!
//! A result of an earlier version, or of another program, records less. Then `check` checks what it
//! can and says what was not recorded.

use crate::{
    config::CheckConfig,
    fetch::Fetcher,
    hardware::simd_name,
    json_text::to_text,
    result_files,
    run_directory::{CONFIG, RESULTS},
    verify::{self, Recorded},
};
use progtune_engine::{
    Error, Result,
    model::{Kernels, Precision},
};
use progtune_process::{
    files::{
        bounded::{LARGEST_TEXT, read_text},
        near_path,
    },
    interrupt,
    terminal::{self, print, print_json},
};
use serde_json::{Map, Value, json};
use std::path::Path;

/// The findings about a result.
#[derive(Default)]
struct Findings {
    /// Things that were checked and found right, in words.
    checked: Vec<String>,
    /// Things that could not be checked, with the reason.
    unchecked: Vec<String>,
    /// Differences from the records, one text each.
    damage: Vec<String>,
    /// Whether every recorded file has its recorded hash.
    has_equal_files: bool,
}

/// Checks a result, and prints a summary.
///
/// # Errors
/// Fails if something in the result is damaged or missing, or there is no result.
pub fn run_check(config: &CheckConfig, as_json: bool) -> Result<()> {
    let directory = &config.directory;
    let has_result = refuse_without_result(directory)?;
    let mut findings = Findings::default();
    check_files(directory, &mut findings)?;
    if has_result {
        check_model(config, &mut findings)?;
    } else {
        let damage = "the model or adapter is missing: expected model.safetensors or an adapter";
        findings.damage.push(damage.into());
    }
    findings.show(directory, as_json)
}

/// Whether a directory has the files of a model or an adapter.
///
/// # Errors
/// Fails if the directory has nothing of a result, or a run in it is not finished.
fn refuse_without_result(directory: &Path) -> Result<bool> {
    let has = |name: &str| directory.join(name).is_file();
    let shown = directory.display();
    if has(CONFIG) && !has(RESULTS) {
        return Err(Error::Model(format!(
            "{shown}: this run is not finished: expected {RESULTS}, found none; `progtune show {shown}` shows how far it came"
        )));
    }
    let has_result = verify::is_adapter(directory) || has("config.json");
    if has_result || has(RESULTS) {
        return Ok(has_result);
    }
    let near = if directory.exists() {
        String::new()
    } else {
        near_path(directory)
    };
    Err(Error::Model(format!(
        "{shown}: expected a finished run, a model or an adapter; found none{}",
        if near.is_empty() {
            "; check the path"
        } else {
            near.as_str()
        }
    )))
}

/// Compares the files with their recorded hashes.
fn check_files(directory: &Path, findings: &mut Findings) -> Result<()> {
    let path = directory.join(RESULTS);
    if !path.is_file() {
        let reason = format!("the hashes of the files, because there is no {RESULTS}");
        findings.unchecked.push(reason);
        return Ok(());
    }
    let text = read_text(&path, LARGEST_TEXT).map_err(Error::io(&path, "read"))?;
    let results: Map<String, Value> = match serde_json::from_str(&text) {
        Ok(results) => results,
        Err(error) => {
            let damage = format!("{RESULTS}: expected JSON, found an error: {error}");
            findings.damage.push(damage);
            return Ok(());
        }
    };
    let Some(files) = results.get("files").and_then(Value::as_object) else {
        let reason = "the hashes of the files, which this version of progtune did not record";
        findings.unchecked.push(reason.into());
        return Ok(());
    };
    let damage = result_files::compare(directory, files)?;
    findings.has_equal_files = damage.is_empty();
    if damage.is_empty() {
        let n = files.len();
        findings
            .checked
            .push(format!("{n} files have the recorded hashes"));
    }
    findings.damage.extend(damage);
    Ok(())
}

/// Loads the result and compares its logits with the recorded ones.
///
/// # Errors
/// Fails only if the user stops the command.
fn check_model(config: &CheckConfig, findings: &mut Findings) -> Result<()> {
    let directory = &config.directory;
    let recorded = match Recorded::read(directory) {
        Ok(recorded) => recorded,
        Err(error) => {
            findings.damage.push(error.to_string());
            None
        }
    };
    let found = match logits_now(config, recorded.as_ref()) {
        Ok(found) => found,
        Err(error) if interrupt::requested() => return Err(error),
        // The directory's own damage may be the reason, and stands before it.
        Err(error) => {
            findings
                .damage
                .push(format!("it cannot be loaded: {error}"));
            return Ok(());
        }
    };
    let kind = if verify::is_adapter(directory) {
        "adapter"
    } else {
        "model"
    };
    findings.checked.push(format!("the {kind} can be loaded"));
    let (Some(recorded), Some(found)) = (recorded, found) else {
        let reason = "the logits, which were not recorded";
        findings.unchecked.push(reason.into());
        return Ok(());
    };
    let is_same_way = recorded.is_comparable_bit_by_bit(&found);
    let compare = |is_exact| verify::difference(&recorded.logits, &found.logits, is_exact);
    let tolerance = verify::TOLERANCE;
    // Without hashes of the files, only equal bits prove that none of them has changed.
    match compare(is_same_way && !findings.has_equal_files) {
        Some(difference) => findings.damage.push(format!(
            "{}: the logits of the loaded model differ: {}",
            verify::FILE,
            difference.describe()
        )),
        None if is_same_way && compare(true).is_none() => {
            findings.checked.push("its logits are the recorded bits".into());
        }
        None if is_same_way => findings.checked.push(format!(
            "its logits agree to {tolerance:e} with the recorded ones (they were computed by another build of progtune or of a \
             plugin, or with another base model)"
        )),
        None => findings.checked.push(format!(
            "its logits agree to {tolerance:e} with those of {} (here: {})",
            recorded.way(),
            found.way()
        )),
    }
    Ok(())
}

/// Loads the result, and computes the logits of the recorded probes, if there are any.
fn logits_now(config: &CheckConfig, recorded: Option<&Recorded>) -> Result<Option<Recorded>> {
    let directory = &config.directory;
    let mut inference = config.inference.clone();
    if let Some(recorded) = recorded.filter(|_| !config.are_kernels_given) {
        inference.machine.kernels = if recorded.is_fused {
            Kernels::Auto
        } else {
            Kernels::Composed
        };
        let is_bf16 = recorded.precision == Precision::Bf16.to_string();
        inference.machine.precision = if is_bf16 {
            Precision::Bf16
        } else {
            Precision::F32
        };
    }
    let base = inference.models.model.clone();
    let fetcher = Fetcher::new(&inference.hub);
    let named = verify::models(directory, base, config.is_base_given);
    let models = fetcher.models(&named)?;
    let machine = inference.machine;
    verify::with_result(&inference, &models, |model| {
        let Some(recorded) = recorded else {
            return Ok(None);
        };
        let vocabulary = model.config.encoder.vocab_size as u32;
        let mut ids = recorded.probes.iter().flat_map(|probe| &probe.input_ids);
        if ids.any(|&id| id >= vocabulary) {
            return Err(Error::Model(format!(
                "{}: expected token ids below {vocabulary}; restore the file from a copy of the result",
                directory.join(verify::FILE).display()
            )));
        }
        let batch = verify::batch_of(&recorded.probes, model);
        Ok(Some(Recorded {
            progtune: env!("CARGO_PKG_VERSION").into(),
            device: machine.device.to_string(),
            simd: simd_name(machine.precision).into(),
            is_fused: machine.is_fused(),
            precision: machine.precision_name(),
            probes: recorded.probes.clone(),
            logits: verify::logits(model, &batch)?,
        }))
    })
}

impl Findings {
    /// Prints the findings.
    ///
    /// # Errors
    /// Fails if there is damage; the message lists it.
    fn show(&self, directory: &Path, as_json: bool) -> Result<()> {
        if as_json {
            let value = json!({
                "directory": directory,
                "whole": self.damage.is_empty(),
                "checked": self.checked,
                "not_checked": self.unchecked,
                "damage": self.damage,
            });
            print_json(&(to_text(&value) + "\n"))?;
        }
        let shown = directory.display();
        if !self.damage.is_empty() {
            return Err(Error::Model(format!(
                "{shown}: the result is damaged:\n{}\nrestore these files from a copy, or train again",
                self.damage.join("\n")
            )));
        }
        if as_json || terminal::show().quiet {
            return Ok(());
        }
        let mut text = format!("{shown}: whole: {}", self.checked.join(", "));
        if !self.unchecked.is_empty() {
            text += &format!("; not checked: {}", self.unchecked.join(", "));
        }
        Ok(print(text + "\n")?)
    }
}
