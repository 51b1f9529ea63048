//! The root module of a plugin library and the two kinds of objects that it creates: everything
//! that host and plugin call.
//!
//! [`crate::export_plugin!`] fills the module through [`crate::sdk`]. The host reads it after the
//! layout check in its `plugin-loader/load`, and calls it only from `plugin-loader/bridge`. Later
//! minor versions append members, each with a default body or readable as absent.

// abi_stable's macros generate types named `Thing_Ref` and `Thing_TO`, some of them undocumented,
// and their own `unsafe` code. There is no handwritten `unsafe` code in this file.
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

/// The type that crosses the boundary instead of a `Result`.
pub type Answer<T> = RResult<T, PluginError>;

/// A schedule created by a plugin. Any thread may call it at any time. Every answer is a pure
/// function of the argument and of the data with which the schedule was created.
#[sabi_trait]
pub trait ScheduleInterface: Send + Sync {
    /// The properties that the schedule declares. Requested once.
    fn traits(&self) -> Answer<ScheduleTraits>;
    /// The parameters to train from this decision point on.
    #[sabi(last_prefix_field)]
    fn plan(&self, decision: &DecisionRecord) -> Answer<SchedulePlan>;
}

/// A PEFT method created by a plugin. Any thread may call it at any time. Every answer is a pure
/// function of the argument and of the data with which the method was created.
#[sabi_trait]
pub trait MethodInterface: Send + Sync {
    /// The changes that the method makes to a model.
    #[sabi(last_prefix_field)]
    fn plan(&self, model: &ModelRecord) -> Answer<MethodPlan>;
}

/// An owned schedule. Dropping it frees it in the library that created it.
pub type ScheduleObject = ScheduleInterface_TO<'static, RBox<()>>;
/// An owned method. Dropping it frees it in the library that created it.
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

/// The exports of a library. Options arrive resolved: all declared ones, checked, in the order of
/// the declaration.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginModule_Ref)))]
#[sabi(missing_field(option))]
pub struct PluginModule {
    /// The JSON text of the manifest, for comparison with the file's.
    pub manifest: extern "C" fn() -> RStr<'static>,
    /// Creates the schedule with this id.
    pub create_schedule: extern "C" fn(
        id: RStr<'_>,
        options: RSlice<'_, Attribute>,
        host: &HostRecord,
        run: &RunRecord,
    ) -> RResult<ScheduleObject, PluginError>,
    /// Creates the method with this id.
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
