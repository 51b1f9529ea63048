//! Child processes from their parent's side: the environment that they inherit, how they ended, and
//! their output. Used by [`crate::probe`] and [`crate::isolation`].

use crate::printable::printable;
use std::{
    io::Read,
    process::{Child, Command, ExitStatus},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// The variables that the child may inherit: the system's search paths for libraries and temporary
/// files.
const INHERITED: [&str; 9] = [
    "PATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "SystemRoot",
    "TMPDIR",
    "TEMP",
    "TMP",
    "LANG",
];
/// The number of bytes kept from each output.
const LONGEST_OUTPUT: usize = 64 << 10;
/// The longest part of a line that is passed on at once.
const LONGEST_LINE: usize = 4 << 10;
/// The length of the last output that a message shows.
const LAST_WORDS: usize = 400;
/// The time for which the outputs may stay open after the child and its group have ended. A process
/// that left the group may hold them.
const LINGER: Duration = Duration::from_millis(200);

/// Gives a command a clean environment and a process group of its own.
pub(crate) fn detach(command: &mut Command) {
    let inherited = INHERITED
        .iter()
        .filter_map(|&name| Some((name, std::env::var_os(name)?)));
    command.env_clear().envs(inherited);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
}

/// The way in which a process ended, as the end of a sentence about it.
pub(crate) fn ended(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        let name = match signal {
            4 => " (SIGILL, an illegal instruction)",
            6 => " (SIGABRT, an abort)",
            7 => " (SIGBUS)",
            8 => " (SIGFPE)",
            9 => " (SIGKILL: out of memory?)",
            11 => " (SIGSEGV, a wild pointer or an endless recursion)",
            15 => " (SIGTERM)",
            _ => "",
        };
        return format!("was killed by signal {signal}{name}");
    }
    match status.code() {
        Some(code) => format!("exited with code {code}"),
        None => "ended".into(),
    }
}

/// The last output of a process, in parentheses, to follow a sentence about its end. Empty if there
/// was none.
pub(crate) fn last_words(text: &str) -> String {
    let words = text.trim();
    let words = match words.char_indices().rev().nth(LAST_WORDS) {
        Some((at, _)) => &words[at..],
        None => words,
    };
    if words.is_empty() {
        String::new()
    } else {
        format!(" (it wrote: {})", printable(words).replace('\n', " "))
    }
}

/// Whether it has ended. It stays a zombie, so that its number and that of its group are not
/// reused.
#[cfg(unix)]
pub(crate) fn has_ended(child: &mut Child) -> std::io::Result<bool> {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let Some(pid) = pid(child) else {
        return Ok(child.try_wait()?.is_some());
    };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    Ok(waitid(WaitId::Pid(pid), options)?.is_some())
}

#[cfg(unix)]
pub(crate) fn kill_group(child: &mut Child) {
    if let Some(pid) = pid(child) {
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    }
}

#[cfg(unix)]
fn pid(child: &Child) -> Option<rustix::process::Pid> {
    rustix::process::Pid::from_raw(i32::try_from(child.id()).ok()?)
}

#[cfg(not(unix))]
pub(crate) fn has_ended(child: &mut Child) -> std::io::Result<bool> {
    Ok(child.try_wait()?.is_some())
}

#[cfg(not(unix))]
pub(crate) fn kill_group(child: &mut Child) {
    let _ = child.kill();
}

/// The end of a process's output, read by a thread for as long as any process holds the other end.
pub(crate) struct Output {
    tail: Arc<Mutex<Vec<u8>>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Output {
    pub(crate) fn of(pipe: Option<impl Read + Send + 'static>) -> Self {
        let Some(pipe) = pipe else {
            return Self {
                tail: Arc::default(),
                reader: None,
            };
        };
        Self::reading(pipe, |_| ())
    }

    /// Also passes each line to a function. A line longer than [`LONGEST_LINE`] arrives in parts.
    pub(crate) fn by_line(
        pipe: impl Read + Send + 'static,
        mut line: impl FnMut(&str) + Send + 'static,
    ) -> Self {
        let mut begun: Vec<u8> = Vec::new();
        Self::reading(pipe, move |bytes| {
            // No bytes mean the end.
            for part in bytes.split_inclusive(|&byte| byte == b'\n') {
                begun.extend_from_slice(part);
                if part.ends_with(b"\n") || begun.len() > LONGEST_LINE {
                    line(String::from_utf8_lossy(&begun).trim_end());
                    begun.clear();
                }
            }
            if bytes.is_empty() && !begun.is_empty() {
                line(&String::from_utf8_lossy(&begun));
            }
        })
    }

    fn reading(
        mut pipe: impl Read + Send + 'static,
        mut seen: impl FnMut(&[u8]) + Send + 'static,
    ) -> Self {
        let tail = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&tail);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                seen(&buffer[..count]);
                let mut tail = kept.lock().unwrap_or_else(PoisonError::into_inner);
                tail.extend_from_slice(&buffer[..count]);
                let surplus = tail.len().saturating_sub(LONGEST_OUTPUT);
                tail.drain(..surplus);
            }
            seen(&[]);
        });
        Self {
            tail,
            reader: Some(reader),
        }
    }

    pub(crate) fn text(self) -> String {
        let waited = Instant::now();
        while self
            .reader
            .as_ref()
            .is_some_and(|reader| !reader.is_finished())
            && waited.elapsed() < LINGER
        {
            thread::sleep(Duration::from_micros(200));
        }
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&tail).into_owned()
    }
}
