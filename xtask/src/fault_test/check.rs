//! The rules for the time after a failure: one clear message, whole files, an earlier or a later
//! result, nothing temporary, and a next run that works. Called by [`super`].

use super::job::{Files, Job, Outcome, Start, all_files, lasting};
use serde_json::Value;
use std::path::Path;

/// The codes with which a run may end when a file fails.
const CODES: [i32; 2] = [2, 3];

/// The exit code and the message.
pub(super) fn outcome(outcome: &Outcome, plan: &str) -> Vec<String> {
    let mut found = Vec::new();
    let said = &outcome.said;
    if said.contains("panicked") || said.contains("internal error") {
        found.push(format!("a panic: {}", outcome.messages()));
    }
    let code = outcome.status.code();
    if plan.starts_with("kill") {
        if code.is_some() {
            found.push(format!("expected the kill, found {}", outcome.status));
        }
        return found;
    }
    let errors = said
        .lines()
        .filter(|line| line.starts_with("error:"))
        .count();
    match code {
        Some(0) if errors == 0 => {}
        Some(code) if CODES.contains(&code) && errors == 1 => {}
        _ => found.push(format!(
            "expected success without an error, or code 2 or 3 with one; found {} with {errors}: {}",
            outcome.status,
            outcome.messages()
        )),
    }
    found
}

/// The files in the output directory.
pub(super) fn state(job: &Job, start: Start, outcome: &Outcome) -> Vec<String> {
    let output = job.output();
    let mut found = Vec::new();
    let may_leave = outcome.status.code().is_none()
        || outcome
            .failed
            .as_ref()
            .is_some_and(|line| line.contains(" Remove "));
    if !may_leave {
        found.extend(passing(&job.place()));
        found.extend(passing(&job.tokens()));
    }
    let here = lasting(&output);
    let staged = lasting(&output.join("new-run"));
    let is_whole = |files: &Files, name: &str, bytes: &Vec<u8>| {
        name.starts_with('.') || files.get(name) == Some(bytes)
    };
    for (name, bytes) in here.iter().chain(&staged) {
        // Set aside during training, and removed at the end.
        let is_aside = name.starts_with("best");
        if !is_aside
            && !is_whole(&job.expected, name, bytes)
            && !is_whole(&job.earlier, name, bytes)
        {
            found.push(format!("{name} is neither the earlier nor the later file"));
        }
    }
    let has = |files: &Files, wanted: &Files| {
        wanted
            .iter()
            .all(|(name, bytes)| files.get(name) == Some(bytes))
    };
    let mut both = staged.clone();
    both.extend(here.clone());
    let is_finished = output.join("all_results.json").exists();
    let is_later = has(&here, &job.expected);
    let is_earlier = has(&here, &job.earlier);
    if outcome.status.success() && !(is_finished && is_later) {
        found.push("the run succeeded, but its result is not complete".into());
    }
    if is_finished && !is_later && !(is_earlier && start == Start::Finished) {
        found.push("the mark of a finished run is there, but no whole result".into());
    }
    // While a result takes the place of another, its files are in two places.
    if start == Start::Finished && !is_finished && !has(&both, &job.expected) {
        found.push(format!(
            "neither the earlier nor the later result is whole: {:?}",
            both.keys()
        ));
    }
    found
}

/// Temporary files and locks below a directory.
fn passing(directory: &Path) -> Vec<String> {
    let files = all_files(directory);
    let names = files.keys().filter(|name| name.contains(".progtune"));
    names.map(|name| format!("{name} is left")).collect()
}

/// The records of a run: every line and every document is whole.
pub(super) fn records(output: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for (name, bytes) in all_files(output) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let is_passing = name.contains(".progtune");
        if name.ends_with(".jsonl") {
            let is_line = |line: &str| serde_json::from_str::<Value>(line).is_ok();
            let ends = text.is_empty() || text.ends_with('\n');
            if !ends || !text.lines().all(is_line) {
                found.push(format!("{name} has half a line"));
            }
        } else if name.ends_with(".json") && !is_passing {
            // The first line of a checkpoint is its envelope.
            let text = match text.split_once('\n') {
                Some((first, rest)) if first.starts_with("progtune-checkpoint") => rest,
                _ => &text,
            };
            if serde_json::from_str::<Value>(text).is_err() {
                found.push(format!("{name} is no JSON"));
            }
        } else if name.ends_with(".toml") && text.parse::<toml::Table>().is_err() {
            found.push(format!("{name} is no TOML"));
        }
    }
    found
}

/// The run that continues at the last checkpoint: its result is the run's own, or that of the
/// earlier one which had been cut short.
pub(super) fn resumed(job: &Job, outcome: &Outcome, output: &Path) -> Vec<String> {
    if !outcome.status.success() {
        let (status, messages) = (outcome.status, outcome.messages());
        return vec![format!(
            "`progtune resume` failed with {status}: {messages}"
        )];
    }
    // The copy is in another directory, which its configuration names.
    let without_configuration = |files: &Files| -> Files {
        let files = files.iter().filter(|(name, _)| *name != "config.toml");
        files
            .map(|(name, bytes)| (name.clone(), bytes.clone()))
            .collect()
    };
    let here = without_configuration(&lasting(output));
    let differing = |files: &Files| {
        let files = without_configuration(files);
        let names = files.keys().chain(here.keys());
        names
            .filter(|name| files.get(*name) != here.get(*name))
            .cloned()
            .collect::<Vec<String>>()
    };
    let (later, earlier) = (differing(&job.expected), differing(&job.earlier));
    if later.is_empty() || earlier.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "`progtune resume` has another result: {later:?} differ"
    )]
}

/// The next run in the same directory.
pub(super) fn again(job: &Job, outcome: &Outcome) -> Vec<String> {
    let mut found = Vec::new();
    if !outcome.status.success() {
        found.push(format!(
            "the next run failed with {}: {}",
            outcome.status,
            outcome.messages()
        ));
        return found;
    }
    // Half an entry of the prefix cache is expected after a kill, and is computed again.
    if let Some(line) = outcome
        .said
        .lines()
        .find(|line| line.contains("damaged") && !line.contains("prefix cache"))
    {
        found.push(format!("the next run found something damaged: {line}"));
    }
    let here = lasting(&job.output());
    if here != job.expected {
        let names: Vec<&String> = here
            .iter()
            .filter(|(name, bytes)| job.expected.get(*name) != Some(bytes))
            .map(|(name, _)| name)
            .collect();
        found.push(format!(
            "the next run has another result: {names:?} of {:?}",
            here.keys()
        ));
    }
    let left = passing(&job.place())
        .into_iter()
        .chain(passing(&job.tokens()));
    found.extend(left.map(|left| format!("after the next run, {left}")));
    if job.output().join("new-run").exists() {
        found.push("after the next run, new-run is left".into());
    }
    found
}
