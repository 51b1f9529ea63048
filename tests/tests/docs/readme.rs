//! README.md and `docs/`: every command in them is run as written, their output is the printed one,
//! and everything that they refer to exists.
//!
//! Commands are in fenced `sh` blocks, one per line (`\` continues a line, `#` begins a comment).
//! If the next block is a `text` block, it shows the last command's output. Lines for steps are
//! left out, because a terminal shows a bar instead. With `figures` after the word (```` ```text
//! figures ````), numbers may differ, and a line `…` stands for any lines.
//!
//! A command with the comment `# fails` must fail. A block ```` ```rust FILE ```` is the contents
//! of that file, which is written where the next command starts.
//!
//! Each document has its own directory, where its commands run one after another, so later ones use
//! the results of earlier ones. `readme/supplies.rs` provides what the text takes for granted, and
//! `readme/sandbox.rs` decides what each program name runs. An unknown command fails.
//!
//! `DOCUMENT=docs/plugins.md cargo test --workspace --test docs readme` runs one document only.
//!
//! `PROGTUNE_README=write cargo test -p progtune-tests --test docs readme` runs the documents that
//! show output, with the release build and at full length. It writes the printed output into them.

mod documents;
mod outputs;
mod references;
mod sandbox;
mod supplies;

use documents::{Document, Shown};
use fancy_regex::Regex;
use outputs::Comparison;
use sandbox::Sandbox;
use std::{
    sync::{Mutex, PoisonError},
    thread,
};

/// Commands that run elsewhere: they take minutes, or need something that a test does not have.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "cargo build --workspace && cargo test --workspace",
        "is what runs this test; .ci/run takes it from README.md",
    ),
    ("cargo xtask build-cuda", "takes minutes; .ci/run runs it"),
    (
        "target/cuda/release/progtune --device cuda",
        "needs a GPU; cargo xtask check-fake-gpu runs it on one that is the CPU",
    ),
    (
        "cargo xtask dist",
        "takes minutes; .ci/run runs it, and cargo xtask check-dist runs what it makes",
    ),
    (
        "cargo install --locked --path host && cargo build --release -p 'progtune-schedule-*' -p 'progtune-peft-*' && \
         progtune plugins install target/release/libprogtune_*.so",
        "takes minutes and installs; tests/tests/plugins/plugin_trust installs plugins",
    ),
];

/// The number of documents that run at the same time. A run uses two cores if there are more.
const AT_A_TIME: usize = 2;

/// Whether to write the documents' output.
fn writes() -> bool {
    std::env::var_os("PROGTUNE_README").is_some_and(|value| value == "write")
}

/// Runs all commands in a document, and compares or rewrites its output. An error says what went
/// wrong first.
fn run(document: &Document) -> Result<(), String> {
    let mut sandbox = Sandbox::new();
    let mut written = Vec::new();
    for block in &document.blocks {
        if let Some(file) = block.file() {
            sandbox.write(file, &(block.lines.join("\n") + "\n"));
        }
        if !block.is_commands() {
            continue;
        }
        let commands = block.commands();
        for (at, command) in commands.iter().enumerate() {
            let place = format!("{}:{}: {}", document.path, command.line, command.text);
            if ELSEWHERE.iter().any(|(text, _)| *text == command.text) {
                continue;
            }
            let printed = sandbox.run(&command.text);
            if printed.succeeded == command.fails {
                return Err(format!("{place}\n{}", printed.text));
            }
            let shown = document.shown_after(block);
            let shown = shown.filter(|_| at + 1 == commands.len());
            let Some(Shown { block: shown, mode }) = shown else {
                continue;
            };
            if writes() {
                written.push((shown, outputs::renewed(&shown.lines, &printed.text)));
                continue;
            }
            // The sandbox trains on a few rows, which teaches nothing. The run says so, but the
            // document does not.
            let lines = printed.text.lines();
            let lines =
                lines.filter(|line| !line.contains("the result is no better than guessing"));
            // On a busy machine this takes so long that the program reports its progress.
            let lines = lines.filter(|line| !line.starts_with("loading the embedded model"));
            let printed = without_places(&lines.collect::<Vec<_>>().join("\n"));
            let comparison = Comparison::new(mode, &shown.lines, &printed);
            if let Some(difference) = comparison.difference() {
                return Err(format!("{place}\n{difference}"));
            }
        }
    }
    if writes() {
        document.write(&written);
    }
    references::check_pictures(document, &sandbox, writes())
}

/// The text with the directory of plugins as commands name it, not where the sandbox has it.
fn without_places(text: &str) -> String {
    let library = Regex::new(r"\(/[^()]*/(lib\w+\.so)\)").expect("a pattern");
    library
        .replace_all(text, "(target/release/$1)")
        .into_owned()
}

#[test]
fn every_command_runs_and_prints_what_is_shown() {
    let mut documents = Document::all();
    if writes() {
        documents.retain(|document| document.blocks.iter().any(|block| block.mode().is_some()));
    }
    if let Ok(only) = std::env::var("DOCUMENT") {
        documents.retain(|document| document.path == only);
    }
    // From the end: README.md and the plugins take the longest, because they build crates.
    documents.sort_by_key(|document| document.text.contains("cargo build --release"));
    let queue = Mutex::new(documents);
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let work = || {
        let results = std::iter::from_fn(|| next().map(|document| run(&document)));
        results.filter_map(Result::err).collect::<Vec<String>>()
    };
    // Written figures must come from a machine that is otherwise idle.
    let n_threads = if writes() { 1 } else { AT_A_TIME };
    let failures: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..n_threads).map(|_| scope.spawn(work)).collect();
        let ends = workers.into_iter().map(|worker| worker.join());
        ends.flat_map(|end| end.expect("a document's directory can be made"))
            .collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn every_exception_is_used() {
    let documents = Document::all();
    let blocks = documents.iter().flat_map(|document| &document.blocks);
    let commands: Vec<_> = blocks
        .filter(|block| block.is_commands())
        .flat_map(|block| block.commands())
        .collect();
    for (text, _) in ELSEWHERE {
        assert!(
            commands.iter().any(|command| command.text == *text),
            "no document has the command `{text}` any more"
        );
    }
}

#[test]
fn the_front_page_is_a_page() {
    let n_lines = Document::read("README.md").text.lines().count();
    assert!(n_lines <= 140, "{n_lines} lines");
}
