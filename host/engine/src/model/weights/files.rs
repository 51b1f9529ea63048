//! The files of a checkpoint's weights in a directory: one file or shards, in safetensors or as
//! PyTorch saves them. It is called when a checkpoint is opened or hashed, and by `fetch`.

use crate::error::{Error, Result};
use progtune_process::files::bounded::{LARGEST_TEXT, read_text};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// The files that a checkpoint's weights may be in, in the order in which Transformers looks for
/// them. Those of [`INDICES`] list shards.
pub const FILES: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// The files that list shards.
pub const INDICES: [&str; 2] = [FILES[1], FILES[3]];

/// The files with the weights of a directory, in the order of their names.
///
/// # Errors
/// When there are none, an index is damaged, or a shard is missing.
pub(crate) fn weight_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let found = FILES.iter().find(|name| directory.join(name).exists());
    let Some(name) = found else {
        return Err(Error::Model(format!(
            "{}: no weights here: expected model.safetensors or pytorch_model.bin, or the index of their shards; download \
             the model's weights",
            directory.display()
        )));
    };
    let path = directory.join(name);
    if !INDICES.contains(name) {
        return Ok(vec![path]);
    }
    let names = shards(&path)?;
    let missing = names.iter().find(|name| !directory.join(name).exists());
    if let Some(name) = missing {
        return Err(Error::Model(format!(
            "{}: the shard {name} is missing, which {} lists; download it",
            directory.display(),
            path.display()
        )));
    }
    Ok(names.iter().map(|name| directory.join(name)).collect())
}

/// The shards that an index lists, in the order of their names.
///
/// # Errors
/// When the index is damaged, or a shard would not lie beside it.
pub fn shards(index: &Path) -> Result<BTreeSet<String>> {
    let text = read_text(index, LARGEST_TEXT).map_err(Error::io(index, "read"))?;
    let fault = |what: &str| {
        Error::Model(format!(
            "{}: {what}; download the file again",
            index.display()
        ))
    };
    let value: Value =
        serde_json::from_str(&text).map_err(|e| fault(&format!("not valid JSON: {e}")))?;
    let map = value
        .get("weight_map")
        .and_then(Value::as_object)
        .ok_or_else(|| fault("expected the key `weight_map`, found none"))?;
    let mut names = BTreeSet::new();
    for file in map.values() {
        let name = file
            .as_str()
            .ok_or_else(|| fault("key `weight_map`: expected file names, found another value"))?;
        if !is_beside(name) {
            return Err(fault(&format!(
                "expected shards beside the index, found {name:.200}"
            )));
        }
        names.insert(name.to_owned());
    }
    if names.is_empty() {
        return Err(fault("key `weight_map`: expected file names, found none"));
    }
    Ok(names)
}

/// Whether a name is that of a file beside the index, on every system.
fn is_beside(name: &str) -> bool {
    let is_special = ["", ".", ".."].contains(&name);
    !is_special && !name.contains(['/', '\\', ':', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_lie_beside_their_index() {
        let folder = tempfile::tempdir().unwrap();
        let index = folder.path().join(INDICES[1]);
        let read = |name: &str| {
            let text = serde_json::json!({ "weight_map": { "a": name } }).to_string();
            std::fs::write(&index, text).unwrap();
            shards(&index).map_err(|error| error.to_string())
        };
        assert_eq!(
            read("p-1.bin").unwrap().into_iter().collect::<Vec<_>>(),
            ["p-1.bin"]
        );
        for name in [
            "../p.bin",
            "/etc/passwd",
            "a/p.bin",
            "..",
            ".",
            "",
            "a\\b",
            "C:p",
            "a\0",
        ] {
            let error = read(name).unwrap_err();
            assert!(error.contains("beside the index"), "{name}: {error}");
        }
    }

    #[test]
    fn safetensors_come_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert!(
            weight_files(path)
                .unwrap_err()
                .to_string()
                .contains("no weights here")
        );
        let index = r#"{"weight_map": {"a": "p-2.bin", "b": "p-1.bin"}}"#;
        std::fs::write(path.join(FILES[3]), index).unwrap();
        assert!(
            weight_files(path)
                .unwrap_err()
                .to_string()
                .contains("the shard p-1.bin")
        );
        for shard in ["p-1.bin", "p-2.bin"] {
            std::fs::write(path.join(shard), "").unwrap();
        }
        let shards = ["p-1.bin", "p-2.bin"].map(|name| path.join(name));
        assert_eq!(weight_files(path).unwrap(), shards);
        for name in [FILES[2], FILES[0]] {
            std::fs::write(path.join(name), "").unwrap();
            assert_eq!(weight_files(path).unwrap(), [path.join(name)]);
        }
    }
}
