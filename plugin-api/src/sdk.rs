//! The traits that an author implements, and their conversion to the objects of [`crate::root`].
//!
//! [`crate::export_plugin!`] calls the `make_*` functions; the host and the contract test then call
//! the objects.

use crate::{
    guard::{guarded, install_hook},
    manifest::PluginSpec,
    needs,
    open::Attribute,
    options::Options,
    records::{
        DecisionRecord, ErrorCode, HostRecord, MethodPlan, ModelRecord, PluginError, RunRecord,
        SchedulePlan, ScheduleTraits,
    },
    root::{
        Answer, CreateMethod, CreateSchedule, MethodInterface, MethodInterface_TO, MethodObject,
        PluginModule, PluginModule_Ref, ScheduleInterface, ScheduleInterface_TO, ScheduleObject,
    },
};
use abi_stable::{
    erased_types::TD_Opaque,
    library::{__call_root_module_loader, CheckTypeLayout, LibHeader, RootModuleResult},
    prefix_type::PrefixTypeTrait,
    std_types::{RErr, RResult, RSlice, RStr},
};
use std::mem::ManuallyDrop;

/// A schedule: which parameters each epoch trains. It keeps what it needs from the [`RunRecord`]
/// with which it was created, and no other state. The host may ask for any epoch, in any order,
/// from any thread.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a schedule",
    label = "`create` returns this",
    note = "write `impl Schedule for {Self}` with `fn plan(&self, decision: &DecisionRecord) -> Result<SchedulePlan, PluginError>`"
)]
pub trait Schedule: Send + Sync + 'static {
    /// The signals to which it subscribes and how often it decides. By default it has no signals
    /// and decides at the start of each epoch.
    fn traits(&self) -> ScheduleTraits {
        ScheduleTraits::default()
    }

    /// The parameters to train from this decision point to the next.
    ///
    /// # Errors
    /// The reason why the schedule cannot decide; the run stops with the message.
    fn plan(&self, decision: &DecisionRecord) -> Result<SchedulePlan, PluginError>;
}

/// A PEFT method: which of a model's parameters it trains, which parameters it adds, and how they
/// change the computation.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a PEFT method",
    label = "`create` returns this",
    note = "write `impl Method for {Self}` with `fn plan(&self, model: &ModelRecord) -> Result<MethodPlan, PluginError>`"
)]
pub trait Method: Send + Sync + 'static {
    /// The changes that the method makes to this model.
    ///
    /// # Errors
    /// The reason why it cannot work on this model, in words for the user.
    fn plan(&self, model: &ModelRecord) -> Result<MethodPlan, PluginError>;
}

/// Runs every call, including the destructor, inside the panic guard, and refuses plans that need a
/// feature the host lacks.
struct Guarded<T> {
    value: ManuallyDrop<T>,
    host: HostRecord,
}

impl<T> Guarded<T> {
    fn new(value: T, host: &HostRecord) -> Self {
        Self {
            value: ManuallyDrop::new(value),
            host: host.clone(),
        }
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        // A panic here cannot be reported to anyone; the resources that the value owned leak.
        let _ = guarded("drop", || {
            // SAFETY: the value is dropped once, here, and not used again.
            #[allow(unsafe_code)]
            unsafe {
                ManuallyDrop::drop(&mut self.value);
            }
            Ok(())
        });
    }
}

impl<T: Schedule> ScheduleInterface for Guarded<T> {
    fn traits(&self) -> Answer<ScheduleTraits> {
        guarded("traits", || {
            let traits = self.value.traits();
            needs::of_traits(&traits, &self.host).map(|()| traits)
        })
    }
    fn plan(&self, decision: &DecisionRecord) -> Answer<SchedulePlan> {
        guarded("plan", || {
            let plan = self.value.plan(decision)?;
            needs::of_schedule(&plan, &self.host).map(|()| plan)
        })
    }
}

impl<T: Method> MethodInterface for Guarded<T> {
    fn plan(&self, model: &ModelRecord) -> Answer<MethodPlan> {
        guarded("plan", || {
            let plan = self.value.plan(model)?;
            needs::of_method(&plan, model, &self.host).map(|()| plan)
        })
    }
}

