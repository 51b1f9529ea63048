//! Several labels per row: lists, or a text with a separator.

use super::*;
use progtune_datasets::{Labels, Metric, OnBadRow, ProblemType};

const SETS: ProblemType = ProblemType::MultiLabelClassification;

fn separated(separator: &str) -> Reading {
    Reading {
        label_separator: Some(separator.to_owned()),
        ..Reading::default()
    }
}

fn sets(data: &OwnData) -> Vec<Vec<&str>> {
    let names = |example: &Example| match &example.label {
        Some(Label::Classes(ids)) => ids
            .iter()
            .map(|&id| data.task.labels[id as usize].as_str())
            .collect(),
        other => panic!("{other:?}"),
    };
    data.train.iter().map(names).collect()
}

#[test]
fn lists_of_labels_are_seen_as_such() {
    let data = good(
        "a.jsonl",
        br#"{"text": "a", "labels": ["y", "x"]}
{"text": "b", "labels": []}
{"text": "c", "labels": ["z", "z"]}"#,
    );
    assert_eq!(data.task.problem_type, SETS);
    assert_eq!(data.task.labels, ["x", "y", "z"]);
    assert_eq!(sets(&data), [vec!["x", "y"], vec![], vec!["z"]]);
    assert_eq!(data.task.metrics[0], Metric::F1Micro);
    let data = good("a.jsonl", br#"{"text": "a", "labels": [10, 2]}"#);
    assert_eq!(data.task.labels, ["2", "10"]);
}

#[test]
fn a_separator_makes_lists_of_texts() {
    let file = b"text,labels\na,\"y, x\"\nb,\nc,z\n";
    let data = read("a.csv", file, separated(",")).unwrap();
    assert_eq!(sets(&data), [vec!["x", "y"], vec![], vec!["z"]]);
    let data = read("a.tsv", b"text\tlabels\na\ty|x\nb\tx\n", separated("|")).unwrap();
    assert_eq!(sets(&data), [vec!["x", "y"], vec!["x"]]);
    // Without it each text is a class.
    let data = good("a.csv", b"text,labels\na,\"y, x\"\nb,z\n");
    assert_eq!(
        data.task.problem_type,
        ProblemType::SingleLabelClassification
    );
    let asked = Reading {
        problem_type: Some(SETS),
        ..Reading::default()
    };
    let message = read("a.csv", file, asked).unwrap_err();
    assert_has(
        &message,
        &[
            "a.csv: column `labels`: expected several labels per row",
            "--label-separator",
        ],
    );
}

#[test]
fn rows_that_are_wrong_are_told() {
    let rows = |bad: &str| {
        format!(
            "{{\"text\": \"a\", \"labels\": [\"x\"]}}\n{{\"text\": \"q\", \"labels\": {bad}}}\n{{\"text\": \"b\", \"labels\": [\"y\"]}}\n"
        )
    };
    for (label, part) in [
        (
            "\"x\"",
            "column `labels`: expected a list of labels (or give --label-separator, if they are in one text), found \"x\"",
        ),
        (
            "[\"x\", null]",
            "column `labels`: expected a label's name, found nothing",
        ),
        (
            "[[\"x\"]]",
            "column `labels`: expected a label's name, found the list [\"x\"]",
        ),
        (
            "null",
            "column `labels`: expected 0 (x), 1 (y) in every row of this split, found nothing",
        ),
    ] {
        let message = read("f.jsonl", rows(label).as_bytes(), Reading::default()).unwrap_err();
        println!("{message}");
        assert_has(&message, &["f.jsonl, line 2: ", part]);
        let skip = Reading {
            on_bad_row: OnBadRow::Skip,
            ..Reading::default()
        };
        let data = read("f.jsonl", rows(label).as_bytes(), skip).unwrap();
        assert_eq!(
            (texts(&data.train), data.skipped.n_rows),
            (vec!["a", "b"], 1)
        );
    }
    // Labels that do not occur in training.
    let dir = dir_with(&[("v.csv", b"text,labels\na,x\nb,x;new\n")]);
    let known = Labels {
        problem_type: SETS,
        names: vec!["x".into(), "y".into()],
    };
    let request = OwnRequest {
        validation: vec![dir.path().join("v.csv").display().to_string()],
        reading: separated(";"),
        ..OwnRequest::default()
    };
    let message = OwnData::load(&request, Some(&known))
        .unwrap_err()
        .to_string();
    assert_has(
        &message,
        &["v.csv, line 3: column `labels`: expected one of the labels 0 (x), 1 (y), found \"new\""],
    );
}

#[test]
fn each_set_of_labels_gives_its_share_to_validation() {
    // 60 rows with x, 30 with x and y, 10 with none.
    let row = |at: usize| match at % 10 {
        0..6 => format!("{{\"text\": \"{at}\", \"labels\": [\"x\"]}}\n"),
        6..9 => format!("{{\"text\": \"{at}\", \"labels\": [\"y\", \"x\"]}}\n"),
        _ => format!("{{\"text\": \"{at}\", \"labels\": []}}\n"),
    };
    let file: String = (0..100).map(row).collect();
    let dir = dir_with(&[("a.jsonl", file.as_bytes())]);
    let mut request = train_on(dir.path(), &["a.jsonl"], Reading::default());
    request.validation_split = Some(0.2);
    for seed in [0, 1] {
        request.seed = seed;
        let data = load(dir.path(), &request).unwrap();
        let with = |rows: &[Example], n_labels: usize| {
            let is = |row: &&Example| matches!(&row.label, Some(Label::Classes(ids)) if ids.len() == n_labels);
            rows.iter().filter(is).count()
        };
        let shares = |rows: &[Example]| [1, 2, 0].map(|n_labels| with(rows, n_labels));
        assert_eq!(shares(&data.validation), [12, 6, 2]);
        assert_eq!(shares(&data.train), [48, 24, 8]);
        // No row is on both sides.
        let mut texts: Vec<&str> = data
            .train
            .iter()
            .chain(&data.validation)
            .map(|row| row.text.as_str())
            .collect();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), 100);
    }
}
