//! The plugins of a program: found, chosen by id, and made into schedules and methods. The host
//! holds them.
//!
//! An id is resolved in this order. A library that the user named by file precedes all others. Then
//! the lock decides. Libraries with the same bytes are one plugin. Anything else is an error that
//! names both files.

use crate::{
    bridge::{LoadedMethod, LoadedSchedule, Unchecked},
    cache::Cache,
    discover::{self, Entry, Found, Library},
    fault::{PinFault, PluginFault},
    isolation::{Isolation, Limits},
    load::{Loaded, Terms, load},
    lock::{FILE_NAME, Lock},
    manifest_reader::EntryKind,
    offer::Offer,
    options,
    probe::{Probe, Trial},
};
use progtune_plugin_api::records::RunRecord;
use std::{
    path::{Path, PathBuf},
    sync::Once,
};

/// The numbers of blocks and epochs for trying a method's options. The method receives those of the
/// model with the request for its plan.
const TRIED_SIZE: (u32, u32) = (2, 1);

/// The places that are searched for plugins, and the conditions that plugins must meet.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The features that the host offers to plugins.
    pub offer: Offer,
    /// Library files that the user named. They precede all others.
    pub files: Vec<PathBuf>,
    /// Directories that the user named. They are searched before the usual ones.
    pub directories: Vec<PathBuf>,
    /// The pins.
    pub lock: Option<Lock>,
    /// Whether libraries that are not pinned are refused.
    pub locked: bool,
    /// The program that tries unknown libraries and serves them in processes of their own. With
    /// `None`, no library is tried, and all are opened in this process.
    pub probe: Option<Probe>,
    /// The process in which libraries are opened.
    pub isolation: Isolation,
    /// The limits of a library in a process of its own.
    pub limits: Limits,
    /// The cache between runs.
    pub cache: Cache,
}

impl Settings {
    /// The usual places, no lock, and the user's cache. This program tries libraries if it can.
    pub fn new(offer: Offer) -> Self {
        Self {
            offer,
            files: vec![],
            directories: vec![],
            lock: None,
            locked: false,
            probe: Probe::of_this_program(),
            isolation: Isolation::default(),
            limits: Limits::default(),
            cache: Cache::of_user(),
        }
    }
}

/// The plugins that were found.
#[derive(Debug)]
pub struct Plugins {
    found: Found,
    settings: Settings,
}

impl Plugins {
    /// Searches the user's files and directories, then the usual directories; see
    /// `discover`. Runs no plugin.
    ///
    /// # Errors
    /// If a file or directory of the settings cannot be used, or if everything must be pinned and
    /// there is no lock.
    pub fn discover(settings: Settings) -> Result<Self, PluginFault> {
        if settings.locked && settings.lock.is_none() {
            return Err(PluginFault::Lock {
                path: FILE_NAME.into(),
                reason: "--locked needs it, but the current directory has none; write it with `progtune plugins lock`, or \
                         name it with --lock FILE"
                    .into(),
            });
        }
        Ok(Self {
            found: discover::discover(&settings.files, &settings.directories)?,
            settings,
        })
    }

    /// Every schedule, then every method, by id. Entries with the same id are in the order of the
    /// search.
    pub fn entries(&self) -> &[Entry] {
        &self.found.entries
    }

    /// The directories that were searched.
    pub fn searched(&self) -> &[PathBuf] {
        &self.found.searched
    }

    /// The files and directories that were not used, with the reasons. They have also been logged
    /// as warnings.
    pub fn passed_over(&self) -> &[String] {
        &self.found.passed_over
    }

    /// The places that were searched, and the conditions that plugins must meet.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The one entry of this kind and id.
    ///
    /// # Errors
    /// If there is none, if the lock refuses it, or if two different libraries offer it and nothing
    /// decides between them.
    pub fn entry(&self, kind: EntryKind, id: &str) -> Result<&Entry, PluginFault> {
        let of_kind = || self.entries().iter().filter(|entry| entry.kind == kind);
        let mut candidates: Vec<&Entry> = of_kind().filter(|entry| entry.id == id).collect();
        if candidates.is_empty() {
            let mut available: Vec<String> = of_kind().map(|entry| entry.id.clone()).collect();
            available.dedup();
            return Err(PluginFault::UnknownId {
                kind,
                id: id.into(),
                available,
                others: self.entries().len(),
                searched: self.found.searched.clone(),
                passed_over: self.found.passed_over.clone(),
            });
        }
        if candidates.iter().any(|entry| entry.library.named) {
            candidates.retain(|entry| entry.library.named);
        }
        self.keep_pinned(&mut candidates)?;
        let first = candidates[0];
        for other in &candidates[1..] {
            if other.library.sha256()? != first.library.sha256()? {
                return Err(PluginFault::Ambiguous {
                    kind,
                    id: id.into(),
                    first: first.library.file.clone(),
                    second: other.library.file.clone(),
                });
            }
        }
        Ok(first)
    }

    /// Keeps only the candidates that the lock allows, at least one.
    fn keep_pinned(&self, candidates: &mut Vec<&Entry>) -> Result<(), PluginFault> {
        let Some(lock) = &self.settings.lock else {
            return Ok(());
        };
        let Entry {
            kind, id, library, ..
        } = candidates[0];
        let pins = lock.pins_of(*kind, id);
        if pins.is_empty() && !self.settings.locked {
            return Ok(());
        }
        let mut pinned = Vec::new();
        for entry in candidates.iter() {
            let hash = entry.library.sha256()?;
            if pins.iter().any(|pin| pin.sha256 == hash) {
                pinned.push(*entry);
            }
        }
        if pinned.is_empty() {
            return Err(PluginFault::Pin(Box::new(PinFault {
                kind: *kind,
                id: id.clone(),
                lock: lock.path.clone(),
                file: library.file.clone(),
                expected: pins.iter().map(|pin| pin.sha256.clone()).collect(),
                found: library.sha256()?.into(),
            })));
        }
        *candidates = pinned;
        Ok(())
    }

