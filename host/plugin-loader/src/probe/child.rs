//! The child process: it opens a library, makes every request to it, and reports success. Called by
//! [`super::answer_if_asked`].
//!
//! It writes a line `at …` before each step, so that the parent can tell where it ended. The last
//! line is `done HASH` or `refused REASON`. The answers need only arrive; a run checks their
//! contents.

use super::{Request, Trial};
use crate::{
    manifest_reader::{self, EntryKind, Manifest, ManifestEntry},
    offer::Offer,
    open,
    printable::printable,
};
use abi_stable::std_types::RString;
use progtune_plugin_api::{
    contract::{Dimensions, model_record, run_record},
    open::Attribute,
    options::resolve,
    records::{DecisionRecord, HostRecord, RunRecord, ScheduleTraits, SignalRecord},
    root::PluginModule_Ref,
    sdk::into_result,
};
use std::{
    fs,
    io::{self, BufRead, Read, Write},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

/// Answers the request on the standard input and returns the exit code.
pub(super) fn answer(offer: &Offer) -> i32 {
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line).is_err() {
        return 2;
    }
    let Ok(request) = serde_json::from_str::<Request>(&line) else {
        eprintln!("progtune uses this argument internally to load plugins; it is not a command");
        return 2;
    };
    end_with_parent();
    forbid_core_dumps();
    match attempt(&request, offer) {
        Ok(()) => {
            say(&format!("done {}", request.sha256));
            0
        }
        Err(reason) => {
            let reason = serde_json::to_string(&printable(&reason)).unwrap_or_default();
            say(&format!("refused {reason}"));
            4
        }
    }
}

fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Ends this process when its parent ends, so that an interrupted run leaves nothing behind. The
/// parent holds the other end of standard input for as long as it lives.
///
/// Returns when the waiting thread is running. Starting one takes the dynamic linker's lock, which
/// the main thread holds while a constructor runs, perhaps for ever. After that the thread only
/// makes system calls.
#[cfg(unix)]
fn end_with_parent() {
    use rustix::process::{Signal, getpgrp, getpid, kill_process_group};
    use std::{fs::File, os::fd::AsFd};
    let Ok(stdin) = io::stdin().as_fd().try_clone_to_owned() else {
        return;
    };
    static UNDER_WAY: AtomicBool = AtomicBool::new(false);
    thread::spawn(|| {
        let (mut stdin, mut rest) = (File::from(stdin), [0; 64]);
        UNDER_WAY.store(true, Ordering::Release);
        while matches!(stdin.read(&mut rest), Ok(1..)) {}
        // Never a group that another process leads.
        if getpgrp() == getpid() {
            let _ = kill_process_group(getpgrp(), Signal::KILL);
        }
        std::process::abort();
    });
    while !UNDER_WAY.load(Ordering::Acquire) {
        thread::yield_now();
    }
}

#[cfg(not(unix))]
fn end_with_parent() {}

#[cfg(unix)]
fn forbid_core_dumps() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = setrlimit(Resource::Core, none);
}

#[cfg(not(unix))]
fn forbid_core_dumps() {}

fn attempt(request: &Request, offer: &Offer) -> Result<(), String> {
    let bytes = fs::read(&request.file).map_err(|error| format!("cannot be read: {error}"))?;
    let manifest = manifest_reader::read(bytes.as_slice()).map_err(|why| why.to_string())?;
    let at = |stage: &str| say(&format!("at {stage}"));
    let module = open::root(&request.file, &manifest.json, &at)?;
    let host = offer.record();
    match &request.trial {
        Trial::Library => {
            for entry in &manifest.entries {
                // An entry with a required option cannot be tried without the user's options.
                if let Ok(options) = resolve(&entry.options, &[]) {
                    let asked = Asked {
                        module,
                        host: &host,
                        entry,
                        options: &options,
                        with: "its default options",
                    };
                    asked.everything(&[(1, 1), (6, 3)]);
                }
            }
        }
        Trial::Entry {
            kind,
            id,
            options,
            blocks,
            epochs,
        } => {
            let entry = find(&manifest, *kind, id)?;
            let options = resolve(&entry.options, options)
                .map_err(|fault| format!("option '{}': {}", fault.name, fault.reason))?;
            let asked = Asked {
                module,
                host: &host,
                entry,
                options: &options,
                with: "the options of this run",
            };
            asked.everything(&[(*blocks, *epochs)]);
        }
    }
    Ok(())
}

