//! The root module of a plugin library and the two kinds of object it makes: all that host and plugin call.
//!
//! [`crate::export_plugin!`] fills the module through [`crate::sdk`]; the host reads it after the layout check
//! in its `plugin-loader/load` and calls it from `plugin-loader/bridge` only. Later minor versions append members, each with
//! a default body or readable as absent.

// abi_stable's macros write types named `Thing_Ref` and `Thing_TO`, some without documentation, and `unsafe`
// code of their own; there is none of ours in this file.
#![allow(non_camel_case_types, non_local_definitions, missing_docs, unsafe_code)]

use crate::{
    open::Attribute,
    records::{
        DecisionRecord, HostRecord, MethodPlan, ModelRecord, PluginError, RunRecord, SchedulePlan,
        ScheduleTraits,
    },
};
use abi_stable::{
    StableAbi,
    library::RootModule,
    package_version_strings, sabi_trait,
    sabi_types::VersionStrings,
    std_types::{RBox, RResult, RSlice, RStr},
};

/// What crosses the boundary instead of a `Result`.
pub type Answer<T> = RResult<T, PluginError>;

/// A schedule made by a plugin. Any thread may call it at any time; every answer is a pure function of what
/// the schedule was created with and of the argument.
#[sabi_trait]
pub trait ScheduleInterface: Send + Sync {
    /// What the schedule declares about itself. Asked once.
    fn traits(&self) -> Answer<ScheduleTraits>;
    /// What is trained from this decision point on.
    #[sabi(last_prefix_field)]
    fn plan(&self, decision: &DecisionRecord) -> Answer<SchedulePlan>;
}

/// A PEFT method made by a plugin. Any thread may call it at any time; every answer is a pure function of what
/// the method was created with and of the argument.
#[sabi_trait]
pub trait MethodInterface: Send + Sync {
    /// What the method does to a model.
    #[sabi(last_prefix_field)]
    fn plan(&self, model: &ModelRecord) -> Answer<MethodPlan>;
}

/// An owned schedule; dropping it frees it in the library that made it.
pub type ScheduleObject = ScheduleInterface_TO<'static, RBox<()>>;
/// An owned method; dropping it frees it in the library that made it.
pub type MethodObject = MethodInterface_TO<'static, RBox<()>>;

/// The type of [`PluginModule::create_schedule`].
pub type CreateSchedule = extern "C" fn(
    id: RStr<'_>,
    options: RSlice<'_, Attribute>,
    host: &HostRecord,
    run: &RunRecord,
) -> Answer<ScheduleObject>;
/// The type of [`PluginModule::create_method`].
pub type CreateMethod = extern "C" fn(
    id: RStr<'_>,
    options: RSlice<'_, Attribute>,
    host: &HostRecord,
) -> Answer<MethodObject>;

/// What a library exports. Options arrive resolved: all declared ones, checked, in the order of the declaration.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginModule_Ref)))]
#[sabi(missing_field(option))]
pub struct PluginModule {
    /// The JSON text of the manifest, for comparison with the file's.
    pub manifest: extern "C" fn() -> RStr<'static>,
    /// Makes the schedule of this id.
    pub create_schedule: extern "C" fn(
        id: RStr<'_>,
        options: RSlice<'_, Attribute>,
        host: &HostRecord,
        run: &RunRecord,
    ) -> RResult<ScheduleObject, PluginError>,
    /// Makes the method of this id.
    #[sabi(last_prefix_field)]
    pub create_method: extern "C" fn(
        id: RStr<'_>,
        options: RSlice<'_, Attribute>,
        host: &HostRecord,
    ) -> RResult<MethodObject, PluginError>,
}

impl RootModule for PluginModule_Ref {
    abi_stable::declare_root_module_statics! {PluginModule_Ref}
    const BASE_NAME: &'static str = "progtune_plugin";
    const NAME: &'static str = "progtune plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}
