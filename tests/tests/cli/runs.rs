//! The records of a run and the proof of its result: `verified` tests what is compared before a run
//! is finished, `checked` `progtune check`, `shown` `progtune show`, `engaged` what training
//! changed.

mod checked;
mod engaged;
mod shown;
mod verified;

use progtune_tests::{command_line::CommandLine, fixture, read_json, scratch::Scratch};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Trains the BERT fixture into a directory of `scratch`, with these flags.
fn trained(scratch: &Scratch, flags: &str) -> PathBuf {
    let run = scratch.path("run");
    CommandLine::train("bert", &run).words(flags).run();
    run
}

/// The output of a command on a run, as JSON.
#[track_caller]
fn json_of(command: &str, run: &Path) -> Value {
    let line = CommandLine::new(&format!("{command} {} --json", run.display()));
    serde_json::from_str(&line.run()).expect("JSON")
}
