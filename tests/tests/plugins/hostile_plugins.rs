//! Every hostile library at hand, through the command line: what is said, the exit code, whether the host lived and whether
//! the other plugins stay usable. `cargo test --test plugins hostile_plugins -- --nocapture` prints the table.
//!
//! With `--plugin-isolation process` the run never opens a library itself, and with `none` only one that has passed its trial: a
//! constructor would write a witness, for which child processes have no variable. What they do in a run is in `isolation`.
#![cfg(target_os = "linux")]

mod libraries;

use progtune_tests::{
    outside_plugins::{hostile, library_name, outside_plugin},
    profile_dir, progtune,
};
use std::{
    fs,
    path::Path,
    process::Output,
    time::{Duration, Instant},
};

/// What a row shows.
struct Row {
    what: &'static str,
    library: Vec<u8>,
    arguments: &'static str,
    code: i32,
    expected: &'static str,
    /// Whether the run itself may open the library, where it has no process of its own.
    opens: bool,
}

fn row(
    what: &'static str,
    library: Vec<u8>,
    arguments: &'static str,
    code: i32,
    expected: &'static str,
) -> Row {
    Row {
        what,
        library,
        arguments,
        code,
        expected,
        opens: false,
    }
}

const SCHEDULE: &str = "--schedule hostile-00";

fn files() -> Vec<Row> {
    let good = hostile("nothing");
    let cut = |percent: usize| good[..good.len() * percent / 100].to_vec();
    let unknown = |what, library, expected| row(what, library, SCHEDULE, 2, expected);
    vec![
        unknown(
            "text file",
            b"#!/bin/sh\n".to_vec(),
            "expected a dynamic library",
        ),
        unknown("truncated at 1 %", cut(1), "not used: "),
        unknown("truncated at 30 %", cut(30), "not used: "),
        unknown("truncated at 70 %", cut(70), "not used: "),
        unknown("truncated at 99 %", cut(99), "not used: "),
        unknown(
            "foreign library (libc)",
            libraries::libc(),
            "found a library without the section .progtune",
        ),
        unknown(
            "wrong magic",
            libraries::wrong_magic(&good),
            "does not begin with the magic bytes",
        ),
        unknown(
            "major version 2",
            libraries::major_2(&good),
            "; this program speaks 1.x: get a build of the plugin for 1.x",
        ),
        unknown(
            "manifest of 100 MB",
            libraries::big_manifest(&good),
            "has 100000000 bytes; expected at most 4194304",
        ),
        row(
            "missing symbol",
            libraries::missing_symbol(&good),
            SCHEDULE,
            4,
            "does not export the root module",
        ),
        row(
            "unresolved import",
            libraries::unresolved_import(&good),
            SCHEDULE,
            4,
            "undefined symbol: memcpz",
        ),
    ]
}

fn interfaces() -> Vec<Row> {
    let alternate =
        |what, library, expected| row(what, library, "--schedule alternate", 4, expected);
    vec![
        alternate(
            "changed record",
            libraries::changed_record(),
            "its types are not those of the plugin interface",
        ),
        alternate(
            "removed function",
            libraries::removed_function(),
            "its types are not those of the plugin interface",
        ),
        alternate(
            "changed parameter type",
            libraries::changed_parameter(),
            "its types are not those of the plugin interface",
        ),
    ]
}

