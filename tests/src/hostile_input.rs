//! Everything that reads what others made, as functions of bytes: the fuzzer (`tests/fuzz`) calls
//! them with what it makes up, and the test `data/hostile_input` with the files of its corpora.
//!
//! A target must return, whatever the bytes are: with a value or with one error, without a panic,
//! without memory that its input does not justify. A target for a run's checkpoints belongs here
//! as soon as runs have them.

mod caches;
mod data;
mod models;
mod settings;

use std::path::PathBuf;

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
    safetensors: models::read_safetensors;
    shard_index: models::read_shard_index;
    task_json: settings::read_task_json;
    token_cache: caches::read_token_cache;
    tokenizer_config: models::read_tokenizer_config;
    tokenizer_json: models::read_tokenizer_json;
    toml_config: settings::read_toml_config;
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

/// A directory of this process for files with the bytes, in memory where the system has such.
fn scratch() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let base = if memory.is_dir() {
        memory
    } else {
        std::env::temp_dir()
    };
    let thread = format!("{:?}", std::thread::current().id());
    let number: String = thread.chars().filter(char::is_ascii_digit).collect();
    let folder = base.join(format!("progtune-hostile-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a scratch directory");
    folder
}

/// A file with the bytes under this name.
fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = scratch().join(name);
    std::fs::write(&path, bytes).expect("a scratch file");
    path
}
