//! The contract test that every plugin runs from its own tests, and the host on a built library.
//!
//! A schedule is asked for every epoch of many runs (L and T from 1 up, T above L, not dividing, with and without
//! embeddings and pooler), a method for its plan on synthetic BERT- and RoBERTa-like models. Every answer must be valid
//! ([`crate::validate`]) and the same whenever it is asked; nothing may panic.
//!
//! ```
//! # use progtune_plugin_api::prelude::*;
//! # struct Nothing;
//! # impl Method for Nothing {
//! #     fn plan(&self, _: &ModelRecord) -> Result<MethodPlan, PluginError> { Ok(MethodPlan::default()) }
//! # }
//! # export_plugin! { methods: [ { id: "nothing", summary: "", options: [], create: |_, _| Ok(Nothing) } ] }
//! use progtune_plugin_api::contract;
//! # fn main() {
//! contract::assert_kept(&PLUGIN); // with the default options
//! contract::assert_method(&PLUGIN, "nothing", &[]); // with options: &[("r", "4")]
//! # }
//! ```

mod synthetic;

pub use synthetic::{Dimensions, host_record, model_record, run_record};

use crate::{
    open::Attribute,
    options::{OptionSchema, resolve},
    records::{
        DecisionRecord, ErrorCode, HostRecord, MethodPlan, ModelRecord, PluginError, RunRecord,
        SchedulePlan,
    },
    root::{MethodObject, ScheduleObject},
    sdk::{Plugin, into_result},
    validate,
};
use synthetic::synthetic_history;

/// The values of L and T that schedules are asked for.
const BLOCKS: [u32; 7] = [1, 2, 3, 5, 6, 12, 24];
const EPOCHS: [u32; 9] = [1, 2, 3, 4, 5, 7, 12, 25, 30];
/// After so many violations the rest is not listed.
const MAX_VIOLATIONS: usize = 20;

/// What the contract test saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Plans that were made and found in order.
    pub plans: u64,
    /// Runs or models that the entry refused with a proper error: bad option or unsupported.
    pub refusals: u64,
    /// What was wrong.
    pub violations: Vec<String>,
}

impl Report {
    fn violation(&mut self, text: String) {
        if self.violations.len() < MAX_VIOLATIONS && !self.violations.contains(&text) {
            self.violations.push(text);
        }
    }

    /// Counts an error as a refusal when it is one a user can understand.
    fn error(&mut self, context: &str, error: &PluginError) {
        let proper = [ErrorCode::BAD_OPTION, ErrorCode::UNSUPPORTED].contains(&error.code);
        match proper && !error.message.is_empty() {
            true => self.refusals += 1,
            false => self.violation(format!("{context}: {} error: {error}", error.code)),
        }
    }

    /// An entry that refuses everything keeps no contract.
    fn finish(mut self, what: &str) -> Self {
        if self.plans == 0 && self.violations.is_empty() {
            self.violation(format!("{what} refused every run it was asked for"));
        }
        self
    }

    /// # Panics
    /// When there are violations; it lists them.
    #[track_caller]
    fn assert(self, what: &str) -> Self {
        assert!(
            self.violations.is_empty(),
            "{what} breaks the contract:\n  {}",
            self.violations.join("\n  ")
        );
        self
    }
}

/// Checks every entry of a library with its default options (entries with required options are left out).
///
/// # Panics
/// With the violations, when there are any: it is an assertion for tests.
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
/// With the violations, when there are any, or when there is no such schedule or option.
#[track_caller]
pub fn assert_schedule(plugin: &Plugin, id: &str, options: &[(&str, &str)]) -> Report {
    let options = resolved(plugin, id, options);
    let create = |host: &HostRecord, run: &RunRecord| {
        into_result((plugin.create_schedule)(
            id.into(),
            options.as_slice().into(),
            host,
            run,
        ))
    };
    check_schedule(id, create).assert(id)
}

/// Checks a method with these options.
///
/// # Panics
/// With the violations, when there are any, or when there is no such method or option.
#[track_caller]
pub fn assert_method(plugin: &Plugin, id: &str, options: &[(&str, &str)]) -> Report {
    let options = resolved(plugin, id, options);
    let create = |host: &HostRecord| {
        into_result((plugin.create_method)(
            id.into(),
            options.as_slice().into(),
            host,
        ))
    };
    check_method(id, create).assert(id)
}

/// Creates a schedule as the host does, for a test of what it plans.
///
/// # Panics
/// When there is no such schedule or option.
///
/// # Errors
/// What the plugin answers.
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

/// What a schedule trains in each epoch of a run.
///
/// # Panics
/// When there is no such schedule or option, or the plugin answers with an error.
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

