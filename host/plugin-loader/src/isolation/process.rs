//! A plugin's process from the run's side: started, asked with a deadline, and ended together with
//! everything that it has started.

use super::{
    ARGUMENT, LOST_CONNECTION, Limits, escaped,
    frame::{Broken, Inbox, Token, framed},
    message::{Greeting, Numbered, Reply, Request},
};
use crate::{
    child_process::{Output, detach, ended, has_ended, kill_group, last_words},
    offer,
    printable::printable,
    wire::{Malformed, Wire},
};
use std::{
    hash::{BuildHasher, Hasher, RandomState},
    io::{self, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    process::{Child, Command},
    time::{Duration, Instant},
};

/// The time limit of a read or write. After it, the run checks whether the process is alive and
/// whether the user wants to stop.
const PATIENCE: Duration = Duration::from_millis(20);
/// The time in which a process that has closed the socket may end by itself.
const GRACE: Duration = Duration::from_millis(500);
/// The number of lines that one process may write to the log through the interface, and the number
/// that it may print.
const MOST_LINES: u32 = 1000;

/// The reason why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The process ended before the plugin's code ran for this question. Another process can be
    /// asked.
    Before(String),
    /// The plugin or the system is at fault, in words.
    Fault(String),
}

/// A running process.
pub(super) struct Process {
    child: Child,
    socket: UnixStream,
    inbox: Inbox,
    token: Token,
    marker: String,
    output: Option<Output>,
    limits: Limits,
    /// The number of the last question.
    number: u32,
    /// The last information that the process has about the user's wish to stop.
    told_cancelled: bool,
    lines: u32,
    plugin: String,
}

impl Process {
    /// Starts the process in this directory. `plugin` names it in the log.
    pub(super) fn start(
        executable: &Path,
        directory: Option<&Path>,
        limits: Limits,
        plugin: &str,
    ) -> Result<Self, Trouble> {
        Self::try_start(executable, directory, limits, plugin).map_err(|error| {
            Trouble::Fault(format!(
                "its process could not be started: {}: {error}",
                executable.display()
            ))
        })
    }

