//! The files of a finished run with their sizes and SHA-256, recorded in `all_results.json` and
//! compared by `check`.

use crate::digest;
use progtune_engine::{Error, Result};
use progtune_process::interrupt;
use serde_json::{Map, Value, json};
use std::{fs, path::Path};

/// The entry `files` of `all_results.json`: each of these files that is in the directory.
///
/// # Errors
/// Fails if a file cannot be read.
pub(crate) fn record<'a>(directory: &Path, names: impl Iterator<Item = &'a str>) -> Result<Value> {
    let mut files = Map::new();
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    for name in names {
        let path = directory.join(name);
        let Ok(about) = fs::metadata(&path) else {
            continue;
        };
        if about.is_file() {
            let (_, sha256) = digest::of_file(&path).map_err(Error::io(&path, "read"))?;
            files.insert(
                name.to_owned(),
                json!({ "bytes": about.len(), "sha256": sha256 }),
            );
        }
    }
    Ok(Value::Object(files))
}

/// The differences between the files in a directory and those that were recorded, one text each.
///
/// # Errors
/// Fails if the user stops the command.
pub(crate) fn compare(directory: &Path, recorded: &Map<String, Value>) -> Result<Vec<String>> {
    let mut damage = Vec::new();
    for (name, expected) in recorded {
        interrupt::check()?;
        // A name with a path would lead out of the directory.
        if Path::new(name)
            .file_name()
            .is_none_or(|last| *last != **name)
        {
            damage.push(format!(
                "all_results.json: `files` has {name:?}, which is no file name"
            ));
            continue;
        }
        let path = directory.join(name);
        let bytes = match fs::metadata(&path) {
            Ok(about) if about.is_file() => about.len(),
            _ => {
                damage.push(format!("{name}: expected a file, found none"));
                continue;
            }
        };
        if let Some(expected) = expected["bytes"].as_u64().filter(|&size| size != bytes) {
            damage.push(format!("{name}: expected {expected} bytes, found {bytes}"));
            continue;
        }
        let expected = expected["sha256"].as_str().unwrap_or_default();
        match digest::of_file(&path).map(|(_, sha256)| sha256) {
            Ok(found) if found == expected => {}
            Ok(found) => damage.push(format!(
                "{name}: expected SHA-256 {}, found {}",
                short(expected),
                short(&found)
            )),
            Err(error) => damage.push(format!("{name}: cannot be read: {error}")),
        }
    }
    Ok(damage)
}

/// The beginning of a hash.
pub(crate) fn short(hash: &str) -> String {
    let start: String = hash.chars().take(12).collect();
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for name in ["a", "b", "c", "d"] {
            fs::write(path.join(name), "text").unwrap();
        }
        let names = ["d", "b", "c", "a", "e"];
        let Value::Object(mut recorded) = record(path, names.into_iter()).unwrap() else {
            panic!("an object");
        };
        assert_eq!(recorded.keys().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        assert_eq!(compare(path, &recorded).unwrap(), Vec::<String>::new());
        fs::write(path.join("a"), "test").unwrap();
        fs::write(path.join("b"), "tex").unwrap();
        fs::remove_file(path.join("c")).unwrap();
        recorded.insert("../d".into(), json!({"bytes": 4, "sha256": ""}));
        assert_eq!(
            compare(path, &recorded).unwrap(),
            [
                "a: expected SHA-256 982d9e3eb996…, found 9f86d081884c…",
                "b: expected 4 bytes, found 3",
                "c: expected a file, found none",
                "all_results.json: `files` has \"../d\", which is no file name",
            ]
        );
    }
}
