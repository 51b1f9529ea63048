//! Plugins from the host's side: the first-party libraries by name, libraries built outside the
//! workspace, and broken files of many kinds.
//!
//! The first-party libraries must have been built (`cargo build`) in the same profile as these
//! tests.

mod broken;

use progtune_engine::plugin::{self, EntryKind, PluginFault, Plugins};
use progtune_plugin_api::{
    contract::{Dimensions, model_record, run_record},
    open::Value,
    records::DecisionRecord,
};
use progtune_tests::{
    outside_plugins::{library_name as file_name, outside_plugin},
    profile_dir, progtune,
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

const SCHEDULES: [&str; 9] = [
    "auto-freeze",
    "full",
    "gradual-unfreeze",
    "grow-from-hb",
    "lisa",
    "progressive",
    "single-block",
    "top-k",
    "wo-lb",
];
const METHODS: [&str; 10] = [
    "adapter", "bitfit", "dora", "ia3", "kron-a", "lora", "parallel", "pfeiffer", "prefix", "vera",
];

fn first_party(library: &str) -> PathBuf {
    let file = profile_dir().join(file_name(library));
    assert!(
        file.is_file(),
        "{} is missing: run `cargo build` in this profile first",
        file.display()
    );
    file
}

fn plugins() -> Plugins {
    first_party("progtune_schedule_full");
    plugin::discover(&[profile_dir()]).unwrap()
}

fn typed(options: &[(&str, &str)]) -> Vec<(String, String)> {
    options
        .iter()
        .map(|&(name, value)| (name.into(), value.into()))
        .collect()
}

/// The directory with the libraries of `outside-plugins`, built once.
fn outside() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let built = ["alternate", "scaling", "misbehaving"].map(outside_plugin);
        // Other libraries built there do not belong to these tests.
        let directory = profile_dir().parent().unwrap().join("outside/plugins-test");
        fs::create_dir_all(&directory).unwrap();
        for library in built {
            fs::copy(&library, directory.join(library.file_name().unwrap())).unwrap();
        }
        directory
    })
}

/// A directory that contains one file with a library's name.
fn directory_with(bytes: &[u8]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(file_name("x")), bytes).unwrap();
    directory
}

#[test]
fn every_first_party_plugin_is_listed_and_loads_by_name() {
    let plugins = plugins();
    let mut ids: Vec<(EntryKind, &str)> = plugins
        .entries()
        .iter()
        .map(|e| (e.kind, e.id.as_str()))
        .collect();
    ids.dedup();
    for (kind, id) in SCHEDULES
        .map(|id| (EntryKind::Schedule, id))
        .iter()
        .chain(&METHODS.map(|id| (EntryKind::Method, id)))
    {
        assert!(ids.contains(&(*kind, id)), "{kind} {id}");
    }
    for id in SCHEDULES {
        let schedule = plugins
            .schedule(id, &[], run_record(5, 3, "", true))
            .unwrap();
        for epoch in 1..=3 {
            assert!(
                !schedule
                    .plan(&DecisionRecord::epoch(epoch))
                    .unwrap()
                    .trainable
                    .is_empty()
            );
        }
        assert_eq!(schedule.source().library.manifest.license, "Apache-2.0");
        let (last, _) = schedule.options().last().unwrap();
        assert_eq!(last, "embeddings", "{id}");
    }
    for id in METHODS {
        let method = plugins.method(id, &[]).unwrap();
        for architecture in ["bert", "roberta"] {
            let model = model_record(architecture, 2, Dimensions::of(32, 64));
            assert!(method.plan(&model).unwrap().suggested_lr.is_some());
        }
    }
}

/// The contract, through the loader.
#[test]
fn loaded_plugins_keep_the_contract() {
    let plugins = plugins();
    let schedule = plugins
        .schedule("progressive", &[], run_record(12, 3, "", true))
        .unwrap();
    let run = run_record(12, 3, "", true);
    let k = |epoch| {
        let plan = schedule.plan(&DecisionRecord::epoch(epoch)).unwrap();
        let blocks = plan
            .trainable
            .iter()
            .filter_map(|&id| run.candidate(id))
            .filter(|p| p.block >= 0);
        blocks.map(|p| p.block).min()
    };
    assert_eq!([k(1), k(2), k(3)], [Some(0), Some(4), Some(8)]);
    let fault = schedule.plan(&DecisionRecord::epoch(4)).unwrap_err();
    assert!(
        fault
            .to_string()
            .contains("expected an epoch from 1 to 3, found 4"),
        "{fault}"
    );
}

