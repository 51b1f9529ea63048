//! The plugin's process. It opens one library and answers the run's questions to its schedules and
//! methods. Called by [`crate::probe::answer_if_asked`].
//!
//! The socket to the run arrives as standard input. It moves to a descriptor of its own, and
//! standard input becomes empty. A thread receives, so that the process notices the end of the run
//! and a wish to stop while a plugin computes. The main thread calls the plugin.

use super::{
    LOST_CONNECTION, escaped,
    frame::{Broken, Inbox, Token, framed},
    message::{
        CreateMethod, CreateSchedule, CreatedSchedule, Greeting, Numbered, Open, PlanMethod,
        PlanSchedule, Reply, Request,
    },
};
use crate::{
    consistency::Twice,
    offer::{self, Offer},
    open,
    wire::{HostOffer, Reader, Wire},
};
use abi_stable::std_types::RVec;
use progtune_plugin_api::{
    records::{ErrorCode, HostRecord, PluginError, SignalRecord},
    root::{MethodObject, PluginModule_Ref, ScheduleObject},
    sdk::into_result,
};
use rustix::process::{
    Resource, Rlimit, Signal, getpgrp, getpid, kill_process_group, setrlimit, umask,
};
use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read, Write},
    mem::ManuallyDrop,
    os::{
        fd::{AsFd, FromRawFd, OwnedFd},
        unix::{ffi::OsStringExt, net::UnixStream},
    },
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
        mpsc::{self, Receiver},
    },
    thread,
};

/// Serves until the run closes the socket, and returns the exit code.
pub(crate) fn serve(offer: &Offer) -> i32 {
    let Some((socket, greeting)) = connection() else {
        eprintln!("progtune uses this argument internally to load plugins; it is not a command");
        return 2;
    };
    limit(greeting.memory);
    let Ok(sender) = socket.try_clone() else {
        return LOST_CONNECTION;
    };
    let replies = Arc::new(Replies {
        socket: Mutex::new(sender),
        token: greeting.token,
        number: AtomicU32::new(0),
    });
    let log = Arc::clone(&replies);
    offer::forward_log(move |level, line| log.send(Reply::Log(level, line.into())));
    let mut served = Served {
        own: offer.record(),
        module: None,
        objects: vec![],
        replies,
    };
    for (number, request) in receive(socket, greeting.token) {
        served.replies.number.store(number, Ordering::Relaxed);
        served.answer(request);
    }
    0
}

/// Takes the socket from standard input, with the run's first message.
fn connection() -> Option<(UnixStream, Greeting)> {
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
    let mut bytes = [0; Greeting::LENGTH];
    socket.read_exact(&mut bytes).ok()?;
    let greeting = Greeting::of(&bytes)?;
    empty_stdin().ok()?;
    Some((socket, greeting))
}

/// Makes standard input an empty file.
fn empty_stdin() -> io::Result<()> {
    let empty = File::open("/dev/null")?;
    // SAFETY: descriptor 0 is open, since the socket has just come from it. It is not closed,
    // because this owner of it is never dropped.
    #[allow(unsafe_code)]
    let mut stdin = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(0) });
    Ok(rustix::io::dup2(&empty, &mut stdin)?)
}

/// Limits the memory of this process, and the files that it leaves: no core dump, and no rights for
/// other users. A limit that cannot be set is ignored.
fn limit(memory: u64) {
    let at_most = |bytes: u64| Rlimit {
        current: Some(bytes),
        maximum: Some(bytes),
    };
    let _ = setrlimit(Resource::Core, at_most(0));
    let _ = setrlimit(Resource::Data, at_most(memory));
    umask(rustix::fs::Mode::from_raw_mode(0o077));
    // If the whole machine runs out of memory, the system ends this process and not the run.
    #[cfg(target_os = "linux")]
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
}

/// Starts the thread that receives. It ends the process when the run has ended.
///
/// Returns when the thread is running. Starting one takes the dynamic linker's lock, which the main
/// thread holds while a constructor runs, perhaps for ever.
fn receive(mut socket: UnixStream, token: Token) -> Receiver<(u32, Request)> {
    static UNDER_WAY: AtomicBool = AtomicBool::new(false);
    let (sender, receiver) = mpsc::channel();
    let marker = std::env::var(escaped::VARIABLE).unwrap_or_default();
    thread::spawn(move || {
        let mut inbox = Inbox::new(token);
        UNDER_WAY.store(true, Ordering::Release);
        loop {
            let message = match inbox.next(&mut socket) {
                Ok(message) => message,
                Err(Broken::Closed) => end(&marker),
                Err(_) => std::process::exit(LOST_CONNECTION),
            };
            let mut reader = Reader::new(&message);
            match (u32::take(&mut reader), Request::take(&mut reader)) {
                (Ok(_), Ok(Request::Cancelled(cancelled))) => offer::set_cancelled(cancelled),
                (Ok(number), Ok(request)) => {
                    if sender.send((number, request)).is_err() {
                        return;
                    }
                }
                _ => std::process::exit(LOST_CONNECTION),
            }
        }
    });
    while !UNDER_WAY.load(Ordering::Acquire) {
        thread::yield_now();
    }
    receiver
}