/// What a method does to a model.
///
/// # Panics
/// When there is no such method or option.
///
/// # Errors
/// What the plugin answers.
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
fn resolved(plugin: &Plugin, id: &str, given: &[(&str, &str)]) -> Vec<Attribute> {
    let entry = plugin.spec.entries.iter().find(|entry| entry.id == id);
    let entry = entry.unwrap_or_else(|| panic!("the library offers no '{id}'"));
    let schemas: Vec<OptionSchema> = entry.options.iter().map(|option| option.schema()).collect();
    let given: Vec<(String, String)> = given
        .iter()
        .map(|&(name, value)| (name.into(), value.into()))
        .collect();
    match resolve(&schemas, &given) {
        Ok(options) => options,
        Err(fault) => panic!("option '{}' of '{id}': {}", fault.name, fault.reason),
    }
}

/// The contract of a schedule, whoever creates it.
pub fn check_schedule(
    id: &str,
    create: impl Fn(&HostRecord, &RunRecord) -> Result<ScheduleObject, PluginError>,
) -> Report {
    let (host, mut report) = (host_record(), Report::default());
    for (method, embeddings) in [("", true), ("", false), ("bitfit", true), ("bitfit", false)] {
        for blocks in BLOCKS {
            for epochs in EPOCHS {
                let run = run_record(blocks, epochs, method, embeddings);
                let context =
                    format!("L={blocks} T={epochs} method='{method}' embeddings={embeddings}");
                check_run(&mut report, &context, &host, &run, &create);
            }
        }
    }
    report.finish(id)
}

fn check_run(
    report: &mut Report,
    context: &str,
    host: &HostRecord,
    run: &RunRecord,
    create: &impl Fn(&HostRecord, &RunRecord) -> Result<ScheduleObject, PluginError>,
) {
    let (first, second) = match (create(host, run), create(host, run)) {
        (Ok(first), Ok(second)) => (first, second),
        (Err(error), _) | (_, Err(error)) => return report.error(context, &error),
    };
    let traits = match into_result(first.traits()) {
        Ok(traits) => traits,
        Err(error) => return report.error(context, &error),
    };
    if let Err(reason) = validate::schedule_traits(&traits, host) {
        return report.violation(format!("{context}: {reason}"));
    }
    let decision = |epoch: u32| DecisionRecord {
        global_step: u64::from(epoch - 1) * run.steps_per_epoch,
        history: synthetic_history(&traits, run, epoch),
        ..DecisionRecord::epoch(epoch)
    };
    let forwards: Vec<_> = (1..=run.epochs)
        .map(|epoch| into_result(first.plan(&decision(epoch))))
        .collect();
    let backwards: Vec<_> = (1..=run.epochs)
        .rev()
        .map(|epoch| into_result(second.plan(&decision(epoch))))
        .collect();
    for ((epoch, plan), again) in (1..).zip(forwards).zip(backwards.into_iter().rev()) {
        let context = format!("{context} t={epoch}");
        if plan != again {
            report.violation(format!(
                "{context}: another plan when asked again, in another order"
            ));
        }
        match plan {
            Err(error) => report.error(&context, &error),
            Ok(plan) => match validate::schedule_plan(&plan, run) {
                Err(reason) => report.violation(format!("{context}: {reason}")),
                Ok(()) => report.plans += 1,
            },
        }
    }
}

/// The contract of a method, whoever creates it.
pub fn check_method(
    id: &str,
    create: impl Fn(&HostRecord) -> Result<MethodObject, PluginError>,
) -> Report {
    let (host, mut report) = (host_record(), Report::default());
    let (small, wide) = (Dimensions::of(32, 64), Dimensions::of(48, 40));
    let mut models: Vec<ModelRecord> = Vec::new();
    for architecture in ["bert", "roberta"] {
        for (blocks, dimensions) in [(1, small), (3, wide), (12, small)] {
            models.push(model_record(architecture, blocks, dimensions));
        }
    }
    for model in &models {
        let context = format!("{} with {} blocks", model.architecture, model.blocks);
        check_model(&mut report, &context, &host, model, &create);
    }
    // A model that offers nothing: refused or trivial, never a panic.
    let mut bare = model_record("bert", 1, small);
    bare.sites.clear();
    bare.parameters.clear();
    check_model(
        &mut report,
        "a model without sites and parameters",
        &host,
        &bare,
        &create,
    );
    report.finish(id)
}

fn check_model(
    report: &mut Report,
    context: &str,
    host: &HostRecord,
    model: &ModelRecord,
    create: &impl Fn(&HostRecord) -> Result<MethodObject, PluginError>,
) {
    let answer = || create(host).and_then(|method| into_result(method.plan(model)));
    let (plan, again) = (answer(), answer());
    if plan != again {
        report.violation(format!("{context}: another plan when asked again"));
    }
    match plan {
        Err(error) => report.error(context, &error),
        Ok(plan) => match validate::method_plan(&plan, model, host) {
            Err(reason) => report.violation(format!("{context}: {reason}")),
            Ok(()) => report.plans += 1,
        },
    }
}
