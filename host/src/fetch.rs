//! What a command names, made directories: what is there is taken as it is, an id is looked up on the hub. Called at the start of
//! every command that reads models, adapters or data; everything after it knows paths alone.

mod wanted;

use crate::{
    config::{AdaptedModel, AdapterChoice, HubConfig, InputsConfig, Split, check_own_complete},
    error::{Error, Result},
    files::near_path,
    hub::{
        Hub, NamedPath,
        data_files::{DataFiles, SplitFiles},
        files_below,
        repository::{Kind, Repository},
    },
    task_data::trainable_task,
    terminal::note,
};
use progtune_datasets::{OwnRequest, Task};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

use wanted::AdapterFiles;
pub use wanted::ModelFiles;

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
pub fn data_set_of(task: &str) -> Option<(&'static str, &'static str)> {
    let task = canonical(task);
    let found = DATA_SETS.iter().find(|(name, ..)| *name == task);
    found.map(|&(_, id, configuration)| (id, configuration))
}

/// A task's own name, of the several that it may go by (`SST-2`).
fn canonical(task: &str) -> String {
    Task::by_name(task).map_or_else(|_| task.to_lowercase(), |task| task.name.clone())
}

/// Makes directories of names.
pub struct Fetcher<'a> {
    settings: &'a HubConfig,
    hub: Hub,
}

impl<'a> Fetcher<'a> {
    /// For one command.
    pub fn new(settings: &'a HubConfig) -> Self {
        Self {
            settings,
            hub: Hub::new(settings.offline),
        }
    }

    /// The inputs of a run on `task` with directories for names; data only if it is wanted.
    ///
    /// # Errors
    /// When something is neither here nor on the hub.
    pub fn run(
        &self,
        inputs: &InputsConfig,
        task: &str,
        files: ModelFiles,
        with_data: bool,
    ) -> Result<InputsConfig> {
        if with_data && inputs.own.is_none() {
            // Before anything is fetched for a task that does not exist.
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

    /// As [`Fetcher::run`], for `evaluate` and `predict`: a model and its adapters.
    ///
    /// # Errors
    /// As [`Fetcher::run`].
    pub fn models(&self, named: &AdaptedModel) -> Result<AdaptedModel> {
        let model = self.model(named.model.as_ref(), ModelFiles::All)?;
        let local = |choice: &AdapterChoice| {
            let directory = choice.directory.as_deref();
            Ok(AdapterChoice {
                name: choice.name.clone(),
                directory: directory.map(|given| self.adapter(given)).transpose()?,
            })
        };
        let adapters = named.adapters.iter().map(local).collect::<Result<_>>()?;
        Ok(AdaptedModel { model, adapters })
    }

    /// Own files to evaluate or predict: those of a split of a data set.
    ///
    /// # Errors
    /// As [`Fetcher::run`]; also when the data set has no such split.
    pub fn own_split(&self, own: &OwnRequest, data: &Path, split: Split) -> Result<OwnRequest> {
        let (directory, found) = self.own_data(data)?;
        let mut own = own.clone();
        let (files, chosen) = match split {
            Split::Train => (&found.train, &mut own.train),
            Split::Validation => (&found.validation, &mut own.validation),
            Split::Test => (&found.test, &mut own.test),
        };
        if files.is_empty() {
            return Err(Error::Usage(format!(
                "--data {}: no file of its {split} split is here: expected names with that word; choose another --split",
                data.display()
            )));
        }
        *chosen = paths(&directory, files);
        Ok(own)
    }

    /// The directory of a model; `None` for the embedded one. What can be no id is left for the error that it makes.
    ///
    /// # Errors
    /// As [`Fetcher::run`]; also for a revision of what is not on the hub.
    pub fn model(&self, model: Option<&NamedPath>, files: ModelFiles) -> Result<Option<NamedPath>> {
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
            (None, Some(revision)) => Err(Error::Usage(format!(
                "--revision {revision}: expected a --model with an id on the hub (org/name), found {}; remove --revision",
                model.map_or("the embedded model".to_owned(), |model| format!(
                    "`{}`",
                    model.path().display()
                ))
            ))),
        }
    }

    /// The directory of an adapter.
    ///
    /// # Errors
    /// As [`Fetcher::run`].
    pub fn adapter(&self, adapter: &Path) -> Result<PathBuf> {
        match self.repository(Kind::Model, adapter) {
            Some(repository) => self.hub.snapshot(&repository, &AdapterFiles),
            None => Ok(adapter.to_owned()),
        }
    }

    /// The directory of a named task's files: `--data`, else the task's data set on the hub; `None` for a task that needs none.
    ///
    /// # Errors
    /// As [`Fetcher::run`].
    pub fn task_data(&self, task: &str, data: Option<&Path>) -> Result<Option<NamedPath>> {
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
            (None, Error::Model(text)) => {
                Error::Model(format!("task `{task}` without --data: {text}"))
            }
            (_, error) => error,
        })?;
        let files = self.found(&snapshot, &wanted)?;
        let first = files.all().next().map(|name| snapshot.join(name));
        let directory = first.and_then(|file| Some(file.parent()?.to_owned()));
        let directory = NamedPath::new(directory.unwrap_or(snapshot));
        if data.is_none() {
            note(&format!(
                "data: {} of the hub (no --data was given)",
                directory.typed()
            ));
        }
        Ok(Some(directory))
    }

    /// The directory of a data set of the user's own choice, and its splits.
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
                    "--data {}: expected a directory, or the id of a data set on the hub (org/name){}; a single file is \
                     --train-file's",
                    data.display(),
                    match data.exists() {
                        true => String::new(),
                        false => near_path(data),
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

    /// The repository of this name, unless a file or directory has it.
    fn repository(&self, kind: Kind, path: &Path) -> Option<Repository> {
        match path.exists() {
            true => None,
            false => Repository::parse(kind, path.to_str()?),
        }
    }
}

/// The same repository at the revision of the flag.
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

/// The names that the hub's data sets of named tasks have.
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

/// For the records of a run: ids and commits of what came from the hub; `None` if nothing did.
pub fn record(inputs: &InputsConfig) -> Option<Value> {
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
