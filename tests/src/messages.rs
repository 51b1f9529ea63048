//! All messages that the tests provoke, in one file that can be read in one sitting:
//! `tests/snapshots/messages.txt`. Every function that makes a command fail uses it, so no test
//! records anything itself.
//!
//! A message belongs to the test that provoked it and must be checked in that test's thread.
//! Several messages from one test are numbered in order. A message that differs from the recorded
//! one fails its test. `PROGTUNE_MESSAGES=write cargo test --workspace` records the messages of the
//! tests that run; read the difference aloud before committing it. A test in `docs` finds entries
//! whose tests are gone.

use crate::{fixture, profile_dir, root};
use fancy_regex::Regex;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::{LazyLock, Mutex, OnceLock, PoisonError},
    thread,
};

/// Messages by test and by their number within it, from 1.
pub type Messages = BTreeMap<(String, usize), String>;

/// The file of messages.
pub fn file() -> PathBuf {
    root().join("tests/snapshots/messages.txt")
}

/// Checks the output of a failed command, with its arguments and its exit code.
#[track_caller]
pub fn check_command(command: &Command, code: i32, said: &str) {
    let mut text = String::from("$ progtune");
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        let is_word = !argument.is_empty() && !argument.contains([' ', '\n', '"', '\'', '\\']);
        if is_word {
            write!(text, " {argument}").expect("a string takes it");
        } else {
            write!(text, " {argument:?}").expect("a string takes it");
        }
    }
    check(&format!("{text}\nexit code {code}\n{said}"));
}

/// Compares a message with the recorded one, or records it.
///
/// # Panics
/// If the message differs from the recorded one.
#[track_caller]
pub fn check(message: &str) {
    // File names and the operating system's reasons are those of Linux.
    if !cfg!(target_os = "linux") {
        return;
    }
    static COUNTS: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());
    let test = test_name();
    let mut counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    let number = counts.entry(test.clone()).or_default();
    *number += 1;
    let key = (test, *number);
    let message = stable(message);
    if std::env::var_os("PROGTUNE_MESSAGES").is_some_and(|value| value == "write") {
        // The lock of the counts is held, so one test writes at a time.
        return write(key, message);
    }
    drop(counts);
    static RECORDED: OnceLock<Messages> = OnceLock::new();
    let recorded = RECORDED.get_or_init(|| parse(&fs::read_to_string(file()).unwrap_or_default()));
    let expected = recorded.get(&key).map_or("nothing", String::as_str);
    assert!(
        expected == message,
        "the message of {}, number {}, is\n\n{message}\n\nand {} has\n\n{expected}\n\n(PROGTUNE_MESSAGES=write records it)",
        key.0,
        key.1,
        file().display()
    );
}

/// The test that this thread runs, preceded by its test target:
/// `cli::bad_input::arguments::zero_epochs`.
fn test_name() -> String {
    let test = thread::current();
    let test = test.name().filter(|name| *name != "main");
    let test = test.expect("messages are checked in the thread of their test");
    let program = std::env::current_exe().expect("the test's own path");
    let program = program.file_stem().unwrap_or_default().to_string_lossy();
    let target = program.rsplit_once('-').map_or(&*program, |(name, _)| name);
    format!("{target}::{test}")
}

/// A message without the parts that differ between machines, builds and runs.
fn stable(message: &str) -> String {
    let target = profile_dir();
    let target = target.parent().expect("target/PROFILE");
    let (fixtures, root) = (fixture("parity"), root());
    let home = std::env::var_os("HOME").map(PathBuf::from);
    // A path inside another one comes before it.
    let places = [
        (Some(target), "TARGET"),
        (Some(&*fixtures), "FIXTURES"),
        (Some(&*root), "ROOT"),
        (home.as_deref(), "HOME"),
    ];
    let mut text = TEMPORARY
        .replace_all(message.trim_end(), "DIR")
        .into_owned();
    for (path, name) in places {
        let path = path.map(Path::to_string_lossy).unwrap_or_default();
        if path.len() > 1 {
            text = text.replace(&*path, name);
        }
    }
    for (pattern, name) in &*VARYING {
        text = pattern.replace_all(&text, *name).into_owned();
    }
    text
}

