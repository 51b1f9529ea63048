//! The Hugging Face hub: models, adapters and data sets by their ids, fetched into the cache that all of Hugging Face's tools share, or read from
//! there. `fetch` calls it for what a command names; everything behind it reads directories.
//!
//! A repository is listed first (one request says its commit and its files), then every file that is needed and not in the
//! cache is fetched from that commit. What is in the cache is enough where the revision is a commit, where the network is
//! forbidden, and where the hub gives no answer.
//!
//! The client is our own over `ureq`. The crate `hf-hub` was weighed: 0.5 checks neither hash nor size, drops the hub's
//! error codes, knows no offline mode and brings an MPL crate; 1.0 brings an asynchronous runtime and over two hundred
//! crates.

mod address;
mod cache;
mod checksum;
mod client;
mod download;
pub mod environment;
mod error;
mod fault;
mod named_path;
mod observer;
pub mod repository;
pub mod wanted;

use cache::Cache;
pub use cache::files_below;
use client::{Client, FileInfo, Listing};
use download::Download;
use environment::Environment;
pub use error::{Error, Result};
use fault::Fault;
pub use named_path::NamedPath;
pub use observer::{Observer, Transfer};
use progtune_process::files::near_path;
use repository::{Kind, Repository};
use std::path::{Path, PathBuf};
use wanted::Wanted;

/// The hub as this process sees it.
pub struct Hub {
    environment: Environment,
    cache: Cache,
    /// Why there is no network, if it is forbidden.
    offline: Option<&'static str>,
    observer: Box<dyn Observer>,
}

impl Hub {
    /// The hub that the environment names; `offline`: `--offline` was given; `observer` shows what it does.
    pub fn new(offline: bool, observer: impl Observer + 'static) -> Self {
        let environment = Environment::from_process();
        Self {
            cache: Cache {
                root: environment.cache.clone(),
                copies: environment.copies,
            },
            offline: match offline {
                true => Some("--offline"),
                false => environment.offline,
            },
            environment,
            observer: Box::new(observer),
        }
    }

    /// The directory of a repository's files: a snapshot in the cache, with at least the files that are wanted.
    ///
    /// # Errors
    /// When they are neither in the cache nor to be had from the hub, with what was expected and what to do.
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

    /// The snapshot in the cache, if it has all that is wanted; else what is missing.
    fn cached(&self, repository: &Repository, wanted: &dyn Wanted) -> Result<PathBuf, String> {
        let commit = self.cache.commit_of(repository);
        let commit = commit.ok_or_else(|| format!("no refs/{}", repository.revision))?;
        let names = self.cache.names(repository, &commit);
        if names.is_empty() {
            return Err(format!("no files in snapshots/{commit}"));
        }
        let in_snapshot = |what: String| format!("in snapshots/{commit}: {what}");
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
        // Only now, so that a revision in the cache has its files.
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

    /// What else may have been meant by a name that the hub does not know.
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

    /// The error for what is neither in the cache nor to be fetched: which files belong where.
    fn absent(
        &self,
        repository: &Repository,
        wanted: &dyn Wanted,
        why: &str,
        missing: &str,
    ) -> Error {
        let (id, noun) = (&repository.id, repository.kind.noun());
        let usual = wanted.usual();
        let (files, listed) = match usual.is_empty() {
            true => ("its files".to_owned(), String::new()),
            false => (usual.join(", "), format!(" {}", usual.join(" "))),
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
        Error(format!(
            "{id}: no such directory{}, and the {noun} of this name on the hub is not in the cache ({missing}), while {why}.\n\
             Expected {files} in {}/snapshots/{commit}{reference}.{namesakes}\n\
             Fetch it where there is a network (hf download {id}{kind}{revision}{listed}) and copy that folder, or put the files \
             into a directory and pass it: {} DIR",
            near_path(Path::new(id)),
            self.cache.folder(repository).display(),
            wanted.flag(),
        ))
    }
}