    /// Loads a schedule and creates it for a run.
    ///
    /// # Errors
    /// An unknown id, a wrong option, a library that does not load, a refusal, or traits that this
    /// host cannot serve.
    pub fn schedule(
        &self,
        id: &str,
        given: &[(String, String)],
        run: RunRecord,
    ) -> Result<LoadedSchedule, PluginFault> {
        let entry = self.entry(EntryKind::Schedule, id)?.clone();
        let options = options::resolve(&entry, given)?;
        let loaded = self.load(&entry, given, (run.blocks, run.epochs))?;
        LoadedSchedule::create(entry, loaded, options, &self.settings.offer, run)
    }

    /// Loads a method and creates it.
    ///
    /// # Errors
    /// An unknown id, a wrong option, a library that does not load, or a refusal.
    pub fn method(
        &self,
        id: &str,
        given: &[(String, String)],
    ) -> Result<LoadedMethod, PluginFault> {
        let entry = self.entry(EntryKind::Method, id)?.clone();
        let options = options::resolve(&entry, given)?;
        let loaded = self.load(&entry, given, TRIED_SIZE)?;
        LoadedMethod::create(entry, loaded, options, &self.settings.offer)
    }

    /// Loads an entry's library into this process for the contract test, which makes more requests
    /// than a run.
    ///
    /// # Errors
    /// If the library does not load.
    pub fn unchecked(
        &self,
        entry: &Entry,
        given: &[(String, String)],
    ) -> Result<Unchecked, PluginFault> {
        Ok(Unchecked {
            module: match self.load_where(entry, given, TRIED_SIZE, None)? {
                Loaded::Here(module) => module,
                Loaded::There(_) => {
                    let reason = "it is in another process";
                    return Err(PluginFault::load(&entry.library.file, reason));
                }
            },
            id: entry.id.clone(),
        })
    }

    fn load(
        &self,
        entry: &Entry,
        given: &[(String, String)],
        size: (u32, u32),
    ) -> Result<Loaded, PluginFault> {
        static SAID: Once = Once::new();
        let isolated = match (&self.settings.probe, self.settings.isolation) {
            (Some(_), Isolation::Process) if !Isolation::Process.is_supported() => {
                SAID.call_once(|| {
                    tracing::warn!(
                        "plugins cannot run in processes of their own on this system; they are loaded into this process, as with \
                         --plugin-isolation none"
                    );
                });
                None
            }
            (Some(probe), Isolation::Process) => {
                Some((probe.executable.as_path(), self.settings.limits))
            }
            _ => None,
        };
        self.load_where(entry, given, size, isolated)
    }

    /// Loads the library of an entry after trying it. A third party's library is also tried with
    /// the options of this run.
    fn load_where(
        &self,
        entry: &Entry,
        given: &[(String, String)],
        (blocks, epochs): (u32, u32),
        isolated: Option<(&Path, Limits)>,
    ) -> Result<Loaded, PluginFault> {
        let mut trials = vec![Trial::Library];
        if !entry.library.shipped {
            trials.push(Trial::Entry {
                kind: entry.kind,
                id: entry.id.clone(),
                options: given.to_vec(),
                blocks,
                epochs,
            });
        }
        let terms = Terms {
            cache: &self.settings.cache,
            probe: self.settings.probe.as_ref(),
            trials: &trials,
            isolated,
        };
        let loaded = load(&entry.library, &terms)?;
        self.warn_once(entry)?;
        Ok(loaded)
    }

    /// Warns once per build about third-party code that is not pinned, because it runs with the
    /// user's rights.
    fn warn_once(&self, entry: &Entry) -> Result<(), PluginFault> {
        let library = &entry.library;
        let hash = library.sha256()?;
        let is_pinned = |lock: &Lock| lock.has(hash);
        if library.shipped || self.settings.lock.as_ref().is_some_and(is_pinned) {
            return Ok(());
        }
        let note = format!("{hash}.warned");
        if self.settings.cache.note(&note).is_none() {
            tracing::warn!(
                "{library} comes from a third party and is not pinned: it runs with your rights, and another file may \
                 take its place. Pin this build with `progtune plugins lock {}` (this warning appears once per build)",
                entry.id
            );
            self.settings.cache.keep_note(&note, "");
        }
        Ok(())
    }

    /// The library at `file` as it would be used. It is tried again in a child process, if there is
    /// a program for that.
    ///
    /// # Errors
    /// If it is not a plugin, or fails its trial.
    pub fn try_file(&self, file: &Path) -> Result<Library, PluginFault> {
        let library =
            Library::examine(file).map_err(|why| PluginFault::load(file, why.to_string()))?;
        let Settings { cache, probe, .. } = &self.settings;
        if let Some(probe) = probe {
            let bytes = std::fs::read(file)
                .map_err(|error| PluginFault::load(file, format!("cannot be read: {error}")))?;
            let hash = crate::digest::sha256_hex(&bytes);
            let copy = cache
                .copy(&bytes, library.sha256_or(&hash))
                .map_err(|error| {
                    PluginFault::load(
                        file,
                        format!("no private copy of it could be written: {error}"),
                    )
                })?;
            probe
                .run(&copy.path, &hash, &Trial::Library, cache)
                .map_err(|reason| PluginFault::load(file, reason))?;
        }
        Ok(library)
    }
}
