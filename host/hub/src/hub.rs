//! The hub as a whole: the files of a repository, from the cache or the network. The host's `fetch`
//! calls it.

use crate::{
    cache::Cache,
    client::{Client, FileInfo, Listing},
    download::Download,
    environment::Environment,
    error::{Error, Result},
    fault::Fault,
    observer::Observer,
    repository::{self, Kind, Repository},
    wanted::Wanted,
};
use progtune_process::files::near_path;
use std::path::{Path, PathBuf};

/// The hub, as configured for this process.
pub struct Hub {
    environment: Environment,
    cache: Cache,
    /// The reason why network access is forbidden, if it is.
    offline: Option<&'static str>,
    observer: Box<dyn Observer>,
}

impl Hub {
    /// Opens the hub that the environment names. `offline` is set by `--offline`, and `observer`
    /// shows the work.
    pub fn new(offline: bool, observer: impl Observer + 'static) -> Self {
        let environment = Environment::from_process();
        Self {
            cache: Cache {
                root: environment.cache.clone(),
                copies: environment.copies,
            },
            offline: if offline {
                Some("--offline")
            } else {
                environment.offline
            },
            environment,
            observer: Box::new(observer),
        }
    }

    /// The directory of a repository's files: a snapshot in the cache that contains at least the
    /// wanted files.
    ///
    /// # Errors
    /// Fails if a file is neither in the cache nor available from the hub. The message says what
    /// was expected and what to do.
    pub fn snapshot(&self, repository: &Repository, wanted: &dyn Wanted) -> Result<PathBuf> {
        let cached = self.cached(repository, wanted);
        if let (Ok(snapshot), true) = (&cached, repository.is_pinned() || self.offline.is_some()) {
            return Ok(snapshot.clone());
        }
        let missing = match (&cached, self.offline) {
            (Err(missing), Some(why)) => {
                let why = format!("{why} forbids the network");
                return Err(self.absent(repository, wanted, &why, missing));
            }
            (Err(missing), None) => missing.clone(),
            (Ok(_), _) => String::new(),
        };
        let client = self.client().map_err(|f| self.error(repository, &f))?;
        match (client.listing(repository), cached) {
            (Ok(listing), _) => self.fetch(&client, repository, &listing, wanted),
            (Err(fault), Ok(snapshot)) if fault.leaves_the_cache() => {
                tracing::warn!(
                    "{}: {}; using the copy in {}",
                    repository.id,
                    fault.text(repository, &self.environment),
                    snapshot.display()
                );
                Ok(snapshot)
            }
            (Err(fault @ Fault::Unreachable { .. }), Err(_)) => {
                let why = fault.text(repository, &self.environment);
                Err(self.absent(repository, wanted, &why, &missing))
            }
            (Err(fault), _) => Err(self.error(repository, &fault)),
        }
    }

    fn client(&self) -> Result<Client, Fault> {
        Client::new(&self.environment)
    }

    /// The snapshot in the cache if it contains all wanted files, otherwise what is missing.
    fn cached(&self, repository: &Repository, wanted: &dyn Wanted) -> Result<PathBuf, String> {
        let commit = self.cache.commit_of(repository);
        let commit = commit.ok_or_else(|| format!(": no refs/{}", repository.revision))?;
        let names = self.cache.names(repository, &commit);
        if names.is_empty() {
            return Err(format!(": no files in snapshots/{commit}"));
        }
        // Another repository is no answer to an incomplete copy of this one.
        let in_snapshot = |what: String| {
            let what = what.split("; choose another ").next().unwrap_or_default();
            format!(", in snapshots/{commit}: {what}")
        };
        wanted.choose(&names).map_err(in_snapshot)?;
        let snapshot = self.cache.snapshot(repository, &commit);
        let more = wanted.then(&snapshot).map_err(in_snapshot)?;
        match more.iter().find(|name| !names.contains(name)) {
            Some(name) => Err(in_snapshot(format!("no {name}"))),
            None => Ok(snapshot),
        }
    }

