//! The records of a run: its checkpoints, and what `show` and `check` read. The hashes of a
//! checkpoint are put right first, as whoever wants to harm would do.

use super::{checked, scratch};
use progtune::{
    checkpoint::{DIRECTORY, Shelf, changes},
    prefix_cache::Kept,
    run_directory::{CONFIG, METRICS, PLAN, RESULTS, RUN},
    show_command, verify,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{fs, path::Path};

/// The step of the checkpoint.
const STEP: u64 = 7;

fn hash(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes up to the first NUL, and those behind it.
fn parted(bytes: &[u8]) -> (&[u8], &[u8]) {
    let at = bytes.iter().position(|&byte| byte == 0);
    at.map_or((bytes, &[]), |at| (&bytes[..at], &bytes[at + 1..]))
}

/// A checkpoint's state and, behind a NUL, its tensors.
pub(super) fn read_checkpoint(bytes: &[u8]) {
    let (state, tensors) = parted(bytes);
    let run = scratch();
    let folder = run.join(DIRECTORY);
    fs::create_dir_all(&folder).expect("the checkpoints");
    let state_file = folder.join(format!("step-{STEP}.json"));
    // As it is, so that the envelope is read too.
    fs::write(&state_file, state).expect("the state");
    checked(Shelf::of(&run).state(STEP));
    let name = format!("step-{STEP}.safetensors");
    fs::write(folder.join(&name), tensors).expect("the tensors");
    let body = match serde_json::from_slice(state) {
        Ok(Value::Object(mut state)) => {
            let files = json!({ name: {"bytes": tensors.len(), "sha256": hash(tensors)} });
            state.insert("files".into(), files);
            Value::Object(state).to_string()
        }
        _ => String::from_utf8_lossy(state).into_owned(),
    };
    let first = format!(
        "progtune-checkpoint 1 {} {}\n",
        body.len(),
        hash(body.as_bytes())
    );
    fs::write(&state_file, first + &body).expect("the state");
    let Some(Some(mut checkpoint)) = checked(Shelf::of(&run).newest()) else {
        return;
    };
    let state = checkpoint.state.clone();
    assert!(state.place.step == STEP && state.place.epoch > 0);
    let _ = state.metrics.mark();
    let _ = changes(&state, &state.identity, &state.config, true);
    for signal in checked(checkpoint.history()).unwrap_or_default() {
        assert!(signal.values.len() <= tensors.len() / 8);
    }
    if let Some(kept) = Kept::from_bytes(tensors) {
        assert!(kept.to_bytes() == tensors);
    }
}

/// The files that `show` reads, one behind the other, with a NUL between them.
pub(super) fn read_run_records(bytes: &[u8]) {
    let run = scratch().join("run");
    fs::create_dir_all(&run).expect("a run");
    let mut rest = bytes;
    for name in [CONFIG, RUN, PLAN, RESULTS, METRICS] {
        let (part, after) = parted(rest);
        rest = after;
        put(&run.join(name), part);
    }
    if let Some(text) = checked(show_command::text_of(&run)) {
        let is_harmless = |c: char| !c.is_control() || c == '\n';
        assert!(text.chars().all(is_harmless), "{text:?}");
    }
    if let Some(text) = checked(show_command::json_of(&run)) {
        serde_json::from_str::<Value>(&text).expect("JSON");
    }
}

/// Writes a file; nothing stands for no file.
fn put(path: &Path, bytes: &[u8]) {
    if bytes.is_empty() {
        let _ = fs::remove_file(path);
    } else {
        fs::write(path, bytes).expect("a record");
    }
}

/// `verification.json`.
pub(super) fn read_verification(bytes: &[u8]) {
    let folder = scratch();
    fs::write(folder.join(verify::FILE), bytes).expect("the file");
    checked(verify::Recorded::read(&folder));
}
