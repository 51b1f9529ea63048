//! The keys about the user's own data files: which files, which columns, which metrics. Read by the resolved
//! configurations of every command that reads data.

use std::path::Path;

use progtune_datasets::{
    DataError, Format, Header, Metric, OWN_TASK, OnBadRow, OwnRequest, ProblemType, Reading,
    RepairTags, TextEncoding,
};

use super::ConfigError;
use super::Split;
use super::settings::Settings;

const FILE_KEYS: [&str; 3] = ["train_file", "validation_file", "test_file"];

/// The keys that say how own files are read.
const READING_KEYS: [&str; 12] = [
    "file_format",
    "encoding",
    "no_header",
    "columns",
    "text_column",
    "pair_column",
    "label_column",
    "label_separator",
    "repair_tags",
    "on_bad_row",
    "validation_split",
    "problem_type",
];

pub(super) const PROBLEM_TYPES: &[(&str, ProblemType)] = &[
    (
        "single_label_classification",
        ProblemType::SingleLabelClassification,
    ),
    (
        "multi_label_classification",
        ProblemType::MultiLabelClassification,
    ),
    ("regression", ProblemType::Regression),
    ("question_answering", ProblemType::QuestionAnswering),
    ("token_classification", ProblemType::TokenClassification),
];

pub(super) const ON_BAD_ROW: &[(&str, OnBadRow)] =
    &[("error", OnBadRow::Error), ("skip", OnBadRow::Skip)];

/// The request for own data, and the name of the task: own data needs no `task`, and takes no other. With `data_is_own` it
/// is also what `data` is without a task.
///
/// # Errors
/// A value that its key does not take; files beside another task's name or data.
pub(super) fn read_own(
    settings: &Settings,
    data_is_own: bool,
) -> Result<(String, Option<OwnRequest>), ConfigError> {
    let task = settings.text("task")?;
    let files = |key: &str| -> Result<Vec<String>, ConfigError> {
        let paths = settings.paths(key)?;
        let text = |path: &std::path::PathBuf| path.to_string_lossy().into_owned();
        Ok(paths
            .iter()
            .map(text)
            .filter(|path| path != "none")
            .collect())
    };
    let request = OwnRequest {
        train: files("train_file")?,
        validation: files("validation_file")?,
        test: files("test_file")?,
        reading: read_reading(settings)?,
        ..OwnRequest::default()
    };
    let Some(key) = FILE_KEYS.into_iter().find(|key| match *key {
        "train_file" => !request.train.is_empty(),
        "validation_file" => !request.validation.is_empty(),
        _ => !request.test.is_empty(),
    }) else {
        let is_own = data_is_own && settings.is_set("data") && !settings.is_set("task");
        if task == OWN_TASK || is_own {
            return Ok((OWN_TASK.to_owned(), Some(request)));
        }
        refuse_without_files(settings, &task)?;
        return Ok((task, None));
    };
    for (other, what) in [
        ("task", "a task has its own files"),
        ("data", "own data is named by its files"),
    ] {
        let is_own = other == "task" && (task == OWN_TASK || !settings.is_set("task"));
        let is_unset = other == "data" && settings.optional_path("data")?.is_none();
        if !is_own && !is_unset {
            return Err(ConfigError::Conflict {
                first: format!("{key} (from {})", settings.origin(key)),
                second: format!("{other} (from {})", settings.origin(other)),
                reason: what.into(),
                advice: "remove one of them".into(),
            });
        }
    }
    Ok((OWN_TASK.to_owned(), Some(request)))
}

/// What is said of own files would silently do nothing without them.
fn refuse_without_files(settings: &Settings, task: &str) -> Result<(), ConfigError> {
    match READING_KEYS.iter().find(|key| settings.is_set(key)) {
        None => Ok(()),
        Some(key) => Err(ConfigError::Conflict {
            first: format!("{key} (from {})", settings.origin(key)),
            second: format!("the task `{task}` (from {})", settings.origin("task")),
            reason: "it is about your own files, and there are none".into(),
            advice: format!("give --train-file or the like, or remove {key}"),
        }),
    }
}

