//! Files that are broken, change, or give nonsensical answers: each gives a message, and the
//! process survives.

use super::*;

#[test]
fn broken_files_are_named_and_the_others_stay_usable() {
    let library = fs::read(first_party("progtune_peft_lora")).unwrap();
    let mut broken = vec![("text", b"#!/bin/sh\n".to_vec()), ("empty", vec![])];
    for percent in [1, 30, 70, 99] {
        broken.push((
            "truncated",
            library[..library.len() * percent / 100].to_vec(),
        ));
    }
    if let Some(foreign) = foreign_library() {
        broken.push(("foreign", fs::read(foreign).unwrap()));
    }
    for (what, bytes) in broken {
        let directory = directory_with(&bytes);
        let plugins = plugin::discover(&[directory.path().into(), profile_dir()]).unwrap();
        let named: Vec<&String> = plugins
            .passed_over()
            .iter()
            .filter(|note| note.contains(&file_name("x")))
            .collect();
        assert_eq!(
            named.len(),
            1,
            "{what} of {} bytes: {:?}",
            bytes.len(),
            plugins.passed_over()
        );
        assert!(plugins.method("lora", &[]).is_ok(), "{what}");
    }
}

/// A library of the system that this process has open.
fn foreign_library() -> Option<String> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .find(|path| path.contains("libc.so"))
        .map(String::from)
}

#[test]
fn a_file_that_changes_after_it_was_listed_is_not_loaded() {
    let directory = directory_with(&fs::read(outside().join(file_name("alternate"))).unwrap());
    let plugins = plugin::discover(&[directory.path().into()]).unwrap();
    fs::write(
        directory.path().join(file_name("x")),
        fs::read(outside().join(file_name("scaling"))).unwrap(),
    )
    .unwrap();
    let fault = plugins
        .schedule("alternate", &[], run_record(2, 2, "", true))
        .unwrap_err();
    assert!(
        fault
            .to_string()
            .contains("has changed since it was listed"),
        "{fault}"
    );
    assert_eq!(fault.exit_code(), 4);
}

#[test]
fn a_loaded_library_may_be_overwritten_in_place() {
    let directory = directory_with(&fs::read(outside().join(file_name("alternate"))).unwrap());
    let plugins = plugin::discover(&[directory.path().into()]).unwrap();
    let schedule = plugins
        .schedule("alternate", &[], run_record(4, 2, "", true))
        .unwrap();
    fs::write(directory.path().join(file_name("x")), vec![0u8; 4096]).unwrap();
    assert!(schedule.plan(&DecisionRecord::epoch(1)).is_ok());
}

#[test]
fn the_same_id_twice_is_one_plugin_only_when_the_bytes_are_the_same() {
    let bytes = fs::read(outside().join(file_name("alternate"))).unwrap();
    let (first, second) = (directory_with(&bytes), directory_with(&bytes));
    let create = || {
        let plugins = plugin::discover(&[first.path().into(), second.path().into()]).unwrap();
        plugins
            .schedule("alternate", &[], run_record(2, 2, "", true))
            .map(drop)
    };
    create().unwrap();
    fs::write(
        second.path().join(file_name("x")),
        [bytes, vec![0]].concat(),
    )
    .unwrap();
    let fault = create().unwrap_err();
    assert!(matches!(fault, PluginFault::Ambiguous { .. }), "{fault}");
    for directory in [&first, &second] {
        let directory = directory.path().canonicalize().unwrap();
        assert!(
            fault.to_string().contains(&*directory.to_string_lossy()),
            "{fault}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_library_that_everyone_may_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let directory = directory_with(&fs::read(outside().join(file_name("alternate"))).unwrap());
    fs::set_permissions(
        directory.path().join(file_name("x")),
        fs::Permissions::from_mode(0o666),
    )
    .unwrap();
    let plugins = plugin::discover(&[directory.path().into()]).unwrap();
    let fault = plugins
        .schedule("alternate", &[], run_record(2, 2, "", true))
        .unwrap_err();
    assert!(
        fault.to_string().contains("everyone may write to it"),
        "{fault}"
    );
}

#[test]
fn wrong_answers_of_schedules_are_errors_and_the_process_lives() {
    let plugins = plugin::discover(&[outside().into()]).unwrap();
    let expected = [
        ("panic-in-create", "panicked in create at src/lib.rs:"),
        ("panic-in-plan", ": in plan"),
        ("out-of-range", "the run has the ids 0 to"),
        ("twice", "names the parameter id 1 twice"),
        ("nothing", "trains no parameter"),
        ("nan", "scales the learning rate of block 0 by NaN"),
        ("critical", "lacks the extension '!new'"),
        ("signal", "did you mean 'block_grad_norm'"),
    ];
    for (id, text) in expected {
        let answer = plugins.schedule(id, &[], run_record(3, 2, "", true));
        let fault = answer
            .and_then(|schedule| schedule.plan(&DecisionRecord::epoch(1)))
            .unwrap_err();
        assert!(fault.to_string().contains(text), "{id}: {fault}");
        assert!(
            fault.to_string().contains("plugin misbehaving 0.3.0 ("),
            "{id}: {fault}"
        );
        assert_eq!(fault.exit_code(), 4, "{id}");
    }
    drop(
        plugins
            .schedule("panic-in-drop", &[], run_record(3, 2, "", true))
            .unwrap(),
    );
    let alternate = plugins
        .schedule("alternate", &[], run_record(3, 2, "", true))
        .unwrap();
    let from_thread = std::thread::spawn(move || alternate.plan(&DecisionRecord::epoch(2)).is_ok());
    assert!(from_thread.join().unwrap());
}

#[test]
fn wrong_answers_of_methods_are_errors_and_the_process_lives() {
    let plugins = plugin::discover(&[outside().into()]).unwrap();
    let model = model_record("bert", 2, Dimensions::of(32, 64));
    let expected = [
        ("panic", "panicked in plan"),
        (
            "forward-reference",
            "node %1 (relu): it reads %7, which does not come before it",
        ),
        ("wrong-shape", "yields [rows, 1]; expected [rows, 32]"),
        (
            "unknown-op",
            "(plugin interface 1.1) lacks the graph operation 'Op#4711'",
        ),
        ("huge", "at most 2^34 elements"),
        ("unread", "it is trained, but no rewrite reads it"),
        (
            "no-such-site",
            "did you mean 'encoder.layer.0.attention.self.query'",
        ),
        (
            "no-such-parameter",
            "did you mean 'encoder.layer.0.attention.self.query.bias'",
        ),
    ];
    for (id, text) in expected {
        let fault = plugins.method(id, &[]).unwrap().plan(&model).unwrap_err();
        assert!(fault.to_string().contains(text), "{id}: {fault}");
        assert_eq!(fault.exit_code(), 4, "{id}");
    }
    assert!(plugins.method("scaling", &[]).unwrap().plan(&model).is_ok());
}
