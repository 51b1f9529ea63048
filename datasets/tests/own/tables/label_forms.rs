//! Label lists of different kinds, and the names that a file gives to ids.

use super::*;
use progtune_datasets::{LabelForm, Labels, OwnFiles, ProblemType};

fn jsonl(labels: &[&str]) -> Vec<u8> {
    let rows = labels.iter().enumerate();
    let rows = rows.map(|(at, labels)| format!("{{\"text\": \"t{at}\", \"labels\": {labels}}}\n"));
    rows.collect::<String>().into_bytes()
}

fn classes(data: &OwnData) -> Vec<Vec<u32>> {
    let label = |example: &Example| match &example.label {
        Some(Label::Classes(ids)) => ids.clone(),
        other => panic!("{other:?}"),
    };
    data.train.iter().map(label).collect()
}

fn form(labels: &[&str]) -> LabelForm {
    let dir = dir_with(&[("a.jsonl", &jsonl(labels))]);
    let request = train_on(dir.path(), &["a.jsonl"], Reading::default());
    OwnFiles::open(&request, None, None).unwrap().facts.form
}

#[test]
fn vectors_of_zeros_and_ones_are_one_label_a_place() {
    let expected = [vec![1], vec![0, 2], vec![]];
    for labels in [
        ["[0, 1, 0]", "[1, 0, 1]", "[0, 0, 0]"],
        ["[0.0, 1.0, 0.0]", "[1.0, 0.0, 1.0]", "[0.0, 0, 0]"],
        [
            "[false, true, false]",
            "[true, false, true]",
            "[false, false, false]",
        ],
    ] {
        let data = good("a.jsonl", &jsonl(&labels));
        assert_eq!(data.task.labels, ["LABEL_0", "LABEL_1", "LABEL_2"]);
        assert_eq!(
            data.task.problem_type,
            ProblemType::MultiLabelClassification
        );
        assert_eq!(classes(&data), expected);
        assert_eq!(form(&labels), LabelForm::Vector);
    }
    let pairs = good("a.jsonl", &jsonl(&["[0, 1]", "[1, 0]"]));
    assert_eq!(
        (pairs.task.labels.len(), classes(&pairs)),
        (2, vec![vec![1], vec![0]])
    );
}

#[test]
fn names_and_ids_are_sets() {
    let names = good("a.jsonl", &jsonl(&["[\"b\", \"a\"]", "[]", "[\"c\"]"]));
    assert_eq!(names.task.labels, ["a", "b", "c"]);
    assert_eq!(classes(&names), [vec![0, 1], vec![], vec![2]]);
    // Texts are names, whatever they look like.
    let digits = good(
        "a.jsonl",
        &jsonl(&["[\"0\", \"1\", \"0\"]", "[\"1\", \"0\", \"1\"]"]),
    );
    assert_eq!(digits.task.labels, ["0", "1"]);
    for labels in [&["[0, 3]", "[1, 2]"][..], &["[0]", "[1]", "[0, 1]", "[]"]] {
        assert_eq!(form(labels), LabelForm::List, "{labels:?}");
    }
    let ids = good("a.jsonl", &jsonl(&["[3, 0]", "[10]"]));
    assert_eq!(
        (ids.task.labels.len(), classes(&ids)),
        (3, vec![vec![0, 1], vec![2]])
    );
}

#[test]
fn what_is_neither_is_refused_with_the_row() {
    for (labels, parts) in [
        (
            &["[0, 0, 1]", "[1, 0, 1]", "[0, 1]"][..],
            &["line 3", "a vector of 3 zeros and ones", "[0, 1]"][..],
        ),
        (
            &["[0, 0, 1]", "[0, 2, 1]"],
            &["line 2", "found the list [0, 2, 1]"],
        ),
        (
            &["[0.2, 0.8]", "[1.0, 0.0]"],
            &["line 1", "soft labels", "[0.2, 0.8]"],
        ),
    ] {
        bad("a.jsonl", &jsonl(labels), parts);
    }
}

#[test]
fn a_model_reads_vectors_of_its_length() {
    let known = Labels {
        problem_type: ProblemType::MultiLabelClassification,
        names: ["joy", "fear", "rage"].map(str::to_owned).to_vec(),
    };
    let load = |labels: &[&str]| {
        let dir = dir_with(&[("a.jsonl", &jsonl(labels))]);
        let request = train_on(dir.path(), &["a.jsonl"], Reading::default());
        OwnData::load(&request, Some(&known)).map_err(|error| error.to_string())
    };
    assert_eq!(
        classes(&load(&["[0, 1, 0]", "[1, 0, 1]"]).unwrap()),
        [vec![1], vec![0, 2]]
    );
    assert_eq!(
        classes(&load(&["[1]", "[\"rage\", \"joy\"]"]).unwrap()),
        [vec![1], vec![0, 2]]
    );
    let message = load(&["[0, 1, 0, 0]", "[1, 0, 1, 0]"]).unwrap_err();
    assert_has(
        &message,
        &["expected vectors of 3 zeros and ones", "vectors of 4"],
    );
}

/// `hub.py` makes the files, with `datasets`' metadata; the ids 0, 1, 2 are named world, sports, a.
#[test]
fn class_labels_of_the_file_are_the_names() {
    let data = good("a.parquet", include_bytes!("classes.parquet"));
    assert_eq!(data.task.labels, ["world", "sports", "a"]);
    let expected = [("t0", 1), ("t1", 0), ("t2", 1)];
    assert_eq!(
        data.train,
        expected.map(|(text, class)| example(text, None, class))
    );
    let data = good("a.parquet", include_bytes!("class_lists.parquet"));
    assert_eq!(data.task.labels, ["world", "sports", "a"]);
    assert_eq!(classes(&data), [vec![1], vec![0, 2], vec![]]);
    // A model is matched by name. For a model whose labels have no names, ids are used.
    let load = |names: [&str; 3]| {
        let dir = dir_with(&[("a.parquet", include_bytes!("classes.parquet"))]);
        let known = Labels {
            problem_type: ProblemType::SingleLabelClassification,
            names: names.map(str::to_owned).to_vec(),
        };
        let request = train_on(dir.path(), &["a.parquet"], Reading::default());
        let data = OwnData::load(&request, Some(&known)).map_err(|error| error.to_string())?;
        Ok::<_, String>(data.train[0].label.clone())
    };
    assert_eq!(load(["sports", "a", "world"]), Ok(Some(Label::Class(0))));
    assert_eq!(
        load(["LABEL_0", "LABEL_1", "LABEL_2"]),
        Ok(Some(Label::Class(1)))
    );
    assert_has(
        &load(["x", "y", "z"]).unwrap_err(),
        &["row 1", "\"sports\""],
    );
}
