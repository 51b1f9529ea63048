//! `run.json`: the circumstances of a run, recorded when it starts. They are the origin of each
//! setting, the versions, the machine, and the hashes of the data. Written by the recipe, read by
//! `show`.

use crate::{
    config::{InputsConfig, Origins, RunConfig},
    digest, hardware,
};
use progtune_engine::{ModelSource, Result};
use progtune_hub::NamedPath;
use progtune_plugin_api::manifest::{ABI_MAJOR, ABI_MINOR};
use progtune_process::{files::Owner, interrupt};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path};

/// The largest data file that is hashed when a run starts. A larger one is recorded by its size, so
/// that the first step does not wait for seconds.
const MOST_HASHED: u64 = 256 << 20;

/// The circumstances of a run.
///
/// # Errors
/// Fails if the user stops the command.
pub(crate) fn circumstances(
    config: &RunConfig,
    local: &InputsConfig,
    origins: &Origins,
    source: &ModelSource,
) -> Result<Value> {
    let mut model = json!({ "name": source.name() });
    if let Some(revision) = source.revision() {
        model["revision"] = json!(revision);
    }
    Ok(json!({
        "progtune": env!("CARGO_PKG_VERSION"),
        "plugin_interface": format!("{ABI_MAJOR}.{ABI_MINOR}"),
        "started": Owner::this().since,
        "machine": hardware::to_json(&config.machine),
        "model": model,
        "data": data(local)?,
        "origins": origins.set().collect::<BTreeMap<_, _>>(),
    }))
}

/// The data of a run: its files with their sizes and hashes, or the directory of a named task.
fn data(local: &InputsConfig) -> Result<Value> {
    let mut files = Vec::new();
    if let Some(own) = &local.own {
        for (split, paths) in [
            ("train", &own.train),
            ("validation", &own.validation),
            ("test", &own.test),
        ] {
            for path in paths {
                interrupt::check()?;
                let mut file = json!({ "split": split, "file": path });
                // A part of a document is named after `#`, and a folder has no hash.
                if let Some((bytes, sha256)) = about(Path::new(path)) {
                    file["bytes"] = json!(bytes);
                    file["sha256"] = json!(sha256);
                }
                files.push(file);
            }
        }
    }
    let directory = local.data.as_ref().map(NamedPath::typed);
    Ok(json!({ "directory": directory, "files": files }))
}

/// The size of a file, and its SHA-256 unless it is large. `None` if it is no file.
fn about(path: &Path) -> Option<(u64, Option<String>)> {
    let about = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let bytes = about.len();
    let is_hashed = bytes <= MOST_HASHED;
    let hash = is_hashed.then(|| digest::of_file(path).ok()).flatten();
    let hash = hash.map(|(_, sha256)| sha256);
    Some((bytes, hash))
}