    fn fetch(
        &self,
        client: &Client,
        repository: &Repository,
        listing: &Listing,
        wanted: &dyn Wanted,
    ) -> Result<PathBuf> {
        let commit = &listing.commit;
        let lacking = |what: String| Error(format!("{} on the hub: {what}", repository.id));
        let chosen = wanted.choose(&listing.names).map_err(lacking)?;
        let mut announced = false;
        self.fetch_files(client, repository, commit, &chosen, &mut announced)?;
        let snapshot = self.cache.snapshot(repository, commit);
        let more = wanted.then(&snapshot).map_err(lacking)?;
        self.fetch_files(client, repository, commit, &more, &mut announced)?;
        // Recorded last, so that a revision in the cache always has its files.
        self.cache.remember(repository, commit);
        Ok(snapshot)
    }

    fn fetch_files(
        &self,
        client: &Client,
        repository: &Repository,
        commit: &str,
        names: &[String],
        announced: &mut bool,
    ) -> Result<()> {
        let snapshot = self.cache.snapshot(repository, commit);
        for name in names.iter().filter(|name| !snapshot.join(name).exists()) {
            if !*announced {
                *announced = true;
                self.observer.note(&format!(
                    "fetching {} at {} from {}",
                    repository.id,
                    &commit[..7],
                    self.environment.endpoint
                ));
            }
            self.fetch_file(client, repository, commit, name)
                .map_err(|fault| {
                    let about = match fault {
                        Fault::NoFile => format!("{}, {name}", repository.id),
                        _ => repository.id.clone(),
                    };
                    Error(format!(
                        "{about}: {}",
                        fault.text(repository, &self.environment)
                    ))
                })?;
        }
        Ok(())
    }

    fn fetch_file(
        &self,
        client: &Client,
        repository: &Repository,
        commit: &str,
        name: &str,
    ) -> Result<(), Fault> {
        let info: FileInfo = client.file_info(repository, commit, name)?;
        Download {
            client,
            cache: &self.cache,
            repository,
            commit,
            name,
            info: &info,
            observer: self.observer.as_ref(),
        }
        .run()?;
        let linked = self.cache.link(repository, commit, name, &info.etag);
        linked.map_err(|source| Fault::Disk {
            path: self.cache.snapshot(repository, commit).join(name),
            source,
        })
    }

    fn error(&self, repository: &Repository, fault: &Fault) -> Error {
        let text = fault.text(repository, &self.environment);
        Error(format!(
            "{}: {text}{}",
            repository.id,
            self.hint(repository, fault)
        ))
    }

    /// A suggestion for a name that the hub does not know.
    fn hint(&self, repository: &Repository, fault: &Fault) -> String {
        match fault {
            Fault::NoRepository => {
                let near = near_path(Path::new(&repository.id));
                format!(
                    " (there is no directory `{}` here either{near})",
                    repository.id
                )
            }
            _ => String::new(),
        }
    }

    /// The error for files that are neither in the cache nor available: it says which files belong
    /// where.
    fn absent(
        &self,
        repository: &Repository,
        wanted: &dyn Wanted,
        why: &str,
        missing: &str,
    ) -> Error {
        let (id, noun) = (&repository.id, repository.kind.noun());
        let usual = wanted.usual();
        let (files, listed) = if usual.is_empty() {
            ("its files".to_owned(), String::new())
        } else {
            (usual.join(", "), format!(" {}", usual.join(" ")))
        };
        let (commit, reference) = match self.cache.commit_of(repository) {
            Some(commit) => (commit, String::new()),
            None => (
                "COMMIT".to_owned(),
                format!(", and COMMIT itself in refs/{}", repository.revision),
            ),
        };
        let kind = match repository.kind {
            Kind::Model => "",
            Kind::Dataset => " --repo-type dataset",
        };
        let revision = match repository.revision.as_str() {
            repository::DEFAULT_REVISION => String::new(),
            revision => format!(" --revision {revision}"),
        };
        let namesakes = match self.cache.namesakes(repository).as_slice() {
            [] => String::new(),
            ids => format!(" The cache has {}.", ids.join(", ")),
        };
        let near = near_path(Path::new(id));
        let end = if near.is_empty() { "." } else { near.as_str() };
        Error(format!(
            "{id}: no such directory, and the {noun} of this name on the hub is not in the cache and cannot be fetched: \
             {why}{end}\n\
             Found in the cache{missing}.\n\
             Expected {files} in {}/snapshots/{commit}{reference}.{namesakes}\n\
             Fetch it on a machine with network access (hf download {id}{kind}{revision}{listed}) and copy that folder, or \
             put the files into a directory and pass that: {} DIR",
            self.cache.folder(repository).display(),
            wanted.flag(),
        ))
    }
}
