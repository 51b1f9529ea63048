//! Everything that reads what others made, as functions of bytes: the fuzzer (`tests/fuzz`) calls
//! them with what it makes up, and the test `data/hostile_input` with the files of its corpora.
//!
//! A target must return, whatever the bytes are: with a value or with one error, without a panic,
//! without memory that its input does not justify.

mod caches;
mod data;
mod models;
mod records;
mod settings;

use std::path::PathBuf;
use tempfile::TempDir;

/// A reader that is tried with hostile bytes.
pub struct Target {
    /// Its name, which is also that of its corpus.
    pub name: &'static str,
    /// Reads the bytes in every way.
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($($name:ident: $run:path;)*) => {
        /// All targets in the order of their names.
        pub const TARGETS: &[Target] =
            &[$(Target { name: stringify!($name), run: $run }),*];
    };
}

targets! {
    adapter_config: models::read_adapter_config;
    checkpoint: records::read_checkpoint;
    config_json: models::read_config_json;
    conll: data::read_conll;
    csv: data::read_csv;
    jsonl: data::read_jsonl;
    lock: settings::read_lock;
    manifest: settings::read_manifest;
    merges: models::read_merges;
    pickle: models::read_pickle;
    plugin_library: settings::read_plugin_library;
    prefix_cache: caches::read_prefix_cache;
    run_records: records::read_run_records;
    safetensors: models::read_safetensors;
    shard_index: models::read_shard_index;
    task_json: settings::read_task_json;
    token_cache: caches::read_token_cache;
    tokenizer_config: models::read_tokenizer_config;
    tokenizer_json: models::read_tokenizer_json;
    toml_config: settings::read_toml_config;
    verification: records::read_verification;
    vocab: models::read_vocab;
}

/// The corpus of a target.
pub fn corpus(target: &str) -> PathBuf {
    crate::root().join("tests/fuzz/corpus").join(target)
}

/// An error's message as a user would see it: one, and short enough to be read.
fn is_one_message(error: &dyn std::fmt::Display) {
    let message = error.to_string();
    assert!(!message.is_empty());
    let length = message.chars().count();
    assert!(
        length < 5000,
        "a message of {length} characters: {message:.300}"
    );
}

/// Checks the message of a result that is an error.
fn checked<T, E: std::fmt::Display>(result: Result<T, E>) -> Option<T> {
    result.map_err(|error| is_one_message(&error)).ok()
}

thread_local! {
    /// A directory of this thread, in memory where the system has such. It goes with the thread.
    static SCRATCH: TempDir = {
        let memory = PathBuf::from("/dev/shm");
        let base = Some(memory).filter(|memory| memory.is_dir());
        let base = base.unwrap_or_else(std::env::temp_dir);
        let folder = tempfile::Builder::new().prefix("progtune-hostile-").tempdir_in(base);
        folder.expect("a scratch directory")
    };
}

/// The directory of this thread for files with the bytes.
fn scratch() -> PathBuf {
    SCRATCH.with(|folder| folder.path().to_owned())
}

/// A file with the bytes under this name.
fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = scratch().join(name);
    std::fs::write(&path, bytes).expect("a scratch file");
    path
}