/// Creates a schedule inside the guard.
pub fn make_schedule<T: Schedule>(
    create: impl FnOnce(&Options<'_>, &HostRecord, &RunRecord) -> Result<T, PluginError>,
    options: RSlice<'_, Attribute>,
    host: &HostRecord,
    run: &RunRecord,
) -> Answer<ScheduleObject> {
    guarded("create", || {
        let schedule = create(&Options::new(options.as_slice()), host, run)?;
        Ok(ScheduleInterface_TO::from_value(
            Guarded::new(schedule, host),
            TD_Opaque,
        ))
    })
}

/// Creates a method inside the guard.
pub fn make_method<T: Method>(
    create: impl FnOnce(&Options<'_>, &HostRecord) -> Result<T, PluginError>,
    options: RSlice<'_, Attribute>,
    host: &HostRecord,
) -> Answer<MethodObject> {
    guarded("create", || {
        let method = create(&Options::new(options.as_slice()), host)?;
        Ok(MethodInterface_TO::from_value(
            Guarded::new(method, host),
            TD_Opaque,
        ))
    })
}

/// The answer to an id that the library does not offer.
pub fn no_such_entry<T>(kind: &str, id: &str) -> Answer<T> {
    RErr(PluginError::new(
        ErrorCode::NOT_FOUND,
        format!("this library offers no {kind} '{id}'"),
    ))
}

/// A library as [`crate::export_plugin!`] describes it, for the contract test and for unit tests.
#[derive(Clone, Copy)]
pub struct Plugin {
    /// The contents of the manifest.
    pub spec: &'static PluginSpec,
    /// Creates the schedule with an id.
    pub create_schedule: CreateSchedule,
    /// Creates the method with an id.
    pub create_method: CreateMethod,
}

impl Plugin {
    /// The root module. `manifest` yields the JSON text of the manifest.
    pub fn into_module(self, manifest: extern "C" fn() -> RStr<'static>) -> PluginModule_Ref {
        PluginModule {
            manifest,
            create_schedule: self.create_schedule,
            create_method: self.create_method,
        }
        .leak_into_prefix()
    }
}

/// The items of abi_stable that `export_plugin!` needs, so that an author depends only on this
/// crate.
pub mod generated {
    use super::{LibHeader, PluginModule_Ref, RootModuleResult};
    pub use abi_stable::std_types::{RSlice, RStr};

    /// The symbol that the host's loader looks for in the library.
    pub type Header = LibHeader;
    /// The result of the function that the loader calls.
    pub type Loaded = RootModuleResult;

    /// Runs once, when the host loads the library.
    pub fn load(module: fn() -> PluginModule_Ref) -> Loaded {
        super::install_hook();
        super::__call_root_module_loader(module)
    }

    /// The header of a library whose loader is `load`.
    pub const fn header(load: extern "C" fn() -> Loaded) -> Header {
        // SAFETY: `load` comes from `export_plugin!`, which passes a function that ends in `load`
        // above; that one yields a `PluginModule_Ref`.
        #[allow(unsafe_code)]
        unsafe {
            LibHeader::from_constructor::<PluginModule_Ref>(load, super::CheckTypeLayout::Yes)
        }
    }
}

/// The name of the exported header symbol, spelled out in `export_plugin!`.
const _: () = {
    let (expected, written) = (
        abi_stable::library::ROOT_MODULE_LOADER_NAME.as_bytes(),
        b"_1as_0lib_1header_0root_bmodule_bloader",
    );
    assert!(expected.len() == written.len());
    let mut at = 0;
    while at < written.len() {
        assert!(expected[at] == written[at]);
        at += 1;
    }
};

/// Turns an answer into a `Result`.
pub fn into_result<T>(answer: Answer<T>) -> Result<T, PluginError> {
    match answer {
        RResult::ROk(value) => Ok(value),
        RErr(error) => Err(error),
    }
}
