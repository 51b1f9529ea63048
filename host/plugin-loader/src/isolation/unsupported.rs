//! In place of [`super`]'s client where a system has no sockets between processes: nothing is ever isolated there
//! ([`super::Isolation::is_supported`]), so none of these values exists.

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

/// What an answer is: the plugin's, or why there is none.
pub(crate) type Answered<T> = Result<Result<T, PluginError>, String>;

/// What a server would be started with.
pub(crate) struct Launch {
    pub(crate) executable: PathBuf,
    pub(crate) limits: Limits,
    pub(crate) library: Private,
}

/// There is none.
pub(crate) struct Server(Infallible);
/// There is none.
pub(crate) struct RemoteSchedule(Infallible);
/// There is none.
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