/// A test's temporary directory.
static TEMPORARY: LazyLock<Regex> = LazyLock::new(|| {
    let parent = std::env::temp_dir();
    let parent = fancy_regex::escape(&parent.to_string_lossy()).into_owned();
    pattern(&format!(r"{parent}/\.tmp\w{{6}}"))
});

/// Patterns for text that differs from run to run, with their replacements in the file.
static VARYING: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let version = fancy_regex::escape(env!("CARGO_PKG_VERSION")).into_owned();
    vec![
        (pattern(r"127\.0\.0\.1:\d{4,5}"), "127.0.0.1:PORT"),
        (pattern(r"\b(?=\d*[a-f])[0-9a-f]{12,64}\b"), "HASH"),
        (pattern(r"\bprocess \d+"), "process PID"),
        (pattern(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"), "TIME"),
        (pattern(r"where \d+ are free"), "where N are free"),
        (pattern(r", version GLIBC_[\d.]+"), ""),
        (pattern(&format!(r"\b{version}\b")), "VERSION"),
        // Forecasts of memory, which depend on the cores.
        (
            pattern(
                r"\b(peak|parameters|weights|gradients|optimizer|activations|data|program) \d+ MiB",
            ),
            "$1 N MiB",
        ),
        // Editors do not keep trailing spaces.
        (pattern(r"(?m)[ \t]+$"), ""),
    ]
});

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern")
}

/// The entries in a file of messages.
pub fn parse(text: &str) -> Messages {
    let mut messages = Messages::new();
    // The text before the first entry explains the file.
    for entry in format!("\n{text}").split("\n## ").skip(1) {
        let (title, message) = entry.split_once('\n').unwrap_or((entry, ""));
        let (test, number) = title.split_once(", ").unwrap_or((title, "1"));
        let number = number.parse().expect("an entry's number");
        messages.insert((test.to_owned(), number), message.trim().to_owned());
    }
    messages
}

/// Records a message. The first message of a test removes the earlier entries of that test.
fn write(key: (String, usize), message: String) {
    assert!(!message.contains("\n## "), "an entry begins so: {message}");
    let path = file();
    fs::create_dir_all(path.parent().expect("a directory")).expect("the directory is made");
    // Test programs may run at the same time.
    let lock = File::create(profile_dir().join("messages.lock")).expect("the lock is made");
    lock.lock().expect("the lock is taken");
    let mut messages = parse(&fs::read_to_string(&path).unwrap_or_default());
    if key.1 == 1 {
        messages.retain(|(test, _), _| *test != key.0);
    }
    messages.insert(key, message);
    fs::write(&path, printed(&messages)).expect("the messages are written");
}

/// The file of messages with these entries.
fn printed(messages: &Messages) -> String {
    let mut text = String::from(
        "Every message that the integration tests provoke, each under the test that provokes it. Not edited by hand:\n\
         `PROGTUNE_MESSAGES=write cargo test --workspace` writes it (tests/src/messages.rs).\n",
    );
    for ((test, number), message) in messages {
        match number {
            1 => writeln!(text, "\n## {test}\n\n{message}"),
            _ => writeln!(text, "\n## {test}, {number}\n\n{message}"),
        }
        .expect("a string takes it");
    }
    text
}

/// The source file of a test, and the rest of its name within that file: a function, or a module
/// with a function.
pub fn source_of(test: &str) -> Option<(PathBuf, Vec<&str>)> {
    let parts: Vec<&str> = test.split("::").collect();
    (1..parts.len()).rev().find_map(|n| {
        let path = root().join("tests/tests").join(parts[..n].join("/"));
        let candidates = [path.with_extension("rs"), path.join("main.rs")];
        let file = candidates.into_iter().find(|path| Path::is_file(path))?;
        Some((file, parts[n..].to_vec()))
    })
}