/// Ends this process and everything that it has started.
fn end(marker: &str) -> ! {
    if !marker.is_empty() {
        escaped::kill(marker);
    }
    // Never a group that another process leads.
    if getpgrp() == getpid() {
        let _ = kill_process_group(getpgrp(), Signal::KILL);
    }
    std::process::abort();
}

/// The destination of replies, from any thread.
struct Replies {
    socket: Mutex<UnixStream>,
    token: Token,
    /// The question in progress.
    number: AtomicU32,
}

impl Replies {
    fn send(&self, reply: Reply) {
        let number = self.number.load(Ordering::Relaxed);
        let message = Numbered { number, reply }.bytes();
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = framed(&self.token, &message).and_then(|frame| socket.write_all(&frame));
        if sent.is_err() {
            // No one would receive anything else.
            std::process::exit(LOST_CONNECTION);
        }
    }

    fn at(&self, stage: &str) {
        self.send(Reply::At(stage.into()));
    }

    fn answer(&self, answer: &impl Wire) {
        self.send(Reply::Answer(answer.bytes()));
    }
}

/// A schedule or a method that was created.
enum Object {
    Schedule {
        object: ScheduleObject,
        id: String,
        history: RVec<SignalRecord>,
    },
    Method {
        object: MethodObject,
        id: String,
    },
}

struct Served {
    /// The record with the functions that a plugin may call in this process.
    own: HostRecord,
    module: Option<PluginModule_Ref>,
    objects: Vec<Object>,
    replies: Arc<Replies>,
}

impl Served {
    fn answer(&mut self, request: Request) {
        match request {
            Request::Open(request) => {
                let opened = self.open(request);
                self.replies.answer(&opened);
            }
            Request::CreateSchedule(request) => {
                let created = self.create_schedule(request);
                self.replies.answer(&created);
            }
            Request::CreateMethod(request) => {
                let created = self.create_method(request);
                self.replies.answer(&created);
            }
            Request::Observe(request) => {
                if let Some(Object::Schedule { history, .. }) =
                    self.objects.get_mut(request.object as usize)
                {
                    history.truncate(usize::try_from(request.keep).unwrap_or(usize::MAX));
                    history.extend(request.history);
                }
            }
            Request::PlanSchedule(request) => self.plan_schedule(request),
            Request::PlanMethod(request) => self.plan_method(&request),
            Request::Cancelled(_) => {}
        }
    }

    /// An empty text, or the reason why the library cannot be opened.
    fn open(&mut self, request: Open) -> Result<u8, String> {
        let file = OsString::from_vec(request.file);
        let at = |stage: &str| self.replies.at(stage);
        self.module = Some(open::root(file.as_ref(), &request.manifest, &at)?);
        Ok(0)
    }

    fn host(&self, host: HostOffer) -> HostRecord {
        host.with_functions_of(&self.own)
    }

    fn create_schedule(&mut self, request: CreateSchedule) -> Result<CreatedSchedule, PluginError> {
        let CreateSchedule {
            id,
            options,
            host,
            run,
        } = request;
        let module = self.module.ok_or_else(not_opened)?;
        let host = self.host(host);
        self.replies
            .at(&format!("in create of the schedule '{id}'"));
        let object = into_result(module.create_schedule()(
            id.as_str().into(),
            options.as_slice().into(),
            &host,
            &run,
        ))?;
        self.replies
            .at(&format!("in traits of the schedule '{id}'"));
        let traits = into_result(object.traits())?;
        self.objects.push(Object::Schedule {
            object,
            id,
            history: RVec::new(),
        });
        Ok(CreatedSchedule {
            object: self.newest(),
            traits,
        })
    }

    fn create_method(&mut self, request: CreateMethod) -> Result<u32, PluginError> {
        let CreateMethod { id, options, host } = request;
        let module = self.module.ok_or_else(not_opened)?;
        let host = self.host(host);
        self.replies.at(&format!("in create of the method '{id}'"));
        let object = into_result(module.create_method()(
            id.as_str().into(),
            options.as_slice().into(),
            &host,
        ))?;
        self.objects.push(Object::Method { object, id });
        Ok(self.newest())
    }

    fn newest(&self) -> u32 {
        self.objects.len() as u32 - 1
    }

    fn plan_schedule(&mut self, request: PlanSchedule) {
        let PlanSchedule {
            object: number,
            mut decision,
        } = request;
        let Some(Object::Schedule {
            object,
            id,
            history,
        }) = self.objects.get_mut(number as usize)
        else {
            return;
        };
        self.replies.at(&format!("in plan of the schedule '{id}'"));
        decision.history = std::mem::take(history);
        let twice = Twice::of(|| into_result(object.plan(&decision)));
        *history = std::mem::take(&mut decision.history);
        self.replies.answer(&twice);
    }

    fn plan_method(&self, request: &PlanMethod) {
        if let Some(Object::Method { object, id }) = self.objects.get(request.object as usize) {
            self.replies.at(&format!("in plan of the method '{id}'"));
            self.replies
                .answer(&Twice::of(|| into_result(object.plan(&request.model))));
        }
    }
}

fn not_opened() -> PluginError {
    PluginError::new(ErrorCode::INTERNAL, "the library was not opened")
}
