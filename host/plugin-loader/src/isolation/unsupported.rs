//! A replacement for [`super`]'s client on systems without sockets between processes. Nothing is
//! ever isolated there ([`super::Isolation::is_supported`]), so none of these values exists.

use super::Limits;
use crate::{consistency::Twice, private::Private};
use progtune_plugin_api::{
    open::Attribute,
    records::{
        DecisionRecord, HostRecord, MethodPlan, ModelRecord, PluginError, RunRecord, SchedulePlan,
        ScheduleTraits,
    },
};
use std::{convert::Infallible, path::PathBuf, sync::Arc};

/// An answer: the plugin's, or the reason why there is none.
pub(crate) type Answered<T> = Result<Result<T, PluginError>, String>;

/// The arguments with which a server would be started.
pub(crate) struct Launch {
    pub(crate) executable: PathBuf,
    pub(crate) limits: Limits,
    pub(crate) library: Private,
}

/// A server, which does not exist here.
pub(crate) struct Server(Infallible);
/// A schedule in a process of its own, which does not exist here.
pub(crate) struct RemoteSchedule(Infallible);
/// A method in a process of its own, which does not exist here.
pub(crate) struct RemoteMethod(Infallible);

impl Server {
    pub(crate) fn of(launch: Launch) -> Result<Arc<Self>, String> {
        let Launch {
            executable,
            limits: _,
            library,
        } = launch;
        Err(format!(
            "{library}: {} cannot serve plugins on this system",
            executable.display()
        ))
    }

    pub(crate) fn schedule(
        self: Arc<Self>,
        _: &str,
        _: &[Attribute],
        _: &HostRecord,
        _: &RunRecord,
    ) -> Answered<(RemoteSchedule, ScheduleTraits)> {
        match self.0 {}
    }

    pub(crate) fn method(
        self: Arc<Self>,
        _: &str,
        _: &[Attribute],
        _: &HostRecord,
    ) -> Answered<RemoteMethod> {
        match self.0 {}
    }
}

impl RemoteSchedule {
    pub(crate) fn plan(&self, _: &DecisionRecord) -> Result<Twice<SchedulePlan>, String> {
        match self.0 {}
    }
}

impl RemoteMethod {
    pub(crate) fn plan(&self, _: &ModelRecord) -> Result<Twice<MethodPlan>, String> {
        match self.0 {}
    }
}
