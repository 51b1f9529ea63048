//! The contract test. Every plugin runs it in its own tests, and `progtune plugins check` runs it
//! on a built library.
//!
//! A schedule is asked for every epoch of many runs: L and T from 1 up, T above L, T not dividing
//! L, with and without embeddings and pooler. A method is asked for its plan on synthetic BERT- and
//! RoBERTa-like models. Every answer must be valid ([`crate::validate`]) and identical whenever it
//! is asked for; nothing may panic.
//!
//! Options are set to their limits, and runs, models and hosts lack features that an author may
//! take for granted. A plan must then be adapted, or refused with
//! [`BAD_OPTION`](crate::records::ErrorCode::BAD_OPTION) or
//! [`UNSUPPORTED`](crate::records::ErrorCode::UNSUPPORTED). The reference interpreter
//! ([`crate::interpret`]) runs a method's graphs and checks their initial values, the declared
//! identity, and that merged and unmerged results agree.
//!
//! ```
//! # use progtune_plugin_api::prelude::*;
//! # struct Nothing;
//! # impl Method for Nothing {
//! #     fn plan(&self, _: &ModelRecord) -> Result<MethodPlan, PluginError> {
//! #         Ok(MethodPlan::default())
//! #     }
//! # }
//! # export_plugin! {
//! #     methods: [{ id: "nothing", summary: "", options: [], create: |_, _| Ok(Nothing) }],
//! # }
//! use progtune_plugin_api::contract;
//! # fn main() {
//! contract::assert_kept(&PLUGIN); // with the default options
//! contract::assert_method(&PLUGIN, "nothing", &[]); // with options: &[("r", "4")]
//! # }
//! ```

mod behaviour;
mod method;
mod report;
mod schedule;
mod synthetic;
mod trial;
mod variations;

pub use method::{CreateMethod, check_method};
pub use report::{Check, Report};
pub use schedule::{CreateSchedule, check_schedule};
pub use synthetic::{Dimensions, bare_host, host_record, model_record, run_record};

use crate::{
    open::Attribute,
    options::{OptionSchema, resolve},
    records::{
        DecisionRecord, HostRecord, MethodPlan, ModelRecord, PluginError, RunRecord, SchedulePlan,
    },
    root::ScheduleObject,
    sdk::{Plugin, into_result},
    stage::top,
};
use std::collections::BTreeSet;

/// An entry to check, independent of how it is created.
pub struct Subject<'a, C: ?Sized> {
    /// Its id.
    pub id: &'a str,
    /// The options it declares.
    pub declared: &'a [OptionSchema],
    /// The given options as a user types them. The checks of the options change one at a time.
    pub given: &'a [(String, String)],
    /// Creates it: [`CreateSchedule`] or [`CreateMethod`].
    pub create: &'a C,
}

/// Checks every entry of a library with its default options. Entries with required options are
/// skipped.
///
/// # Panics
/// If there are violations, which it lists: it is an assertion for tests.
#[track_caller]
pub fn assert_kept(plugin: &Plugin) {
    for entry in plugin.spec.entries {
        let schemas: Vec<OptionSchema> =
            entry.options.iter().map(|option| option.schema()).collect();
        if schemas.iter().any(|option| option.default.is_none()) {
            continue;
        }
        match entry.kind {
            "schedule" => assert_schedule(plugin, entry.id, &[]),
            _ => assert_method(plugin, entry.id, &[]),
        };
    }
}

/// Checks a schedule with these options.
///
/// # Panics
/// If there are violations, which it lists, or if there is no such schedule or option.
#[track_caller]
pub fn assert_schedule(plugin: &Plugin, id: &str, options: &[(&str, &str)]) -> Report {
    let create = |options: &[Attribute], host: &HostRecord, run: &RunRecord| {
        into_result((plugin.create_schedule)(
            id.into(),
            options.into(),
            host,
            run,
        ))
    };
    let subject = Subject::<CreateSchedule<'_>> {
        id,
        declared: &declared(plugin, id),
        given: &typed(options),
        create: &create,
    };
    check_schedule(&subject).assert(id)
}

