//! Finds the files of a split. Called by `split` and `squad`.
//!
//! The following are tried in this order, and the first that exists is read. Folders: the data
//! directory itself, then the folders in it named after the task as by Hugging Face (`mrpc`) and
//! GLUE (`MRPC`). Formats within a folder: TSV, then parquet, then JSONL (for SQuAD: JSON, parquet,
//! JSONL). Names within a format: the official one (`dev`, `dev-v1.1`), then Hugging Face's
//! (`validation`). For parquet, a single file comes before shards.

use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::format::Format;
use crate::split_name::SplitName;
use crate::tasks::task::{Task, TaskSource};

/// Formats with their file extensions.
type Formats = [(Format, &'static str); 3];

/// The formats for which a data directory is searched, in this order.
fn formats(task: &Task) -> Formats {
    let (parquet, jsonl) = ((Format::Parquet, "parquet"), (Format::Jsonl, "jsonl"));
    match task.source {
        TaskSource::Squad => [(Format::Jsonl, "json"), parquet, jsonl],
        _ => [(Format::Tsv, "tsv"), parquet, jsonl],
    }
}

/// The files of a split: one, or the shards of a parquet data set in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Located {
    pub(crate) format: Format,
    pub(crate) files: Vec<PathBuf>,
}

/// The file names without extension. A plain `dev` or `test` stands for MNLI's matched half,
/// because JSONL copies of MNLI use these names.
fn stems(task: &Task, split: SplitName) -> &'static [&'static str] {
    let official = task.source == TaskSource::Squad;
    match split {
        SplitName::Train if official && task.has_unanswerable => &["train-v2.0", "train"],
        SplitName::Train if official => &["train-v1.1", "train"],
        SplitName::Validation if official && task.has_unanswerable => {
            &["dev-v2.0", "dev", "validation"]
        }
        SplitName::Validation if official => &["dev-v1.1", "dev", "validation"],
        SplitName::Train => &["train"],
        SplitName::Validation => &["dev", "validation"],
        SplitName::ValidationMatched => &["dev_matched", "validation_matched", "dev", "validation"],
        SplitName::ValidationMismatched => &["dev_mismatched", "validation_mismatched"],
        SplitName::Test => &["test"],
        SplitName::TestMatched => &["test_matched", "test"],
        SplitName::TestMismatched => &["test_mismatched"],
    }
}

/// The files of `split` in `dir`.
///
/// # Errors
/// `dir` does not exist, is a file, cannot be listed, or contains no file for the split. Also if
/// parquet shards are incomplete.
pub(crate) fn locate(task: &Task, dir: &Path, split: SplitName) -> Result<Located, DataError> {
    match find(task, dir, split)? {
        Some(located) => Ok(located),
        None => Err(DataError::NoSplitFile {
            task: task.name.clone(),
            split,
            dir: dir.to_path_buf(),
            looked_for: looked_for(task, split),
            found: entries(dir)?,
        }),
    }
}

/// Like [`locate`], but `None` if there is no file for the split.
pub(crate) fn find(
    task: &Task,
    dir: &Path,
    split: SplitName,
) -> Result<Option<Located>, DataError> {
    if !dir.is_dir() {
        return Err(DataError::NoDirectory {
            dir: dir.to_path_buf(),
            is_file: dir.exists(),
            looked_for: looked_for(task, split),
        });
    }
    let mut folders = vec![dir.to_path_buf()];
    folders.extend(
        subfolders(task)
            .map(|name| dir.join(name))
            .filter(|path| path.is_dir()),
    );
    for folder in folders {
        let present = entries(&folder)?;
        for (format, extension) in formats(task) {
            for stem in stems(task, split) {
                let files = files_of(&folder, &present, stem, extension)?;
                if !files.is_empty() {
                    return Ok(Some(Located { format, files }));
                }
            }
        }
    }
    Ok(None)
}

fn subfolders(task: &Task) -> impl Iterator<Item = &str> {
    let glue_folder = match &task.source {
        TaskSource::Glue(folder) => Some(folder.as_str()),
        // The hub's name for v1.1's only configuration.
        TaskSource::Squad if !task.has_unanswerable => Some("plain_text"),
        TaskSource::Squad | TaskSource::Generated(_) | TaskSource::Own => None,
    };
    std::iter::once(task.name.as_str()).chain(glue_folder)
}

/// The file names that [`find`] tries, for messages.
fn looked_for(task: &Task, split: SplitName) -> Vec<String> {
    let mut names = Vec::new();
    for (format, extension) in formats(task) {
        for stem in stems(task, split) {
            names.push(format!("{stem}.{extension}"));
            if format == Format::Parquet {
                names.push(format!("{stem}-00000-of-00001.parquet"));
            }
        }
    }
    names.extend(subfolders(task).map(|name| format!("{name}/ with one of these")));
    names
}

/// The names in a folder, sorted. Names that are not Unicode cannot match and are left out.
fn entries(folder: &Path) -> Result<Vec<String>, DataError> {
    let failed = |source| DataError::Io {
        path: folder.to_path_buf(),
        source,
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        if let Ok(name) = entry.map_err(failed)?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn files_of(
    folder: &Path,
    present: &[String],
    stem: &str,
    extension: &str,
) -> Result<Vec<PathBuf>, DataError> {
    let single = format!("{stem}.{extension}");
    if present.contains(&single) {
        return Ok(vec![folder.join(single)]);
    }
    match extension {
        "parquet" => shards(folder, present, stem),
        _ => Ok(Vec::new()),
    }
}

/// The files `STEM-IIIII-of-NNNNN.parquet` in order; empty if there are none.
fn shards(folder: &Path, present: &[String], stem: &str) -> Result<Vec<PathBuf>, DataError> {
    let mut found: Vec<(usize, usize, &String)> = present
        .iter()
        .filter_map(|name| shard_number(name, stem).map(|(index, total)| (index, total, name)))
        .collect();
    found.sort();
    let Some(&(_, total, _)) = found.first() else {
        return Ok(Vec::new());
    };
    let is_whole = found.len() == total
        && found
            .iter()
            .enumerate()
            .all(|(at, &(index, of, _))| index == at && of == total);
    if !is_whole {
        return Err(DataError::Shards {
            dir: folder.to_path_buf(),
            stem: stem.to_owned(),
            total,
            found: found.into_iter().map(|(_, _, name)| name.clone()).collect(),
        });
    }
    Ok(found
        .into_iter()
        .map(|(_, _, name)| folder.join(name))
        .collect())
}

/// (index, total) from a shard's file name. Older uploads to the hub have a hash after the total
/// (`train-00000-of-00001-3f9a.parquet`).
fn shard_number(name: &str, stem: &str) -> Option<(usize, usize)> {
    let rest = name
        .strip_prefix(stem)?
        .strip_prefix('-')?
        .strip_suffix(".parquet")?;
    let (index, rest) = rest.split_once("-of-")?;
    let total = rest.split_once('-').map_or(rest, |(total, _)| total);
    Some((index.parse().ok()?, total.parse().ok()?))
}
