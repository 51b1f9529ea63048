//! The data of a finished run, read from its `config.toml`: `evaluate` measures a result on it if
//! no other data is given. Read by `result_record`.

use std::path::{Path, PathBuf};

use progtune_datasets::OwnRequest;

use super::data::DATA;
use super::hub::DATA_CONFIG;
use super::training::SEED;
use super::{ConfigError, Sources, Split, layers, own};
use crate::flags::{Arguments, Scope};

/// The data of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedData {
    /// Directory of the task's files, or id of a data set.
    pub data: Option<PathBuf>,
    /// Configuration of a data set.
    pub(crate) data_config: Option<String>,
    /// The user's own files, with the share that was held out for validation; without files if they
    /// are those of `data`. `None` for a named task.
    pub own: Option<OwnRequest>,
}

impl RecordedData {
    /// Reads a run's configuration.
    ///
    /// # Errors
    /// Fails if it is not one.
    pub fn read(config: &Path) -> Result<Self, ConfigError> {
        let sources = Sources {
            file: Some(config.to_owned()),
            variables: Vec::new(),
        };
        let settings = layers::merge(&Arguments::default(), &sources, Scope::Inference)?;
        let (_, own) = own::read_own(&settings, true)?;
        let seed = settings.get(&SEED)?;
        Ok(Self {
            data: settings.path(&DATA)?,
            data_config: settings.optional_text(&DATA_CONFIG)?,
            own: own
                .map(|own| own::with_validation_split(&settings, own, seed))
                .transpose()?,
        })
    }
}

/// The part of a run's own files that contains a split: its files, or the training files from which
/// its rows were held out.
pub(crate) fn recorded_split(own: OwnRequest, split: Split) -> OwnRequest {
    let all = OwnRequest {
        train: Vec::new(),
        validation: Vec::new(),
        test: Vec::new(),
        ..own.clone()
    };
    let whole = OwnRequest {
        validation_split: None,
        ..all.clone()
    };
    match split {
        Split::Train => OwnRequest {
            train: own.train,
            ..all
        },
        Split::Validation if own.validation.is_empty() => OwnRequest {
            train: own.train,
            ..all
        },
        Split::Validation => OwnRequest {
            validation: own.validation,
            ..whole
        },
        Split::Test => OwnRequest {
            test: own.test,
            ..whole
        },
    }
}
