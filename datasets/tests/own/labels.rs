//! Labels: learned or from a model, classes or numbers, and held-out rows.

use super::*;
use progtune_datasets::{Labels, Metric, OnBadRow, ProblemType};

fn with_labels(labels: &[&str]) -> Vec<u8> {
    let rows: String = labels.iter().map(|label| format!("x,{label}\n")).collect();
    format!("text,label\n{rows}").into_bytes()
}

fn typed(problem_type: ProblemType) -> Reading {
    Reading {
        problem_type: Some(problem_type),
        ..Reading::default()
    }
}

const CLASSES: ProblemType = ProblemType::SingleLabelClassification;

#[test]
fn names_are_sorted_and_whole_numbers_by_value() {
    let labels = |labels: &[&str]| good("a.csv", &with_labels(labels)).task.labels;
    assert_eq!(labels(&["b", "a", "B", "b"]), ["B", "a", "b"]);
    assert_eq!(labels(&["10", "2", "1"]), ["1", "2", "10"]);
    assert_eq!(labels(&["1", "-1"]), ["-1", "1"]);
    let data = good("a.csv", &with_labels(&["3", "2"]));
    assert_eq!(data.train[0].label, Some(Label::Class(1)));
    assert_eq!(data.task.metrics, [Metric::Accuracy, Metric::F1]);
}

#[test]
fn decimal_numbers_are_a_regression() {
    let data = good("a.csv", &with_labels(&["0.5", "2", "-1"]));
    assert_eq!(data.task.problem_type, ProblemType::Regression);
    assert_eq!(data.train[2].label, Some(Label::Score(-1.0)));
    assert_eq!(data.task.metrics[0], Metric::Pearson);
    bad(
        "a.csv",
        &with_labels(&["1.0", "2.0"]),
        &[
            "column `label`: cannot tell",
            "`1.0`, `2.0`",
            "--problem-type",
        ],
    );
    let data = read("a.csv", &with_labels(&["1.0", "2.0"]), typed(CLASSES)).unwrap();
    assert_eq!(data.task.labels, ["1.0", "2.0"]);
    let data = read(
        "a.csv",
        &with_labels(&["1", "2"]),
        typed(ProblemType::Regression),
    )
    .unwrap();
    assert_eq!(data.train[1].label, Some(Label::Score(2.0)));
}

#[test]
fn a_models_labels_are_kept() {
    let known = Labels {
        problem_type: CLASSES,
        names: vec!["neg".into(), "pos".into(), "so-so".into()],
    };
    let dir = dir_with(&[("t.csv", b"text,label\na,pos\nb,2\nc,\n")]);
    let mut request = OwnRequest {
        test: vec![dir.path().join("t.csv").display().to_string()],
        ..OwnRequest::default()
    };
    let data = OwnData::load(&request, Some(&known)).unwrap();
    let labels: Vec<Option<Label>> = data
        .test
        .iter()
        .map(|example| example.label.clone())
        .collect();
    assert_eq!(labels, [Some(Label::Class(1)), Some(Label::Class(2)), None]);
    assert_eq!(data.task.labels, known.names);
    // For prediction, labels are ignored and may be anything.
    let dir = dir_with(&[("t.csv", b"text,label\na,unheard of\n")]);
    request.test = vec![dir.path().join("t.csv").display().to_string()];
    assert!(OwnData::load(&request, Some(&known)).is_err());
    request.ignore_labels = true;
    assert_eq!(
        OwnData::load(&request, Some(&known)).unwrap().test[0].label,
        None
    );
}

#[test]
fn validation_rows_are_held_out_or_have_files() {
    let rows: String = (0..100)
        .map(|i| format!("{i},{}\n", if i % 4 == 0 { "a" } else { "b" }))
        .collect();
    let dir = dir_with(&[
        ("t.csv", format!("text,label\n{rows}").as_bytes()),
        ("v.csv", b"text,label\nx,c\n"),
    ]);
    let mut request = train_on(dir.path(), &["t.csv"], Reading::default());
    request.validation_split = Some(0.2);
    let data = load(dir.path(), &request).unwrap();
    assert_eq!((data.train.len(), data.validation.len()), (80, 20));
    let of_a = |example: &&Example| example.label == Some(Label::Class(0));
    assert_eq!(data.validation.iter().filter(of_a).count(), 5);
    request.seed = 1;
    assert_ne!(
        load(dir.path(), &request).unwrap().validation,
        data.validation
    );
    request.validation_split = Some(0.001);
    assert_has(
        &load(dir.path(), &request).unwrap_err(),
        &["--validation-split 0.001", "100 training rows"],
    );
    // A label that does not occur in training.
    request.validation_split = None;
    request.validation = vec![dir.path().join("v.csv").display().to_string()];
    assert_has(
        &load(dir.path(), &request).unwrap_err(),
        &["v.csv, line 2: column `label`: expected one of the labels 0 (a), 1 (b), found \"c\""],
    );
    request.reading.on_bad_row = OnBadRow::Skip;
    assert_has(
        &load(dir.path(), &request).unwrap_err(),
        &[
            "--validation-file v.csv: expected at least one row",
            "no valid row; the last one left out: v.csv, line 2",
        ],
    );
}

#[test]
fn labels_that_are_none() {
    bad(
        "a.csv",
        &with_labels(&["a", "a"]),
        &["a.csv: column `label`: expected at least two different labels, found `a` in all 2 rows"],
    );
    bad(
        "a.csv",
        &with_labels(&["a", "", "b"]),
        &["a.csv, line 3: column `label`", "found \"\"", "unlabelled"],
    );
    bad(
        "a.csv",
        &with_labels(&["1", "2", "good"]),
        &["the number \"1\" (a.csv, line 2) and the name \"good\" (a.csv, line 4)"],
    );
    let data = read("a.csv", &with_labels(&["1", "good"]), typed(CLASSES)).unwrap();
    assert_eq!(data.task.labels, ["1", "good"]);
    let many: Vec<String> = (0..300).map(|i| format!("t{i}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    bad(
        "a.csv",
        &with_labels(&many),
        &["found 300 different labels in 300 rows", "--label-column"],
    );
    let message = read(
        "a.csv",
        &with_labels(&["1", "high"]),
        typed(ProblemType::Regression),
    )
    .unwrap_err();
    assert_has(
        &message,
        &["a.csv, line 3: column `label`: expected a finite number as the score, found \"high\""],
    );
}