    fn try_start(
        executable: &Path,
        directory: Option<&Path>,
        limits: Limits,
        plugin: &str,
    ) -> io::Result<Self> {
        let (mut socket, theirs) = UnixStream::pair()?;
        let (printed, print) = io::pipe()?;
        let marker = format!("{:016x}{:016x}", random(), random());
        let mut command = Command::new(executable);
        command
            .arg(ARGUMENT)
            .stdin(OwnedFd::from(theirs))
            .stdout(print.try_clone()?)
            .stderr(print);
        if let Some(directory) = directory {
            command.current_dir(directory);
        }
        detach(&mut command);
        command.env(escaped::VARIABLE, &marker);
        let child = command.spawn()?;
        // Closes the child's ends in this process.
        drop(command);
        let token: Token = (u128::from(random()) << 64 | u128::from(random())).to_le_bytes();
        let greeting = Greeting {
            token,
            memory: limits.memory,
        };
        let greeted = socket
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| socket.set_write_timeout(Some(PATIENCE)))
            .and_then(|()| socket.write_all(&greeting.to_bytes()));
        let process = Self {
            child,
            socket,
            inbox: Inbox::new(token),
            token,
            marker,
            output: Some(Output::by_line(printed, printing(plugin))),
            limits,
            number: 0,
            told_cancelled: false,
            lines: 0,
            plugin: plugin.into(),
        };
        // The first question notices a process that has already ended.
        drop(greeted);
        Ok(process)
    }

    /// Sends a message that has no answer.
    pub(super) fn tell(&mut self, request: &Request) -> Result<(), Trouble> {
        self.send(request, Instant::now(), &None)
    }

    /// Asks, and waits for the answer.
    pub(super) fn ask<T: Wire>(&mut self, request: &Request) -> Result<T, Trouble> {
        let (started, mut at) = (Instant::now(), None);
        self.number = self.number.wrapping_add(1);
        self.send(request, started, &None)?;
        loop {
            match self.inbox.next(&mut self.socket) {
                Ok(message) => {
                    let known =
                        Numbered::of_bytes(&message).and_then(|reply| self.hear(reply, &mut at));
                    match known {
                        Ok(None) => {}
                        Ok(Some(answer)) => {
                            return T::of_bytes(&answer).map_err(|why| self.garbage(why.0));
                        }
                        Err(Malformed(why)) => return Err(self.garbage(why)),
                    }
                }
                Err(Broken::NotYet) => {
                    self.tell_cancelled(started, &at)?;
                    // A process that it has started may hold the socket open.
                    if has_ended(&mut self.child).unwrap_or(true) {
                        return Err(self.gone(at));
                    }
                }
                Err(Broken::Closed) => return Err(self.gone(at)),
                Err(Broken::Garbage(why)) => return Err(self.garbage(why)),
                Err(Broken::Io(error)) => return Err(self.garbage(&error.to_string())),
            }
            self.in_time(started, at.as_deref())?;
        }
    }

    /// The meaning of a reply: an answer, or nothing yet.
    fn hear(
        &mut self,
        reply: Numbered,
        at: &mut Option<String>,
    ) -> Result<Option<Vec<u8>>, Malformed> {
        match reply.reply {
            Reply::Log(level, line) => {
                self.log(level, &line);
                Ok(None)
            }
            _ if reply.number != self.number => Err(Malformed("it answers another question")),
            Reply::At(stage) => {
                *at = Some(printable(&stage));
                Ok(None)
            }
            Reply::Answer(answer) => Ok(Some(answer)),
        }
    }

    fn log(&mut self, level: u32, line: &str) {
        self.lines = self.lines.saturating_add(1);
        if self.lines <= MOST_LINES {
            offer::write_log(level, line);
        }
        if self.lines == MOST_LINES {
            let plugin = &self.plugin;
            tracing::warn!("{plugin} has logged {MOST_LINES} lines; the rest is left out");
        }
    }

    fn tell_cancelled(&mut self, started: Instant, at: &Option<String>) -> Result<(), Trouble> {
        let cancelled = offer::is_cancelled();
        if cancelled != self.told_cancelled {
            self.told_cancelled = cancelled;
            self.send(&Request::Cancelled(cancelled), started, at)?;
        }
        Ok(())
    }

    fn in_time(&mut self, started: Instant, at: Option<&str>) -> Result<(), Trouble> {
        let deadline = self.limits.deadline;
        if started.elapsed() < deadline {
            return Ok(());
        }
        let at = at.unwrap_or("before it listened");
        let (_, words) = self.end();
        let secs = deadline.as_secs_f64();
        Err(Trouble::Fault(format!(
            "its process has given no answer for {secs} s {at} and was ended{words}"
        )))
    }

    fn send(
        &mut self,
        request: &Request,
        started: Instant,
        at: &Option<String>,
    ) -> Result<(), Trouble> {
        let mut message = self.number.bytes();
        request.put(&mut message);
        let frame = framed(&self.token, &message)
            .map_err(|error| Trouble::Fault(format!("it cannot be asked: {error}")))?;
        let mut rest = frame.as_slice();
        while !rest.is_empty() {
            match self.socket.write(rest) {
                Ok(count @ 1..) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if has_ended(&mut self.child).unwrap_or(true) {
                        return Err(self.gone(at.clone()));
                    }
                    self.in_time(started, at.as_deref())?;
                }
                Ok(_) | Err(_) => return Err(self.gone(at.clone())),
            }
        }
        Ok(())
    }

    /// Ends the process, if it has not ended by itself. `at` says where the plugin's code was.
    fn gone(&mut self, at: Option<String>) -> Trouble {
        let closed = Instant::now();
        while !has_ended(&mut self.child).unwrap_or(true) && closed.elapsed() < GRACE {
            std::thread::sleep(Duration::from_micros(200));
        }
        let by_itself = has_ended(&mut self.child).unwrap_or(true);
        let (status, words) = self.end();
        let how = match status {
            _ if !by_itself => LOST.to_owned(),
            Some(status) if status.code() == Some(LOST_CONNECTION) => LOST.to_owned(),
            Some(_) if words.contains("memory allocation of") || words.contains("bad_alloc") => {
                format!(
                    "wanted more memory than the {} MiB that a plugin may use",
                    self.limits.memory >> 20
                )
            }
            Some(status) => ended(status),
            None => "ended".to_owned(),
        };
        match at {
            Some(at) => Trouble::Fault(format!("its process {how} {at}{words}")),
            None => Trouble::Before(format!("its process {how}{words}")),
        }
    }

    fn garbage(&mut self, why: &str) -> Trouble {
        let (_, words) = self.end();
        Trouble::Fault(format!(
            "its process wrote something other than an answer to its connection ({}){words}",
            printable(why)
        ))
    }

    /// Ends the process and everything that it has started. Returns how it ended, and its last
    /// output.
    fn end(&mut self) -> (Option<std::process::ExitStatus>, String) {
        let status = self.kill();
        let words = self.output.take().map(Output::text).unwrap_or_default();
        (status, last_words(&words))
    }

    fn kill(&mut self) -> Option<std::process::ExitStatus> {
        kill_group(&mut self.child);
        // The process is waited for at the end. Until then its number and that of its group are not
        // reused.
        let killed = Instant::now();
        while !has_ended(&mut self.child).unwrap_or(true) && killed.elapsed() < GRACE {
            std::thread::sleep(Duration::from_micros(100));
        }
        escaped::kill(&self.marker);
        self.child.wait().ok()
    }
}

/// The description of a process that can no longer be heard.
const LOST: &str = "closed the connection to the run";

impl Drop for Process {
    fn drop(&mut self) {
        // Without an output, it has been ended already.
        if self.output.is_some() {
            let _ = self.kill();
        }
    }
}

/// Writes the output of a plugin to the log.
fn printing(plugin: &str) -> impl FnMut(&str) + Send + 'static {
    let (plugin, mut lines) = (plugin.to_owned(), 0);
    move |line| {
        lines += 1;
        if lines <= MOST_LINES {
            tracing::info!(target: "plugin", "{plugin} printed: {}", printable(line));
        } else if lines == MOST_LINES + 1 {
            tracing::info!(target: "plugin", "{plugin} prints more lines; the rest is left out");
        }
    }
}

/// A random number that cannot be guessed.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
