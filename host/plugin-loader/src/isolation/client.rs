//! The run's side: a process for each library, started when it is first needed, and the schedules
//! and methods in it.
//!
//! A process that dies between two questions is replaced once. The new process creates the same
//! schedules and methods again, because they are pure functions of their arguments. If a process
//! dies during a question, the plugin is at fault.

use super::{
    Limits,
    message::{
        CreateMethod, CreateSchedule, CreatedSchedule, Observe, Open, PlanMethod, PlanSchedule,
        Request,
    },
    process::{Process, Trouble},
};
use crate::{consistency::Twice, private::Private, wire::Wire};
use progtune_plugin_api::{
    open::Attribute,
    records::{
        DecisionRecord, HostRecord, MethodPlan, ModelRecord, PluginError, RunRecord, SchedulePlan,
        ScheduleTraits, SignalRecord,
    },
};
use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hasher},
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex, PoisonError, Weak},
};

/// The number of observations in one message.
const OBSERVED_AT_ONCE: usize = 10_000;

/// The arguments with which a server is started.
pub(crate) struct Launch {
    /// The program that serves.
    pub(crate) executable: PathBuf,
    /// The limits of the process.
    pub(crate) limits: Limits,
    /// The library.
    pub(crate) library: Private,
}

/// The properties that distinguish servers: library, program, limits.
type Key = (String, PathBuf, Limits);

/// The servers of this process that are still in use.
static SERVERS: LazyLock<Mutex<BTreeMap<Key, Weak<Server>>>> = LazyLock::new(Mutex::default);

/// A library in a process of its own.
pub(crate) struct Server {
    launch: Launch,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    process: Option<Process>,
    /// The number of processes so far.
    generation: u32,
    /// Whether a process that died between two questions was replaced.
    is_replaced: bool,
}

impl Server {
    /// The server for a library, with the library open.
    ///
    /// # Errors
    /// The library's fault.
    pub(crate) fn of(launch: Launch) -> Result<Arc<Self>, String> {
        let key = (
            launch.library.hash().to_owned(),
            launch.executable.clone(),
            launch.limits,
        );
        let mut servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = servers.get(&key).and_then(Weak::upgrade) {
            return Ok(server);
        }
        let server = Arc::new(Self {
            launch,
            state: Mutex::default(),
        });
        server.with_process(|_, _| Ok(()))?;
        servers.retain(|_, server| server.strong_count() > 0);
        servers.insert(key, Arc::downgrade(&server));
        Ok(server)
    }

    /// Creates a schedule in the process.
    pub(crate) fn schedule(
        self: Arc<Self>,
        id: &str,
        options: &[Attribute],
        host: &HostRecord,
        run: &RunRecord,
    ) -> Answered<(RemoteSchedule, ScheduleTraits)> {
        let create = CreateSchedule {
            id: id.into(),
            options: options.to_vec(),
            host: host.into(),
            run: run.clone(),
        };
        RemoteSchedule::create(self, create)
    }

    /// Creates a method in the process.
    pub(crate) fn method(
        self: Arc<Self>,
        id: &str,
        options: &[Attribute],
        host: &HostRecord,
    ) -> Answered<RemoteMethod> {
        let create = CreateMethod {
            id: id.into(),
            options: options.to_vec(),
            host: host.into(),
        };
        RemoteMethod::create(self, create)
    }

    /// Asks some questions, again in a new process if the current one had died before them.
    fn with_process<T>(
        &self,
        mut ask: impl FnMut(&mut Process, u32) -> Result<T, Trouble>,
    ) -> Result<T, String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let outcome = self
                .running(&mut state)
                .and_then(|(process, generation)| ask(process, generation));
            let trouble = match outcome {
                Ok(value) => return Ok(value),
                Err(trouble) => trouble,
            };
            state.process = None;
            match trouble {
                Trouble::Before(how) if !state.is_replaced => {
                    state.is_replaced = true;
                    tracing::warn!(
                        "{}: {how} between two questions; a new process takes its place",
                        self.launch.library
                    );
                }
                Trouble::Before(how) => {
                    return Err(format!("{how} between two questions, for the second time"));
                }
                Trouble::Fault(how) => return Err(how),
            }
        }
    }

    /// The process, started and with the library open.
    fn running<'s>(&self, state: &'s mut State) -> Result<(&'s mut Process, u32), Trouble> {
        if state.process.is_none() {
            let library = &self.launch.library;
            let copy = library.copy().map_err(Trouble::Fault)?;
            let mut process = Process::start(
                &self.launch.executable,
                copy.path.parent(),
                self.launch.limits,
                &library.to_string(),
            )?;
            let open = Request::Open(Open {
                file: copy.path.as_os_str().as_bytes().to_vec(),
                manifest: library.manifest().into(),
            });
            let opened: Result<u8, String> = process.ask(&open)?;
            opened.map_err(Trouble::Fault)?;
            state.generation += 1;
            state.process = Some(process);
        }
        match &mut state.process {
            Some(process) => Ok((process, state.generation)),
            None => Err(Trouble::Fault("its process has ended".into())),
        }
    }
}

/// An answer: the plugin's, or the reason why there is none.
pub(crate) type Answered<T> = Result<Result<T, PluginError>, String>;

/// The place of an object: its number in the process of a generation, and the observations that
/// this process has.
#[derive(Default)]
struct Placed {
    generation: u32,
    object: u32,
    observed: Observed,
}

/// The number of observations at each end of a history that are compared. A history grows at its
/// end.
const LOOKED_AT: usize = 32;

/// The part of a history that the process has: its length and a fingerprint.
#[derive(Default, Clone, Copy, PartialEq)]
struct Observed {
    count: usize,
    fingerprint: u64,
}

