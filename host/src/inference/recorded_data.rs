//! The data on which a result is used if no other is given: that of its training, by the records
//! beside it. Called by `evaluate` and `predict`.

use crate::{
    config::{HubConfig, RecordedData, Split, recorded_split},
    fetch::Fetcher,
    result_record::ResultRecord,
};
use progtune_datasets::{OwnRequest, SplitName};
use progtune_engine::{Error, Result};
use progtune_process::terminal::note;
use std::path::{Path, PathBuf};

/// The user's own files to which a model is applied.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OwnSplit {
    /// The files.
    pub request: OwnRequest,
    /// The split to take from them; `None` if they are those of a single one.
    pub at: Option<SplitName>,
}

impl From<OwnRequest> for OwnSplit {
    fn from(request: OwnRequest) -> Self {
        Self { request, at: None }
    }
}

/// A split of the own files of the run that made a result.
///
/// # Errors
/// Fails if the run's data is not recorded, has no such split, or is no longer there.
pub(super) fn own_split(record: &ResultRecord, split: Split, hub: &HubConfig) -> Result<OwnSplit> {
    let place = record.directory.display();
    let missing = |what: &str| {
        Error::Usage(format!(
            "{place}: {what}; give files with --test-file FILE, or a data set with --data"
        ))
    };
    let data = record.data()?;
    let Some(RecordedData {
        data,
        data_config,
        own: Some(own),
    }) = data
    else {
        return Err(missing("the data of its training is not recorded there"));
    };
    let at = match split {
        Split::Train => SplitName::Train,
        Split::Validation => SplitName::Validation,
        Split::Test => SplitName::Test,
    };
    let request = match data {
        Some(data) => {
            let hub = HubConfig {
                data_config,
                ..hub.clone()
            };
            let is_held_out = own.validation_split.is_some() && split != Split::Test;
            let files = if is_held_out { Split::Train } else { split };
            let whole = OwnRequest {
                validation_split: own.validation_split.filter(|_| is_held_out),
                ..own
            };
            Fetcher::new(&hub).own_split(&whole, &data, files)?
        }
        None => recorded_split(own, split),
    };
    let files = [&request.train, &request.validation, &request.test];
    let files: Vec<&String> = files.into_iter().flatten().collect();
    if files.is_empty() {
        return Err(missing(&format!("its training had no {split} files")));
    }
    let is_pattern = |file: &str| file.contains(['*', '?', '[']);
    if let Some(gone) = files
        .iter()
        .find(|file| !Path::new(file.as_str()).exists() && !is_pattern(file))
    {
        return Err(missing(&format!(
            "`{gone}`, a file of its training, is not there (relative paths begin where training was started)"
        )));
    }
    note(&format!(
        "data: the {split} split of the run that made {place} (no data was given)"
    ));
    Ok(OwnSplit {
        request,
        at: Some(at),
    })
}

/// The data directory or data set of a named task's run, if it is recorded and still there.
///
/// # Errors
/// Fails if the record is damaged.
pub(super) fn task_data(record: Option<&ResultRecord>) -> Result<Option<PathBuf>> {
    let Some(record) = record else {
        return Ok(None);
    };
    let data = record.data()?.and_then(|data| data.data);
    let is_there = |data: &PathBuf| data.is_dir() || data.to_string_lossy().contains('@');
    let Some(data) = data.filter(is_there) else {
        return Ok(None);
    };
    note(&format!(
        "data: {}, as in the run that made {} (no --data was given)",
        data.display(),
        record.directory.display()
    ));
    Ok(Some(data))
}
