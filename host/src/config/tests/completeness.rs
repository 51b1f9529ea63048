//! Tests that every declared key is complete: it is read, written, and read again.

use super::*;
use crate::flags::FlagDefault;
use std::collections::BTreeSet;

#[test]
fn keys_are_declared_once_with_a_default_and_an_example() {
    let mut names = BTreeSet::new();
    for key in keys() {
        assert!(names.insert(key.name), "{} is declared twice", key.name);
        assert_eq!(key.key, Some(key.name));
        let default = key.default_text().unwrap_or_default();
        assert!(!default.is_empty(), "{} has no default", key.name);
        assert!(!key.example.is_empty(), "{} has no example", key.name);
    }
}

/// No key accepts nested lists, so every configuration that reads one refuses it. A key that
/// nothing reads would pass.
#[test]
fn every_key_is_read() {
    for key in keys() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("run.toml");
        fs::write(&path, format!("{} = [[1]]\n", key.name)).expect("a file in it");
        let sources = Sources {
            file: Some(path),
            variables: vec![],
        };
        let arguments = |command: &str| super::arguments(&[command], &[]);
        let train = || RunConfig::resolve_train(&arguments("train"), &sources).err();
        let evaluate = || EvaluateConfig::resolve(&arguments("evaluate"), &sources).err();
        let show = || show::resolve(&arguments("train"), &sources).err();
        let readers = match key.scope {
            Scope::All | Scope::Measuring => vec![train(), evaluate()],
            Scope::Training => vec![train()],
            Scope::Inference => vec![evaluate()],
            Scope::Display => vec![show()],
        };
        for error in readers {
            let error = error.unwrap_or_else(|| panic!("nothing reads {}", key.name));
            let text = error.to_string();
            let start = format!("{} (from file ", key.name);
            assert!(text.starts_with(&start), "{text}");
        }
    }
}

fn is_about_own_files(key: &str) -> bool {
    OWN_DATA.iter().any(|flag| flag.about().name == key)
}

/// A key that is set to its example and written to a file is read back with the same value.
#[test]
fn every_key_of_training_round_trips() {
    let own = "--train-file=t.csv --validation-file=v.csv";
    for key in keys().filter(|key| key.scope.is_of_training()) {
        let mut flags = vec![format!("{}={}", key.flag(), key.example)];
        match key.name {
            "peft_opt" | "init_adapter" => flags.push("--peft=lora".into()),
            "lr_end" | "lr_power" => flags.push("--lr-scheduler=polynomial".into()),
            "early_stopping_threshold" => flags.push("--early-stopping-patience=3".into()),
            "validation_split" => flags.push("--train-file=t.csv".into()),
            name if is_about_own_files(name) => {
                let others = own
                    .split(' ')
                    .filter(|other| !other.starts_with(&key.flag()));
                flags.extend(others.map(str::to_owned));
            }
            _ => {}
        }
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let config = resolve_with(&flags, &[], "").unwrap_or_else(|error| panic!("{error}"));
        // These are requested for a single run, so they are not written.
        let is_of_single_run =
            ["overwrite_output", "profile", "resume", "allow_changed"].contains(&key.name);
        if !is_of_single_run {
            assert_round_trip(&config);
        }
        let toml = config.to_toml();
        let is_written = toml.contains(&format!("\n{} = ", key.name))
            || toml.contains(&format!("\n[{}]", key.name));
        assert_eq!(is_written, !is_of_single_run, "{toml}");
    }
}

#[test]
fn a_default_value_is_a_value_of_its_key() {
    for key in keys().filter(|key| key.scope.is_of_training()) {
        if let Some(FlagDefault::Value(default)) = key.default {
            let flag = format!("{}={default}", key.flag());
            let config = resolve_with(&[&flag], &[], "").unwrap();
            assert_eq!(config, RunConfig::default(), "{flag}");
        }
    }
}
