//! Resolves paths and hub ids to local directories. An existing path is used as it is; an id is
//! looked up on the hub. Called at the start of every command that reads models, adapters or data;
//! later code sees only paths.

mod data_files;
mod recorded_base;
mod transfer;
mod wanted;

use crate::{
    config::{AdaptedModel, AdapterChoice, HubConfig, InputsConfig, Split, check_own_complete},
    task_data::trainable_task,
};
use data_files::{DataFiles, SplitFiles};
use progtune_datasets::{OwnRequest, Task};
use progtune_engine::{Error, Result};
use progtune_hub::{Hub, Kind, NamedPath, Repository, files_below};
use progtune_process::{files::near_path, terminal::note};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

pub(crate) use recorded_base::warn_of_another_base;
use wanted::AdapterFiles;
pub(crate) use wanted::ModelFiles;

/// The data sets of named tasks on the hub: task, id, configuration.
const DATA_SETS: &[(&str, &str, &str)] = &[
    ("cola", "nyu-mll/glue", "cola"),
    ("sst2", "nyu-mll/glue", "sst2"),
    ("mrpc", "nyu-mll/glue", "mrpc"),
    ("stsb", "nyu-mll/glue", "stsb"),
    ("qqp", "nyu-mll/glue", "qqp"),
    ("mnli", "nyu-mll/glue", "mnli"),
    ("qnli", "nyu-mll/glue", "qnli"),
    ("rte", "nyu-mll/glue", "rte"),
    ("wnli", "nyu-mll/glue", "wnli"),
    ("squad", "rajpurkar/squad", "plain_text"),
    ("squad_v2", "rajpurkar/squad_v2", "squad_v2"),
];

/// The data set of a named task on the hub, and its configuration there.
pub(crate) fn data_set_of(task: &str) -> Option<(&'static str, &'static str)> {
    let task = canonical(task);
    let found = DATA_SETS.iter().find(|(name, ..)| *name == task);
    found.map(|&(_, id, configuration)| (id, configuration))
}

/// The canonical name of a task that has several (`SST-2`).
fn canonical(task: &str) -> String {
    Task::by_name(task).map_or_else(|_| task.to_lowercase(), |task| task.name.clone())
}

/// Resolves names to directories.
pub(crate) struct Fetcher<'a> {
    settings: &'a HubConfig,
    hub: Hub,
}

impl<'a> Fetcher<'a> {
    /// Creates the resolver for one command.
    pub(crate) fn new(settings: &'a HubConfig) -> Self {
        Self {
            settings,
            hub: Hub::new(settings.offline, transfer::Shown),
        }
    }

    /// Resolves the names in the inputs of a run on `task`; data is resolved only if `with_data` is
    /// set.
    ///
    /// # Errors
    /// Fails if something exists neither locally nor on the hub.
    pub(crate) fn run(
        &self,
        inputs: &InputsConfig,
        task: &str,
        files: ModelFiles,
        with_data: bool,
    ) -> Result<InputsConfig> {
        if with_data && inputs.own.is_none() {
            // Rejects an unknown task before anything is fetched.
            trainable_task(task)?;
        }
        let mut local = inputs.clone();
        local.model = self.model(inputs.model.as_ref(), files)?;
        if let Some(adapter) = &inputs.init_adapter {
            local.init_adapter = Some(self.adapter(adapter.path())?.into());
        }
        if !with_data {
            return Ok(local);
        }
        match (&mut local.own, &inputs.data) {
            (Some(own), Some(data)) => {
                let (directory, found) = self.own_data(data.path())?;
                own.train = paths(&directory, &found.train);
                own.test = paths(&directory, &found.test);
                if own.validation_split.is_none() {
                    own.validation = paths(&directory, &found.validation);
                }
                check_own_complete(own)?;
                local.data = Some(directory.into());
            }
            (None, data) => {
                let data = data.as_ref().map(NamedPath::path);
                local.data = self.task_data(task, data)?;
            }
            (Some(_), None) => {}
        }
        Ok(local)
    }

    /// Like [`Fetcher::run`], for a model and the adapters over it. If no model is named, it is the
    /// one that the adapters record.
    ///
    /// # Errors
    /// Fails like [`Fetcher::run`], or if the adapters record no base model or different ones.
    pub(crate) fn models(&self, named: &AdaptedModel) -> Result<AdaptedModel> {
        let local = |choice: &AdapterChoice| {
            let directory = choice.directory.as_deref();
            Ok(AdapterChoice {
                name: choice.name.clone(),
                directory: directory.map(|given| self.adapter(given)).transpose()?,
            })
        };
        let has_adapters = named.adapters.iter().any(|one| one.directory.is_some());
        let is_recorded = !named.is_model_given && has_adapters;
        let given = if is_recorded {
            self.refuse_revision("the model that an adapter records")?;
            None
        } else {
            // The model comes first, because it is named first in the messages of a command.
            self.model(named.model.as_ref(), ModelFiles::All)?
        };
        let adapters: Vec<AdapterChoice> =
            named.adapters.iter().map(local).collect::<Result<_>>()?;
        let model = if is_recorded {
            self.base_of(&adapters)?
        } else {
            given
        };
        Ok(AdaptedModel {
            model,
            is_model_given: named.is_model_given,
            adapters,
        })
    }

