//! The only caller of plugins. Every request is made here, and every answer is checked here before
//! anything uses it.
//!
//! [`crate::Plugins`] creates the objects, and the host calls them.

use crate::{
    consistency::{Decided, Twice},
    discover::Entry,
    fault::PluginFault,
    isolation::{Answered, RemoteMethod, RemoteSchedule},
    load::Loaded,
    offer::Offer,
    printable::printable,
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
use std::sync::{Mutex, PoisonError};

fn named(options: Vec<Attribute>) -> Vec<(String, Value)> {
    options
        .into_iter()
        .map(|option| (option.key.into(), option.value))
        .collect()
}

/// A schedule of a plugin, created for one run.
pub struct LoadedSchedule {
    object: ScheduleAt,
    host: HostRecord,
    traits: ScheduleTraits,
    run: RunRecord,
    options: Vec<(String, Value)>,
    entry: Entry,
    decided: Mutex<Decided>,
}

/// The process that holds a schedule: this one, or one of its own.
enum ScheduleAt {
    Here(ScheduleObject),
    There(Box<RemoteSchedule>),
}

/// The process that holds a method: this one, or one of its own.
enum MethodAt {
    Here(MethodObject),
    There(Box<RemoteMethod>),
}

impl ScheduleAt {
    fn create(
        loaded: Loaded,
        id: &str,
        options: &[Attribute],
        host: &HostRecord,
        run: &RunRecord,
    ) -> Answered<(Self, ScheduleTraits)> {
        let module = match loaded {
            Loaded::Here(module) => module,
            Loaded::There(server) => {
                let created = server.schedule(id, options, host, run)?;
                return Ok(
                    created.map(|(schedule, traits)| (Self::There(Box::new(schedule)), traits))
                );
            }
        };
        let create = module.create_schedule();
        let created = into_result(create(id.into(), options.into(), host, run));
        Ok(created.and_then(|object| {
            let traits = into_result(object.traits())?;
            Ok((Self::Here(object), traits))
        }))
    }

    fn plan(&self, decision: &DecisionRecord) -> Result<Twice<SchedulePlan>, String> {
        match self {
            Self::Here(object) => Ok(Twice::of(|| into_result(object.plan(decision)))),
            Self::There(schedule) => schedule.plan(decision),
        }
    }
}

impl MethodAt {
    fn create(
        loaded: Loaded,
        id: &str,
        options: &[Attribute],
        host: &HostRecord,
    ) -> Answered<Self> {
        let module = match loaded {
            Loaded::Here(module) => module,
            Loaded::There(server) => {
                return Ok(server
                    .method(id, options, host)?
                    .map(|method| Self::There(Box::new(method))));
            }
        };
        let create = module.create_method();
        Ok(into_result(create(id.into(), options.into(), host)).map(Self::Here))
    }

    fn plan(&self, model: &ModelRecord) -> Result<Twice<MethodPlan>, String> {
        match self {
            Self::Here(object) => Ok(Twice::of(|| into_result(object.plan(model)))),
            Self::There(method) => method.plan(model),
        }
    }
}

impl LoadedSchedule {
    /// Creates the schedule.
    pub(crate) fn create(
        entry: Entry,
        loaded: Loaded,
        options: Vec<Attribute>,
        offer: &Offer,
        run: RunRecord,
    ) -> Result<Self, PluginFault> {
        let host = offer.record();
        let what = |what: &str| format!("schedule '{}', {what}", entry.id);
        let (object, traits) = ScheduleAt::create(loaded, &entry.id, &options, &host, &run)
            .map_err(|reason| PluginFault::unanswered(&entry.library, what("create"), &reason))?
            .map_err(|error| PluginFault::refused(&entry.library, what("create"), error))?;
        needs::of_traits(&traits, &host)
            .map_err(|error| PluginFault::refused(&entry.library, what("traits"), error))?;
        validate::schedule_traits(&traits, &host)
            .map_err(|reason| PluginFault::invalid(&entry.library, what("traits"), &reason))?;
        Ok(Self {
            object,
            host,
            traits,
            run,
            options: named(options),
            entry,
            decided: Mutex::default(),
        })
    }

    /// The traits that the schedule declares. The host offers all of its signals.
    pub fn traits(&self) -> &ScheduleTraits {
        &self.traits
    }

    /// The plan from this decision point on. Its ids are in range, distinct and at least one. It
    /// has no scales, or L of them, finite and ≥ 0. A history that is longer than the last one must
    /// begin with that one, as in a run.
    ///
    /// # Errors
    /// A refusal, a panic, no answer, a different answer than before, or a plan that breaks these
    /// rules.
    pub fn plan(&self, decision: &DecisionRecord) -> Result<SchedulePlan, PluginFault> {
        let what = || {
            format!(
                "schedule '{}', plan for epoch {}",
                self.entry.id, decision.epoch
            )
        };
        let invalid = |reason: String| PluginFault::invalid(&self.entry.library, what(), &reason);
        let twice = self
            .object
            .plan(decision)
            .map_err(|reason| PluginFault::unanswered(&self.entry.library, what(), &reason))?;
        let mut plan = twice
            .agreed()
            .map_err(invalid)?
            .and_then(|plan| needs::of_schedule(&plan, &self.host).map(|()| plan))
            .map_err(|error| PluginFault::refused(&self.entry.library, what(), error))?;
        validate::schedule_plan(&plan, &self.run).map_err(invalid)?;
        if self.traits.signals.is_empty() {
            let mut decided = self.decided.lock().unwrap_or_else(PoisonError::into_inner);
            decided.compare(decision, &plan).map_err(invalid)?;
        }
        plan.note = printable(&plan.note).replace('\n', " ").into();
        Ok(plan)
    }

    /// The entry from which it was created.
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
    object: MethodAt,
    host: HostRecord,
    options: Vec<(String, Value)>,
    entry: Entry,
}

impl LoadedMethod {
    /// Creates the method.
    pub(crate) fn create(
        entry: Entry,
        loaded: Loaded,
        options: Vec<Attribute>,
        offer: &Offer,
    ) -> Result<Self, PluginFault> {
        let host = offer.record();
        let what = || format!("method '{}', create", entry.id);
        let object = MethodAt::create(loaded, &entry.id, &options, &host)
            .map_err(|reason| PluginFault::unanswered(&entry.library, what(), &reason))?
            .map_err(|error| PluginFault::refused(&entry.library, what(), error))?;
        Ok(Self {
            object,
            host,
            options: named(options),
            entry,
        })
    }

    /// The method's changes to a model. The names exist and are distinct, the sites accept the
    /// modes, and the graphs have the right shapes.
    ///
    /// # Errors
    /// A refusal, a panic, no answer, or a plan that breaks the rules of [`validate::method_plan`].
    pub fn plan(&self, model: &ModelRecord) -> Result<MethodPlan, PluginFault> {
        let what = || format!("method '{}', plan", self.entry.id);
        let plan = self
            .object
            .plan(model)
            .map_err(|reason| PluginFault::unanswered(&self.entry.library, what(), &reason))?
            .agreed()
            .map_err(|reason| PluginFault::invalid(&self.entry.library, what(), &reason))?
            .and_then(|plan| needs::of_method(&plan, model, &self.host).map(|()| plan))
            .map_err(|error| PluginFault::refused(&self.entry.library, what(), error))?;
        validate::method_plan(&plan, model, &self.host)
            .map_err(|reason| PluginFault::invalid(&self.entry.library, what(), &reason))?;
        Ok(plan)
    }

    /// The entry from which it was created.
    pub fn source(&self) -> &Entry {
        &self.entry
    }

    /// All its options with the values of this run.
    pub fn options(&self) -> &[(String, Value)] {
        &self.options
    }
}

/// An entry whose answers are not checked here. The contract test uses it, and makes these checks
/// itself.
pub struct Unchecked {
    pub(crate) module: PluginModule_Ref,
    pub(crate) id: String,
}

impl Unchecked {
    /// Creates a schedule.
    ///
    /// # Errors
    /// The plugin's error.
    pub fn schedule(
        &self,
        options: &[Attribute],
        host: &HostRecord,
        run: &RunRecord,
    ) -> Result<ScheduleObject, PluginError> {
        let create = self.module.create_schedule();
        into_result(create(self.id.as_str().into(), options.into(), host, run))
    }

    /// Creates a method.
    ///
    /// # Errors
    /// The plugin's error.
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
