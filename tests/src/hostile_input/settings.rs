//! The files that decide what a command does: configurations, pins, plugins, a result's task.

use super::{checked, file, scratch};
use progtune::config::RecordedData;
use progtune_engine::{LearnedTask, TASK_FILE};
use progtune_plugin_loader::{Lock, manifest_reader};

pub(super) fn read_toml_config(bytes: &[u8]) {
    checked(RecordedData::read(&file("config.toml", bytes)));
}

pub(super) fn read_lock(bytes: &[u8]) {
    checked(Lock::read(&file("progtune.lock", bytes)));
}

/// The record in the section `.progtune`.
pub(super) fn read_manifest(bytes: &[u8]) {
    let Some(manifest) = checked(manifest_reader::parse(bytes)) else {
        return;
    };
    for entry in &manifest.entries {
        assert!(!entry.summary.contains(|c: char| c.is_control()));
    }
}

/// The whole library.
pub(super) fn read_plugin_library(bytes: &[u8]) {
    checked(manifest_reader::read(bytes));
}

pub(super) fn read_task_json(bytes: &[u8]) {
    file(TASK_FILE, bytes);
    let folder = scratch();
    let learned = checked(LearnedTask::find([&*folder].into_iter())).flatten();
    if let Some(learned) = learned {
        let _ = learned.task();
    }
}
