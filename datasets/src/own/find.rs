//! Resolves a path, a directory or a pattern to files. `own` resolves each flag's values before it
//! reads any file.

use std::path::{Path, PathBuf};

use crate::error::{DataError, OwnDataError};
use crate::format::{DataFile, Format, may_hold_rows};
use crate::nearest::near;
use crate::readers::foreign;
use crate::request::Reading;

/// The files that `given` (the values of `flag`) stand for, in that order; those of a directory or
/// pattern are sorted. Their format is the one that `reading` requests, or the one that their names
/// indicate.
///
/// # Errors
/// A value matches no file, or a name indicates no format.
pub(crate) fn find_files(
    flag: &'static str,
    given: &[String],
    reading: &Reading,
) -> Result<Vec<DataFile>, DataError> {
    find(flag, given, reading, Format::of_name)
}

/// Like [`find_files`], for tagged sentences: a TSV, and a file whose name indicates no format, has
/// one word and its tags per line.
pub(crate) fn find_tagged_files(
    flag: &'static str,
    given: &[String],
    reading: &Reading,
) -> Result<Vec<DataFile>, DataError> {
    let of_name = |path: &Path| match Format::of_name(path) {
        None | Some(Format::Tsv) => Some(Format::Conll),
        other => other,
    };
    find(flag, given, reading, of_name)
}

fn find(
    flag: &'static str,
    given: &[String],
    reading: &Reading,
    of_name: impl Fn(&Path) -> Option<Format>,
) -> Result<Vec<DataFile>, DataError> {
    let mut files = Vec::new();
    for given in given {
        for path in expand(flag, given, reading.format)? {
            let Some(format) = reading.format.or_else(|| of_name(&path)) else {
                foreign::refuse_file(&path, None)?;
                return Err(OwnDataError::UnknownFormat { path }.into());
            };
            files.push(DataFile {
                path,
                format,
                encoding: reading.encoding,
                header: reading.header.clone(),
            });
        }
    }
    Ok(files)
}

fn expand(
    flag: &'static str,
    given: &str,
    format: Option<Format>,
) -> Result<Vec<PathBuf>, DataError> {
    let path = Path::new(given);
    if path.is_dir() {
        return files_in(flag, path, format);
    }
    // An existing name is taken literally, whatever characters it contains.
    if path.exists() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut found = Vec::new();
    if given.contains(['*', '?', '[']) {
        let matches = glob::glob(given).map_err(|error| OwnDataError::BadPattern {
            flag,
            given: given.to_owned(),
            at: error.pos,
            message: error.msg,
        })?;
        // `glob` sorts the matches; unreadable entries are not matches.
        found.extend(matches.flatten().filter(|path| path.is_file()));
    }
    if found.is_empty() {
        return Err(OwnDataError::NoFiles {
            flag,
            given: given.to_owned(),
            nearest: nearest_file(path),
        }
        .into());
    }
    Ok(found)
}

/// The data files of a directory, sorted by name. If a format is requested, all files are included.
fn files_in(
    flag: &'static str,
    dir: &Path,
    format: Option<Format>,
) -> Result<Vec<PathBuf>, DataError> {
    let mut paths = list(dir).map_err(|source| DataError::Io {
        path: dir.to_path_buf(),
        source,
    })?;
    paths.sort();
    let names = |paths: &[PathBuf]| -> Vec<String> {
        let names = paths.iter().filter_map(|path| path.file_name());
        names
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    };
    let all = names(&paths);
    let is_wanted = |path: &Path| {
        path.is_file()
            && may_hold_rows(path)
            && (format.is_some() || Format::of_name(path).is_some())
    };
    paths.retain(|path| is_wanted(path));
    if paths.is_empty() {
        return Err(OwnDataError::NoDataInDirectory {
            flag,
            dir: dir.to_path_buf(),
            found: all,
        }
        .into());
    }
    Ok(paths)
}

fn list(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    std::fs::read_dir(dir)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect()
}

/// The file in the same directory whose name is most similar to that of `path`.
fn nearest_file(path: &Path) -> Option<String> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let names: Vec<String> = list(parent.unwrap_or(Path::new(".")))
        .ok()?
        .iter()
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .collect();
    let name = near(
        path.file_name()?.to_str()?,
        names.iter().map(String::as_str),
    )?;
    Some(parent.map_or(name.to_owned(), |parent| {
        parent.join(name).display().to_string()
    }))
}
