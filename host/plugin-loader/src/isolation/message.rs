//! The questions of a run to a plugin's process, and the replies. The first byte names the kind,
//! and the next four number the question.

use crate::wire::{HostOffer, Malformed, Reader, Wire, records};
use progtune_plugin_api::{
    open::Attribute,
    records::{DecisionRecord, ModelRecord, RunRecord, ScheduleTraits, SignalRecord},
};

/// The first bytes from both ends of a new socket.
pub(super) const GREETING: &[u8; 8] = b"PTPLUG01";

/// The parent's first message. It has no header, because it defines the headers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Greeting {
    /// The token of every header.
    pub(super) token: super::frame::Token,
    /// The maximum memory of the process, in bytes.
    pub(super) memory: u64,
}

impl Greeting {
    /// The length in bytes.
    pub(super) const LENGTH: usize = 8 + 16 + 8;

    /// The message as bytes.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        [&GREETING[..], &self.token, &self.memory.to_le_bytes()].concat()
    }

    /// The message from bytes, if they are one.
    pub(super) fn of(bytes: &[u8; Self::LENGTH]) -> Option<Self> {
        let rest = bytes.strip_prefix(GREETING)?;
        let (token, memory) = rest.split_at_checked(16)?;
        Some(Self {
            token: token.try_into().ok()?,
            memory: u64::from_le_bytes(memory.try_into().ok()?),
        })
    }
}

/// A question, or information for the process.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Request {
    /// Opens the library. The answer is empty or a reason.
    Open(Open),
    /// Creates a schedule. The answer contains its traits.
    CreateSchedule(CreateSchedule),
    /// Creates a method.
    CreateMethod(CreateMethod),
    /// Passes observations to a schedule before a question. It has no answer.
    Observe(Observe),
    /// Asks a schedule for its plan.
    PlanSchedule(PlanSchedule),
    /// Asks a method for its plan.
    PlanMethod(PlanMethod),
    /// Says whether the user wants the run to stop. It has no answer.
    Cancelled(bool),
}

/// See [`Request::Open`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Open {
    /// The path of the private copy, in bytes because it may not be UTF-8.
    pub(super) file: Vec<u8>,
    /// The manifest as it was listed.
    pub(super) manifest: String,
}

/// See [`Request::CreateSchedule`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CreateSchedule {
    /// The entry.
    pub(super) id: String,
    /// All its options.
    pub(super) options: Vec<Attribute>,
    /// The host.
    pub(super) host: HostOffer,
    /// The run.
    pub(super) run: RunRecord,
}

/// See [`Request::CreateMethod`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CreateMethod {
    /// The entry.
    pub(super) id: String,
    /// All its options.
    pub(super) options: Vec<Attribute>,
    /// The host.
    pub(super) host: HostOffer,
}

/// See [`Request::Observe`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Observe {
    /// The number of the schedule, in the order of creation.
    pub(super) object: u32,
    /// The number of its observations that stay.
    pub(super) keep: u64,
    /// The observations that follow them.
    pub(super) history: Vec<SignalRecord>,
}

/// See [`Request::PlanSchedule`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PlanSchedule {
    /// The schedule.
    pub(super) object: u32,
    /// The decision. Its history consists of the observations.
    pub(super) decision: DecisionRecord,
}

/// See [`Request::PlanMethod`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PlanMethod {
    /// The method.
    pub(super) object: u32,
    /// The model.
    pub(super) model: ModelRecord,
}

/// A created schedule.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CreatedSchedule {
    /// The number of the schedule.
    pub(super) object: u32,
    /// The traits that it declares.
    pub(super) traits: ScheduleTraits,
}

records! {
    Open { file, manifest }
    CreateSchedule { id, options, host, run }
    CreateMethod { id, options, host }
    Observe { object, keep, history }
    PlanSchedule { object, decision }
    PlanMethod { object, model }
    CreatedSchedule { object, traits }
}

macro_rules! kinds {
    ($($tag:literal $variant:ident),*) => {
        impl Wire for Request {
            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant(body) => {
                        out.push($tag);
                        body.put(out);
                    })*
                }
            }
            fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                match u8::take(from)? {
                    $($tag => Wire::take(from).map(Self::$variant),)*
                    _ => Err(Malformed("a request of an unknown kind")),
                }
            }
        }
    };
}
kinds!(
    0 Open, 1 CreateSchedule, 2 CreateMethod, 3 Observe, 4 PlanSchedule, 5 PlanMethod, 6 Cancelled
);

/// A message from a plugin's process.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reply {
    /// The plugin's code is about to run for this question, and is responsible for what happens
    /// next. The text names the place in words.
    At(String),
    /// A line for the log.
    Log(u32, String),
    /// The answer, in bytes that the asker can read.
    Answer(Vec<u8>),
}

/// A reply to the question with this number.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Numbered {
    /// The number of the question.
    pub(super) number: u32,
    /// The reply.
    pub(super) reply: Reply,
}

impl Wire for Numbered {
    fn put(&self, out: &mut Vec<u8>) {
        self.number.put(out);
        match &self.reply {
            Reply::At(stage) => {
                out.push(0);
                stage.put(out);
            }
            Reply::Log(level, line) => {
                out.push(1);
                level.put(out);
                line.put(out);
            }
            Reply::Answer(bytes) => {
                out.push(2);
                out.extend_from_slice(bytes);
            }
        }
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let number = u32::take(from)?;
        let reply = match u8::take(from)? {
            0 => Reply::At(Wire::take(from)?),
            1 => Reply::Log(Wire::take(from)?, Wire::take(from)?),
            2 => Reply::Answer(from.everything()),
            _ => return Err(Malformed("a reply of an unknown kind")),
        };
        Ok(Self { number, reply })
    }
}