fn find<'a>(
    manifest: &'a Manifest,
    kind: EntryKind,
    id: &str,
) -> Result<&'a ManifestEntry, String> {
    let mut entries = manifest.entries.iter();
    entries
        .find(|entry| entry.kind == kind && entry.id == id)
        .ok_or_else(|| format!("it offers no {kind} '{id}'"))
}

/// Asks an entry with options about synthetic models.
struct Asked<'a> {
    module: PluginModule_Ref,
    host: &'a HostRecord,
    entry: &'a ManifestEntry,
    options: &'a [Attribute],
    with: &'a str,
}

impl Asked<'_> {
    /// Creates the entry and lets it plan for each (L, T).
    fn everything(&self, sizes: &[(u32, u32)]) {
        for &(blocks, epochs) in sizes {
            match self.entry.kind {
                EntryKind::Schedule => {
                    for (method, embeddings) in [("", true), ("bitfit", false)] {
                        self.schedule(run_record(blocks, epochs, method, embeddings));
                    }
                }
                EntryKind::Method => {
                    for architecture in ["bert", "roberta"] {
                        self.method(architecture, blocks);
                    }
                }
            }
        }
    }

    fn at(&self, call: &str) {
        let Self { entry, with, .. } = self;
        say(&format!(
            "at in {call} of the {} '{}' with {with}",
            entry.kind, entry.id
        ));
    }

    fn schedule(&self, run: RunRecord) {
        self.at("create");
        let id = self.entry.id.as_str().into();
        let created = self.module.create_schedule()(id, self.options.into(), self.host, &run);
        let Ok(schedule) = into_result(created) else {
            return;
        };
        self.at("traits");
        let Ok(traits) = into_result(schedule.traits()) else {
            return;
        };
        self.at("plan");
        for epoch in 1..=run.epochs {
            let decision = DecisionRecord {
                global_step: u64::from(epoch - 1) * run.steps_per_epoch,
                history: history(&traits, &run, epoch).into(),
                ..DecisionRecord::epoch(epoch)
            };
            let _ = into_result(schedule.plan(&decision));
        }
        self.at("drop");
    }

    fn method(&self, architecture: &str, blocks: u32) {
        self.at("create");
        let id = self.entry.id.as_str().into();
        let created = self.module.create_method()(id, self.options.into(), self.host);
        let Ok(method) = into_result(created) else {
            return;
        };
        self.at("plan");
        let model = model_record(architecture, blocks, Dimensions::of(32, 64));
        let _ = into_result(method.plan(&model));
        self.at("drop");
    }
}

/// One observation of each signal in each earlier epoch.
fn history(traits: &ScheduleTraits, run: &RunRecord, epoch: u32) -> Vec<SignalRecord> {
    let observe = |past: u32, name: &RString| {
        let count = if name.starts_with("block_") {
            run.blocks
        } else {
            1
        };
        SignalRecord {
            name: name.clone(),
            epoch: past,
            step: u64::from(past) * run.steps_per_epoch,
            values: (0..count)
                .map(|index| 1.0 / f64::from(past + index))
                .collect(),
            ext: Default::default(),
        }
    };
    (1..epoch)
        .flat_map(|past| traits.signals.iter().map(move |name| (past, name)))
        .map(|(past, name)| observe(past, name))
        .collect()
}
