//! All the hostile libraries, through the command line. Tested are the message, the exit code,
//! whether the host survives and whether the other plugins stay usable. The messages are in
//! `tests/snapshots/messages.txt`.
//!
//! With `--plugin-isolation process` the run never opens a library itself, and with `none` only one
//! that has passed its trial. A constructor would write a witness, whose variable child processes
//! do not receive. `isolation` tests the libraries in a run.
#![cfg(target_os = "linux")]

mod libraries;

use progtune_tests::{
    cases, messages,
    outside_plugins::{hostile, library_name, outside_plugin},
    progtune,
};
use std::{
    fs,
    path::Path,
    process::Output,
    time::{Duration, Instant},
};

/// The expectations for a case.
struct Row {
    library: Vec<u8>,
    arguments: &'static str,
    code: i32,
    /// Whether the run itself may open the library, if it has no process of its own.
    opens: bool,
}

const SCHEDULE: &str = "--schedule hostile-00";

/// A file that is recognised, without being opened, as not a plugin of this interface. Its name
/// stays unknown.
fn unknown(library: Vec<u8>) -> Row {
    row(library, SCHEDULE, 2)
}

/// A library that ends the process that tries it.
fn dies(marker: &str) -> Row {
    row(hostile(marker), SCHEDULE, 4)
}

/// A library that gives a wrong answer.
fn answers(arguments: &'static str) -> Row {
    let library = fs::read(outside_plugin("misbehaving")).expect("the library");
    Row {
        opens: true,
        ..row(library, arguments, 4)
    }
}

/// The well-behaved library, with options.
fn given(arguments: &'static str, code: i32) -> Row {
    row(hostile("nothing"), arguments, code)
}

fn row(library: Vec<u8>, arguments: &'static str, code: i32) -> Row {
    Row {
        library,
        arguments,
        code,
        opens: false,
    }
}

fn alternate(library: Vec<u8>) -> Row {
    row(library, "--schedule alternate", 4)
}

/// The well-behaved library, truncated.
fn cut(percent: usize) -> Row {
    let good = hostile("nothing");
    unknown(good[..good.len() * percent / 100].to_vec())
}

cases! { costs_a_message:
    a_text_file(unknown(b"#!/bin/sh\n".to_vec()));
    a_library_cut_at_1_percent(cut(1));
    a_library_cut_at_30_percent(cut(30));
    a_library_cut_at_70_percent(cut(70));
    a_library_cut_at_99_percent(cut(99));
    a_foreign_library(unknown(libraries::libc()));
    the_wrong_magic(unknown(libraries::wrong_magic(&hostile("nothing"))));
    a_later_major_version(unknown(libraries::major_2(&hostile("nothing"))));
    a_manifest_of_100_mb(unknown(libraries::big_manifest(&hostile("nothing"))));
    a_missing_symbol(row(libraries::missing_symbol(&hostile("nothing")), SCHEDULE, 4));
    an_unresolved_import(row(libraries::unresolved_import(&hostile("nothing")), SCHEDULE, 4));

    a_changed_record(alternate(libraries::changed_record()));
    a_removed_function(alternate(libraries::removed_function()));
    a_changed_parameter_type(alternate(libraries::changed_parameter()));

    a_constructor_that_aborts(dies("constructor-aborts"));
    a_constructor_that_crashes(dies("constructor-crashes"));
    a_constructor_that_hangs(dies("constructor-hangs"));
    a_constructor_that_exits(dies("constructor-exits"));
    a_root_that_panics(dies("root-panics"));
    a_root_that_crashes(dies("root-crashes"));
    a_create_that_crashes(dies("create-crashes"));
    a_plan_that_crashes(dies("plan-crashes"));
    a_plan_that_exits(dies("plan-exits"));
    the_plan_of_another_entry_that_aborts(dies("method-plan-aborts"));
    a_destructor_that_crashes(dies("destructor-crashes"));
    a_plan_that_panics(Row { opens: true, ..dies("plan-panics") });
    a_plan_that_panics_and_aborts(row(libraries::panic_abort("plan-panics"), SCHEDULE, 4));
    a_plan_that_crashes_for_one_option(given(
        "--schedule hostile-00 --schedule-opt crash=true",
        4,
    ));
    an_option_of_100_mb(given("--schedule hostile-00 --config OPTIONS", 2));

    ids_out_of_range(answers("--schedule out-of-range"));
    ids_given_twice(answers("--schedule twice"));
    no_ids(answers("--schedule nothing"));
    a_learning_rate_of_nan(answers("--schedule nan"));
    an_unknown_critical_key_of_a_plan(answers("--schedule critical"));
    an_unknown_critical_key_of_a_node(answers("--peft critical"));
    a_reference_to_a_later_node(answers("--peft forward-reference"));
    a_graph_of_the_wrong_shape(answers("--peft wrong-shape"));
    an_unknown_operation(answers("--peft unknown-op"));
    a_parameter_of_10_gb(answers("--peft ten-gigabytes"));
    a_shape_beyond_numbers(answers("--peft huge"));
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

/// Runs one row, and returns its error as the user sees it.
fn judged(row: &Row, directory: &Path, isolation: &str) -> String {
    let witness = directory.join(isolation);
    let output = run(directory, &witness, row.arguments, isolation);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(row.code), "{isolation}: {text}");
    assert!(
        text.len() < 3000,
        "{isolation}: {} bytes: {text:.3000}",
        text.len()
    );
    assert!(!text.contains("panicked at host"), "{isolation}: {text}");
    if isolation == "process" || !row.opens {
        assert!(
            !witness.exists(),
            "{isolation}: the run opened the library itself"
        );
    }
    let at = text.find("error: ").unwrap_or(0);
    text[at..].to_owned()
}

/// A hostile library costs only a message, whether or not plugins have their own processes. Other
/// plugins stay usable.
fn costs_a_message(row: Row) {
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
    let [apart, inside] = ["process", "none"].map(|isolation| judged(&row, directory, isolation));
    messages::check(&apart);
    if inside != apart {
        messages::check(&inside);
    }
    let other = run(
        directory,
        &directory.join("other"),
        "--schedule progressive --peft lora",
        "process",
    );
    let other_text = String::from_utf8_lossy(&other.stderr);
    assert!(other.status.success(), "another plugin: {other_text}");
}

/// Proof that a row's silence is meaningful.
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

/// Killing a run also ends its child process, which would otherwise wait in a constructor for ever.
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
    // The child works in the directory with the private copies.
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