fn code() -> Vec<Row> {
    let dies = |what, marker, expected| row(what, hostile(marker), SCHEDULE, 4, expected);
    let opened = "when it was opened, which runs its constructors";
    let mut rows = vec![
        dies(
            "constructor aborts",
            "constructor-aborts",
            "killed by signal 6 (SIGABRT, an abort) when it was opened",
        ),
        dies(
            "constructor crashes",
            "constructor-crashes",
            "killed by signal 11 (SIGSEGV, a wild pointer or an endless recursion)",
        ),
        dies(
            "constructor hangs",
            "constructor-hangs",
            "was not done after 10 s when it was opened",
        ),
        dies("constructor exits with 0", "constructor-exits", opened),
        dies("panic in root", "root-panics", "root"),
        dies("root crashes", "root-crashes", "killed by signal 11"),
        dies(
            "create crashes",
            "create-crashes",
            "in create of the schedule 'hostile-00' with its default options",
        ),
        dies(
            "plan crashes",
            "plan-crashes",
            "in plan of the schedule 'hostile-00' with its default options",
        ),
        dies(
            "plan exits with 0",
            "plan-exits",
            "exited with code 0 in plan of the schedule",
        ),
        dies(
            "another entry's plan aborts",
            "method-plan-aborts",
            "in plan of the method 'nothing-00' with its default options",
        ),
        dies(
            "destructor crashes",
            "destructor-crashes",
            "at the end of the process, which runs its destructors",
        ),
        row(
            "panic=abort, panic in plan",
            libraries::panic_abort("plan-panics"),
            SCHEDULE,
            4,
            "killed by signal 6 (SIGABRT, an abort) in plan",
        ),
        row(
            "plan crashes for one option",
            hostile("nothing"),
            "--schedule hostile-00 --schedule-opt crash=true",
            4,
            "in plan of the schedule 'hostile-00' with the options of this run",
        ),
        row(
            "option of 100 MB",
            hostile("nothing"),
            "--schedule hostile-00 --config OPTIONS",
            2,
            "expected true or false, found '9999",
        ),
    ];
    rows.push(Row {
        opens: true,
        ..dies(
            "panic in plan",
            "plan-panics",
            "panicked in plan at src/lib.rs:",
        )
    });
    rows
}

fn answers() -> Vec<Row> {
    let library = || fs::read(outside_plugin("misbehaving")).expect("the library");
    [
        (
            "plan with out-of-range ids",
            "--schedule out-of-range",
            "it trains the parameter id 4294967295",
        ),
        (
            "plan with duplicate ids",
            "--schedule twice",
            "names the parameter id 1 twice",
        ),
        (
            "plan with an empty set",
            "--schedule nothing",
            "trains no parameter",
        ),
        (
            "NaN learning-rate scale",
            "--schedule nan",
            "the learning rate of block 0 by NaN",
        ),
        (
            "unknown critical key (plan)",
            "--schedule critical",
            "extension '!new'",
        ),
        ("unknown critical key (node)", "--peft critical", "!new"),
        (
            "graph with a forward reference",
            "--peft forward-reference",
            "reads %7, which does not come before it",
        ),
        (
            "graph of the wrong shape",
            "--peft wrong-shape",
            "yields [rows, 1]; expected [rows, 384]",
        ),
        (
            "unknown op",
            "--peft unknown-op",
            "lacks the graph operation 'Op#4711'",
        ),
        (
            "parameter of 10 GB",
            "--peft ten-gigabytes",
            "it adds 2500000000 values (10.0 GB)",
        ),
        (
            "shape beyond numbers",
            "--peft huge",
            "at most 2^34 elements",
        ),
    ]
    .map(|(what, arguments, expected)| Row {
        opens: true,
        ..row(what, library(), arguments, 4, expected)
    })
    .into()
}

fn run(directory: &Path, witness: &Path, arguments: &str, isolation: &str) -> Output {
    let options = directory.join("options.toml");
    let arguments = arguments.replace("OPTIONS", &options.to_string_lossy());
    progtune()
        .args(["plan", "--task", "sample", "--plugin-dir"])
        .arg(directory)
        .args(arguments.split_whitespace())
        .args(["--plugin-isolation", isolation])
        .env("HOSTILE_WITNESS", witness)
        .env("PROGTUNE_CACHE_DIR", directory.join("cache"))
        .output()
        .expect("the binary starts")
}

/// Runs one row and returns what was said.
fn judged(row: &Row, directory: &Path, isolation: &str) -> String {
    let witness = directory.join(isolation);
    let output = run(directory, &witness, row.arguments, isolation);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let what = format!("{}, isolation {isolation}", row.what);
    assert_eq!(output.status.code(), Some(row.code), "{what}: {text}");
    assert!(text.contains(row.expected), "{what}: {text}");
    assert!(
        text.len() < 3000,
        "{what}: {} bytes: {text:.3000}",
        text.len()
    );
    assert!(!text.contains("panicked at host"), "{what}: {text}");
    if isolation == "process" || !row.opens {
        assert!(
            !witness.exists(),
            "{what}: the run opened the library itself"
        );
    }
    text
}

