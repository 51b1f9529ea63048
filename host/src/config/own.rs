//! The keys about the user's own data files: the files themselves, and how they are read. Read by
//! the resolved configurations of every command that reads data.

use progtune_datasets::{Header, OWN_TASK, OwnRequest, Reading};

use super::data::{DATA, TASK};
use super::settings::Settings;
use super::{ConfigError, OWN_DATA, OWN_TRAINING, Split};
use crate::flags::Declared;

mod flags;
mod written;

pub(crate) use flags::*;
pub(super) use written::write;

/// Reads the request for own data, and the name of the task. Own data needs no `task`, and excludes
/// any other. With `data_is_own`, a `data` without a task is own data, too.
///
/// # Errors
/// Fails if a value is not valid for its key, or files are combined with another task or with
/// `data`.
pub(super) fn read_own(
    settings: &Settings,
    data_is_own: bool,
) -> Result<(String, Option<OwnRequest>), ConfigError> {
    let task = settings.text(&TASK)?;
    settings.refuse_word(&TASK, "the name of a task", &task)?;
    let files = |flag| -> Result<Vec<String>, ConfigError> {
        let paths = settings.paths(flag)?;
        let text = |path: &std::path::PathBuf| path.to_string_lossy().into_owned();
        Ok(paths
            .iter()
            .map(text)
            .filter(|path| path != "none")
            .collect())
    };
    let request = OwnRequest {
        train: files(&TRAIN_FILE)?,
        validation: files(&VALIDATION_FILE)?,
        test: files(&TEST_FILE)?,
        reading: read_reading(settings)?,
        ..OwnRequest::default()
    };
    let named = [
        (&TRAIN_FILE, &request.train),
        (&VALIDATION_FILE, &request.validation),
        (&TEST_FILE, &request.test),
    ];
    let Some((flag, _)) = named.into_iter().find(|(_, files)| !files.is_empty()) else {
        let is_own = data_is_own && settings.is_set(&DATA) && !settings.is_set(&TASK);
        if task == OWN_TASK || is_own {
            return Ok((OWN_TASK.to_owned(), Some(request)));
        }
        refuse_without_files(settings, &task)?;
        return Ok((task, None));
    };
    let conflict = |other: &dyn Declared, reason: &str| {
        Err(ConfigError::Conflict {
            first: settings.named(flag),
            second: settings.named(other),
            reason: reason.into(),
            advice: "remove one of them".into(),
        })
    };
    if task != OWN_TASK && settings.is_set(&TASK) {
        return conflict(&TASK, "a named task has its own files");
    }
    if settings.path(&DATA)?.is_some() {
        return conflict(&DATA, "own data is given by its files");
    }
    Ok((OWN_TASK.to_owned(), Some(request)))
}

/// Rejects keys about own files if there are none, because they would silently have no effect.
fn refuse_without_files(settings: &Settings, task: &str) -> Result<(), ConfigError> {
    let files = [&TRAIN_FILE, &VALIDATION_FILE, &TEST_FILE].map(|flag| flag.about().name);
    let mut reading = OWN_DATA.iter().chain(OWN_TRAINING);
    let is_set =
        |flag: &&&dyn Declared| settings.is_set(**flag) && !files.contains(&flag.about().name);
    match reading.find(is_set) {
        None => Ok(()),
        Some(flag) => Err(ConfigError::Conflict {
            first: settings.named(*flag),
            second: format!("the task `{task}` (from {})", settings.origin(&TASK)),
            reason: "it applies to your own files, and none are given".into(),
            advice: format!(
                "give --train-file or another file, or remove {}",
                flag.about().name
            ),
        }),
    }
}

/// Reads how files are read.
///
/// # Errors
/// Fails if a value is not valid for its key.
pub(super) fn read_reading(settings: &Settings) -> Result<Reading, ConfigError> {
    Ok(Reading {
        format: settings.find(&FILE_FORMAT)?,
        encoding: settings.find(&ENCODING)?.unwrap_or_default(),
        header: read_header(settings)?,
        text_column: settings.optional_text(&TEXT_COLUMN)?,
        pair_column: settings.optional_text(&PAIR_COLUMN)?,
        label_column: settings.optional_text(&LABEL_COLUMN)?,
        label_separator: settings.optional_text(&LABEL_SEPARATOR)?,
        repair_tags: settings.find(&REPAIR_TAGS)?,
        problem_type: settings.find(&PROBLEM_TYPE)?,
        on_bad_row: settings.find(&ON_BAD_ROW)?.unwrap_or_default(),
    })
}

