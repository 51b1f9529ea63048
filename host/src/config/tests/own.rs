//! Tests of the keys about the user's own files.

use super::*;
use progtune_datasets::{
    Format, Header, OnBadRow, OwnRequest, ProblemType, Reading, RepairTags, TextEncoding,
};

const FILE: &str = "--train-file=t.csv";

#[test]
fn config_toml_gives_the_same_request_again() {
    let plain = RunConfig::default();
    let inputs = InputsConfig {
        own: Some(OwnRequest {
            train: vec!["a.csv".into(), "d/*.csv".into()],
            validation: vec![],
            test: vec!["t.csv".into()],
            validation_split: Some(0.25),
            seed: 7,
            ignore_labels: false,
            reading: Reading {
                format: Some(Format::LabelText),
                encoding: TextEncoding::by_name("windows-1252").unwrap(),
                header: Header::Absent(vec!["text".into(), "label".into()]),
                text_column: Some("text".into()),
                pair_column: Some("a \"b\"".into()),
                label_column: Some("label".into()),
                label_separator: Some(";".into()),
                repair_tags: Some(RepairTags::Bio),
                problem_type: Some(ProblemType::Regression),
                on_bad_row: OnBadRow::Skip,
            },
        }),
        ..plain.inputs
    };
    assert_round_trip(&RunConfig {
        inputs,
        data: DataConfig {
            task: "own".into(),
            metrics: vec![Metric::Mse],
            seed: 7,
            ..plain.data
        },
        training: TrainingConfig {
            seed: 7,
            ..plain.training
        },
        ..RunConfig::default()
    });
}

#[test]
fn files_imply_the_task() {
    let config = resolve_with(&[FILE, "--validation-split=0.1"], &[], "").unwrap();
    assert_eq!(config.data.task, "own");
    assert_eq!(config.inputs.own.unwrap().train, ["t.csv"]);
    let config = resolve_with(&[FILE, "--validation-file=v.csv"], &[], "task = \"own\"").unwrap();
    assert_eq!(config.inputs.own.unwrap().validation, ["v.csv"]);
    let variables = [("PROGTUNE_TRAIN_FILE", "a.csv:b.csv")];
    let config = resolve_with(&["--validation-split=0.1"], &variables, "").unwrap();
    assert_eq!(config.inputs.own.unwrap().train, ["a.csv", "b.csv"]);
}

#[test]
fn what_does_not_go_together() {
    for (flags, part) in [
        (&[FILE, "--task=mrpc"][..], "task (from flag --task)"),
        (&[FILE, "--data=d"], "data (from flag --data)"),
        (&[FILE], "--validation-file is missing"),
        (&["--validation-file=v.csv"], "--train-file is missing"),
        (
            &[FILE, "--validation-file=v.csv", "--validation-split=0.1"],
            "validation rows come from one of them",
        ),
        (
            &["--label-column=x"],
            "it applies to your own files, and none are given",
        ),
        (
            &["--task=mrpc", "--data=d", "--on-bad-row=skip"],
            "give --train-file or another file, or remove on_bad_row",
        ),
    ] {
        let text = message(flags, &[], "");
        assert!(text.contains(part), "{flags:?}: {text}");
    }
}