/// Runs one row and returns its line of the table.
fn check(row: &Row) -> String {
    let folder = tempfile::tempdir().expect("a directory");
    let directory = folder.path();
    fs::write(directory.join(library_name("x")), &row.library).expect("a file");
    if row.arguments.contains("OPTIONS") {
        let options = format!(
            "schedule_opt = {{ crash = \"{}\" }}\n",
            "9".repeat(100_000_000)
        );
        fs::write(directory.join("options.toml"), options).expect("a file");
    }
    let [text, _] = ["process", "none"].map(|isolation| judged(row, directory, isolation));
    let what = row.what;
    let other = run(
        directory,
        &directory.join("other"),
        "--schedule progressive --peft lora",
        "process",
    );
    let other_text = String::from_utf8_lossy(&other.stderr);
    assert!(
        other.status.success(),
        "{what}, another plugin: {other_text}"
    );
    let message = text.replace(
        &*directory.canonicalize().expect("a path").to_string_lossy(),
        "DIR",
    );
    let error = message
        .find("error: ")
        .map_or(message.as_str(), |at| &message[at..]);
    format!(
        "| {what} | {} | yes | yes | {} |",
        row.code,
        error.trim().replace('\n', " ")
    )
}

#[test]
fn no_hostile_library_costs_more_than_a_message() {
    assert!(
        profile_dir()
            .join(library_name("progtune_peft_lora"))
            .is_file()
    );
    let rows: Vec<Row> = [files(), interfaces(), code(), answers()]
        .into_iter()
        .flatten()
        .collect();
    // One row waits for its deadline: another may use the time.
    let halves = rows.split_at(rows.len().div_ceil(2));
    let lines = |rows: &[Row]| rows.iter().map(check).collect::<Vec<String>>();
    let lines = std::thread::scope(|scope| {
        let second = scope.spawn(|| lines(halves.1));
        [lines(halves.0), second.join().expect("the second half")].concat()
    });
    println!(
        "| library | exit code | host alive | others usable | message |\n|---|---|---|---|---|"
    );
    println!("{}", lines.join("\n"));
}

/// What shows that a row's silence means something.
#[test]
fn a_library_in_good_order_passes_and_its_constructor_leaves_a_witness() {
    let folder = tempfile::tempdir().expect("a directory");
    let directory = folder.path();
    fs::write(directory.join(library_name("x")), hostile("nothing")).expect("a file");
    for (isolation, is_opened_here) in [("none", true), ("process", false)] {
        let witness = directory.join(isolation);
        let output = run(directory, &witness, SCHEDULE, isolation);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        assert_eq!(witness.exists(), is_opened_here, "{isolation}");
    }
}

/// A run that is killed takes the child process along, which would else wait in a constructor for ever.
#[test]
fn a_killed_run_leaves_no_child() {
    let folder = tempfile::tempdir().expect("a directory");
    let directory = folder.path().canonicalize().expect("a path");
    fs::write(
        directory.join(library_name("x")),
        hostile("constructor-hangs"),
    )
    .expect("a file");
    let mut run = progtune()
        .args([
            "plan",
            "--task",
            "sample",
            "--schedule",
            "hostile-00",
            "--plugin-dir",
        ])
        .arg(&directory)
        .env("PROGTUNE_CACHE_DIR", directory.join("cache"))
        .spawn()
        .expect("the binary starts");
    // The child works in the directory of the private copies.
    let child = || {
        let processes = fs::read_dir("/proc").expect("processes");
        let mut directories =
            processes.filter_map(|process| fs::read_link(process.ok()?.path().join("cwd")).ok());
        directories.any(|working| working.starts_with(directory.join("cache")))
    };
    let wait_until = |there: bool| {
        let started = Instant::now();
        while child() != there {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "child there: {}",
                !there
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    wait_until(true);
    run.kill().expect("a running process");
    run.wait().expect("its end");
    wait_until(false);
}