/// Reads the source of the column names. If names are given, the files themselves have none.
fn read_header(settings: &Settings) -> Result<Header, ConfigError> {
    let (names, no_header) = (settings.find(&COLUMNS)?, settings.find(&NO_HEADER)?);
    Ok(match (names, no_header.unwrap_or_default()) {
        (Some(names), _) => Header::Absent(names),
        (None, true) => Header::Absent(Vec::new()),
        (None, false) => Header::FirstRow,
    })
}

/// Adds the source of validation rows for training. Files and a share exclude each other.
pub(super) fn with_validation_split(
    settings: &Settings,
    request: OwnRequest,
    seed: u64,
) -> Result<OwnRequest, ConfigError> {
    let validation_split = settings.find(&VALIDATION_SPLIT)?;
    match (validation_split, request.validation.is_empty()) {
        (Some(_), false) => Err(ConfigError::Conflict {
            first: settings.named(&VALIDATION_SPLIT),
            second: settings.named(&VALIDATION_FILE),
            reason: "validation rows come from one of them".into(),
            advice: "remove one of them".into(),
        }),
        _ => Ok(OwnRequest {
            validation_split,
            seed,
            ..request
        }),
    }
}

/// Checks that training has rows to learn from and rows to evaluate on.
///
/// # Errors
/// Fails if either is missing.
pub(crate) fn check_complete(request: &OwnRequest) -> Result<(), ConfigError> {
    let missing = |key: &str, reason: &str, advice: &str| {
        Err(ConfigError::Missing {
            key: key.into(),
            reason: reason.into(),
            advice: advice.into(),
        })
    };
    if request.train.is_empty() {
        return missing(
            "--train-file",
            "there are no rows to learn from",
            "give --train-file with a file, a directory or a pattern, or --data with a training split",
        );
    }
    if request.validation.is_empty() && request.validation_split.is_none() {
        return missing(
            "--validation-file",
            "there are no rows to evaluate on after each epoch",
            "give it, or --validation-split 0.1 to take a tenth of the training rows",
        );
    }
    Ok(())
}

/// Whether any own files are given.
///
/// # Errors
/// Fails if a value is not valid for its key.
pub(super) fn has_files(settings: &Settings) -> Result<bool, ConfigError> {
    let mut is_any = false;
    for flag in [&TRAIN_FILE, &VALIDATION_FILE, &TEST_FILE] {
        let paths = settings.paths(flag)?;
        is_any |= paths.iter().any(|path| path.as_os_str() != "none");
    }
    Ok(is_any)
}

/// Whether the request names no files.
pub(super) fn is_without_files(request: &OwnRequest) -> bool {
    [&request.train, &request.validation, &request.test]
        .into_iter()
        .all(Vec::is_empty)
}

/// The request with the files of one split only: the chosen one, otherwise the first of `preferred`
/// that has files.
pub(super) fn of_split(
    request: OwnRequest,
    split: Option<Split>,
    preferred: [Split; 3],
) -> Result<(OwnRequest, Split), ConfigError> {
    let has = |split: &Split| match split {
        Split::Train => !request.train.is_empty(),
        Split::Validation => !request.validation.is_empty(),
        Split::Test => !request.test.is_empty(),
    };
    let chosen = split.or_else(|| preferred.iter().copied().find(has));
    let split = chosen.unwrap_or(preferred[0]);
    if !has(&split) {
        return Err(ConfigError::Missing {
            key: format!("--{split}-file"),
            reason: format!("the {split} split of own data consists of these files"),
            advice: "give it, or another --split".into(),
        });
    }
    let mut only = OwnRequest {
        reading: request.reading,
        ..OwnRequest::default()
    };
    match split {
        Split::Train => only.train = request.train,
        Split::Validation => only.validation = request.validation,
        Split::Test => only.test = request.test,
    }
    Ok((only, split))
}