impl Observed {
    fn of(history: &[SignalRecord]) -> Self {
        let count = history.len();
        let from = count.saturating_sub(LOOKED_AT).max(LOOKED_AT.min(count));
        let ends = history[..LOOKED_AT.min(count)]
            .iter()
            .chain(&history[from..]);
        let mut hasher = DefaultHasher::new();
        for record in ends {
            hasher.write(record.name.as_bytes());
            hasher.write_u32(record.epoch);
            hasher.write_u64(record.step);
            hasher.write_usize(record.values.len());
            for value in &record.values {
                hasher.write_u64(value.to_bits());
            }
            if !record.ext.is_empty() {
                hasher.write(&record.ext.bytes());
            }
        }
        Self {
            count,
            fingerprint: hasher.finish(),
        }
    }

    /// The number of observations that the process already has: all of those it received, or none.
    fn known_of(self, history: &[SignalRecord]) -> usize {
        match history.get(..self.count) {
            Some(known) if Self::of(known) == self => self.count,
            _ => 0,
        }
    }
}

/// A schedule in a process of its own.
pub(crate) struct RemoteSchedule {
    server: Arc<Server>,
    create: Request,
    traits: ScheduleTraits,
    placed: Mutex<Placed>,
}

impl RemoteSchedule {
    /// Creates the schedule and asks for its traits.
    fn create(server: Arc<Server>, create: CreateSchedule) -> Answered<(Self, ScheduleTraits)> {
        let create = Request::CreateSchedule(create);
        let created = server.with_process(|process, generation| {
            let created: Result<CreatedSchedule, PluginError> = process.ask(&create)?;
            Ok((created, generation))
        })?;
        let (CreatedSchedule { object, traits }, generation) = match created {
            (Ok(created), generation) => (created, generation),
            (Err(error), _) => return Ok(Err(error)),
        };
        let placed = Placed {
            generation,
            object,
            observed: Observed::default(),
        };
        let schedule = Self {
            server,
            create,
            traits: traits.clone(),
            placed: Mutex::new(placed),
        };
        Ok(Ok((schedule, traits)))
    }

    /// Asks twice for a plan.
    pub(crate) fn plan(&self, decision: &DecisionRecord) -> Result<Twice<SchedulePlan>, String> {
        let mut placed = self.placed.lock().unwrap_or_else(PoisonError::into_inner);
        self.server.with_process(|process, generation| {
            if placed.generation != generation {
                *placed = self.create_again(process, generation)?;
            }
            let history = decision.history.as_slice();
            let mut keep = placed.observed.known_of(history);
            if keep < placed.observed.count || keep < history.len() {
                // During the message it is unknown what the process has.
                placed.observed = Observed {
                    count: usize::MAX,
                    fingerprint: 0,
                };
                let mut parts = history[keep..].chunks(OBSERVED_AT_ONCE);
                let mut part = parts.next().unwrap_or_default();
                loop {
                    process.tell(&Request::Observe(Observe {
                        object: placed.object,
                        keep: keep as u64,
                        history: part.to_vec(),
                    }))?;
                    keep += part.len();
                    part = match parts.next() {
                        Some(part) => part,
                        None => break,
                    };
                }
                placed.observed = Observed::of(history);
            }
            process.ask(&Request::PlanSchedule(PlanSchedule {
                object: placed.object,
                decision: DecisionRecord {
                    epoch: decision.epoch,
                    step_in_epoch: decision.step_in_epoch,
                    global_step: decision.global_step,
                    history: vec![].into(),
                    ext: decision.ext.clone(),
                },
            }))
        })
    }

    fn create_again(&self, process: &mut Process, generation: u32) -> Result<Placed, Trouble> {
        let created: Result<CreatedSchedule, PluginError> = process.ask(&self.create)?;
        let created = created.map_err(created_otherwise)?;
        if created.traits.bytes() != self.traits.bytes() {
            return Err(Trouble::Fault(
                "it was created a second time with the same options and declared different traits"
                    .into(),
            ));
        }
        Ok(Placed {
            generation,
            object: created.object,
            observed: Observed::default(),
        })
    }
}

/// A method in a process of its own.
pub(crate) struct RemoteMethod {
    server: Arc<Server>,
    create: Request,
    placed: Mutex<Placed>,
}

impl RemoteMethod {
    /// Creates the method.
    fn create(server: Arc<Server>, create: CreateMethod) -> Answered<Self> {
        let create = Request::CreateMethod(create);
        let created = server.with_process(|process, generation| {
            let object: Result<u32, PluginError> = process.ask(&create)?;
            Ok(object.map(|object| Placed {
                generation,
                object,
                observed: Observed::default(),
            }))
        })?;
        Ok(created.map(|placed| Self {
            server,
            create,
            placed: Mutex::new(placed),
        }))
    }

    /// Asks twice for a plan.
    pub(crate) fn plan(&self, model: &ModelRecord) -> Result<Twice<MethodPlan>, String> {
        let mut placed = self.placed.lock().unwrap_or_else(PoisonError::into_inner);
        self.server.with_process(|process, generation| {
            if placed.generation != generation {
                let object: Result<u32, PluginError> = process.ask(&self.create)?;
                placed.object = object.map_err(created_otherwise)?;
                placed.generation = generation;
            }
            process.ask(&Request::PlanMethod(PlanMethod {
                object: placed.object,
                model: model.clone(),
            }))
        })
    }
}

fn created_otherwise(error: PluginError) -> Trouble {
    Trouble::Fault(format!(
        "it was created a second time with the same options and refused: {error}"
    ))
}
