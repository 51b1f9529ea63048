//! The only caller of plugins. What goes in is made here, what comes out is checked here before anything uses it.
//!
//! [`crate::Plugins`] creates the objects; the host asks them.

use crate::{
    discover::Entry,
    fault::{PluginFault, printable},
    offer::Offer,
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
    /// Creates it.
    pub(crate) fn create(
        entry: Entry,
        module: PluginModule_Ref,
        options: Vec<Attribute>,
        offer: &Offer,
        run: RunRecord,
    ) -> Result<Self, PluginFault> {
        let host = offer.record();
        let id = entry.id.as_str();
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
        Ok(Self {
            object,
            host,
            traits,
            run,
            options: named(options),
            entry,
        })
    }

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
    /// Creates it.
    pub(crate) fn create(
        entry: Entry,
        module: PluginModule_Ref,
        options: Vec<Attribute>,
        offer: &Offer,
    ) -> Result<Self, PluginFault> {
        let host = offer.record();
        let object = into_result(module.create_method()(
            entry.id.as_str().into(),
            options.as_slice().into(),
            &host,
        ))
        .map_err(|error| {
            PluginFault::refused(&entry, format!("method '{}', create", entry.id), error)
        })?;
        Ok(Self {
            object,
            host,
            options: named(options),
            entry,
        })
    }

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
    pub(crate) module: PluginModule_Ref,
    pub(crate) id: String,
}

impl Unchecked {
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
