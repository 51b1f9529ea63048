//! The only caller of plugins. What goes in is made here, what comes out is checked here before anything uses it.
//!
//! `recipe` asks [`Plugins`] for one schedule and at most one method; `plugins list` and `plugins show` read the entries.

use crate::{
    discover::{self, Entry, Found, Library},
    fault::{PluginFault, printable},
    load::load,
    manifest::EntryKind,
    offer::Offer,
    options,
};
use progtune_plugin_api::{
    needs,
    open::{Attribute, Value},
    records::{
        DecisionRecord, HostRecord, MethodPlan, ModelRecord, PluginError, RunRecord, SchedulePlan,
        ScheduleTraits,
    },
    root::{MethodObject, PluginModule_Ref, ScheduleObject},
    sdk::into_result,
    validate,
};
use std::path::{Path, PathBuf};

/// The plugins that were found.
#[derive(Debug)]
pub struct Plugins {
    found: Found,
    offer: Offer,
}

impl Plugins {
    /// Searches the directories of the user (`--plugin-dir`), then the usual ones; see [`mod@crate::discover`]. Runs no
    /// plugin. What is found is told `offer` when it is loaded.
    ///
    /// # Errors
    /// When a directory of `extra` cannot be read or everyone may write to it.
    pub fn discover(extra: &[PathBuf], offer: Offer) -> Result<Self, PluginFault> {
        Ok(Self {
            found: discover::discover(extra)?,
            offer,
        })
    }

    /// The plugins of one file, wherever it lies.
    ///
    /// # Errors
    /// When it is no plugin library, or everyone may write to it.
    pub fn of_file(file: &Path, offer: Offer) -> Result<Self, PluginFault> {
        let found = Found {
            entries: Library::open(file)?.entries(),
            ..Found::default()
        };
        Ok(Self { found, offer })
    }

    /// Every schedule, then every method, by id.
    pub fn entries(&self) -> &[Entry] {
        &self.found.entries
    }

    /// The directories that were searched.
    pub fn searched(&self) -> &[PathBuf] {
        &self.found.searched
    }

    /// Files and directories that were not used, and why. They have been logged as warnings too.
    pub fn passed_over(&self) -> &[String] {
        &self.found.passed_over
    }

    /// The one entry of this kind and id.
    ///
    /// # Errors
    /// When there is none, or when two different libraries offer it.
    pub fn entry(&self, kind: EntryKind, id: &str) -> Result<&Entry, PluginFault> {
        let mut same = self
            .entries()
            .iter()
            .filter(|entry| entry.kind == kind && entry.id == id);
        let Some(entry) = same.next() else {
            let mut available: Vec<String> = self
                .entries()
                .iter()
                .filter(|entry| entry.kind == kind)
                .map(|entry| entry.id.clone())
                .collect();
            available.dedup();
            return Err(PluginFault::UnknownId {
                kind,
                id: id.into(),
                available,
                searched: self.found.searched.clone(),
                passed_over: self.found.passed_over.clone(),
            });
        };
        for other in same {
            if other.library.sha256()? != entry.library.sha256()? {
                return Err(PluginFault::Ambiguous {
                    kind,
                    id: id.into(),
                    first: entry.library.file.clone(),
                    second: other.library.file.clone(),
                });
            }
        }
        Ok(entry)
    }

    /// Loads a schedule and creates it for a run.
    ///
    /// # Errors
    /// An unknown id, a wrong option, a library that does not load, a refusal, or traits this host cannot serve.
    pub fn schedule(
        &self,
        id: &str,
        given: &[(String, String)],
        run: RunRecord,
    ) -> Result<LoadedSchedule, PluginFault> {
        let entry = self.entry(EntryKind::Schedule, id)?.clone();
        let options = options::resolve(&entry, given)?;
        let (module, host) = (load(&entry.library)?, self.offer.record());
        let what = |what: &str| format!("schedule '{id}', {what}");
        let object = into_result(module.create_schedule()(
            id.into(),
            options.as_slice().into(),
            &host,
            &run,
        ))
        .map_err(|error| PluginFault::refused(&entry, what("create"), error))?;
        let traits = into_result(object.traits())
            .and_then(|traits| needs::of_traits(&traits, &host).map(|()| traits))
            .map_err(|error| PluginFault::refused(&entry, what("traits"), error))?;
        validate::schedule_traits(&traits, &host)
            .map_err(|reason| PluginFault::invalid(&entry, what("traits"), &reason))?;
        Ok(LoadedSchedule {
            object,
            host,
            traits,
            run,
            options: named(options),
            entry,
        })
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
        let (module, host) = (load(&entry.library)?, self.offer.record());
        let object = into_result(module.create_method()(
            id.into(),
            options.as_slice().into(),
            &host,
        ))
        .map_err(|error| PluginFault::refused(&entry, format!("method '{id}', create"), error))?;
        Ok(LoadedMethod {
            object,
            host,
            options: named(options),
            entry,
        })
    }
}

