//! Results are not lost and files are not clobbered. `links` covers links and foreign files in an
//! output directory, `two_runs` two runs in one. `overwrite` covers replacing a finished run,
//! `disks` directories that disappear and full disks. `umask` covers the umask, and `signals`
//! signals in every part of a command.
//!
//! The oracle is the file system: what was there before must be there afterwards, byte for byte.
#![cfg(unix)]

mod disks;
mod links;
mod overwrite;
mod signals;
mod two_runs;
mod umask;

use progtune_tests::{command_line::CommandLine, fixture, scratch::Scratch};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

const TICK: Duration = Duration::from_millis(10);
/// Longer than anything here takes, even on a busy machine.
const LONG: Duration = Duration::from_secs(120);

/// Every file below a directory with its bytes; for links and directories only their names.
fn tree(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(directory).unwrap().display().to_string();
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            let bytes = if kind.is_file() {
                fs::read(&path).unwrap()
            } else {
                Vec::new()
            };
            if kind.is_dir() {
                folders.push(path);
            }
            found.insert(name, bytes);
        }
    }
    found
}

/// The names in a tree.
fn names(directory: &Path) -> Vec<String> {
    tree(directory).into_keys().collect()
}

/// Names below a directory that should not have been left there.
fn leftovers(directory: &Path) -> Vec<String> {
    let is_left = |name: &String| name.contains(".progtune");
    if !directory.exists() {
        return Vec::new();
    }
    names(directory).into_iter().filter(is_left).collect()
}

/// Waits until a condition holds.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "{what}: not within {LONG:?}");
        sleep(TICK);
    }
}

/// Sends a signal, given by name.
fn send(child: &Child, signal: &str) {
    let status = Command::new("kill")
        .arg(format!("-{signal}"))
        .arg(child.id().to_string())
        .status();
    assert!(status.unwrap().success());
}

/// A running command whose standard error is read.
struct Running {
    child: Child,
    lines: BufReader<std::process::ChildStderr>,
    said: String,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Self {
            child,
            lines,
            said: String::new(),
        }
    }

    /// Waits for a line that contains these words.
    #[track_caller]
    fn wait_for(&mut self, words: &str) {
        loop {
            let mut line = String::new();
            let n = self.lines.read_line(&mut line).unwrap();
            assert!(n > 0, "it ended without `{words}`: {}", self.said);
            self.said.push_str(&line);
            if line.contains(words) {
                return;
            }
        }
    }

    /// Waits for the end. Returns the whole standard error and the exit status.
    fn end(mut self) -> (ExitStatus, String) {
        self.lines.read_to_string(&mut self.said).unwrap();
        (self.child.wait().unwrap(), self.said)
    }
}

/// A two-step run on the tiny BERT.
fn short(output: &Path) -> CommandLine {
    CommandLine::train("bert", output).words("--max-steps 2")
}

/// A run that continues after its first step until it is stopped.
fn endless(output: &Path) -> CommandLine {
    CommandLine::talking_train("bert", output).words("--epochs 10000 --progress json")
}

/// Waits for the first step of a run in this directory.
#[track_caller]
fn wait_for_a_step(running: &mut Running, directory: &Path) {
    let start = "\"event\":\"start\"";
    // Read here, because a long plan fills a pipe.
    if !running.said.contains(start) {
        running.wait_for(start);
    }
    let metrics = directory.join("metrics.jsonl");
    wait_until("a step", || {
        assert_eq!(running.child.try_wait().unwrap(), None, "it trains");
        fs::metadata(&metrics).is_ok_and(|file| file.len() > 0)
    });
}

/// A CSV file with this many rows of twenty words, several megabytes of tokens.
fn big(scratch: &Scratch, rows: usize) -> PathBuf {
    big_with_words(scratch, rows, 20)
}

/// A CSV file with this many rows and words per row; each word is a token.
fn big_with_words(scratch: &Scratch, rows: usize, words: u32) -> PathBuf {
    let mut text = String::from("text,label\n");
    for row in 0..rows {
        let random = (row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16;
        for word in 0..words {
            let word = [
                "kebe", "zepi", "moli", "natomo", "gugifu", "fafe", "vepona", "gite",
            ][(random.rotate_right(2 * word % 64) & 7) as usize];
            text.push_str(word);
            text.push(' ');
        }
        text.push_str(["end,a\n", "end,b\n"][row % 2]);
    }
    scratch.write("big.csv", text)
}

/// Trains on such a file for a step.
fn train_on_big(scratch: &Scratch, file: &Path, output: &Path) -> Command {
    train_on_file(
        scratch,
        "--validation-split 0.01 --max-steps 1",
        file,
        output,
    )
}

/// Trains on a file with events, its own cache and its own directory for temporary files.
fn train_on_file(scratch: &Scratch, words: &str, file: &Path, output: &Path) -> Command {
    let mut command = CommandLine::new("train --progress json")
        .words(words)
        .path("--model", fixture("parity/bert"))
        .path("--train-file", file)
        .path("--output", output)
        .command();
    with_own_places(scratch, &mut command);
    command
}

fn with_own_places(scratch: &Scratch, command: &mut Command) {
    let temporary = scratch.path("tmp");
    fs::create_dir_all(&temporary).unwrap();
    command
        .env("PROGTUNE_TOKEN_CACHE", "auto")
        .env("PROGTUNE_CACHE_DIR", scratch.path("cache"))
        .env("TMPDIR", temporary);
}
