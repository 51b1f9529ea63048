//! Resolves a path, a directory or a pattern to files. `own` resolves each flag's values before it
//! reads any file.

use std::path::{Path, PathBuf};

use crate::error::{DataError, OwnDataError, suggestion};
use crate::format::{DataFile, Format, may_hold_rows};
use crate::own::recognise::{Content, has_quoted_header, recognise};
use crate::readers::foreign;
use crate::request::Reading;

/// The files that `given` (the values of `flag`) stand for, in that order; those of a directory or
/// pattern are sorted. Their format is the one that `reading` requests, the one that their names
/// indicate, or the one that their contents show.
///
/// # Errors
/// A value matches no file, or nothing indicates the format.
pub(crate) fn find_files(
    flag: &'static str,
    given: &[String],
    reading: &Reading,
) -> Result<Vec<DataFile>, DataError> {
    find(
        flag,
        given,
        reading,
        &|file| match Format::of_name(&file.path) {
            Some(Format::Tsv) if has_quoted_header(file) => Content::Known(Format::Csv),
            Some(format) => Content::Known(format),
            None => recognise(file),
        },
    )
}

/// Like [`find_files`], for tagged sentences: a TSV, and a file whose name indicates no format, has
/// one word and its tags per line.
pub(crate) fn find_tagged_files(
    flag: &'static str,
    given: &[String],
    reading: &Reading,
) -> Result<Vec<DataFile>, DataError> {
    find(flag, given, reading, &|file| {
        Content::Known(match Format::of_name(&file.path) {
            None | Some(Format::Tsv) => Format::Conll,
            Some(other) => other,
        })
    })
}

fn find(
    flag: &'static str,
    given: &[String],
    reading: &Reading,
    content: &dyn Fn(&DataFile) -> Content,
) -> Result<Vec<DataFile>, DataError> {
    let mut files = Vec::new();
    for given in given {
        for Found { path, part, format } in expand(flag, given, reading.format)? {
            let mut file = DataFile {
                path,
                format: reading.format.or(format).unwrap_or(Format::Lines),
                encoding: reading.encoding,
                header: reading.header.clone(),
                part,
            };
            if reading.format.or(format).is_none() {
                file.format = known_format(&file, content)?;
            }
            if file.part.is_some() && file.format != Format::Jsonl {
                return Err(OwnDataError::PartOfTable {
                    path: file.path.clone(),
                    part: file.part.unwrap_or_default(),
                    format: file.format.as_str(),
                }
                .into());
            }
            files.push(file);
        }
    }
    Ok(files)
}

fn known_format(
    file: &DataFile,
    content: &dyn Fn(&DataFile) -> Content,
) -> Result<Format, DataError> {
    let looks = match content(file) {
        Content::Known(format) => return Ok(format),
        Content::Looks(format) => Some(format),
        Content::Unknown => None,
    };
    foreign::refuse_file(&file.path, None)?;
    let path = file.path.clone();
    Err(OwnDataError::UnknownFormat { path, looks }.into())
}

/// A file that a value stands for.
struct Found {
    path: PathBuf,
    /// The key of its rows, after `#`.
    part: Option<String>,
    /// Its format, if the place of the file tells.
    format: Option<Format>,
}

impl Found {
    fn plain(path: PathBuf) -> Self {
        Self {
            path,
            part: None,
            format: None,
        }
    }
}

fn expand(
    flag: &'static str,
    given: &str,
    format: Option<Format>,
) -> Result<Vec<Found>, DataError> {
    let path = Path::new(given);
    if path.is_dir() {
        return files_in(flag, path, format);
    }
    // An existing name is taken literally, whatever characters it contains.
    if path.exists() {
        return Ok(vec![Found::plain(path.to_path_buf())]);
    }
    if let Some((before, part)) = given.rsplit_once('#')
        && Path::new(before).is_file()
    {
        return Ok(vec![Found {
            part: Some(part.to_owned()),
            ..Found::plain(before.into())
        }]);
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
            suggestion: similar_files(path),
        }
        .into());
    }
    Ok(found.into_iter().map(Found::plain).collect())
}