    /// The files of a data set's split, as own files to evaluate or predict.
    ///
    /// # Errors
    /// Fails like [`Fetcher::run`], or if the data set has no such split.
    pub(crate) fn own_split(
        &self,
        own: &OwnRequest,
        data: &Path,
        split: Split,
    ) -> Result<OwnRequest> {
        let (directory, found) = self.own_data(data)?;
        let mut own = own.clone();
        let (files, chosen) = match split {
            Split::Train => (&found.train, &mut own.train),
            Split::Validation => (&found.validation, &mut own.validation),
            Split::Test => (&found.test, &mut own.test),
        };
        if files.is_empty() {
            return Err(Error::Usage(format!(
                "--data {}: found no file of the {split} split: expected file or folder names with that word; choose another \
                 --split",
                data.display()
            )));
        }
        *chosen = paths(&directory, files);
        Ok(own)
    }

    /// Resolves a model to a directory; `None` for the embedded model. A path that cannot be an id
    /// is returned unchanged, so that opening it reports the error.
    ///
    /// # Errors
    /// Fails like [`Fetcher::run`], or if a revision is given for something that is not on the hub.
    pub(crate) fn model(
        &self,
        model: Option<&NamedPath>,
        files: ModelFiles,
    ) -> Result<Option<NamedPath>> {
        let revision = self.settings.revision.as_deref();
        let repository = model.and_then(|model| self.repository(Kind::Model, model.path()));
        match (repository, revision) {
            (Some(mut repository), revision) => {
                if let Some(revision) = revision {
                    let given = model.map(|model| model.path().to_string_lossy());
                    repository = with_revision(&repository, &given.unwrap_or_default(), revision)?;
                }
                let snapshot = self.hub.snapshot(&repository, &files)?;
                Ok(Some(snapshot.into()))
            }
            (None, None) => Ok(model.cloned()),
            (None, Some(_)) => {
                let shown = |model: &NamedPath| format!("`{}`", model.path().display());
                self.refuse_revision(&model.map_or("the embedded model".to_owned(), shown))?;
                Ok(None)
            }
        }
    }

    /// Refuses `--revision` for a model that is not on the hub.
    fn refuse_revision(&self, found: &str) -> Result<()> {
        match &self.settings.revision {
            None => Ok(()),
            Some(revision) => Err(Error::Usage(format!(
                "--revision {revision}: expected --model to be an id on the hub (org/name), found {found}; remove --revision"
            ))),
        }
    }

    /// Resolves an adapter to a directory.
    ///
    /// # Errors
    /// Fails like [`Fetcher::run`].
    pub(crate) fn adapter(&self, adapter: &Path) -> Result<PathBuf> {
        match self.repository(Kind::Model, adapter) {
            Some(repository) => Ok(self.hub.snapshot(&repository, &AdapterFiles)?),
            None => Ok(adapter.to_owned()),
        }
    }

    /// Resolves a named task's data to a directory: `--data`, otherwise the task's data set on the
    /// hub. `None` for a task that needs no data.
    ///
    /// # Errors
    /// Fails like [`Fetcher::run`].
    pub(crate) fn task_data(&self, task: &str, data: Option<&Path>) -> Result<Option<NamedPath>> {
        let on_hub = data_set_of(task);
        let repository = match (data, on_hub) {
            (Some(data), _) => self.repository(Kind::Dataset, data),
            (None, Some((id, _))) => Repository::parse(Kind::Dataset, id),
            (None, None) => None,
        };
        let Some(repository) = repository else {
            let folder = self.settings.data_config.as_ref();
            return Ok(data.map(|data| match folder {
                Some(folder) => data.join(folder).into(),
                None => data.to_owned().into(),
            }));
        };
        let mut preferred = vec![canonical(task)];
        preferred.extend(on_hub.map(|(_, configuration)| configuration.to_owned()));
        let folder = self.settings.data_config.as_ref().or(preferred.last());
        let wanted = DataFiles {
            usual: usual_files(task, folder.map_or("", String::as_str)),
            configuration: self.settings.data_config.clone(),
            preferred,
        };
        let snapshot = self.hub.snapshot(&repository, &wanted);
        let snapshot = snapshot.map_err(|error| match (data, error) {
            (None, error) => Error::Model(format!("task `{task}` without --data: {error}")),
            (Some(_), error) => error.into(),
        })?;
        let files = self.found(&snapshot, &wanted)?;
        let first = files.all().next().map(|name| snapshot.join(name));
        let directory = first.and_then(|file| Some(file.parent()?.to_owned()));
        let directory = NamedPath::new(directory.unwrap_or(snapshot));
        if data.is_none() {
            note(&format!(
                "data: {} from the hub (no --data was given)",
                directory.typed()
            ));
        }
        Ok(Some(directory))
    }