#[test]
fn options_are_checked_before_a_plugin_is_asked() {
    let plugins = plugins();
    let lora = plugins
        .method(
            "lora",
            &typed(&[("r", "4"), ("target_modules", "key,dense")]),
        )
        .unwrap();
    assert_eq!(lora.options()[0], ("r".into(), Value::Int(4)));
    let message = |options: &[(&str, &str)]| {
        let fault = plugins.method("lora", &typed(options)).unwrap_err();
        assert_eq!(fault.exit_code(), 2);
        fault.to_string()
    };
    assert!(message(&[("rank", "4")]).contains("option 'rank' of 'lora': there is no such option"));
    assert!(message(&[("lora_alph", "4")]).contains("did you mean 'lora_alpha'"));
    assert!(message(&[("r", "0")]).contains("expected a number from 1 to 65536, found 0"));
    assert!(message(&[("use_rslora", "maybe")]).contains("expected true or false, found 'maybe'"));
    assert!(message(&[("r", &"9".repeat(100_000_000))]).len() < 1000);
    let run = run_record(4, 2, "", true);
    let fault = plugins
        .schedule("single-block", &typed(&[("block", "9")]), run)
        .unwrap_err();
    assert_eq!(fault.exit_code(), 2);
    assert!(
        fault
            .to_string()
            .contains("option 'block': expected 0 to 3"),
        "{fault}"
    );
    let model = model_record("bert", 2, Dimensions::of(32, 64));
    let fault = plugins
        .method("lora", &typed(&[("target_modules", "qery")]))
        .unwrap()
        .plan(&model)
        .unwrap_err();
    assert_eq!(fault.exit_code(), 2);
    assert!(
        fault.to_string().contains("did you mean 'query'"),
        "{fault}"
    );
}

#[test]
fn an_unknown_id_names_the_nearest() {
    let fault = plugins()
        .schedule("progresive", &[], run_record(2, 2, "", true))
        .unwrap_err();
    assert_eq!(fault.exit_code(), 2);
    let text = fault.to_string();
    assert!(
        text.starts_with("there is no schedule 'progresive'; did you mean 'progressive'"),
        "{text}"
    );
    assert!(
        text.contains("Available: ") && text.contains("wo-lb"),
        "{text}"
    );
    assert!(plugins().method("progressive", &[]).is_err());
}

#[test]
fn plugins_from_outside_the_workspace_are_listed_with_their_options() {
    let plugins = plugin::discover(&[outside().into()]).unwrap();
    let entry = plugins.entry(EntryKind::Schedule, "alternate").unwrap();
    assert_eq!(
        (
            entry.library.manifest.name.as_str(),
            entry.library.manifest.version.as_str()
        ),
        ("alternate", "0.3.0")
    );
    assert!(entry.library.manifest.unwinds);
    let stride = entry
        .options
        .iter()
        .find(|option| option.name == "stride")
        .unwrap();
    assert_eq!(
        (stride.default.clone(), stride.min),
        (Some(Value::Int(2)), Some(1.0))
    );
    assert_eq!(entry.library.sha256().unwrap().len(), 64);
}

/// `plan` and a short training run by name, with the built binary.
#[test]
fn plugins_from_outside_the_workspace_run_by_name() {
    let output_dir = tempfile::tempdir().unwrap();
    let names = [
        "--schedule",
        "alternate",
        "--schedule-opt",
        "stride=3",
        "--peft",
        "scaling",
        "--epochs",
        "2",
    ];
    let run = |arguments: &[&str]| {
        let mut command = progtune();
        command
            .args(arguments)
            .args(names)
            .arg("--plugin-dir")
            .arg(outside());
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {text}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(run(&["plan", "--json"]).contains("total_updated_parameters"));
    let output = output_dir.path().join("run");
    run(&[
        "train",
        "--task",
        "sample",
        "--max-steps",
        "2",
        "--max-train-samples",
        "16",
        "--max-eval-samples",
        "16",
        "--output",
        &output.to_string_lossy(),
    ]);
    assert!(output.join("metrics.jsonl").is_file());
}
