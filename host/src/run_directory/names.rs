//! The names of the files that a run writes, and the test for a run's directory. Called by the run
//! directory.

use crate::{
    best_model, checkpoint,
    config::{export::FIRST_LINE, find_key},
    nonfinite, prefix_cache, verify,
};
use progtune_engine::{TASK_FILE, adapter, base_model, made_by};
use progtune_pipeline::{question_answering::prediction_files, tokenizer};
use progtune_process::files::{
    Folder,
    bounded::{LARGEST_TEXT, read_text},
    lock::LOCK_FILE,
    temporary,
};
use std::{io, path::Path};

/// The file whose presence marks a finished run.
pub const RESULTS: &str = "all_results.json";
/// The file whose presence marks a run's directory.
pub const CONFIG: &str = "config.toml";
/// The records of steps and evaluations.
pub const METRICS: &str = "metrics.jsonl";
/// The log.
pub(super) const LOG: &str = "log.txt";
/// The circumstances of a run: origins of its settings, versions, the machine.
pub const RUN: &str = "run.json";
/// The plan of each epoch.
pub const PLAN: &str = "plan.json";
/// The subdirectory of a new run while an earlier result is still in place.
pub(crate) const NEW_RUN: &str = "new-run";

/// The files with a result's weights, of which a run writes one.
pub(crate) const WEIGHTS: [&str; 3] = [
    "model.safetensors",
    "adapter_model.safetensors",
    "adapter.safetensors",
];

/// Every file that a run may write under a fixed name, beginning with the mark of a finished one.
/// Other names have the number of a step in them.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    let names = [
        RESULTS,
        CONFIG,
        METRICS,
        LOG,
        PLAN,
        RUN,
        "config.json",
        "model.safetensors",
        "adapter_model.safetensors",
        "adapter_config.json",
        "adapter.safetensors",
        adapter::NEUTRAL_CONFIG,
        TASK_FILE,
        base_model::FILE,
        made_by::FILE,
        verify::FILE,
        best_model::FILE_OF_0_1,
        prediction_files::PREDICTIONS,
        prediction_files::N_BEST,
        prediction_files::NULL_ODDS,
    ];
    names.into_iter().chain(tokenizer::FILES.iter().copied())
}

/// The files that belong to a finished result. The log is not among them, because it may still
/// grow.
pub(crate) fn of_result() -> impl Iterator<Item = &'static str> {
    let left_out = [RESULTS, LOG, best_model::FILE_OF_0_1];
    all().filter(move |name| !left_out.contains(name))
}

/// Whether a run may write a file of this name.
pub(super) fn is_of_a_run(name: &str) -> bool {
    all().any(|known| known == name)
        || best_model::is_file_name(name)
        || nonfinite::is_file_name(name)
        || name == checkpoint::DIRECTORY
}

/// Whether a name in a directory may be ignored, as that of a lock or a temporary file.
pub(crate) fn is_passing(name: &str) -> bool {
    name == LOCK_FILE || name.starts_with(temporary::PREFIX)
}

/// Whether a directory is a run's: its configuration was written by a run or could start one.
pub(super) fn is_run(directory: &Path) -> bool {
    let path = directory.join(CONFIG);
    let Ok(text) = read_text(&path, LARGEST_TEXT) else {
        return false;
    };
    if text.starts_with(FIRST_LINE) {
        return true;
    }
    let Ok(table) = text.parse::<toml::Table>() else {
        return false;
    };
    let is_key = |name: &String| find_key(name).is_some();
    !table.is_empty() && table.keys().all(is_key)
}

/// Removes the files of a run, but no others, and nothing behind a link.
///
/// # Errors
/// Fails if the file system refuses.
pub(super) fn remove_run(folder: &Folder) -> io::Result<()> {
    // The mark of a run's directory goes last, so that one that is half removed is still known.
    remove_results(folder, &|_| true)?;
    folder.remove(CONFIG)
}

/// Removes the files of a run like [`remove_run`] except for its configuration, if `is_old` says so
/// of their names.
///
/// # Errors
/// Fails if the file system refuses.
pub(super) fn remove_results(folder: &Folder, is_old: &dyn Fn(&str) -> bool) -> io::Result<()> {
    // The mark of a finished run goes first. Then the checkpoints go, because the run could only
    // continue with the records that are removed last.
    if is_old(RESULTS) {
        folder.remove(RESULTS)?;
    }
    if is_old(checkpoint::DIRECTORY) {
        checkpoint::remove_all(folder)?;
    }
    for name in all().filter(|name| *name != CONFIG && is_old(name)) {
        folder.remove(name)?;
    }
    for name in folder.names()? {
        let is_record = is_of_a_run(&name) && name != checkpoint::DIRECTORY && name != CONFIG;
        if is_record && is_old(&name) {
            folder.remove(&name)?;
        }
    }
    Ok(())
}

/// Removes the prefix cache, which a run keeps only for one that replaces it.
pub(super) fn remove_cache(folder: &Folder) {
    if let Ok(cache) = folder.existing_subfolder(prefix_cache::DIRECTORY) {
        let _ = cache.remove(prefix_cache::FILE);
        let _ = folder.remove_folder(prefix_cache::DIRECTORY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{OutputConfig, RunConfig};
    use std::fs;

    #[test]
    fn what_a_run_writes_is_known_for_a_runs_and_replaces_nothing_again() {
        let folder = tempfile::tempdir().unwrap();
        let config = RunConfig {
            output: OutputConfig {
                overwrite: true,
                ..RunConfig::default().output
            },
            ..RunConfig::default()
        };
        let text = config.to_toml();
        fs::write(folder.path().join(CONFIG), &text).unwrap();
        assert!(is_run(folder.path()) && !text.contains("overwrite_output"));
    }

    #[test]
    fn a_run_is_known_by_its_configuration() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_run(folder.path()));
        for (text, expected) in [
            ("# The resolved configuration of a progtune run; x\n", true),
            ("seed = 1\n", true),
            ("", false),
            ("[package]\nname = \"another program's\"\n", false),
            ("seed = 1\nmodel_path = \"another program's\"\n", false),
            ("not TOML", false),
        ] {
            fs::write(folder.path().join(CONFIG), text).unwrap();
            assert_eq!(is_run(folder.path()), expected, "{text}");
        }
    }
}
