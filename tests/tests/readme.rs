//! README.md and `docs/`: every command in them is run as it is written, what they show is what is printed, and what they
//! refer to exists.
//!
//! Commands stand in fenced `sh` blocks, one a line (`\` continues it, `#` begins a comment). A `text` block right after one is what
//! its last command prints; with `figures` after the word (```` ```text figures ````) numbers may differ, and a line `…` is any
//! lines. Each document has a directory of its own, where its commands run one after another: later ones use what earlier
//! ones have made. What the text takes for granted is there (`readme/supplies.rs`); what a word runs is decided in
//! `readme/sandbox.rs`. A command that is not known there fails.
//!
//! `PROGTUNE_README=write cargo test -p progtune-tests --test readme` runs the release build at full length instead, and writes what
//! it prints into the documents.

#[path = "readme/documents.rs"]
mod documents;
#[path = "readme/outputs.rs"]
mod outputs;
#[path = "readme/references.rs"]
mod references;
#[path = "readme/sandbox.rs"]
mod sandbox;
#[path = "readme/supplies.rs"]
mod supplies;

use documents::{Document, Shown};
use outputs::Comparison;
use sandbox::Sandbox;
use std::fs;

/// Commands that run somewhere else: they take minutes or need what a test has not.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "cargo build --workspace && cargo test --workspace",
        "is what runs this test; .ci/run takes it from README.md",
    ),
    (
        "cargo build --release --features cuda",
        "needs CUDA; .ci/run type-checks it by cargo xtask check-cuda",
    ),
];

/// Whether documents are to be written anew.
fn writes() -> bool {
    std::env::var_os("PROGTUNE_README").is_some_and(|value| value == "write")
}

/// Runs all commands of a document.
fn run(path: &str) {
    let document = Document::read(path);
    let shows = document.blocks.iter().any(|block| block.is_text());
    if writes() && !shows {
        return;
    }
    let mut sandbox = Sandbox::new();
    let mut written = Vec::new();
    for block in document.blocks.iter().filter(|block| block.is_commands()) {
        let commands = block.commands();
        let shown = document.shown_after(block);
        for (at, command) in commands.iter().enumerate() {
            let place = format!("{path}:{}: {}", command.line, command.text);
            if ELSEWHERE.iter().any(|(text, _)| *text == command.text) {
                continue;
            }
            let printed = sandbox.run(&command.text);
            assert!(printed.succeeded, "{place}\n{}", printed.text);
            let Some(Shown { block: shown, mode }) =
                shown.as_ref().filter(|_| at + 1 == commands.len())
            else {
                continue;
            };
            if writes() {
                written.push((*shown, outputs::renewed(&shown.lines, &printed.text)));
            } else if let Some(difference) =
                Comparison::new(*mode, &shown.lines, &printed.text).difference()
            {
                panic!("{place}\n{difference}");
            }
        }
    }
    if writes() {
        document.write(&written);
    }
    references::check_pictures(&document, &sandbox, writes());
}

macro_rules! documents {
    ($($name:ident: $path:literal,)*) => {
        $(#[test]
        fn $name() {
            run($path);
        })*

        /// The documents that are run.
        const RUN: &[&str] = &[$($path),*];
    };
}

documents! {
    readme: "README.md",
    agreement: "docs/agreement.md",
    data: "docs/data.md",
    hub: "docs/hub.md",
    install: "docs/install.md",
    memory_and_speed: "docs/memory-and-speed.md",
    plan: "docs/plan.md",
    plugins: "docs/plugins.md",
    question_answering: "docs/question-answering.md",
    results: "docs/results.md",
    schedules_and_methods: "docs/schedules-and-methods.md",
    token_classification: "docs/token-classification.md",
    training: "docs/training.md",
}

#[test]
fn every_document_is_run_and_every_exception_is_used() {
    let mut run = RUN.to_vec();
    run.sort_unstable();
    let documents = Document::all();
    let mut found: Vec<&str> = documents.iter().map(|d| d.path.as_str()).collect();
    found.sort_unstable();
    assert_eq!(run, found, "tests/tests/readme.rs lists the documents");
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
    let text = fs::read_to_string(progtune_tests::root().join("README.md")).unwrap();
    assert!(
        text.lines().count() <= 130,
        "{} lines",
        text.lines().count()
    );
}
