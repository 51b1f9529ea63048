//! An author's steps: a new crate that builds, passes its tests and trains a model, and the
//! contract on built libraries.

use progtune_tests::{
    outside::{build, cargo, succeed, target_dir},
    outside_plugins::library_name as file_name,
    profile_dir, progtune, read_json, root, run, run_failing,
};
use std::{fs, path::Path, process::Command};

/// The commands that `plugins new` prints, up to a model trained with both new plugins.
/// (`readme.rs` runs those in the documents.)
#[test]
fn from_plugins_new_to_a_trained_model() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().to_str().unwrap();
    for (name, kind, flags) in [
        ("made-schedule", "schedule", "--schedule made-schedule"),
        ("made-method", "peft", "--peft made-method"),
    ] {
        let said = run(&["plugins", "new", name, "--kind", kind, "--path", path]);
        let said = String::from_utf8(said.stdout).unwrap();
        let directory = place.path().join(name);
        let expected = format!(
            "  cd {} && cargo test\n  cargo build --release\n  progtune --plugin-dir target/release {flags}\n",
            directory.display()
        );
        assert!(said.ends_with(&expected), "{said}");
        let interface = root().join("plugin-api").canonicalize().unwrap();
        assert!(
            said.contains(&format!("from {}. Next", interface.display())),
            "{said}"
        );
        let tested = succeed(cargo("test", &directory).arg("--release"));
        assert!(tested.contains("test result: ok. 2 passed"), "{tested}");
        let mut formatted = Command::new("cargo");
        succeed(formatted.args(["fmt", "--check"]).current_dir(&directory));
        build(&directory);
        let library = target_dir()
            .join("release")
            .join(file_name(&name.replace('-', "_")));
        let checked = run(&["plugins", "check", library.to_str().unwrap()]);
        let checked = String::from_utf8(checked.stdout).unwrap();
        assert!(!checked.contains("FAIL"), "{checked}");
    }
    let output = place.path().join("run");
    let mut train = progtune();
    train
        .args([
            "--schedule",
            "made-schedule",
            "--peft",
            "made-method",
            "--epochs",
            "2",
        ])
        .args([
            "--max-train-samples",
            "32",
            "--max-eval-samples",
            "16",
            "--quiet",
        ])
        .arg("--plugin-dir")
        .arg(target_dir().join("release"))
        .arg("--output")
        .arg(&output);
    succeed(&mut train);
    let plan = read_json(&output.join("plan.json"));
    assert_eq!(plan["schedule"], "made-schedule");
    assert_eq!(plan["epochs"][1]["blocks"].as_array().unwrap().len(), 2);
    assert!(output.join("all_results.json").is_file());
    assert!(output.join("adapter.safetensors").is_file());
}

#[test]
fn a_new_plugin_needs_a_name_of_its_own() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().to_str().unwrap();
    let new = |name: &str, kind: &str| {
        run_failing(&["plugins", "new", name, "--kind", kind, "--path", path], 2)
    };
    new("Top_Half", "schedule");
    new("struct", "peft");
    new("lora", "method");
    fs::create_dir(place.path().join("taken")).unwrap();
    new("taken", "schedule");
    let elsewhere = [
        "plugins",
        "new",
        "fine",
        "--kind",
        "peft",
        "--plugin-api",
        path,
    ];
    run_failing(&elsewhere, 2);
    assert!(!Path::new("fine").exists());
    // `lora` is a method, but a schedule may have that name.
    run(&[
        "plugins", "new", "lora", "--kind", "schedule", "--path", path,
    ]);
}

#[test]
fn every_plugin_of_ours_keeps_the_contract() {
    // Take every crate in `plugins/`, so that a new one is checked without being listed anywhere.
    let mut libraries = Vec::new();
    for folder in fs::read_dir(root().join("plugins")).unwrap() {
        let name = folder.unwrap().file_name().into_string().unwrap();
        let library = format!("progtune_{}", name.replace('-', "_"));
        libraries.push((profile_dir().join(file_name(&library)), vec![]));
    }
    assert!(libraries.len() >= 17, "{libraries:?}");
    let outside = |name: &str| build(&root().join("tests/outside-plugins").join(name));
    libraries.push((outside("alternate"), vec![]));
    libraries.push((outside("scaling"), vec![]));
    let lora = profile_dir().join(file_name("progtune_peft_lora"));
    let all =
        "target_modules=query,key,value,attention.output.dense,intermediate.dense,output.dense";
    libraries.push((
        lora,
        vec!["--peft-opt", all, "--peft-opt", "lora_dropout=0.1"],
    ));
    let houlsby = profile_dir().join(file_name("progtune_peft_adapter"));
    libraries.push((
        houlsby,
        vec!["--id", "adapter", "--peft-opt", "preset=houlsby"],
    ));
    for (library, options) in libraries {
        let mut words = vec!["plugins", "check", library.to_str().unwrap(), "--json"];
        words.extend(options);
        let said = run(&words);
        let report: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
        assert_eq!(report["kept"], true, "{report:#}");
        let checks = report["entries"][0]["checks"].as_array().unwrap();
        assert!(checks.len() >= 6, "{report:#}");
    }
}

#[test]
fn a_broken_promise_is_named_and_fails() {
    let library = build(&root().join("tests/outside-plugins/breaking"));
    let file = library.to_str().unwrap();
    let broken = [
        (
            "other-plans",
            "same plan when asked again",
            "a different plan when asked again",
        ),
        (
            "no-identity",
            "nothing changes at the start",
            "after the rewrites, y differs",
        ),
        ("wrong-merge", "merged equals unmerged", "merged, y differs"),
        (
            "dead",
            "trained parameters matter",
            "no result depends on it",
        ),
        (
            "not-finite",
            "initial values",
            "expected finite numbers, found inf",
        ),
        (
            "panics-at-limit",
            "options at their limits",
            "panicked in create",
        ),
        (
            "refuses",
            "plans at all",
            "refused every run it was asked for",
        ),
        ("panics-on-few-blocks", "valid plans", "L=1 T=1"),
    ];
    for (id, check, reason) in broken {
        let output = progtune()
            .args(["plugins", "check", file, "--id", id])
            .output()
            .unwrap();
        let (said, error) = (
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        );
        assert_eq!(output.status.code(), Some(4), "{id}: {said}{error}");
        let failed: Vec<&str> = said
            .lines()
            .filter(|line| line.contains("  FAIL "))
            .collect();
        assert!(
            failed.iter().any(|line| line.contains(check)),
            "{id}: {said}"
        );
        assert!(said.contains(reason), "{id}: {said}");
        assert!(
            error.contains("this is a fault of the plugin"),
            "{id}: {error}"
        );
    }
    run_failing(&["plugins", "check", file, "--id", "ded"], 2);
    run_failing(
        &[
            "plugins",
            "check",
            file,
            "--id",
            "dead",
            "--peft-opt",
            "r=1",
        ],
        2,
    );
    run_failing(&["plugins", "check", "/nowhere/x.so"], 4);
}