    /// Resolves a data set of the user's choice, and finds its splits.
    fn own_data(&self, data: &Path) -> Result<(PathBuf, SplitFiles)> {
        let wanted = DataFiles {
            configuration: self.settings.data_config.clone(),
            ..DataFiles::default()
        };
        let directory = match self.repository(Kind::Dataset, data) {
            Some(repository) => self.hub.snapshot(&repository, &wanted)?,
            None if data.is_dir() => data.to_owned(),
            None => {
                return Err(Error::Usage(format!(
                    "--data {}: expected a directory, or the id of a data set on the hub (org/name){}; pass a single file as \
                     --train-file",
                    data.display(),
                    if data.exists() {
                        String::new()
                    } else {
                        near_path(data)
                    }
                )));
            }
        };
        let files = self.found(&directory, &wanted)?;
        Ok((directory, files))
    }

    fn found(&self, directory: &Path, wanted: &DataFiles) -> Result<SplitFiles> {
        let found = wanted.find(&files_below(directory));
        found.map_err(|what| Error::Usage(format!("--data {}: {what}", directory.display())))
    }

    /// The repository of this name, unless a file or directory has the name.
    fn repository(&self, kind: Kind, path: &Path) -> Option<Repository> {
        if path.exists() {
            None
        } else {
            Repository::parse(kind, path.to_str()?)
        }
    }
}

/// The same repository at the revision given by the flag.
fn with_revision(repository: &Repository, given: &str, revision: &str) -> Result<Repository> {
    if given.contains('@') {
        return Err(Error::Usage(format!(
            "--revision {revision} and --model {given} exclude each other: both name a revision; remove one of them"
        )));
    }
    let named = format!("{}@{revision}", repository.id);
    Repository::parse(Kind::Model, &named).ok_or_else(|| {
        Error::Usage(format!(
            "--revision {revision}: expected a branch, a tag or a commit; correct it"
        ))
    })
}

fn paths(directory: &Path, names: &[String]) -> Vec<String> {
    let path = |name: &String| directory.join(name).display().to_string();
    names.iter().map(path).collect()
}

/// The usual file names of a named task's data set on the hub.
fn usual_files(task: &str, folder: &str) -> Vec<String> {
    let splits: Vec<String> = match Task::by_name(task) {
        Ok(task) => task.splits().map(|split| split.to_string()).collect(),
        Err(_) => vec!["train".to_owned(), "validation".to_owned()],
    };
    let splits = splits.iter();
    splits
        .map(|split| format!("{folder}/{split}-00000-of-00001.parquet"))
        .collect()
}

/// The ids and commits of everything that came from the hub, for the records of a run; `None` if
/// nothing did.
pub(crate) fn record(inputs: &InputsConfig) -> Option<Value> {
    let named = [
        ("model", &inputs.model),
        ("data", &inputs.data),
        ("init_adapter", &inputs.init_adapter),
    ];
    let pins: Map<String, Value> = named
        .into_iter()
        .filter_map(|(key, path)| {
            let pin = path.as_ref()?.pin()?;
            Some((
                key.to_owned(),
                json!({ "id": pin.id, "commit": pin.commit }),
            ))
        })
        .collect();
    (!pins.is_empty()).then_some(Value::Object(pins))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_has_its_data_set_under_each_of_its_names() {
        let sst2 = Some(("nyu-mll/glue", "sst2"));
        assert_eq!(data_set_of("sst2"), sst2);
        assert_eq!(data_set_of("SST-2"), sst2);
        assert_eq!(data_set_of("sample"), None);
        assert_eq!(data_set_of("sample_pairs"), None);
        assert_eq!(data_set_of("sst3"), None);
    }

    #[test]
    fn usual_files_are_those_of_the_tasks_splits() {
        let mnli = usual_files("mnli", "mnli");
        assert_eq!(mnli[0], "mnli/train-00000-of-00001.parquet");
        assert!(mnli.contains(&"mnli/validation_matched-00000-of-00001.parquet".to_owned()));
    }
}