fn read_reading(settings: &Settings) -> Result<Reading, ConfigError> {
    Ok(Reading {
        format: optional_choice(settings, "file_format", Format::NAMES)?,
        encoding: settings
            .optional_parsed(
                "encoding",
                "the name of an encoding, such as utf-8, utf-16, windows-1252 or shift_jis",
                TextEncoding::by_name,
            )?
            .unwrap_or_default(),
        header: read_header(settings)?,
        text_column: settings.optional_text("text_column")?,
        pair_column: settings.optional_text("pair_column")?,
        label_column: settings.optional_text("label_column")?,
        label_separator: settings.optional_text("label_separator")?,
        repair_tags: optional_choice(settings, "repair_tags", RepairTags::NAMES)?,
        problem_type: optional_choice(settings, "problem_type", PROBLEM_TYPES)?,
        on_bad_row: optional_choice(settings, "on_bad_row", ON_BAD_ROW)?.unwrap_or_default(),
    })
}

/// Where the names of columns are: names that are given mean that the files have none.
fn read_header(settings: &Settings) -> Result<Header, ConfigError> {
    let names = settings.optional_parsed(
        "columns",
        "different names with commas between them, such as `text,label`",
        |text| {
            let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
            let is_new = |(at, name): (usize, &String)| !names[..at].contains(name);
            let are_good = names.iter().enumerate().all(is_new) && !names.contains(&String::new());
            are_good.then_some(names)
        },
    )?;
    let no_header = settings.optional_choice("no_header", &[("true", true), ("false", false)])?;
    Ok(match (names, no_header.unwrap_or_default()) {
        (Some(names), _) => Header::Absent(names),
        (None, true) => Header::Absent(Vec::new()),
        (None, false) => Header::FirstRow,
    })
}

/// One of some names, or `none`.
fn optional_choice<T: Copy>(
    settings: &Settings,
    key: &str,
    names: &[(&'static str, T)],
) -> Result<Option<T>, ConfigError> {
    match settings.optional_text(key)? {
        Some(_) => settings.optional_choice(key, names),
        None => Ok(None),
    }
}

/// The metrics asked for, most important first; empty for the task's own.
pub(super) fn read_metrics(settings: &Settings) -> Result<Vec<Metric>, ConfigError> {
    let Some(text) = settings.optional_text("metrics")? else {
        return Ok(Vec::new());
    };
    let mut metrics = Vec::new();
    for name in text.split(',') {
        let metric = Metric::by_name(name).map_err(|error| {
            let DataError::UnknownMetric { known, .. } = &error else {
                return settings.bad("metrics", "names of metrics", &text);
            };
            settings.bad(
                "metrics",
                &format!("names out of {}", known.join(", ")),
                name,
            )
        })?;
        if !metrics.contains(&metric) {
            metrics.push(metric);
        }
    }
    Ok(metrics)
}

/// What training adds: where validation rows come from. Both files and share, or neither, is an error.
pub(super) fn with_validation_split(
    settings: &Settings,
    request: OwnRequest,
    seed: u64,
) -> Result<OwnRequest, ConfigError> {
    let validation_split =
        settings.optional_number("validation_split", "a share above 0 and below 1", |share| {
            *share > 0.0 && *share < 1.0
        })?;
    match (validation_split, request.validation.is_empty()) {
        (Some(_), false) => Err(ConfigError::Conflict {
            first: format!(
                "validation_split (from {})",
                settings.origin("validation_split")
            ),
            second: format!(
                "validation_file (from {})",
                settings.origin("validation_file")
            ),
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

/// What training needs: rows to learn from and rows to evaluate on.
///
/// # Errors
/// When one of these is missing.
pub fn check_complete(request: &OwnRequest) -> Result<(), ConfigError> {
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

/// Whether no file is named.
pub(super) fn is_without_files(request: &OwnRequest) -> bool {
    [&request.train, &request.validation, &request.test]
        .into_iter()
        .all(Vec::is_empty)
}

/// The request with the files of one split alone: the one chosen, else the first of validation, test and train that has
/// files (for prediction: of test, validation and train).
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
            reason: format!("the {split} split of own data is its files"),
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

/// A single file to predict.
pub(super) fn of_input(request: OwnRequest, file: &Path) -> OwnRequest {
    OwnRequest {
        test: vec![file.to_string_lossy().into_owned()],
        ignore_labels: true,
        reading: request.reading,
        ..OwnRequest::default()
    }
}