/// The data files of a directory, sorted by name; without any, the texts in its folders, each of
/// which is a class. If a format is requested, all files are included.
fn files_in(
    flag: &'static str,
    dir: &Path,
    format: Option<Format>,
) -> Result<Vec<Found>, DataError> {
    let all = entries(dir)?;
    let is_wanted = |path: &PathBuf| {
        path.is_file()
            && may_hold_rows(path)
            && (format.is_some() || Format::of_name(path).is_some())
    };
    let files: Vec<PathBuf> = all.iter().filter(|path| is_wanted(path)).cloned().collect();
    if !files.is_empty() {
        return Ok(files.into_iter().map(Found::plain).collect());
    }
    let mut texts = Vec::new();
    if format.is_none_or(|format| format == Format::TextFile) {
        let folders = class_folders(dir)?;
        if folders.len() > 1 {
            for (_, files) in folders {
                texts.extend(files.into_iter().map(|path| Found {
                    format: Some(Format::TextFile),
                    ..Found::plain(path)
                }));
            }
            return Ok(texts);
        }
    }
    let names = all.iter().filter_map(|path| path.file_name());
    Err(OwnDataError::NoDataInDirectory {
        flag,
        dir: dir.to_path_buf(),
        found: names
            .map(|name| name.to_string_lossy().into_owned())
            .collect(),
        inside: split_with_classes(flag, all),
    }
    .into())
}

/// The directory with class folders among these: the one that is named like the split of the flag,
/// otherwise the first.
fn split_with_classes(flag: &str, entries: Vec<PathBuf>) -> Option<PathBuf> {
    let has_classes = |path: &PathBuf| {
        path.is_dir() && class_folders(path).is_ok_and(|folders| folders.len() > 1)
    };
    let with_classes: Vec<PathBuf> = entries.into_iter().filter(has_classes).collect();
    let split = flag.trim_start_matches("--").trim_end_matches("-file");
    let mut fitting = with_classes.iter().filter(|path| path.ends_with(split));
    fitting.next().or(with_classes.first()).cloned()
}

/// The folder of IMDb's texts without a class.
const WITHOUT_CLASS: &str = "unsup";

/// The folder of texts without a class that is left out of one of these directories.
pub(crate) fn without_class(given: &[String]) -> Option<PathBuf> {
    let mut folders = given
        .iter()
        .map(|given| Path::new(given).join(WITHOUT_CLASS));
    folders.find(|folder| {
        let dir = folder.parent().filter(|_| folder.is_dir());
        let classes = dir
            .and_then(|dir| class_folders(dir).ok())
            .unwrap_or_default();
        classes.len() > 1 && !classes.iter().any(|(class, _)| class == folder)
    })
}

/// The folders of a directory that contain only files of plain text, with these files, sorted by
/// name. A folder of texts without a class is left out if there are others.
fn class_folders(dir: &Path) -> Result<Vec<(PathBuf, Vec<PathBuf>)>, DataError> {
    let mut found = Vec::new();
    for folder in entries(dir)?.into_iter().filter(|path| path.is_dir()) {
        let files: Vec<PathBuf> = entries(&folder)?;
        let are_texts = |path: &PathBuf| path.is_file() && Format::of_name(path).is_none();
        if !files.is_empty() && files.iter().all(are_texts) {
            found.push((folder, files));
        }
    }
    let has_class = |(folder, _): &(PathBuf, Vec<PathBuf>)| !folder.ends_with(WITHOUT_CLASS);
    if found.iter().filter(|found| has_class(found)).count() > 1 {
        found.retain(has_class);
    }
    Ok(found)
}

/// The entries of a directory, sorted, without hidden ones.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut paths = list(dir).map_err(|source| DataError::Io {
        path: dir.to_path_buf(),
        source,
    })?;
    let is_hidden = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        name.as_encoded_bytes().starts_with(b".")
    };
    paths.retain(|path| !is_hidden(path));
    paths.sort();
    Ok(paths)
}

fn list(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    std::fs::read_dir(dir)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect()
}

/// The suggestion of files in the same directory whose names are similar to that of `path`.
fn similar_files(path: &Path) -> String {
    let name = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
    let (Some(wanted), Some(parent)) = (name(path), path.parent()) else {
        return String::new();
    };
    let listed = if parent.as_os_str().is_empty() {
        list(Path::new("."))
    } else {
        list(parent)
    };
    let names: Vec<String> = listed
        .into_iter()
        .flatten()
        .filter_map(|path| name(&path))
        .collect();
    let near = suggestion(&wanted, names.iter().map(String::as_str));
    near.replace(" '", &format!(" '{}", parent.join("").display()))
}