fn named(options: Vec<Attribute>) -> Vec<(String, Value)> {
    options
        .into_iter()
        .map(|option| (option.key.into(), option.value))
        .collect()
}

/// A schedule of a plugin, created for one run.
pub struct LoadedSchedule {
    object: ScheduleObject,
    host: HostRecord,
    traits: ScheduleTraits,
    run: RunRecord,
    options: Vec<(String, Value)>,
    entry: Entry,
}

impl LoadedSchedule {
    /// Whether its stages are known before the run: it follows no signals and decides at no other time than the start
    /// of each epoch.
    pub fn decides_by_epoch(&self) -> bool {
        self.traits.signals.is_empty() && self.traits.interval_steps == 0
    }

    /// What the schedule declares about itself; its signals are ones the host offers.
    pub fn traits(&self) -> &ScheduleTraits {
        &self.traits
    }

    /// What is trained from this decision point on. The ids are in range, distinct and at least one; the scales are none or L,
    /// finite and ≥ 0.
    ///
    /// # Errors
    /// A refusal, a panic, or a plan that breaks these rules.
    pub fn plan(&self, decision: &DecisionRecord) -> Result<SchedulePlan, PluginFault> {
        let what = || {
            format!(
                "schedule '{}', plan for epoch {}",
                self.entry.id, decision.epoch
            )
        };
        let mut plan = into_result(self.object.plan(decision))
            .and_then(|plan| needs::of_schedule(&plan, &self.host).map(|()| plan))
            .map_err(|error| PluginFault::refused(&self.entry, what(), error))?;
        validate::schedule_plan(&plan, &self.run)
            .map_err(|reason| PluginFault::invalid(&self.entry, what(), &reason))?;
        plan.note = printable(&plan.note).replace('\n', " ").into();
        Ok(plan)
    }

    /// Where it comes from.
    pub fn source(&self) -> &Entry {
        &self.entry
    }

    /// All its options with the values of this run.
    pub fn options(&self) -> &[(String, Value)] {
        &self.options
    }
}

/// A PEFT method of a plugin.
pub struct LoadedMethod {
    object: MethodObject,
    host: HostRecord,
    options: Vec<(String, Value)>,
    entry: Entry,
}

impl LoadedMethod {
    /// What the method does to a model. Names exist and are distinct, sites accept the modes, graphs have the right shapes.
    ///
    /// # Errors
    /// A refusal, a panic, or a plan that breaks the rules of [`validate::method_plan`].
    pub fn plan(&self, model: &ModelRecord) -> Result<MethodPlan, PluginFault> {
        let what = || format!("method '{}', plan", self.entry.id);
        let plan = into_result(self.object.plan(model))
            .and_then(|plan| needs::of_method(&plan, model, &self.host).map(|()| plan))
            .map_err(|error| PluginFault::refused(&self.entry, what(), error))?;
        validate::method_plan(&plan, model, &self.host)
            .map_err(|reason| PluginFault::invalid(&self.entry, what(), &reason))?;
        Ok(plan)
    }

    /// Where it comes from.
    pub fn source(&self) -> &Entry {
        &self.entry
    }

    /// All its options with the values of this run.
    pub fn options(&self) -> &[(String, Value)] {
        &self.options
    }
}

/// An entry whose answers nobody checks: for the contract test, which is there to do that.
pub struct Unchecked {
    module: PluginModule_Ref,
    id: String,
}

impl Unchecked {
    /// Loads the entry's library.
    ///
    /// # Errors
    /// When it does not load.
    pub fn load(entry: &Entry) -> Result<Self, PluginFault> {
        Ok(Self {
            module: load(&entry.library)?,
            id: entry.id.clone(),
        })
    }

    /// Makes a schedule.
    ///
    /// # Errors
    /// What the plugin answers.
    pub fn schedule(
        &self,
        options: &[Attribute],
        host: &HostRecord,
        run: &RunRecord,
    ) -> Result<ScheduleObject, PluginError> {
        let create = self.module.create_schedule();
        into_result(create(self.id.as_str().into(), options.into(), host, run))
    }

    /// Makes a method.
    ///
    /// # Errors
    /// What the plugin answers.
    pub fn method(
        &self,
        options: &[Attribute],
        host: &HostRecord,
    ) -> Result<MethodObject, PluginError> {
        let create = self.module.create_method();
        into_result(create(self.id.as_str().into(), options.into(), host))
    }
}

impl std::fmt::Debug for LoadedSchedule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedSchedule")
            .field("entry", &self.entry)
            .field("options", &self.options)
            .finish()
    }
}

impl std::fmt::Debug for LoadedMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedMethod")
            .field("entry", &self.entry)
            .field("options", &self.options)
            .finish()
    }
}
