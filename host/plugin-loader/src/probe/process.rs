//! The child process from the parent's side: started, given its request, timed, and cleaned up with
//! everything that it has started. Called by [`super::Probe`].

use super::{ARGUMENT, Probe, Request};
use crate::child_process::{Output, detach, ended, has_ended, kill_group, last_words};
use std::{
    io::Write,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

const ADVICE: &str = "the plugin is not used: get another build of it, or tell its author";

/// Runs one trial to its end or to the deadline.
pub(super) fn run(probe: &Probe, request: &Request) -> Result<(), String> {
    let line = serde_json::to_string(request).map_err(|error| error.to_string())?;
    let mut command = Command::new(&probe.executable);
    command
        .arg(ARGUMENT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(directory) = request.file.parent() {
        command.current_dir(directory);
    }
    detach(&mut command);
    let mut child = command.spawn().map_err(|error| {
        format!(
            "it could not be tried in a child process: {} does not start: {error}",
            probe.executable.display()
        )
    })?;
    // A thread writes, because the child may never read. It returns the pipe, which must stay open
    // until the child has ended.
    let mut stdin = child.stdin.take();
    let fed = thread::spawn(move || {
        if let Some(pipe) = &mut stdin {
            let _ = writeln!(pipe, "{line}").and_then(|()| pipe.flush());
        }
        stdin
    });
    let said = Output::of(child.stdout.take());
    let cried = Output::of(child.stderr.take());
    let status = wait(&mut child, probe.deadline);
    let (said, cried) = (said.text(), cried.text());
    drop(fed.join());
    judge(status?, &said, &cried, probe.deadline, &request.sha256)
}

/// The outcome from the exit status and the last lines. The status `None` means that the deadline
/// passed.
fn judge(
    status: Option<ExitStatus>,
    said: &str,
    cried: &str,
    deadline: Duration,
    sha256: &str,
) -> Result<(), String> {
    let lines: Vec<&str> = said.lines().collect();
    let last = lines.last().copied().unwrap_or_default();
    if let Some(reason) = last.strip_prefix("refused ") {
        return Err(serde_json::from_str(reason).unwrap_or_else(|_| reason.to_owned()));
    }
    let is_done = last == format!("done {sha256}");
    if is_done && status.is_some_and(|status| status.success()) {
        return Ok(());
    }
    let stage = lines.iter().rev().find_map(|line| line.strip_prefix("at "));
    let stage = if is_done {
        "while ending, which runs the library's destructors"
    } else {
        stage.unwrap_or("while starting")
    };
    let what = match status {
        None => format!("had not finished after {} s", deadline.as_secs_f64()),
        Some(status) => ended(status),
    };
    let words = last_words(cried);
    Err(format!(
        "the child process that tried the plugin {what} {stage}{words}; {ADVICE}"
    ))
}

/// Waits for the child, at most until the deadline, and kills the rest of its process group. `None`
/// means that the deadline passed.
fn wait(child: &mut Child, deadline: Duration) -> Result<Option<ExitStatus>, String> {
    let started = Instant::now();
    let mut pause = Duration::from_micros(500);
    let in_time = loop {
        match has_ended(child) {
            Ok(true) => break true,
            Ok(false) if started.elapsed() >= deadline => break false,
            Ok(false) => thread::sleep(pause),
            Err(error) => {
                kill_group(child);
                let _ = child.wait();
                return Err(format!(
                    "its trial in a child process cannot be watched: {error}"
                ));
            }
        }
        pause = (pause * 2).min(Duration::from_millis(10));
    };
    kill_group(child);
    let status = child
        .wait()
        .map_err(|error| format!("its trial in a child process cannot be watched: {error}"))?;
    Ok(in_time.then_some(status))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::probe::Trial;
    use std::{
        fs,
        os::unix::fs::PermissionsExt,
        path::{Path, PathBuf},
    };

    /// A shell script in place of the program.
    fn tried(script: &str, deadline: Duration) -> (Result<(), String>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let executable = folder.path().join("program");
        fs::write(&executable, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&executable, fs::Permissions::from_mode(0o700)).unwrap();
        let probe = Probe {
            executable,
            deadline,
        };
        let request = Request {
            file: folder.path().join("x.so"),
            sha256: "ab".into(),
            trial: Trial::Library,
        };
        (run(&probe, &request), folder)
    }

    fn message(script: &str) -> String {
        tried(script, Duration::from_secs(60)).0.unwrap_err()
    }

    #[test]
    fn only_the_last_line_and_success_together_pass() {
        let long = Duration::from_secs(60);
        assert_eq!(tried("echo noise; echo 'done ab'", long).0, Ok(()));
        assert!(message("exit 0").contains("exited with code 0 while starting"));
        assert!(
            message("echo 'at when opened'; echo 'done cd'")
                .contains("exited with code 0 when opened")
        );
        assert!(message("echo 'done ab'; exit 3").contains("exited with code 3 while ending"));
        assert!(message("echo 'done ab'; echo more").contains("exited with code 0"));
        let text = message("echo 'at when opened'; echo words >&2; kill -SEGV $$");
        assert!(text.contains("killed by signal 11 (SIGSEGV"), "{text}");
        assert!(text.contains("when opened (it wrote: words)"), "{text}");
        assert_eq!(message("printf '%s\\n' 'refused \"a\\nb\"'"), "a\nb");
    }

    #[test]
    fn the_environment_is_clean_and_the_request_arrives() {
        let text = message("read line; echo \"$HOME|$CARGO|$line\" >&2");
        assert!(text.contains("(it wrote: ||{\"file\":"), "{text}");
    }

    /// Waits until the process whose number is in the file has ended, or is a zombie that init will
    /// reap. It has been killed, which takes a moment on a loaded machine. Otherwise it would sleep
    /// for a quarter of an hour.
    fn assert_ends(file: &Path) {
        let number = fs::read_to_string(file).unwrap();
        let stat = PathBuf::from("/proc").join(number.trim()).join("stat");
        let started = Instant::now();
        loop {
            let stat = fs::read_to_string(&stat).unwrap_or_default();
            if stat.is_empty() || stat.contains(") Z ") {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "{stat}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn the_deadline_ends_it_and_everything_it_started() {
        let script = "sleep 1000 & echo $! > child; echo 'at when opened'; echo $$ > self; wait";
        let (outcome, folder) = tried(script, Duration::from_millis(800));
        let text = outcome.unwrap_err();
        assert!(
            text.contains("had not finished after 0.8 s when opened"),
            "{text}"
        );
        for name in ["child", "self"] {
            assert_ends(&folder.path().join(name));
        }
        // A grandchild is also killed if it outlives a child that ended in time.
        let (outcome, folder) = tried(
            "sleep 1000 & echo $! > child; echo 'done ab'",
            Duration::from_secs(60),
        );
        assert_eq!(outcome, Ok(()));
        assert_ends(&folder.path().join("child"));
    }

    #[test]
    fn endless_output_is_bounded() {
        let (outcome, _folder) = tried(
            "while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaa; done",
            Duration::from_millis(500),
        );
        assert!(outcome.unwrap_err().contains("had not finished after"));
    }
}