/// Checks a method with these options.
///
/// # Panics
/// If there are violations, which it lists, or if there is no such method or option.
#[track_caller]
pub fn assert_method(plugin: &Plugin, id: &str, options: &[(&str, &str)]) -> Report {
    let create = |options: &[Attribute], host: &HostRecord| {
        into_result((plugin.create_method)(id.into(), options.into(), host))
    };
    let subject = Subject::<CreateMethod<'_>> {
        id,
        declared: &declared(plugin, id),
        given: &typed(options),
        create: &create,
    };
    check_method(&subject).assert(id)
}

/// Creates a schedule as the host does, for a test of its plans.
///
/// # Panics
/// If there is no such schedule or option.
///
/// # Errors
/// The plugin's error.
#[track_caller]
pub fn create_schedule(
    plugin: &Plugin,
    id: &str,
    options: &[(&str, &str)],
    run: &RunRecord,
) -> Result<ScheduleObject, PluginError> {
    let options = resolved(plugin, id, options);
    into_result((plugin.create_schedule)(
        id.into(),
        options.as_slice().into(),
        &host_record(),
        run,
    ))
}

/// The plans of a schedule for each epoch of a run.
///
/// # Panics
/// If there is no such schedule or option, or the plugin answers with an error.
#[track_caller]
pub fn schedule_plans(
    plugin: &Plugin,
    id: &str,
    options: &[(&str, &str)],
    run: &RunRecord,
) -> Vec<SchedulePlan> {
    let schedule =
        create_schedule(plugin, id, options, run).unwrap_or_else(|error| panic!("{id}: {error}"));
    let plan = |epoch| {
        into_result(schedule.plan(&DecisionRecord::epoch(epoch)))
            .unwrap_or_else(|error| panic!("{id}, epoch {epoch}: {error}"))
    };
    (1..=run.epochs).map(plan).collect()
}

/// Asserts that a schedule with its default options trains the top `k` of a model's blocks, and no
/// others, for each epoch of a run with as many epochs as `k` has numbers.
///
/// # Panics
/// If it does not, if there is no such schedule, or if the plugin answers with an error.
#[track_caller]
pub fn assert_top_blocks(plugin: &Plugin, id: &str, blocks: u32, k: &[u32]) {
    let run = run_record(blocks, k.len() as u32, "", true);
    let trained = |plan: &SchedulePlan| -> BTreeSet<u32> {
        let parameters = plan.trainable.iter().filter_map(|&id| run.candidate(id));
        parameters
            .filter_map(|parameter| u32::try_from(parameter.block).ok())
            .collect()
    };
    for (epoch, (plan, &k)) in (1..).zip(schedule_plans(plugin, id, &[], &run).iter().zip(k)) {
        let expected: BTreeSet<u32> = top(&run, k).collect();
        assert_eq!(
            trained(plan),
            expected,
            "{id}, epoch {epoch} of {}",
            run.epochs
        );
    }
}

/// The plan of a method for a model.
///
/// # Panics
/// If there is no such method or option.
///
/// # Errors
/// The plugin's error.
#[track_caller]
pub fn plan_method(
    plugin: &Plugin,
    id: &str,
    options: &[(&str, &str)],
    model: &ModelRecord,
) -> Result<MethodPlan, PluginError> {
    let options = resolved(plugin, id, options);
    let method = into_result((plugin.create_method)(
        id.into(),
        options.as_slice().into(),
        &host_record(),
    ))?;
    into_result(method.plan(model))
}

#[track_caller]
fn declared(plugin: &Plugin, id: &str) -> Vec<OptionSchema> {
    let entry = plugin.spec.entries.iter().find(|entry| entry.id == id);
    let entry = entry.unwrap_or_else(|| panic!("the library offers no '{id}'"));
    entry.options.iter().map(|option| option.schema()).collect()
}

fn typed(options: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |&(name, value): &(&str, &str)| (name.into(), value.into());
    options.iter().map(owned).collect()
}

#[track_caller]
fn resolved(plugin: &Plugin, id: &str, given: &[(&str, &str)]) -> Vec<Attribute> {
    match resolve(&declared(plugin, id), &typed(given)) {
        Ok(options) => options,
        Err(fault) => panic!("option '{}' of '{id}': {}", fault.name, fault.reason),
    }
}
